package main

// listeners has the guards of TLS, HTTP/2 and Unix sockets.
var listeners = []guard{
	{
		what: "old versions of TLS are refused",
		file: "internal/server/certificate.go",
		code: `MinVersion: tls.VersionTLS12,`,
		gone: `MinVersion: tls.VersionTLS10,`,
		pkg:  "internal/server", run: "TestTLS",
	},
	{
		what: "a certificate without its key is not used",
		file: "internal/server/certificate.go",
		code: `	loaded, err := tls.X509KeyPair(cert, key)
	if err != nil {`,
		gone: `	loaded, err := tls.X509KeyPair(cert, key)
	if err != nil && key == nil {`,
		pkg: "internal/server", run: "TestBrokenRenewal|TestCertificateIsLoadedOnce",
	},
	{
		what: "a certificate and its key match at the start",
		file: "cmd/sesame/checks.go",
		code: `tls.LoadX509KeyPair(cert, key); err != nil {`,
		gone: `tls.LoadX509KeyPair(cert, key); err != nil && cert == "" {`,
		pkg:  "cmd/sesame", run: "TestCertificateSettings",
	},
	{
		what: "with a certificate, links are https",
		file: "cmd/sesame/config.go",
		code: `hasTLS && !isHTTPS(c.PublicURL)`,
		gone: `hasTLS && c.PublicURL == ""`,
		pkg:  "cmd/sesame", run: "TestCertificateSettings",
	},
	{
		what: "browsers are not made to use https for everything on localhost",
		file: "internal/httpapi/middleware.go",
		code: ` && public.Hostname() != "localhost"`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestStrictTransportSecurity",
	},
	{
		what: "failed handshakes do not hide other errors",
		file: "internal/httpapi/http_server.go",
		code: `bytes.HasPrefix(line, []byte("http: TLS handshake error"))`,
		gone: `bytes.HasPrefix(line, []byte("nothing"))`,
		pkg:  "internal/httpapi", run: "TestHandshakeErrorsAreNotCounted",
	},
	{
		what: "idle connections with HTTP/2 make room for new ones",
		file: "internal/httpapi/connections.go",
		code: `	l.connections.closeIdle()
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestHTTP2ConnectionsAreLimited",
	},
	{
		what: "the requests of all connections are limited",
		file: "internal/httpapi/connections.go",
		code: `			panic(http.ErrAbortHandler)`,
		gone: `			next.ServeHTTP(w, r)`,
		pkg:  "internal/httpapi", run: "TestHTTP2RequestsAreLimited",
	},
	{
		what: "the requests of a connection with HTTP/2 are limited",
		file: "internal/httpapi/http_server.go",
		code: `			MaxConcurrentStreams:          100, `,
		gone: `			MaxConcurrentStreams:          1000, `,
		pkg:  "internal/httpapi", run: "TestHTTP2Settings",
	},
	{
		what: "a frame of HTTP/2 is small",
		file: "internal/httpapi/http_server.go",
		code: `MaxReadFrameSize:              16 << 10,`,
		gone: `MaxReadFrameSize:              16 << 16,`,
		pkg:  "internal/httpapi", run: "TestHTTP2Settings",
	},
	{
		what: "what a connection with HTTP/2 may send ahead is limited",
		file: "internal/httpapi/http_server.go",
		code: `			MaxReceiveBufferPerConnection: 64 << 10,
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestHTTP2Settings",
	},
	{
		what: "what a request with HTTP/2 may send ahead is limited",
		file: "internal/httpapi/http_server.go",
		code: `			MaxReceiveBufferPerStream:     2 * maxBody,
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestHTTP2Settings",
	},
	{
		what: "a client with HTTP/2 that does not read loses its connection",
		file: "internal/httpapi/http_server.go",
		code: `			WriteByteTimeout:              15 * time.Second,`,
		gone: `			WriteByteTimeout:              0 * time.Second,`,
		pkg:  "internal/httpapi", run: "TestHTTP2Limits",
	},
	{
		what: "only a proxy that is trusted is asked for the address before it",
		file: "internal/httpapi/client_ip.go",
		code: `		client, trusted = next, p.trust(next)
`,
		gone: `		client = next
`,
		pkg: "internal/httpapi", run: "TestClientIP",
	},
	{
		what: "the socket of a running server is kept",
		file: "internal/server/listen.go",
		code: `		return fmt.Errorf("another server listens on %s", path)
`,
		gone: `		return os.Remove(path)
`,
		pkg: "internal/server", run: "TestSocketOfARunningServer",
	},
	{
		what: "a file that is not a socket is kept",
		file: "internal/server/listen.go",
		code: `if file.Mode().Type() != fs.ModeSocket {`,
		gone: `if file.Mode().Type() == fs.ModeDir {`,
		pkg:  "internal/server", run: "TestOtherFilesAreKept",
	},
	{
		what: "a server that ends keeps the socket of another one",
		file: "internal/server/listen.go",
		code: ` && os.SameFile(file, l.file)`,
		gone: ` && file != nil`,
		pkg:  "internal/server", run: "TestSocketOfAnotherServerIsKept",
	},
	{
		what: "servers take a socket one after the other",
		file: "internal/server/listen.go",
		code: `if err := awaitLock(folder); err != nil {`,
		gone: `if err := folder.Sync(); err == context.Canceled {`,
		pkg:  "internal/server", run: "TestSocketInALockedFolder|TestServersStartAtTheSameTime",
	},
	{
		what: "other users cannot connect to a socket",
		file: "internal/server/listen.go",
		code: `const socketMode = 0o660`,
		gone: `const socketMode = 0o666`,
		pkg:  "internal/server", run: "TestSocketOfADeadServer",
	},
}
