package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

const (
	dialTimeout = 10 * time.Second // for the connection, including TLS of smtps
	sendTimeout = 30 * time.Second // for everything, up to the server's last reply
	quitTimeout = 2 * time.Second  // for QUIT, after the message was accepted
)

// SMTP sends messages to a mail server, each over its own connection. It is safe
// for concurrent use.
type SMTP struct {
	// Now returns the date of messages. [NewSMTP] sets it to time.Now.
	Now func() time.Time

	server server
	from   mailbox
	roots  *x509.CertPool
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

// String returns the host and port of the server.
func (s *SMTP) String() string {
	return net.JoinHostPort(s.server.host, s.server.port)
}

// Send sends m to the server, within ten seconds for the connection and thirty
// seconds in total. It returns [ErrRejected] if the server refuses the recipient or
// the message with a 5yz status. If it refuses TLS, the credentials or the sender,
// the configuration is wrong, and Send returns another error.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	raw, err := s.from.compose(m, s.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()

	err = s.deliver(ctx, m.To, raw)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrRejected) {
		return fmt.Errorf("smtp: timeout: %w", ctx.Err())
	}
	return err
}

func (s *SMTP) deliver(ctx context.Context, to string, raw []byte) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("smtp: connect: %w", err)
	}
	// After a failure the connection is closed without QUIT: in the middle of DATA,
	// QUIT would complete half a message. Closing also unblocks a read when ctx ends.
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	client, err := smtp.NewClient(conn, s.server.host)
	if err != nil {
		return failure("greeting", err)
	}
	if err := client.Hello(s.from.domain); err != nil {
		return failure("EHLO", err)
	}
	if err := s.secure(client); err != nil {
		return err
	}
	if err := s.authenticate(client); err != nil {
		return err
	}
	if err := transmit(client, s.from.path(), "<"+to+">", raw); err != nil {
		return err
	}
	// The message was accepted: an error from here on must not cause a retry.
	if client.UpdateDeadline(quitTimeout) == nil {
		_ = client.Quit()
	}
	return nil
}

func (s *SMTP) dial(ctx context.Context) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	address := net.JoinHostPort(s.server.host, s.server.port)
	switch s.server.security {
	case implicitTLS:
		return (&tls.Dialer{NetDialer: dialer, Config: s.tlsConfig()}).DialContext(ctx, "tcp", address)
	case loopback:
		// A resolver may resolve even "localhost" to another machine.
		dialer.Control = func(_, resolved string, _ syscall.RawConn) error {
			if host, _, err := net.SplitHostPort(resolved); err != nil || !isLoopback(host) {
				return errors.New("tls=off, and the host is not this machine")
			}
			return nil
		}
	}
	return dialer.DialContext(ctx, "tcp", address)
}

func (s *SMTP) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.server.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
}

// secure switches to TLS, so that secrets are not sent unencrypted.
func (s *SMTP) secure(client *smtp.Client) error {
	if s.server.security != startTLS {
		return nil
	}
	// An attacker in the network can remove the offer.
	if offered, _ := client.Extension("STARTTLS"); !offered {
		return errors.New("smtp: the server does not offer STARTTLS; nothing was sent")
	}
	if err := client.StartTLS(s.tlsConfig()); err != nil {
		return failure("STARTTLS", err)
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
		return errors.New("smtp: the server offers neither AUTH PLAIN nor AUTH LOGIN")
	}
	if err := client.Auth(auth); err != nil {
		return failure("AUTH", err)
	}
	return nil
}

// transmit runs one mail transaction (RFC 5321, section 3.3). from and to are in
// angle brackets.
func transmit(client *smtp.Client, from, to string, raw []byte) error {
	// With SMTPUTF8 (RFC 6531), servers without it would refuse the message.
	client.SkipSMTPUTF8(isPlain(to))
	if err := client.Mail(from); err != nil {
		return failure("MAIL", err)
	}
	if err := client.Rcpt(to); err != nil {
		return refusal("RCPT", err)
	}
	data, err := client.Data()
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

// failure returns the error of a step, with the server's status codes.
func failure(step string, err error) error {
	_, network := errors.AsType[net.Error](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	reply, replied := errors.AsType[*textproto.Error](err)
	switch {
	case replied:
		return fmt.Errorf("smtp: %s: the server replied %s", step, status(reply))
	case network, certificate:
		return fmt.Errorf("smtp: %s: %w", step, err)
	default: // the error may quote what the server sent
		return fmt.Errorf("smtp: %s: the connection broke or the server's reply is invalid", step)
	}
}

// refusal is like failure, for a step where the server decides about this message. A
// 5yz reply is final, except 503 and 530, which mean that an earlier step went wrong
// (RFC 5321, section 4.2.2; RFC 4954, section 6).
func refusal(step string, err error) error {
	reply, ok := errors.AsType[*textproto.Error](err)
	if ok && reply.Code/100 == 5 && reply.Code != 503 && reply.Code != 530 {
		return fmt.Errorf("%w: %s: %s", ErrRejected, step, status(reply))
	}
	return failure(step, err)
}

// enhancedCode matches the enhanced status code at the beginning of a line of a reply
// (RFC 2034, section 4; RFC 3463, section 2).
var enhancedCode = regexp.MustCompile(`(?m)^[245]\.\d{1,3}\.\d{1,3}\b`)

// status returns the reply code and the enhanced status code, if there is one.
func status(reply *textproto.Error) string {
	return strings.TrimSpace(fmt.Sprint(reply.Code, " ", enhancedCode.FindString(reply.Msg)))
}
