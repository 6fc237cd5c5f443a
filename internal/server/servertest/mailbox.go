package servertest

import (
	"bytes"
	"io"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// Letter is a mail as the SMTP server got it.
type Letter struct {
	To      string // the envelope's recipient
	Subject string
	Raw     string
}

// mailbox is an SMTP server on the loopback interface.
type mailbox struct {
	url     string
	letters chan Letter
}

func newMailbox(t testing.TB) *mailbox {
	t.Helper()
	box := &mailbox{letters: make(chan Letter, 1000)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &delivery{box: box}, nil }))
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
	d.box.letters <- Letter{To: d.to, Subject: message.Header.Get("Subject"), Raw: string(raw)}
	return nil
}

// NextLetter waits for a mail.
func (s *Server) NextLetter(t testing.TB) Letter {
	t.Helper()
	select {
	case letter := <-s.mailbox.letters:
		return letter
	case <-time.After(20 * time.Second):
		t.Fatal("no mail came within 20 seconds")
		return Letter{}
	}
}

// Letters takes the mails that are there already.
func (s *Server) Letters() []Letter {
	var letters []Letter
	for {
		select {
		case letter := <-s.mailbox.letters:
			letters = append(letters, letter)
		default:
			return letters
		}
	}
}

var resetLink = regexp.MustCompile(`\n(http[^\s]*/reset-password#token=([A-Za-z0-9_-]+))\r?\n`)

// ResetToken is the token in a letter's link.
func (s *Server) ResetToken(t testing.TB, letter Letter) string {
	t.Helper()
	match := resetLink.FindStringSubmatch(letter.Raw)
	if match == nil || !strings.HasPrefix(match[1], PublicURL+"/") {
		t.Fatalf("no link to %s in the letter:\n%s", PublicURL, letter.Raw)
	}
	s.canaries.add(match[2])
	return match[2]
}
