package faults

import (
	"regexp"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mailtest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// mailbox receives the emails of a server under test.
type mailbox struct {
	*mailtest.Server

	mu       sync.Mutex
	received map[string]int         // reset links, by recipient
	links    map[string]chan string // of the recipients that wait for their links
}

var resetLink = regexp.MustCompile(`/reset-password#token=([A-Za-z0-9_-]+)\r?\n`)

// newMailbox starts a mail server until the test ends.
func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	box := &mailbox{
		Server: (&mailtest.Server{}).Start(t), received: make(map[string]int), links: make(map[string]chan string),
	}
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	go func() {
		for {
			select {
			case message := <-box.Received:
				box.receive(message)
			case <-ended:
				return
			}
		}
	}()
	return box
}

func (m *mailbox) receive(message mailtest.Message) {
	link := resetLink.FindSubmatch(message.Raw)
	if link == nil {
		return // the password was changed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.received[message.To]++
	select {
	case m.links[message.To] <- string(link[1]):
	default: // nobody waits
	}
}

// watch returns a channel of the tokens that this recipient gets from now on.
func (m *mailbox) watch(recipient string) <-chan string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.links[recipient] = make(chan string, 8)
	return m.links[recipient]
}

// count returns how many reset links a recipient has received.
func (m *mailbox) count(recipient string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.received[recipient]
}

// newServer returns a server that sends its emails to the mail server at smtpURL. It is not started
// yet. Its password hashes are cheap: a failure meets few operations in the database if all of them
// wait for a hash.
func newServer(t *testing.T, engine databasetest.Engine, smtpURL string, more ...string) *processtest.Server {
	t.Helper()
	server := processtest.New(t, engine, append([]string{
		"SESAME_SMTP_URL=" + smtpURL, "SESAME_MAIL_FROM=no-reply@example.com",
		"SESAME_THROTTLE=off", "SESAME_LOG_LEVEL=warn",
		"SESAME_REFRESH_GRACE=10m", // a refresh without a response can be repeated, however slow the machine is
	}, more...)...)
	server.UseCheapHashes(t)
	return server
}
