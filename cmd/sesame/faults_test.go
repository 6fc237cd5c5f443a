package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/porttest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// register registers a user with this email and returns the status.
func register(t *testing.T, server *processtest.Server, email string) (status int) {
	t.Helper()
	status, _ = server.Post(t, "/auth/register", fmt.Sprintf(
		`{"name":"Ada","email":%q,"password":"correct horse battery","confirm":"correct horse battery"}`, email))
	return status
}

// awaitReadiness waits until the server is ready, or not.
func awaitReadiness(t *testing.T, server *processtest.Server, ready bool) {
	t.Helper()
	processtest.Eventually(t, fmt.Sprintf("readiness is %v", ready), func() bool {
		return server.IsReady(t.Context()) == ready
	})
}

// awaitLogged waits until at least n lines of the server's log contain a text. The log arrives
// later than a response.
func awaitLogged(t *testing.T, server *processtest.Server, n int, text string) {
	t.Helper()
	processtest.Eventually(t, fmt.Sprintf("%d lines of the log contain %s", n, text), func() bool {
		return logged(server, text) >= n
	})
}

// logged returns how many lines of the server's log contain a text.
func logged(server *processtest.Server, text string) (lines int) {
	for line := range strings.Lines(server.Output()) {
		if strings.Contains(line, text) {
			lines++
		}
	}
	return lines
}

// execute runs statements on the database of a server.
func execute(t *testing.T, server *processtest.Server, statements ...string) {
	t.Helper()
	db, err := database.Open(t.Context(), server.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range statements {
		if err := db.WithContext(t.Context()).Exec(statement).Error; err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// While the database accepts no writes, the server is not ready and confirms nothing, and says so
// once. It is ready again when the database accepts writes.
func TestReadinessIsAWrite(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine, "SESAME_THROTTLE=off")
		server.Start(t)
		if status := register(t, server, "before@example.com"); status != http.StatusCreated {
			t.Fatalf("register: %d", status)
		}
		for i := range 2 {
			server.RefuseWrites(t)
			awaitReadiness(t, server, false)
			if status := register(t, server, "during@example.com"); status != http.StatusServiceUnavailable {
				t.Errorf("register during the outage: %d", status)
			}
			server.AcceptWrites(t)
			awaitReadiness(t, server, true)
			if status := register(t, server, fmt.Sprintf("after%d@example.com", i)); status != http.StatusCreated {
				t.Errorf("register after the outage: %d", status)
			}
		}
		if users := count(t, server); users != 3 {
			t.Errorf("%d users, want 3", users)
		}
		for _, message := range []string{`"level":"ERROR","msg":"not ready"`, `"level":"INFO","msg":"ready again"`} {
			awaitLogged(t, server, 2, message)
			if lines := logged(server, message); lines > 6 { // more than 2 if a check meets an old connection
				t.Errorf("%d lines contain %s, want 2\n%s", lines, message, server.Output())
			}
		}
	})
}

// If the data folder is removed from a running server, nothing that it would store is confirmed. If
// the folder was only moved, everything works again once it is back.
func TestDataFolderIsRemoved(t *testing.T) {
	t.Parallel()
	server := processtest.New(t, databasetest.SQLite, "SESAME_THROTTLE=off")
	server.Start(t)
	folder := filepath.Join(server.Folder, "sesame-data")
	if status := register(t, server, "before@example.com"); status != http.StatusCreated {
		t.Fatalf("register: %d", status)
	}
	if err := os.Rename(folder, folder+".moved"); err != nil {
		t.Fatal(err)
	}
	if status := register(t, server, "during@example.com"); status != http.StatusServiceUnavailable {
		t.Errorf("register after the folder was moved: %d", status)
	}
	awaitReadiness(t, server, false)
	if err := os.Rename(folder+".moved", folder); err != nil {
		t.Fatal(err)
	}
	awaitReadiness(t, server, true)
	if status := register(t, server, "after@example.com"); status != http.StatusCreated {
		t.Errorf("register after the folder was moved back: %d", status)
	}

	// os.RemoveAll fails if the server writes an email to the folder at the same time.
	processtest.Eventually(t, "both emails are sent", func() bool { return len(server.SentEmails(t)) == 2 })
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if status := register(t, server, fmt.Sprintf("lost%d@example.com", i)); status != http.StatusServiceUnavailable {
			t.Errorf("register after the folder was removed: %d", status)
		}
	}
	awaitReadiness(t, server, false)
	awaitLogged(t, server, 2,
		`"msg":"not ready","err":"write to the database: database unavailable: the database file was removed`)
	if _, err := server.Stop(t, syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}

// A file that is damaged under a running server makes it not ready.
func TestDamagedWhileRunning(t *testing.T) {
	t.Parallel()
	server := processtest.New(t, databasetest.SQLite)
	server.Start(t)
	server.Login(t)
	path := filepath.Join(server.Folder, "sesame-data", "sesame.db")
	execute(t, server, "PRAGMA wal_checkpoint(TRUNCATE)") // so that the pages are read from the file
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte(strings.Repeat("damaged ", int(info.Size())/8)), 0); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	awaitReadiness(t, server, false)
	for _, text := range []string{path + " is damaged", "restore a backup"} {
		awaitLogged(t, server, 1, text)
	}
}

// If the secret is lost, the users and their passwords are not: without the signing keys, which
// nobody can decrypt any more, the server makes a new secret.
func TestLostSecret(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.Start(t)
	server.Login(t)
	if _, err := server.Stop(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(server.Folder, "sesame-data", "secret")); err != nil {
		t.Fatal(err)
	}
	expectRefused(t, server, "secret is missing", "serve")
	execute(t, server, "DELETE FROM signing_keys")
	execute(t, server, "DELETE FROM throttle_key")
	server.Start(t)
	server.CheckLogin(t, processtest.Password, http.StatusOK)
}

// A server that cannot accept connections says so.
func TestOpenFileLimit(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.Start(t)
	open := server.MustShell(t, fmt.Sprintf("ls /proc/%d/fd | wc -l || true", server.Process.Pid))
	server.Limit(t, "--nofile="+strings.TrimSpace(open)+":")
	var dialer net.Dialer
	for range 20 {
		connection, err := dialer.DialContext(t.Context(), "tcp", server.API)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close() }()
	}
	const message = `"level":"WARN","msg":"http server","err":"http: Accept error`
	awaitLogged(t, server, 1, message)
	server.Limit(t, "--nofile=10000:")
	server.Login(t)
	if lines := logged(server, message); lines > 20 { // ten a minute
		t.Errorf("%d lines", lines)
	}
}

// relay forwards connections from address to a PostgreSQL server until the test ends.
func relay(t *testing.T, address, target string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", target)
			if err != nil {
				_ = from.Close()
				continue
			}
			go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
			go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		}
	}()
}

// At start, a server waits for its database, and gives up with a clear message.
func TestDatabaseWait(t *testing.T) {
	behind := func(t *testing.T, wait string) (server *processtest.Server, address, target string) {
		t.Helper()
		server = processtest.New(t, databasetest.Postgres)
		parsed, err := url.Parse(server.DatabaseURL)
		if err != nil {
			t.Fatal(err)
		}
		target, address = parsed.Host, porttest.Address(t)
		parsed.Host = address
		server.Environment = append(server.Environment, "SESAME_DATABASE_URL="+parsed.String(), "SESAME_DATABASE_WAIT="+wait)
		return server, address, target
	}
	t.Run("down, then up", func(t *testing.T) {
		t.Parallel()
		server, address, target := behind(t, "5m")
		server.Launch(t)
		awaitLogged(t, server, 1, `"level":"WARN","msg":"the database is not available; trying again"`)
		relay(t, address, target)
		awaitReadiness(t, server, true)
	})
	t.Run("down", func(t *testing.T) {
		t.Parallel()
		server, _, _ := behind(t, "2s")
		expectNoDatabase(t, server, "connection refused")
	})
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		server, address, _ := behind(t, "2s")
		listener, err := net.Listen("tcp", address) // accepts connections, and never responds
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		expectNoDatabase(t, server, "deadline exceeded")
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		server, _, _ := behind(t, "5m")
		server.Launch(t)
		awaitLogged(t, server, 1, "trying again")
		if _, err := server.Stop(t, syscall.SIGTERM); err == nil {
			t.Error("the server reports success, although it did not start")
		}
	})
}

// expectNoDatabase fails the test if `sesame serve` does not give up after SESAME_DATABASE_WAIT.
func expectNoDatabase(t *testing.T, server *processtest.Server, reason string) {
	t.Helper()
	started := time.Now()
	status, _, stderr := server.Run(t, "", "serve")
	last := stderr[strings.LastIndex(strings.TrimSpace(stderr), "\n")+1:]
	const message = "sesame: the database was not available within 2s (SESAME_DATABASE_WAIT): "
	if status != 1 || !strings.HasPrefix(last, message) || !strings.Contains(last, reason) {
		t.Errorf("status %d\n%s", status, stderr)
	}
	if took := time.Since(started); took < 2*time.Second {
		t.Errorf("gave up after %s", took)
	}
}
