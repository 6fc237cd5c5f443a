package servertest

import (
	"bytes"
	"io"
	"net"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// Email is an email as the SMTP server received it.
type Email struct {
	To      string // the recipient in the envelope
	Subject string
	Raw     string
}

// mailbox is an SMTP server on the loopback interface.
type mailbox struct {
	url    string
	emails chan Email
}

func newMailbox(t testing.TB) *mailbox {
	t.Helper()
	box := &mailbox{emails: make(chan Email, 1000)}
	newSession := func(*smtp.Conn) (smtp.Session, error) { return &delivery{box: box}, nil }
	server := smtp.NewServer(smtp.BackendFunc(newSession))
	server.Domain = "localhost"
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	box.url = "smtp://" + listener.Addr().String() + "?tls=off"
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close SMTP server: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("SMTP server: %v", err)
		}
	})
	return box
}

// delivery is the smtp.Session that receives an email.
type delivery struct {
	box *mailbox
	to  string
}

func (d *delivery) Mail(string, *smtp.MailOptions) error      { return nil }
func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error { d.to = to; return nil }
func (d *delivery) Reset()                                    {}
func (d *delivery) Logout() error                             { return nil }
func (d *delivery) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	d.box.emails <- Email{To: d.to, Subject: message.Header.Get("Subject"), Raw: string(raw)}
	return nil
}

// NextEmail waits for the next email and returns it.
func (s *Server) NextEmail(t testing.TB) Email {
	t.Helper()
	select {
	case email := <-s.mailbox.emails:
		return email
	case <-time.After(20 * time.Second):
		t.Fatal("no email within 20 seconds")
		return Email{}
	}
}

// RequireEmail waits for an email with this subject, and returns it.
func (s *Server) RequireEmail(t testing.TB, subject string) Email {
	t.Helper()
	for {
		if email := s.NextEmail(t); email.Subject == subject {
			return email
		}
	}
}

// Says reports whether the plain text of the email contains words, which may be on several lines.
func (e Email) Says(words string) bool {
	return strings.Contains(strings.Join(strings.Fields(e.Raw), " "), words)
}

// NextResetToken waits for the next reset email to this recipient, and returns its token.
func (s *Server) NextResetToken(t testing.TB, to string) string {
	t.Helper()
	return s.NextLinkToken(t, to, "reset-password")
}

// NextLinkToken waits for the next email to this recipient with a link for this purpose, such as
// verify-email, and returns the token.
func (s *Server) NextLinkToken(t testing.TB, to, purpose string) string {
	t.Helper()
	for {
		if email := s.NextEmail(t); email.To == to && email.LinkTo() == purpose {
			return s.token(t, email)
		}
	}
}

// WaitForOutbox waits until the outbox is empty.
func (s *Server) WaitForOutbox(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		var messages int64
		waiting := s.DB.WithContext(t.Context()).Table("outbox").Where("dead_at IS NULL")
		if err := waiting.Count(&messages).Error; err != nil {
			t.Fatal(err)
		}
		if messages == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the outbox is not empty after 20 seconds")
		}
	}
}

// Emails returns the emails that have arrived since the last call, without waiting.
func (s *Server) Emails() []Email {
	var emails []Email
	for {
		select {
		case email := <-s.mailbox.emails:
			emails = append(emails, email)
		default:
			return emails
		}
	}
}

// Inbox waits until the outbox is empty, and returns the emails that have arrived since the last
// call of Inbox, Emails or NextEmail.
func (s *Server) Inbox(t testing.TB) Inbox {
	t.Helper()
	s.WaitForOutbox(t)
	return s.Emails()
}

// Inbox is a list of emails.
type Inbox []Email

// Subjects returns the subjects of the emails to a recipient, sorted.
func (i Inbox) Subjects(to string) []string {
	var subjects []string
	for _, email := range i {
		if email.To == to {
			subjects = append(subjects, email.Subject)
		}
	}
	slices.Sort(subjects)
	return subjects
}

// Token returns the token in the last link to this page that the emails to a recipient contain.
func (s *Server) Token(t testing.TB, inbox Inbox, to, page string) string {
	t.Helper()
	for _, email := range slices.Backward(inbox) {
		if email.To == to && email.LinkTo() == page {
			return s.token(t, email)
		}
	}
	t.Fatalf("no link to %s among %d emails, to %s: %q", page, len(inbox), to, inbox.Subjects(to))
	return ""
}

var emailedLink = regexp.MustCompile(`\n(http[^\s]*)/([a-z-]+)#token=([A-Za-z0-9_-]+)\r?\n`)

// LinkTo returns the page that the one-time link in an email leads to, or an empty string.
func (e Email) LinkTo() string {
	match := emailedLink.FindStringSubmatch(e.Raw)
	if match == nil {
		return ""
	}
	return match[2]
}

// ResetToken returns the token in the link of an email.
func (s *Server) ResetToken(t testing.TB, email Email) string {
	t.Helper()
	if page := email.LinkTo(); page != "reset-password" {
		t.Fatalf("a link to %q in the email:\n%s", page, email.Raw)
	}
	return s.token(t, email)
}

func (s *Server) token(t testing.TB, email Email) string {
	t.Helper()
	match := emailedLink.FindStringSubmatch(email.Raw)
	if match[1] != PublicURL {
		t.Fatalf("no link to %s in the email:\n%s", PublicURL, email.Raw)
	}
	s.canaries.add(match[3])
	return match[3]
}
