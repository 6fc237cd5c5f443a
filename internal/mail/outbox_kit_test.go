package mail

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

const testKind Kind = "reset password"

// testOutbox is an outbox with its own database, mail server and clock.
type testOutbox struct {
	*Outbox
	url    string // of the database
	server *mailServer
	clock  *clock
	log    logLines
}

func newTestOutbox(t *testing.T, engine databasetest.Engine, server *mailServer) *testOutbox {
	t.Helper()
	o := &testOutbox{
		url:    databasetest.URL(t, engine),
		server: server.start(t),
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
	sender, err := NewSMTP("smtp://"+o.server.address+"?tls=off", testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return NewOutbox(OutboxConfig{DB: db, Sender: sender, Log: log, Now: o.clock.Now})
}

// messages composes a message with a secret for every email.
var messages = map[Kind]Compose{testKind: compose}

func compose(_ context.Context, email string) (*Message, error) {
	m, err := ResetPassword(ResetPasswordData{To: email, Link: testLink, ValidFor: time.Hour, Brand: testBrand})
	return &m, err
}

func enqueue(t *testing.T, o *Outbox, emails ...string) {
	t.Helper()
	err := o.db.Transaction(t.Context(), func(tx *gorm.DB) error {
		var errs []error
		for _, email := range emails {
			errs = append(errs, o.Enqueue(tx, testKind, email))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Wake()
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

func rows(t *testing.T, o *Outbox) []outboxRow {
	t.Helper()
	var rows []outboxRow
	if err := o.db.WithContext(t.Context()).Order("email").Find(&rows).Error; err != nil {
		t.Fatal(err)
	}
	return rows
}

func noRows(t *testing.T, o *Outbox) {
	t.Helper()
	if left := rows(t, o); len(left) != 0 {
		t.Errorf("rows left: %+v", left)
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
