package server_test

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/copydb"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/server"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// copyOptions are those of a server before and after a copy.
var copyOptions = servertest.Options{
	EmailVerification: auth.VerificationOptional, NewLoginEmails: true, BehindProxy: true, Throttle: true,
	RefreshGrace: -1, // a refresh token works once
}

// Everything works after a copy to the other engine, and after a copy back.
func TestCopyKeepsEverythingAlive(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		there := databasetest.Postgres
		if engine == databasetest.Postgres {
			there = databasetest.SQLite
		}
		url := databasetest.URL(t, engine)
		var before *copied
		// A server runs until the end of its subtest.
		t.Run("before", func(t *testing.T) { before = install(t, servertest.StartOn(t, engine, url, copyOptions)) })
		for i, next := range []databasetest.Engine{there, engine} {
			leaveEmail(t, url, before.waiting)
			copied := databasetest.Empty(t, next)
			copyAll(t, url, copied)
			url = copied
			t.Run([]string{"there", "back"}[i], func(t *testing.T) {
				s := servertest.StartOn(t, next, url, copyOptions)
				before.requireAlive(t, s)
				before = install(t, s)
			})
		}
	})
}

var copiedUsers = flag.Int("users", 300, "how many users TestCopyManySessions moves")

// The sessions of many users are alive in PostgreSQL, and after that in SQLite again.
func TestCopyManySessions(t *testing.T) {
	t.Parallel()
	url := databasetest.URL(t, databasetest.SQLite)
	sessions := make([]servertest.Tokens, *copiedUsers)
	each := func(work func(i int)) {
		var group errgroup.Group
		group.SetLimit(8)
		for i := range sessions {
			group.Go(func() error { work(i); return nil })
		}
		_ = group.Wait() // work reports errors itself
	}
	t.Run("before", func(t *testing.T) {
		s := startUnchecked(t, databasetest.SQLite, url)
		each(func(i int) { sessions[i] = s.Login(t, s.NewUser(t)) })
	})
	for _, engine := range []databasetest.Engine{databasetest.Postgres, databasetest.SQLite} {
		copied := databasetest.Empty(t, engine)
		started := time.Now()
		copyAll(t, url, copied)
		t.Logf("%d users to %s, with the comparison: %s", *copiedUsers, engine, time.Since(started).Round(time.Millisecond))
		url = copied
		t.Run("in "+string(engine), func(t *testing.T) {
			s := startUnchecked(t, engine, url)
			each(func(i int) { sessions[i] = s.RequireActive(t, sessions[i]) })
		})
	}
}

// startUnchecked starts a server with a client that does not look for each secret in the whole
// database.
func startUnchecked(t *testing.T, engine databasetest.Engine, url string) *servertest.Server {
	t.Helper()
	s := servertest.StartOn(t, engine, url, servertest.Options{})
	s.Client = &http.Client{}
	return s
}

// never fails the test if a copy that must be refused starts.
func never(*copydb.Copier) error { return errors.New("the copy was not refused") }

func TestCopyToItself(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		place := location(databasetest.URL(t, engine))
		if err := server.CopyDatabase(t.Context(), place, place, never); !errors.Is(err, server.ErrSameDatabase) {
			t.Errorf("a copy to itself: %v", err)
		}
	})
}

// A data folder that is in use is neither copied nor copied to. The script db_copy.txt has a server
// that uses it.
func TestCopyOfAUsedFolder(t *testing.T) {
	t.Parallel()
	used := location(databasetest.URL(t, databasetest.SQLite))
	other := location(databasetest.URL(t, databasetest.SQLite))
	err := server.CopyDatabase(t.Context(), used, location(databasetest.Empty(t, databasetest.SQLite)),
		func(*copydb.Copier) error {
			if err := server.CopyDatabase(t.Context(), used, other, never); !errors.Is(err, server.ErrInUse) {
				t.Errorf("a source that is in use: %v", err)
			}
			if err := server.CopyDatabase(t.Context(), other, used, never); !errors.Is(err, server.ErrInUse) {
				t.Errorf("a destination that is in use: %v", err)
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
}

// A destination with an older schema is not migrated: it is somebody's database.
func TestCopyDoesNotMigrate(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		url := databasetest.URL(t, engine)
		db, err := database.OpenExisting(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Transaction(t.Context(), func(tx *gorm.DB) error {
			return tx.Exec("DELETE FROM schema_migrations WHERE version_id > 4").Error
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		from := location(databasetest.URL(t, engine))
		if err := server.CopyDatabase(t.Context(), from, location(url), never); !errors.Is(err, database.ErrSchema) {
			t.Errorf("a destination with an older schema: %v", err)
		}
	})
}

// copyAll copies one database to another, and requires that they are the same.
func copyAll(t *testing.T, from, to string) {
	t.Helper()
	err := server.CopyDatabase(t.Context(), location(from), location(to), func(c *copydb.Copier) error {
		if err := c.Copy(t.Context(), func(copydb.Progress) {}); err != nil {
			return err
		}
		results, err := c.Compare(t.Context(), func(copydb.Progress) {})
		for _, result := range results {
			if !result.Same() {
				t.Errorf("%s differs after the copy", result.Table)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// location returns the configuration of a database, as an operator names it.
func location(url string) server.Config {
	if file, isSQLite := strings.CutPrefix(url, "sqlite:"); isSQLite {
		return server.Config{DataDir: filepath.Dir(file)}
	}
	return server.Config{DatabaseURL: url}
}

// leaveEmail stores an email that no server has sent yet.
func leaveEmail(t *testing.T, url, to string) {
	t.Helper()
	db, err := database.OpenExisting(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	outbox := mail.NewOutbox(mail.OutboxConfig{DB: db, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now})
	err = db.Transaction(t.Context(), func(tx *gorm.DB) error {
		return outbox.Enqueue(tx, "reset-password", to, uuid.Nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// copied is what must work in a copy.
type copied struct {
	active, rotated   servertest.Tokens // of valid sessions
	used              servertest.Tokens // from before the rotation
	loggedOut, ended  servertest.Tokens
	resetEmail, reset string // of a user who requested a reset link
	undo              string // the token that undoes a change of the email
	undoneEmail       string
	withApp           string // the email of a user with an authenticator app
	app               *servertest.App
	code              string // that was used
	device            *servertest.Device
	throttled         string // an email with too many attempts
	waiting           string // the recipient of an email that was not sent yet
}

// install makes users and sessions in every state.
func install(t *testing.T, s *servertest.Server) *copied {
	t.Helper()
	var i copied
	ada := s.NewUser(t)
	i.active, i.loggedOut, i.used = s.Login(t, ada), s.Login(t, ada), s.Login(t, ada)
	i.rotated = s.Refresh(t, i.used.Refresh)
	requireStatus(t, s.Logout(t, i.loggedOut.Refresh), http.StatusOK)
	changed := s.NewUser(t)
	i.ended = s.Login(t, changed)
	requireStatus(t, s.ChangePassword(t, s.Login(t, changed).Access, "another long password"), http.StatusOK)

	i.resetEmail, i.waiting = s.NewUser(t), s.NewUser(t)
	requireStatus(t, s.ForgotPassword(t, i.resetEmail), http.StatusAccepted)
	i.reset = s.NextResetToken(t, i.resetEmail)

	i.undoneEmail = newVerifiedUser(t, s)
	tokens := s.Login(t, i.undoneEmail)
	requireStatus(t, s.ChangeEmail(t, tokens.Access, "new-"+i.undoneEmail), http.StatusAccepted)
	confirm := s.NextLinkToken(t, "new-"+i.undoneEmail, "confirm-email-change")
	requireStatus(t, s.ConfirmEmailChange(t, confirm, servertest.Password), http.StatusOK)
	i.undo = s.NextLinkToken(t, i.undoneEmail, "undo-email-change")

	i.withApp = newVerifiedUser(t, s)
	i.app = s.AddApp(t, s.Login(t, i.withApp).Access)
	i.code = i.app.Code(t)
	s.LoginWith(t, i.withApp, i.code)
	i.device = s.AddPasskey(t, s.Login(t, newVerifiedUser(t, s)).Access)

	i.throttled = s.NewUser(t)
	for range 200 {
		if wrongLogin(t, s, i.throttled).Status == http.StatusTooManyRequests {
			return &i
		}
	}
	t.Fatal("200 wrong passwords are not limited")
	return nil
}

// newVerifiedUser registers a user, who verifies the email.
func newVerifiedUser(t *testing.T, s *servertest.Server) (email string) {
	t.Helper()
	email = s.NewUser(t)
	requireStatus(t, s.VerifyEmail(t, s.NextLinkToken(t, email, "verify-email"), servertest.Password), http.StatusOK)
	return email
}

// wrongLogin sends a wrong password from another network.
func wrongLogin(t *testing.T, s *servertest.Server, email string) servertest.Response {
	t.Helper()
	call := servertest.Call{IP: "198.51.100.7", Path: "/auth/login"}
	return call.Send(t, s, "email", email, "password", "not the right one")
}

// requireAlive requires that everything works as before, and that what was over is over.
func (i *copied) requireAlive(t *testing.T, s *servertest.Server) {
	t.Helper()
	waited := s.NextResetToken(t, i.waiting) // of the email that was not sent before the copy
	requireStatus(t, s.ResetPassword(t, waited, "a password after the copy"), http.StatusOK)
	if got := wrongLogin(t, s, i.throttled); got.Status != http.StatusTooManyRequests {
		t.Errorf("an email that was throttled returns %d", got.Status)
	}
	s.RequireActive(t, i.rotated)
	next := s.RequireActive(t, i.active)
	if got := s.TryRefresh(t, i.active.Refresh); got.Status != http.StatusUnauthorized {
		t.Errorf("a refresh token works again after it was used: %d", got.Status)
	}
	s.RequireEnded(t, next) // the reuse ended the session
	s.RequireEnded(t, i.loggedOut)
	s.RequireEnded(t, i.ended)
	if got := s.TryRefresh(t, i.used.Refresh); got.Status != http.StatusUnauthorized {
		t.Errorf("a refresh token that was used before the copy returns %d", got.Status)
	}

	requireStatus(t, s.ResetPassword(t, i.reset, "a password after the copy"), http.StatusOK)
	if got := s.ResetPassword(t, i.reset, "a password after the copy"); got.Status != http.StatusUnauthorized {
		t.Errorf("a reset link works again after it was used: %d", got.Status)
	}
	requireStatus(t, s.UndoEmailChange(t, i.undo), http.StatusOK)
	s.NextLinkToken(t, i.undoneEmail, "reset-password") // it is the email of the account again

	if got := s.CompleteLogin(t, s.LoginToken(t, i.withApp), i.code); got.Status != http.StatusUnauthorized {
		t.Errorf("a code that was used before the copy returns %d", got.Status)
	}
	s.LoginWith(t, i.withApp, i.app.Code(t))
	s.LoginWith(t, i.withApp, i.app.RecoveryCodes[0])
	s.LoginWithPasskey(t, i.device)
	for _, subject := range s.Inbox(t).Subjects(i.withApp) {
		if strings.HasPrefix(subject, "New login") {
			t.Error("the network of a user is not known any more")
		}
	}
}

func requireStatus(t *testing.T, got servertest.Response, want int) {
	t.Helper()
	if got.Status != want {
		t.Fatalf("status %d, want %d: %s", got.Status, want, got.Raw)
	}
}
