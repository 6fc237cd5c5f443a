package main

// requests has the guards of requests, and of what clients and services send and accept.
var requests = []guard{
	{
		what: "the time to read a header is limited",
		file: "internal/httpapi/http_server.go",
		code: `		ReadHeaderTimeout: 5 * time.Second,
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestTimeouts",
	},
	{
		what: "the time to read a request is limited",
		file: "internal/httpapi/http_server.go",
		code: `		ReadTimeout:       15 * time.Second,
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestTimeouts",
	},
	{
		what: "the time to write a response is limited",
		file: "internal/httpapi/http_server.go",
		code: `		WriteTimeout:      operationTimeout + 20*time.Second,
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestTimeouts|TestWriteTimeoutIncludesTheOperation",
	},
	{
		what: "an idle connection is closed",
		file: "internal/httpapi/http_server.go",
		code: `		IdleTimeout:       2 * time.Minute,
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestTimeouts",
	},
	{
		what: "the size of a header is limited",
		file: "internal/httpapi/http_server.go",
		code: `		MaxHeaderBytes:    32 << 10,
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestLongHeader",
	},
	{
		what: "connections are limited",
		file: "internal/httpapi/connections.go",
		code: `	case l.connections.open <- struct{}{}:
		return connection, nil
	default:
	}`,
		gone: `	case l.connections.open <- struct{}{}:
		return connection, nil
	default:
		return connection, nil
	}`,
		pkg: "internal/httpapi", run: "TestConnectionsAreLimited",
	},
	{
		what: "an operation has a deadline",
		file: "internal/httpapi/middleware.go",
		code: `requestKey{}, state), operationTimeout)`,
		gone: `requestKey{}, state), 100*operationTimeout)`,
		pkg:  "internal/httpapi", run: "TestOperationsHaveADeadline",
	},
	{
		what: "the size of a body is limited",
		file: "internal/httpapi/middleware.go",
		code: `http.MaxBytesReader(c.Response(), r.Body, maxBody)`,
		gone: `http.MaxBytesReader(c.Response(), r.Body, 1<<40)`,
		pkg:  "internal/httpapi", run: "TestEndlessBodyIsCutOff|TestRefusedBodies",
	},
	{
		what: "a body has one type",
		file: "internal/httpapi/body.go",
		code: `len(header.Values("Content-Type")) == 1 && `,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestRefusedHeadersOfBodies",
	},
	{
		what: "a body is not compressed",
		file: "internal/httpapi/body.go",
		code: ` && header.Get("Content-Encoding") == ""`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestRefusedHeadersOfBodies",
	},
	{
		what: "the nesting of a body is limited",
		file: "internal/httpapi/body.go",
		code: ` || decoder.StackDepth() > maxDepth`,
		gone: ` || decoder.StackDepth() > maxDepth+1`,
		pkg:  "internal/httpapi", run: "TestRefusedBodies",
	},
	{
		what: "a long User-Agent is cut",
		file: "internal/httpapi/middleware.go",
		code: `if len(text) > maxUserAgent {`,
		gone: `if len(text) > 100*maxUserAgent {`,
		pkg:  "internal/httpapi", run: "TestStoredUserAgent",
	},
	{
		what: "a User-Agent is stored as UTF-8",
		file: "internal/httpapi/middleware.go",
		code: `strings.ToValidUTF8(text, "")`,
		gone: `text`,
		pkg:  "internal/httpapi", run: "TestStoredUserAgent",
	},
	{
		what: "the headers of untrusted senders are ignored",
		file: "internal/httpapi/client_ip.go",
		code: `		return client.String(), errUntrustedPeer
`,
		gone: `		return lists[0][0].String(), errUntrustedPeer
`,
		pkg: "internal/httpapi", run: "TestForwardedIP|TestClientIP",
	},
	{
		what: "X-Forwarded-For and Forwarded must agree",
		file: "internal/httpapi/client_ip.go",
		code: `len(list) < hop || i > 0 && list[len(list)-hop] != address`,
		gone: `len(list) < hop || i < 0`,
		pkg:  "internal/httpapi", run: "TestForwardingHeaders",
	},
	{
		what: "a web page cannot reach the admin listener by another name",
		file: "internal/httpapi/admin.go",
		code: `if isRebound(r, config.Host) {`,
		gone: `if isRebound(r, config.Host) && r == nil {`,
		pkg:  "internal/httpapi", run: "TestAdminHost",
	},
	{
		what: "a signature has one form",
		file: "verify/verify.go",
		code: `s.Cmp(halfOrder) <= 0 && `,
		gone: ``,
		pkg:  "verify", run: "TestTwinSignatureIsRefused",
	},
	{
		what: "a service reads a limited number of keys",
		file: "verify/keys.go",
		code: `if len(set.Keys) > maxKeys {`,
		gone: `if len(set.Keys) > 100*maxKeys {`,
		pkg:  "verify", run: "TestKeySetIsBounded|TestInvalidKeySets",
	},
	{
		what: "a clock that was set back does not keep keys",
		file: "verify/keys.go",
		code: `now.Before(s.fetched) {`,
		gone: `now.Before(s.fetched) && s == nil {`,
		pkg:  "verify", run: "TestKeysAfterClockSetBack",
	},
	{
		what: "the client sends nothing over plain http",
		file: "client/client.go",
		code: `parsed.Scheme == "http" && isLoopback(parsed.Hostname()):`,
		gone: `parsed.Scheme == "http":`,
		pkg:  "client/clienttest", run: "TestURLs",
	},
	{
		what: "an origin of the client has a scheme",
		file: "client/client.go",
		code: `return u.Scheme + "://" + strings.ToLower(u.Hostname())`,
		gone: `return strings.ToLower(u.Hostname())`,
		pkg:  "client/clienttest", run: "TestTokenIsSentOnlyToTheScheme",
	},
	{
		what: "a password that cannot be used costs a hash",
		file: "internal/password/hasher.go",
		code: `	prepared, unusable := prepare(password)
	result`,
		gone: `	prepared, unusable := prepare(password)
	if unusable != nil {
		return false, nil
	}
	result`,
		pkg: "internal/password", run: "TestVerifyHashesEveryPassword",
	},
	{
		what: "a password has the required length",
		file: "internal/password/policy.go",
		code: `case length < p.Required():`,
		gone: `case length < p.Required()-1:`,
		pkg:  "internal/password", run: "TestRequiredLength|TestAccept",
	},
}
