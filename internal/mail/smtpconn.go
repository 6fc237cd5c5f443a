package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// connection is a connection to the mail server that is ready for a mail transaction (RFC 5321,
// section 3.3): it is encrypted, and the server has accepted the credentials.
type connection struct {
	conn     net.Conn
	client   *smtp.Client
	messages int         // that were begun
	timer    *time.Timer // closes it when it is idle for too long
}

// connect returns a new connection. Its errors are ErrUnavailable or ErrUnreachable.
func (s *SMTP) connect(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, unavailable("connect", err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // unblocks reads
	client, err := s.greet(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &connection{conn: conn, client: client}, nil
}

func (s *SMTP) dial(ctx context.Context) (net.Conn, error) {
	dialer := &net.Dialer{}
	switch s.server.security {
	case implicitTLS:
		return (&tls.Dialer{NetDialer: dialer, Config: s.tlsConfig()}).DialContext(ctx, "tcp", s.String())
	case loopback:
		// A resolver may resolve even "localhost" to another machine.
		dialer.Control = func(_, resolved string, _ syscall.RawConn) error {
			if host, _, err := net.SplitHostPort(resolved); err != nil || !isLoopback(host) {
				return errors.New("tls=off, and the host is not this machine")
			}
			return nil
		}
	}
	return dialer.DialContext(ctx, "tcp", s.String())
}

// certificate returns the certificate of the server, or nil if there is no TLS.
func (c *connection) certificate() *x509.Certificate {
	state, encrypted := c.client.TLSConnectionState()
	if !encrypted || len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

func (s *SMTP) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.server.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
}

// greet runs everything before the first mail transaction.
func (s *SMTP) greet(conn net.Conn) (*smtp.Client, error) {
	client, err := smtp.NewClient(conn, s.server.host)
	if err != nil {
		return nil, unavailable("greeting", err)
	}
	if err := client.Hello(s.from.domain); err != nil {
		return nil, unavailable("EHLO", err)
	}
	if err := s.secure(client); err != nil {
		return nil, err
	}
	return client, s.authenticate(client)
}

// secure switches to TLS, so that secrets are not sent unencrypted.
func (s *SMTP) secure(client *smtp.Client) error {
	if s.server.security != startTLS {
		return nil
	}
	// An attacker in the network can remove the offer.
	if offered, _ := client.Extension("STARTTLS"); !offered {
		return fmt.Errorf("%w: the server does not offer STARTTLS; nothing was sent", ErrUnavailable)
	}
	if err := client.StartTLS(s.tlsConfig()); err != nil {
		return unavailable("STARTTLS", err)
	}
	return nil
}

func (s *SMTP) authenticate(client *smtp.Client) error {
	if s.server.user == "" {
		return nil
	}
	_, offered := client.Extension("AUTH")
	mechanisms := strings.Fields(strings.ToUpper(offered))
	unencrypted := s.server.security == loopback

	var auth smtp.Auth
	switch {
	case slices.Contains(mechanisms, "PLAIN"):
		auth = smtp.PlainAuth("", s.server.user, s.server.pass, s.server.host, unencrypted)
	case slices.Contains(mechanisms, "LOGIN"):
		auth = smtp.LoginAuth(s.server.user, s.server.pass, s.server.host, unencrypted)
	default:
		return fmt.Errorf("%w: the server offers neither AUTH PLAIN nor AUTH LOGIN", ErrUnavailable)
	}
	if err := client.Auth(auth); err != nil {
		return unavailable("AUTH", err)
	}
	return nil
}

// mail begins a mail transaction. from is in angle brackets. The reply must arrive within the
// timeout.
func (c *connection) mail(ctx context.Context, from, to string, timeout time.Duration) error {
	defer c.limit(ctx, timeout)()
	c.messages++
	// With SMTPUTF8 (RFC 6531), servers without it would refuse the message.
	c.client.SkipSMTPUTF8(isPlain(to))
	if err := c.client.Mail(from); err != nil {
		return unavailable("MAIL", err)
	}
	return nil
}

// transfer sends the message of the transaction that mail has begun.
func (c *connection) transfer(ctx context.Context, to string, raw []byte) error {
	defer c.limit(ctx, sendTimeout)()
	if err := c.client.Rcpt("<" + to + ">"); err != nil {
		return refusal("RCPT", err)
	}
	data, err := c.client.Data()
	if err != nil {
		return refusal("DATA", err)
	}
	if _, err := bytes.NewReader(raw).WriteTo(data); err != nil {
		return failure("DATA", err)
	}
	if err := data.Close(); err != nil {
		return refusal("end of DATA", err)
	}
	return nil
}

// limit makes the following commands fail after the timeout, and when ctx ends before stop is
// called.
func (c *connection) limit(ctx context.Context, timeout time.Duration) (stop func() bool) {
	if c.client.UpdateDeadline(timeout) != nil {
		c.close() // then they fail, too
	}
	return context.AfterFunc(ctx, c.close)
}

// reset ends the transaction after an error of transfer. It reports whether the connection can be
// used again.
func (c *connection) reset(err error) bool {
	replied := errors.Is(err, ErrRejected) || errors.Is(err, ErrDeferred)
	return replied && c.client.UpdateDeadline(quitTimeout) == nil && c.client.Reset() == nil
}

// quit closes a connection that is in no transaction.
func (c *connection) quit() {
	if c.client.UpdateDeadline(quitTimeout) == nil {
		_ = c.client.Quit() // best effort
	}
	c.close()
}

func (c *connection) close() { _ = c.conn.Close() }
