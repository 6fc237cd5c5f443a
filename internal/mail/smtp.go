package mail

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const (
	connectTimeout = 10 * time.Second // for a new connection, until the server has accepted the credentials
	reuseTimeout   = 5 * time.Second  // for the first reply on a connection that was used before
	sendTimeout    = 30 * time.Second // for everything, up to the server's last reply
	quitTimeout    = 2 * time.Second  // for QUIT and RSET

	// A server closes a connection that is idle for five minutes (RFC 5321, section 4.5.3.2.7), or
	// earlier, and some accept only so many messages.
	idleTimeout = 15 * time.Second
	maxMessages = 100
)

// SMTP sends messages to a mail server. It keeps connections for the next messages until they are
// idle for 15 seconds or have sent 100. It is safe for concurrent use.
type SMTP struct {
	// Now returns the date of messages. [NewSMTP] sets it to time.Now.
	Now func() time.Time

	server server
	from   mailbox
	roots  *x509.CertPool

	mu     sync.Mutex
	idle   []*connection // the last one was used last
	closed bool
}

// NewSMTP returns a sender for a URL:
//
//	smtp://[user:password@]host[:587]   STARTTLS
//	smtps://[user:password@]host[:465]  TLS from the start
//	smtp://127.0.0.1:1025?tls=off       no TLS, for a loopback host only
//
// If a server does not offer TLS, nothing is sent. The server's certificate must be
// valid for the host. roots are the trusted certificate authorities; nil means those
// of the system. User and password are percent-encoded where necessary (RFC 3986,
// section 3.2.1). from is an RFC 5322 mailbox. Errors do not quote the URL.
func NewSMTP(url, from string, roots *x509.CertPool) (*SMTP, error) {
	parsed, err := parseServer(url)
	if err != nil {
		return nil, err
	}
	sender, err := parseMailbox(from)
	if err != nil {
		return nil, err
	}
	return &SMTP{Now: time.Now, server: parsed, from: sender, roots: roots}, nil
}

// CheckURL returns an error if NewSMTP would refuse url.
func CheckURL(url string) error {
	_, err := parseServer(url)
	return err
}

// CheckFrom returns an error if a sender cannot use from, which must be an RFC 5322 mailbox.
func CheckFrom(from string) error {
	_, err := parseMailbox(from)
	return err
}

// ReadRoots reads the certificate authorities in a PEM file, for NewSMTP.
func ReadRoots(file string) (*x509.CertPool, error) {
	content, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	roots, count := x509.NewCertPool(), 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, fmt.Errorf("%s contains something else than certificates", file)
		}
		roots.AddCert(certificate)
		count++
	}
	if count == 0 {
		return nil, fmt.Errorf("%s contains no certificate in PEM format", file)
	}
	return roots, nil
}

// String returns the host and port of the server.
func (s *SMTP) String() string {
	return net.JoinHostPort(s.server.host, s.server.port)
}

// Send sends m to the server, within ten seconds for a new connection and thirty
// seconds in total. It returns [ErrRejected] if the server refuses the recipient or
// the message with a 5yz status, and [ErrDeferred] with a 4yz status. If it refuses
// TLS, the credentials or the sender, the configuration is wrong, and Send returns
// [ErrUnavailable].
func (s *SMTP) Send(ctx context.Context, m Message) error {
	raw, err := s.from.compose(m, s.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	c, err := s.begin(ctx, m.To)
	if err == nil {
		err = c.transfer(ctx, m.To, raw)
		s.keep(c, err)
	}
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrRejected) {
		return fmt.Errorf("timeout: %w: %w", ctx.Err(), err)
	}
	return err
}

// Check connects to the server, with TLS and credentials as for a message, and sends none. It
// returns the certificate of the server, or nil if there is no TLS. Its errors are
// [ErrUnavailable] or [ErrUnreachable].
func (s *SMTP) Check(ctx context.Context) (*x509.Certificate, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.quit()
	return c.certificate(), nil
}

// begin returns a connection on which a mail transaction has begun. MAIL is the first command: if a
// connection that was used before is closed or refuses it, nothing of the message was sent, so a
// new connection is safe.
func (s *SMTP) begin(ctx context.Context, to string) (*connection, error) {
	if c := s.reuse(); c != nil {
		if err := c.mail(ctx, s.from.path(), to, reuseTimeout); err == nil {
			return c, nil
		}
		c.close()
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.mail(ctx, s.from.path(), to, sendTimeout); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// reuse returns the connection that was used last, or nil.
func (s *SMTP) reuse() *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 {
		c := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if c.timer.Stop() { // otherwise it was closed
			return c
		}
	}
	return nil
}

// keep keeps a connection for the next message if its last one ended with a reply of the server.
// After any other error the connection is closed without QUIT: in the middle of DATA, QUIT would
// complete half a message.
func (s *SMTP) keep(c *connection, err error) {
	if err != nil && !c.reset(err) {
		c.close()
		return
	}
	s.mu.Lock()
	usable := !s.closed && c.messages < maxMessages
	if usable {
		c.timer = time.AfterFunc(idleTimeout, c.quit)
		s.idle = append(s.idle, c)
	}
	s.mu.Unlock()
	if !usable {
		go c.quit() // Send returns as soon as the server has accepted the message
	}
}

// Close closes the connections that are not in use.
func (s *SMTP) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for c := s.reuse(); c != nil; c = s.reuse() {
		c.quit()
	}
}
