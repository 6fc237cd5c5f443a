package mail

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

func testMessage(t *testing.T) Message {
	t.Helper()
	m, err := ResetPassword(ResetPasswordData{
		To: "ada@example.org", Link: testLink, ValidFor: 30 * time.Minute, Brand: testBrand,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func soon() time.Time { return time.Now().Add(time.Hour) }

// Messages are delivered with every kind of connection and authentication.
func TestSMTPDelivers(t *testing.T) {
	ca := newAuthority(t)
	certificate := ca.issue(t, "127.0.0.1", soon())
	for name, server := range map[string]*mailServer{
		"STARTTLS, AUTH PLAIN":     {certificate: certificate, mechanisms: []string{"PLAIN", "LOGIN"}},
		"STARTTLS, AUTH LOGIN":     {certificate: certificate, mechanisms: []string{"LOGIN"}},
		"STARTTLS, no AUTH":        {certificate: certificate},
		"implicit TLS, AUTH PLAIN": {certificate: certificate, implicit: true, mechanisms: []string{"PLAIN"}},
		"loopback, AUTH PLAIN":     {mechanisms: []string{"PLAIN"}},
		"loopback, AUTH LOGIN":     {mechanisms: []string{"LOGIN"}},
		"loopback, no AUTH":        {},
	} {
		t.Run(name, func(t *testing.T) {
			server.start(t)
			sender, err := NewSMTP(server.url(), testFrom, ca.pool)
			if err != nil {
				t.Fatal(err)
			}
			if err := sender.Send(t.Context(), testMessage(t)); err != nil {
				t.Fatal(err)
			}
			got := <-server.received
			if got.from != "no-reply@sesame.example" || got.to != "ada@example.org" {
				t.Errorf("envelope from %q to %q", got.from, got.to)
			}
			if want := server.certificate != nil; got.tls != want && !server.implicit {
				t.Errorf("TLS: got %v, want %v", got.tls, want)
			}
			if want := server.mechanisms != nil; (got.user == testUser) != want {
				t.Errorf("authenticated as %q", got.user)
			}
			if got.utf8 {
				t.Error("requested SMTPUTF8 for an ASCII email")
			}
			if parsed := parseMail(t, got.raw); !strings.Contains(parsed.text, "\n"+testLink+"\n") {
				t.Errorf("no line contains only the link: %q", parsed.text)
			}
			if server.certificate != nil && strings.Contains(server.clientBytes(), "ada@example.org") {
				t.Error("the recipient was sent unencrypted")
			}
		})
	}
}

// An attacker in the network gets neither the credentials nor a message.
func TestSMTPRefusesBadCertificates(t *testing.T) {
	ca, otherCA := newAuthority(t), newAuthority(t)
	for name, certificate := range map[string]*tls.Certificate{
		"unknown authority": otherCA.issue(t, "127.0.0.1", soon()),
		"another IP":        ca.issue(t, "127.0.0.2", soon()),
		"a host name":       ca.issue(t, "mail.example.org", soon()),
		"expired":           ca.issue(t, "127.0.0.1", time.Now().Add(-time.Minute)),
	} {
		for _, implicit := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				server := (&mailServer{certificate: certificate, implicit: implicit, mechanisms: []string{"PLAIN"}}).start(t)
				sender, err := NewSMTP(server.url(), testFrom, ca.pool)
				if err != nil {
					t.Fatal(err)
				}
				err = sender.Send(t.Context(), testMessage(t))
				_, ok := errors.AsType[*tls.CertificateVerificationError](err)
				if !ok || errors.Is(err, ErrRejected) {
					t.Fatalf("got %v, want a certificate error", err)
				}
				if len(server.received) != 0 || strings.Contains(server.clientBytes(), "AUTH") {
					t.Error("something was sent")
				}
			})
		}
	}
}

// If TLS is not offered, because of the server or an attacker in the network, the
// credentials are not sent.
func TestSMTPNeedsStartTLS(t *testing.T) {
	server := (&mailServer{mechanisms: []string{"PLAIN", "LOGIN"}}).start(t)
	sender, err := NewSMTP(strings.TrimSuffix(server.url(), "?tls=off"), testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = sender.Send(t.Context(), testMessage(t))
	if err == nil || !strings.Contains(err.Error(), "STARTTLS") || errors.Is(err, ErrRejected) {
		t.Errorf("got %v", err)
	}
	seen := server.clientBytes()
	for _, word := range []string{"AUTH", "MAIL", testPass, base64.StdEncoding.EncodeToString([]byte(testUser))} {
		if strings.Contains(seen, word) {
			t.Errorf("%q was sent unencrypted: %q", word, seen)
		}
	}
	if !strings.HasPrefix(seen, "EHLO sesame.example\r\n") || len(server.received) != 0 {
		t.Errorf("sent %q", seen)
	}
}

// Only final refusals of a message are ErrRejected. Errors do not contain the server's
// texts, which may quote secrets.
func TestSMTPRefusals(t *testing.T) {
	reply := func(code int, enhanced smtp.EnhancedCode) func() error {
		return func() error {
			return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: testPass + " " + testLink + "\nforged=1"}
		}
	}
	rcpt := func(code int, enhanced smtp.EnhancedCode) func(string) error {
		return func(string) error { return reply(code, enhanced)() }
	}
	for name, test := range map[string]struct {
		server   *mailServer
		rejected bool
		words    string
	}{
		"unknown recipient": {
			&mailServer{onRcpt: rcpt(550, smtp.EnhancedCode{5, 1, 1})},
			true, "RCPT: 550 5.1.1",
		},
		"refused message": {
			&mailServer{onData: reply(554, smtp.NoEnhancedCode)},
			true, "end of DATA: 554",
		},
		"greylisting": {
			&mailServer{onRcpt: rcpt(451, smtp.EnhancedCode{4, 7, 1})},
			false, "RCPT: the server replied 451 4.7.1",
		},
		"needs AUTH": {
			&mailServer{onRcpt: rcpt(530, smtp.EnhancedCode{5, 7, 0})},
			false, "530 5.7.0",
		},
		"full disk": {
			&mailServer{onData: reply(452, smtp.EnhancedCode{4, 3, 1})},
			false, "452 4.3.1",
		},
		"refused sender": {
			&mailServer{onMail: reply(550, smtp.EnhancedCode{5, 7, 1})},
			false, "MAIL: the server replied 550 5.7.1",
		},
		"wrong credentials": {
			&mailServer{mechanisms: []string{"PLAIN"}, onAuth: reply(535, smtp.EnhancedCode{5, 7, 8})},
			false, "AUTH: the server replied 535 5.7.8",
		},
		"unknown AUTH": {
			&mailServer{mechanisms: []string{"GSSAPI"}},
			false, "neither AUTH PLAIN nor AUTH LOGIN",
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.server.start(t)
			sender, err := NewSMTP(test.server.url(), testFrom, nil)
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
	server := (&mailServer{}).start(t)
	sender, err := NewSMTP(server.url(), testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	sender.server.host = "0.0.0.0" // reaches the server, and is not a loopback address
	if err := sender.Send(t.Context(), testMessage(t)); err == nil || !strings.Contains(err.Error(), "not this machine") {
		t.Errorf("got %v", err)
	}
	if seen := server.clientBytes(); seen != "" {
		t.Errorf("sent %q", seen)
	}
}

// A malformed message is refused before connecting to the server.
func TestSMTPBadMessage(t *testing.T) {
	server := (&mailServer{}).start(t)
	sender, err := NewSMTP(server.url(), testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := testMessage(t)
	m.To = "ada@example.org>\r\nRCPT TO:<eve@example.org"
	if err := sender.Send(t.Context(), m); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if seen := server.clientBytes(); seen != "" {
		t.Errorf("sent %q", seen)
	}
}

// noSecrets checks that a text that may be logged contains no secret.
func noSecrets(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{testPass, "p%3Aa", testToken, "forged"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q contains %q", text, secret)
		}
	}
}
