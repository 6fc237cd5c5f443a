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
	dialTimeout = 10 * time.Second // to a connection, TLS of smtps included
	sendTimeout = 30 * time.Second // to the server's last answer
	quitTimeout = 2 * time.Second  // for the goodbye, when the letter has left
)

// SMTP sends each message over a connection of its own to one mail server. It
// is safe for concurrent use.
type SMTP struct {
	// Now dates the messages. Set to time.Now by [NewSMTP].
	Now func() time.Time

	server server
	from   mailbox
	roots  *x509.CertPool
}

// NewSMTP makes a sender from a URL:
//
//	smtp://[user:password@]host[:587]   STARTTLS
//	smtps://[user:password@]host[:465]  TLS from the start
//	smtp://127.0.0.1:1025?tls=off       no TLS, a loopback host only
//
// TLS is never left out because a server does not offer it, and the server's
// certificate must be valid for the host. roots are the authorities to trust;
// nil: the system's. To trust one more than the system does, append it to a
// copy from x509.SystemCertPool. The user and the password are percent-encoded
// where they must be (RFC 3986 §3.2.1). from is an RFC 5322 mailbox. Errors say
// what is wrong and quote nothing of the URL.
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

// String names the server without its credentials.
func (s *SMTP) String() string {
	return net.JoinHostPort(s.server.host, s.server.port)
}

// Send hands m to the server, within ten seconds for the connection and thirty
// in all. The error is [ErrRejected] if the server refuses the recipient or the
// letter with a 5yz status. A refusal of TLS, of the credentials or of the
// sender's address is a matter of configuration, and not that.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	raw, err := s.from.compose(m, s.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()

	err = s.deliver(ctx, m.To, raw)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrRejected) {
		return fmt.Errorf("mail: smtp: gave up waiting: %w", ctx.Err())
	}
	return err
}

func (s *SMTP) deliver(ctx context.Context, to string, raw []byte) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("mail: smtp: connecting: %w", err)
	}
	// Closing, not QUIT, is how a failure ends: in the middle of DATA a QUIT
	// would complete half a letter. It is also how ctx reaches a blocked read.
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
	// The letter has left; nothing after this may make it look unsent.
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
		// A resolver may send even "localhost" elsewhere.
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

// secure makes sure that nothing secret follows in clear.
func (s *SMTP) secure(client *smtp.Client) error {
	if s.server.security != startTLS {
		return nil
	}
	// Somebody in between can remove the offer, so its absence is a refusal.
	if offered, _ := client.Extension("STARTTLS"); !offered {
		return errors.New("mail: smtp: the server does not offer STARTTLS; nothing was sent")
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
	inClear := s.server.security == loopback

	var auth smtp.Auth
	switch {
	case slices.Contains(mechanisms, "PLAIN"):
		auth = smtp.PlainAuth("", s.server.user, s.server.pass, s.server.host, inClear)
	case slices.Contains(mechanisms, "LOGIN"):
		auth = smtp.LoginAuth(s.server.user, s.server.pass, s.server.host, inClear)
	default:
		return errors.New("mail: smtp: the server offers neither AUTH PLAIN nor AUTH LOGIN")
	}
	if err := client.Auth(auth); err != nil {
		return failure("AUTH", err)
	}
	return nil
}

// transmit runs one mail transaction (RFC 5321 §3.3); from and to stand in angle
// brackets.
func transmit(client *smtp.Client, from, to string, raw []byte) error {
	// Asking for SMTPUTF8 (RFC 6531) would shut out receivers that lack it.
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

// failure words what went wrong at a step, with the server's status codes.
func failure(step string, err error) error {
	var answer *textproto.Error
	var network net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &answer):
		return fmt.Errorf("mail: smtp: %s: the server answered %s", step, status(answer))
	case errors.As(err, &network), errors.As(err, &certificate):
		return fmt.Errorf("mail: smtp: %s: %w", step, err)
	default: // may quote what the server wrote
		return fmt.Errorf("mail: smtp: %s: the connection broke or the server's answer made no sense", step)
	}
}

// refusal is failure at a step where the server judges this letter. A 5yz
// answer is final there, but for 503 and 530, which say that the conversation
// went wrong before (RFC 5321 §4.2.2, RFC 4954 §6).
func refusal(step string, err error) error {
	var answer *textproto.Error
	if errors.As(err, &answer) && answer.Code/100 == 5 && answer.Code != 503 && answer.Code != 530 {
		return fmt.Errorf("%w: %s: %s", ErrRejected, step, status(answer))
	}
	return failure(step, err)
}

// enhancedCode is at the beginning of each line of a reply, or of one (RFC 2034
// §4, RFC 3463 §2).
var enhancedCode = regexp.MustCompile(`(?m)^[245]\.\d{1,3}\.\d{1,3}\b`)

// status is the reply code with the enhanced code, if there is one.
func status(answer *textproto.Error) string {
	return strings.TrimSpace(fmt.Sprint(answer.Code, " ", enhancedCode.FindString(answer.Msg)))
}
