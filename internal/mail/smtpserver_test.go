package mail

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/sesame-auth/sesame/internal/porttest"
)

const (
	testFrom = "Sesame <no-reply@sesame.example>"
	testUser = "mailer@sesame.example"
	testPass = "p:a/s?s#w@rd %ü"
)

// delivery is a message that the SMTP server received.
type delivery struct {
	from, to, user string
	utf8, tls      bool
	raw            []byte
}

// mailServer is an SMTP server on a loopback port. Set the fields before start.
type mailServer struct {
	certificate *tls.Certificate // nil: no TLS
	implicit    bool             // TLS from the first byte
	mechanisms  []string         // of AUTH; nil: none
	onConnect   func() bool      // false: the connection is closed
	onAuth      func() error
	onMail      func() error
	onRcpt      func(to string) error
	onData      func() error
	address     string // to listen on; empty: a free port

	received chan delivery
	mu       sync.Mutex
	seen     bytes.Buffer // every byte that clients sent, encrypted or not
}

func (s *mailServer) start(t *testing.T) *mailServer {
	t.Helper()
	s.received = make(chan delivery, 1000)
	if s.address == "" {
		s.address = porttest.Address(t) // no other test uses it while the server is down
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()

	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		_, isTLS := c.TLSConnectionState()
		return &session{server: s, mail: delivery{tls: isTLS}}, nil
	}))
	server.Domain = "localhost"
	server.AllowInsecureAuth = true
	server.EnableSMTPUTF8 = true
	server.ErrorLog = log.New(io.Discard, "", 0)
	listener = recordingListener{listener, s}
	if s.certificate != nil {
		config := &tls.Config{Certificates: []tls.Certificate{*s.certificate}}
		if s.implicit {
			listener = tls.NewListener(listener, config)
		} else {
			server.TLSConfig = config
		}
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = listener.Close() // the server does not know it before Serve
		<-done
	})
	return s
}

// clientBytes returns the bytes that clients sent over the network.
func (s *mailServer) clientBytes() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

// url returns the URL of the server, with credentials if it requires them.
func (s *mailServer) url() string {
	scheme, option, credentials := "smtp", "", ""
	switch {
	case s.certificate == nil:
		option = "?tls=off"
	case s.implicit:
		scheme = "smtps"
	}
	if s.mechanisms != nil {
		credentials = "mailer%40sesame.example:p%3Aa%2Fs%3Fs%23w%40rd%20%25%C3%BC@"
	}
	return scheme + "://" + credentials + s.address + option
}

type session struct {
	server *mailServer
	mail   delivery
}

func (s *session) AuthMechanisms() []string { return s.server.mechanisms }

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if mechanism == "LOGIN" {
		return &loginServer{check: s.check}, nil
	}
	return sasl.NewPlainServer(func(_, user, pass string) error { return s.check(user, pass) }), nil
}

func (s *session) check(user, pass string) error {
	if s.server.onAuth != nil {
		if err := s.server.onAuth(); err != nil {
			return err
		}
	}
	if user != testUser || pass != testPass {
		return errors.New("wrong user or password")
	}
	s.mail.user = user
	return nil
}

func (s *session) Mail(from string, options *smtp.MailOptions) error {
	s.mail.from, s.mail.utf8 = from, options.UTF8
	if s.server.onMail != nil {
		return s.server.onMail()
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = to
	if s.server.onRcpt != nil {
		return s.server.onRcpt(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) (err error) {
	if s.mail.raw, err = io.ReadAll(r); err != nil {
		return err
	}
	if s.server.onData != nil {
		if err := s.server.onData(); err != nil {
			return err
		}
	}
	s.server.received <- s.mail
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
	server *mailServer
}

func (l recordingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	for err == nil && l.server.onConnect != nil && !l.server.onConnect() {
		_ = conn.Close()
		conn, err = l.Listener.Accept()
	}
	return recordingConn{conn, l.server}, err
}

type recordingConn struct {
	net.Conn
	server *mailServer
}

func (c recordingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.seen.Write(p[:n])
	return n, err
}
