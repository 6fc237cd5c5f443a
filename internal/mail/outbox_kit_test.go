package mail

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mailtest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

const testKind Kind = "reset password"

// testOutbox is an outbox with its own database, mail server and clock.
type testOutbox struct {
	*Outbox
	url    string // of the database
	server *mailtest.Server
	clock  *clock
	log    logLines
}

func newTestOutbox(t *testing.T, engine databasetest.Engine, server *mailtest.Server) *testOutbox {
	t.Helper()
	o := &testOutbox{
		url:    databasetest.URL(t, engine),
		server: server.Start(t),
		clock:  &clock{now: noon},
		log:    make(logLines, 10_000),
	}
	o.Outbox = o.instance(t)
	return o
}

// instance returns the outbox of another instance on the same database.
func (o *testOutbox) instance(t *testing.T) *Outbox {
	t.Helper()
	db, err := database.Open(t.Context(), o.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	sender, err := NewSMTP("smtp://"+o.server.Address+"?tls=off", testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sender.Close)
	log := slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return NewOutbox(OutboxConfig{DB: db, Sender: sender, Log: log, Now: o.clock.Now})
}

// messages composes a message with a secret for every email.
var messages = map[Kind]Compose{testKind: compose}

func compose(_ context.Context, entry *Entry) (*Message, error) {
	m, err := ResetPassword(Data{To: entry.Email, Link: testLink, ValidFor: time.Hour, Brand: testBrand})
	return &m, err
}

func enqueue(t *testing.T, o *Outbox, emails ...string) {
	t.Helper()
	err := o.db.Transaction(t.Context(), func(tx *gorm.DB) error {
		var errs []error
		for _, email := range emails {
			errs = append(errs, o.Enqueue(tx, testKind, email, uuid.Nil))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Wake()
}

// drain sends the emails that are due, and waits until they were tried.
func drain(t *testing.T, o *Outbox) {
	t.Helper()
	o.drain(t.Context(), messages)
	o.sending.Wait()
}

// start runs a worker until stop is called, which waits until it has ended.
func start(t *testing.T, o *Outbox, compose map[Kind]Compose) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); o.Run(ctx, compose) }()
	stop = func() { cancel(); await(t, ended) }
	t.Cleanup(stop)
	return stop
}

func entries(t *testing.T, o *Outbox) []Entry {
	t.Helper()
	all, err := o.Unsent(t.Context(), Filter{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func noEntries(t *testing.T, o *Outbox) {
	t.Helper()
	if left := entries(t, o); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

// execute runs a statement.
func execute(t *testing.T, o *Outbox, statement string, args ...any) {
	t.Helper()
	if err := o.db.WithContext(t.Context()).Exec(statement, args...).Error; err != nil {
		t.Fatal(err)
	}
}

// await waits for an event.
func await[T any](t *testing.T, events <-chan T) (event T) {
	t.Helper()
	select {
	case event = <-events:
	case <-time.After(30 * time.Second):
		t.Fatal("waited for 30 s")
	}
	return event
}

// eventually waits for a condition that causes no event.
func eventually(t *testing.T, met func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(30 * time.Second); !met(); await(t, ticker.C) {
		if time.Now().After(deadline) {
			t.Fatal("waited for 30 s")
		}
	}
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logLines receives the log, line by line.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// until waits for a line that contains words and returns it. No line may contain a
// secret.
func (l logLines) until(t *testing.T, words string) string {
	t.Helper()
	for {
		line := await(t, l)
		noSecrets(t, line)
		if strings.Contains(line, words) {
			return line
		}
	}
}
