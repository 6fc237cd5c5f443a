package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/sesame-auth/sesame/internal/certtest"
	"github.com/sesame-auth/sesame/internal/mailtest"
)

func testMessage(t *testing.T) Message {
	t.Helper()
	m, err := ResetPassword(Data{
		To: "ada@example.org", Link: testLink, ValidFor: 30 * time.Minute, Brand: testBrand,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newSender(t *testing.T, server *mailtest.Server, roots *x509.CertPool) *SMTP {
	t.Helper()
	sender, err := NewSMTP(server.URL(), testFrom, roots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sender.Close)
	return sender
}

func soon() time.Time { return time.Now().Add(time.Hour) }

// Messages are delivered with every kind of connection and authentication.
func TestSMTPDelivers(t *testing.T) {
	ca := certtest.NewAuthority(t)
	certificate := ca.Issue(t, "127.0.0.1", soon())
	for name, server := range map[string]*mailtest.Server{
		"STARTTLS, AUTH PLAIN":     {Certificate: certificate, Mechanisms: []string{"PLAIN", "LOGIN"}},
		"STARTTLS, AUTH LOGIN":     {Certificate: certificate, Mechanisms: []string{"LOGIN"}},
		"STARTTLS, no AUTH":        {Certificate: certificate},
		"implicit TLS, AUTH PLAIN": {Certificate: certificate, Implicit: true, Mechanisms: []string{"PLAIN"}},
		"loopback, AUTH PLAIN":     {Mechanisms: []string{"PLAIN"}},
		"loopback, AUTH LOGIN":     {Mechanisms: []string{"LOGIN"}},
		"loopback, no AUTH":        {},
	} {
		t.Run(name, func(t *testing.T) {
			server.Start(t)
			sender, err := NewSMTP(server.URL(), testFrom, ca.Pool)
			if err != nil {
				t.Fatal(err)
			}
			if err := sender.Send(t.Context(), testMessage(t)); err != nil {
				t.Fatal(err)
			}
			got := <-server.Received
			if got.From != "no-reply@sesame.example" || got.To != "ada@example.org" {
				t.Errorf("envelope from %q to %q", got.From, got.To)
			}
			if want := server.Certificate != nil; got.TLS != want && !server.Implicit {
				t.Errorf("TLS: got %v, want %v", got.TLS, want)
			}
			if want := server.Mechanisms != nil; (got.User == mailtest.User) != want {
				t.Errorf("authenticated as %q", got.User)
			}
			if got.UTF8 {
				t.Error("requested SMTPUTF8 for an ASCII email")
			}
			if parsed := parseMail(t, got.Raw); !strings.Contains(parsed.text, "\n"+testLink+"\n") {
				t.Errorf("no line contains only the link: %q", parsed.text)
			}
			if server.Certificate != nil && strings.Contains(server.ClientBytes(), "ada@example.org") {
				t.Error("the recipient was sent unencrypted")
			}
		})
	}
}

// An attacker in the network gets neither the credentials nor a message.
func TestSMTPRefusesBadCertificates(t *testing.T) {
	ca, otherCA := certtest.NewAuthority(t), certtest.NewAuthority(t)
	for name, certificate := range map[string]*tls.Certificate{
		"unknown authority": otherCA.Issue(t, "127.0.0.1", soon()),
		"another IP":        ca.Issue(t, "127.0.0.2", soon()),
		"a host name":       ca.Issue(t, "mail.example.org", soon()),
		"expired":           ca.Issue(t, "127.0.0.1", time.Now().Add(-time.Minute)),
	} {
		for _, implicit := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				server := (&mailtest.Server{Certificate: certificate, Implicit: implicit, Mechanisms: []string{"PLAIN"}}).Start(t)
				sender, err := NewSMTP(server.URL(), testFrom, ca.Pool)
				if err != nil {
					t.Fatal(err)
				}
				err = sender.Send(t.Context(), testMessage(t))
				_, ok := errors.AsType[*tls.CertificateVerificationError](err)
				if !ok || errors.Is(err, ErrRejected) {
					t.Fatalf("got %v, want a certificate error", err)
				}
				if len(server.Received) != 0 || strings.Contains(server.ClientBytes(), "AUTH") {
					t.Error("something was sent")
				}
			})
		}
	}
}

// TLS 1.1 and older are refused.
func TestSMTPRefusesOldTLS(t *testing.T) {
	ca := certtest.NewAuthority(t)
	for _, implicit := range []bool{false, true} {
		for version, accepted := range map[uint16]bool{
			tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
		} {
			server := &mailtest.Server{
				Certificate: ca.Issue(t, "127.0.0.1", soon()), Implicit: implicit, MaxTLS: version, Mechanisms: []string{"PLAIN"},
			}
			sender := newSender(t, server.Start(t), ca.Pool)
			err := sender.Send(t.Context(), testMessage(t))
			if (err == nil) != accepted || errors.Is(err, ErrRejected) || len(server.Received) == 1 != accepted {
				t.Errorf("implicit %v, %s: %v", implicit, tls.VersionName(version), err)
			}
		}
	}
}

// The certificates of a private authority are accepted, if it is configured.
func TestReadRoots(t *testing.T) {
	ca := certtest.NewAuthority(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("A comment\n" + string(certtest.NewAuthority(t).PEM()) + string(ca.PEM()))
	roots, err := ReadRoots(file)
	if err != nil {
		t.Fatal(err)
	}
	server := (&mailtest.Server{Certificate: ca.Issue(t, "127.0.0.1", soon())}).Start(t)
	if err := newSender(t, server, roots).Send(t.Context(), testMessage(t)); err != nil {
		t.Error(err)
	}
	if err := newSender(t, server, nil).Send(t.Context(), testMessage(t)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("accepted without the authority: %v", err)
	}
	key := "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	for content, words := range map[string]string{
		"":                     "no certificate",
		"not PEM":              "no certificate",
		string(ca.PEM()) + key: "something else",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": "something else",
	} {
		write(content)
		if roots, err := ReadRoots(file); err == nil || roots != nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := ReadRoots(file + ".absent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// If TLS is not offered, because of the server or an attacker in the network, the
// credentials are not sent.
func TestSMTPNeedsStartTLS(t *testing.T) {
	server := (&mailtest.Server{Mechanisms: []string{"PLAIN", "LOGIN"}}).Start(t)
	sender, err := NewSMTP(strings.TrimSuffix(server.URL(), "?tls=off"), testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = sender.Send(t.Context(), testMessage(t))
	if err == nil || !strings.Contains(err.Error(), "STARTTLS") || errors.Is(err, ErrRejected) {
		t.Errorf("got %v", err)
	}
	seen := server.ClientBytes()
	user := base64.StdEncoding.EncodeToString([]byte(mailtest.User))
	for _, word := range []string{"AUTH", "MAIL", mailtest.Password, user} {
		if strings.Contains(seen, word) {
			t.Errorf("%q was sent unencrypted: %q", word, seen)
		}
	}
	if !strings.HasPrefix(seen, "EHLO sesame.example\r\n") || len(server.Received) != 0 {
		t.Errorf("sent %q", seen)
	}
}

// Only final refusals of a message are ErrRejected. Errors do not contain the server's
// texts, which may quote secrets.
func TestSMTPRefusals(t *testing.T) {
	reply := func(code int, enhanced smtp.EnhancedCode) func() error {
		return func() error {
			secrets := mailtest.Password + " " + testLink + "\nforged=1"
			return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: secrets}
		}
	}
	rcpt := func(code int, enhanced smtp.EnhancedCode) func(string) error {
		return func(string) error { return reply(code, enhanced)() }
	}
	for name, test := range map[string]struct {
		server   *mailtest.Server
		rejected bool
		words    string
	}{
		"unknown recipient": {
			&mailtest.Server{OnRcpt: rcpt(550, smtp.EnhancedCode{5, 1, 1})},
			true, "RCPT: 550 5.1.1",
		},
		"refused message": {
			&mailtest.Server{OnData: reply(554, smtp.NoEnhancedCode)},
			true, "end of DATA: 554",
		},
		"greylisting": {
			&mailtest.Server{OnRcpt: rcpt(451, smtp.EnhancedCode{4, 7, 1})},
			false, "RCPT: 451 4.7.1",
		},
		"needs AUTH": {
			&mailtest.Server{OnRcpt: rcpt(530, smtp.EnhancedCode{5, 7, 0})},
			false, "530 5.7.0",
		},
		"full disk": {
			&mailtest.Server{OnData: reply(452, smtp.EnhancedCode{4, 3, 1})},
			false, "452 4.3.1",
		},
		"refused sender": {
			&mailtest.Server{OnMail: reply(550, smtp.EnhancedCode{5, 7, 1})},
			false, "MAIL: the server replied 550 5.7.1",
		},
		"wrong credentials": {
			&mailtest.Server{Mechanisms: []string{"PLAIN"}, OnAuth: reply(535, smtp.EnhancedCode{5, 7, 8})},
			false, "AUTH: the server replied 535 5.7.8",
		},
		"unknown AUTH": {
			&mailtest.Server{Mechanisms: []string{"GSSAPI"}},
			false, "neither AUTH PLAIN nor AUTH LOGIN",
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.server.Start(t)
			sender, err := NewSMTP(test.server.URL(), testFrom, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = sender.Send(t.Context(), testMessage(t))
			if err == nil || errors.Is(err, ErrRejected) != test.rejected || !strings.HasSuffix(err.Error(), test.words) {
				t.Errorf("got %v, want %q, rejected: %v", err, test.words, test.rejected)
			}
			noSecrets(t, err.Error())
		})
	}
}

// One connection sends many messages, also after the server has refused some.
func TestSMTPReusesConnections(t *testing.T) {
	ca := certtest.NewAuthority(t)
	var refused error
	refusal := func() error { return refused }
	server := (&mailtest.Server{
		Certificate: ca.Issue(t, "127.0.0.1", soon()), Mechanisms: []string{"PLAIN"},
		OnData: refusal, OnRcpt: func(string) error { return refused },
	}).Start(t)
	sender := newSender(t, server, ca.Pool)
	for _, refused = range []error{nil, errBusy, nil, &smtp.SMTPError{Code: 550}, nil} {
		if err := sender.Send(t.Context(), testMessage(t)); (err == nil) != (refused == nil) {
			t.Errorf("with %v: %v", refused, err)
		}
	}
	if len(server.Received) != 3 || server.Connections() != 1 {
		t.Errorf("%d messages with %d connections", len(server.Received), server.Connections())
	}
	for range maxMessages {
		if err := sender.Send(t.Context(), testMessage(t)); err != nil {
			t.Fatal(err)
		}
	}
	if server.Connections() != 2 {
		t.Errorf("%d messages with %d connections", len(server.Received), server.Connections())
	}
}

// If the server has closed a connection, or refuses another message on it, a new one sends the
// message, once.
func TestSMTPReconnects(t *testing.T) {
	var onMail func() error
	server := (&mailtest.Server{OnMail: func() error { return onMail() }}).Start(t)
	sender := newSender(t, server, nil)
	accept := func() error { return nil }
	refuseOnce := func() error {
		onMail = accept
		return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0}}
	}
	for i, step := range []func(){
		func() { onMail = accept },
		func() { server.Stop(); server.Start(t) },
		func() { onMail = refuseOnce },
	} {
		step()
		if err := sender.Send(t.Context(), testMessage(t)); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
		if len(server.Received) != i+1 || server.Connections() != i+1 {
			t.Errorf("step %d: %d messages with %d connections", i, len(server.Received), server.Connections())
		}
	}

	// A new connection is no help if the server refuses the first message on it.
	sender.Close()
	sender = newSender(t, server, nil)
	onMail = refuseOnce
	if err := sender.Send(t.Context(), testMessage(t)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// If a connection breaks when the server has the whole message, Send does not send it again.
func TestSMTPDoesNotRepeatMessages(t *testing.T) {
	server := &mailtest.Server{}
	breaks := false
	server.OnData = func() error {
		if breaks {
			server.Disconnect()
		}
		return nil
	}
	sender := newSender(t, server.Start(t), nil)
	if err := sender.Send(t.Context(), testMessage(t)); err != nil {
		t.Fatal(err)
	}
	breaks = true
	err := sender.Send(t.Context(), testMessage(t))
	if err == nil || errors.Is(err, ErrRejected) || errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if server.Connections() != 1 {
		t.Errorf("%d connections", server.Connections())
	}
	for range 2 {
		await(t, server.Received)
	}
}

// Connections are closed when they are idle, and by Close.
func TestSMTPClosesIdleConnections(t *testing.T) {
	server := (&mailtest.Server{}).Start(t)
	sender := newSender(t, server, nil)
	for quits, end := range []func(){
		func() { sender.idle[0].timer.Reset(0) },
		sender.Close,
		func() {}, // after Close, none is kept
	} {
		if err := sender.Send(t.Context(), testMessage(t)); err != nil {
			t.Fatal(err)
		}
		end()
		eventually(t, func() bool { return strings.Count(server.ClientBytes(), "QUIT") == quits+1 })
		if server.Connections() != quits+1 {
			t.Errorf("%d connections", server.Connections())
		}
	}
}

// A server that does not reply cannot block a worker.
func TestSMTPRespectsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		cancel()
		_, _ = conn.Read(make([]byte, 1)) // until the client disconnects
	}()
	sender, err := NewSMTP("smtp://"+listener.Addr().String(), testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(ctx, testMessage(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The IP address that the host resolves to must be a loopback address too.
func TestSMTPUnencryptedStaysHere(t *testing.T) {
	server := (&mailtest.Server{}).Start(t)
	sender, err := NewSMTP(server.URL(), testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	sender.server.host = "0.0.0.0" // reaches the server, and is not a loopback address
	if err := sender.Send(t.Context(), testMessage(t)); err == nil || !strings.Contains(err.Error(), "not this machine") {
		t.Errorf("got %v", err)
	}
	if seen := server.ClientBytes(); seen != "" {
		t.Errorf("sent %q", seen)
	}
}

// A malformed message is refused before connecting to the server.
func TestSMTPBadMessage(t *testing.T) {
	server := (&mailtest.Server{}).Start(t)
	sender, err := NewSMTP(server.URL(), testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := testMessage(t)
	m.To = "ada@example.org>\r\nRCPT TO:<eve@example.org"
	if err := sender.Send(t.Context(), m); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if seen := server.ClientBytes(); seen != "" {
		t.Errorf("sent %q", seen)
	}
}

// noSecrets checks that a text that may be logged contains no secret.
func noSecrets(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{mailtest.Password, "p%3Aa", testToken, "forged"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q contains %q", text, secret)
		}
	}
}
