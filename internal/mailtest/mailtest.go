// Package mailtest runs an SMTP server in the process of a test.
package mailtest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/sesame-auth/sesame/internal/porttest"
)

// The credentials of a server with Mechanisms.
const (
	User     = "mailer@sesame.example"
	Password = "p:a/s?s#w@rd %ü"
)

// A Message is an email that a server received.
type Message struct {
	From, To, User string // the envelope, and who was logged in
	UTF8, TLS      bool
	Raw            []byte
}

// A Server is an SMTP server on a loopback port. Set the fields before Start.
type Server struct {
	Certificate *tls.Certificate // nil: no TLS
	Implicit    bool             // TLS from the first byte
	MaxTLS      uint16           // the newest version of TLS; 0: the newest there is
	Mechanisms  []string         // of AUTH; nil: none
	RTT         time.Duration    // of the network: every reply is late by it
	Address     string           // to listen on; empty: a free port

	OnConnect func() bool // false: the connection is closed
	OnAuth    func() error
	OnMail    func() error
	OnRcpt    func(to string) error
	OnData    func() error

	Received chan Message // holds a thousand

	stop        func()
	mu          sync.Mutex
	seen        bytes.Buffer // every byte that clients sent, encrypted or not
	connections []net.Conn   // of all times
}

// Start runs the server until Stop or the end of the test.
func (s *Server) Start(t testing.TB) *Server {
	t.Helper()
	if s.Received == nil {
		s.Received = make(chan Message, 1000)
	}
	if s.Address == "" {
		s.Address = porttest.Address(t) // no other test uses it while the server is down
	}
	listener, err := net.Listen("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		_, isTLS := c.TLSConnectionState()
		return &session{server: s, message: Message{TLS: isTLS}}, nil
	}))
	server.Domain = "localhost"
	server.AllowInsecureAuth = true
	server.EnableSMTPUTF8 = true
	server.ErrorLog = log.New(io.Discard, "", 0)
	listener = recordingListener{listener, s}
	if s.Certificate != nil {
		config := &tls.Config{Certificates: []tls.Certificate{*s.Certificate}, MaxVersion: s.MaxTLS}
		if s.MaxTLS != 0 {
			config.MinVersion = tls.VersionTLS10
		}
		if s.Implicit {
			listener = tls.NewListener(listener, config)
		} else {
			server.TLSConfig = config
		}
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	s.stop = sync.OnceFunc(func() {
		_ = server.Close()
		_ = listener.Close() // the server does not know it before Serve
		<-served
	})
	t.Cleanup(s.stop)
	return s
}

// Stop closes the port and all connections. The server can be started again.
func (s *Server) Stop() { s.stop() }

// Connections returns how many connections clients have opened.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connections)
}

// Disconnect breaks all connections.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, connection := range s.connections {
		_ = connection.Close()
	}
}

// ClientBytes returns the bytes that clients sent over the network.
func (s *Server) ClientBytes() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

// URL returns the URL of the server, with credentials if it requires them.
func (s *Server) URL() string {
	scheme, option, credentials := "smtp", "", ""
	switch {
	case s.Certificate == nil:
		option = "?tls=off"
	case s.Implicit:
		scheme = "smtps"
	}
	if s.Mechanisms != nil {
		credentials = "mailer%40sesame.example:p%3Aa%2Fs%3Fs%23w%40rd%20%25%C3%BC@"
	}
	return scheme + "://" + credentials + s.Address + option
}

type session struct {
	server  *Server
	message Message
}

func (s *session) AuthMechanisms() []string { return s.server.Mechanisms }

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if mechanism == "LOGIN" {
		return &loginServer{check: s.check}, nil
	}
	return sasl.NewPlainServer(func(_, user, pass string) error { return s.check(user, pass) }), nil
}

func (s *session) check(user, pass string) error {
	if s.server.OnAuth != nil {
		if err := s.server.OnAuth(); err != nil {
			return err
		}
	}
	if user != User || pass != Password {
		return errors.New("wrong user or password")
	}
	s.message.User = user
	return nil
}

func (s *session) Mail(from string, options *smtp.MailOptions) error {
	s.message.From, s.message.UTF8 = from, options.UTF8
	if s.server.OnMail != nil {
		return s.server.OnMail()
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.message.To = to
	if s.server.OnRcpt != nil {
		return s.server.OnRcpt(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) (err error) {
	if s.message.Raw, err = io.ReadAll(r); err != nil {
		return err
	}
	if s.server.OnData != nil {
		if err := s.server.OnData(); err != nil {
			return err
		}
	}
	s.server.Received <- s.message
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// loginServer implements the obsolete AUTH LOGIN, the only mechanism of some servers.
type loginServer struct {
	user  string
	step  int
	check func(user, pass string) error
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

type recordingListener struct {
	net.Listener
	server *Server
}

func (l recordingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	for err == nil && l.server.OnConnect != nil && !l.server.OnConnect() {
		_ = conn.Close()
		conn, err = l.Listener.Accept()
	}
	if err != nil {
		return nil, err
	}
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.server.connections = append(l.server.connections, conn)
	return recordingConn{conn, l.server}, nil
}

type recordingConn struct {
	net.Conn
	server *Server
}

func (c recordingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.seen.Write(p[:n])
	return n, err
}

func (c recordingConn) Write(p []byte) (int, error) {
	time.Sleep(c.server.RTT)
	return c.Conn.Write(p)
}
