package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestStartAndStop(t *testing.T) {
	c := start(t)
	conn, err := pgx.Connect(t.Context(), c.URL)
	if err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{
		"timezone":                "Pacific/Chatham",
		"fsync":                   "off",
		"synchronous_commit":      "off",
		"full_page_writes":        "off",
		"max_connections":         "300",
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		"is_superuser":            "on",
		"server_encoding":         "UTF8",
	} {
		var got string
		if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}

	config := conn.Config().Copy()
	config.Password = "guess"
	if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		_ = conn.Close(t.Context())
		t.Error("connected with a wrong password")
	}

	for range 2 {
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the server responds after Stop")
	}
	if _, err := os.Stat(c.folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Stop, the folder: %v, want it gone", err)
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := Start(ctx); err == nil {
		_ = c.Stop()
		t.Fatal("Start succeeded with a canceled context")
	}
	expectEmpty(t, os.TempDir())
}

func TestErrorHasTheLogIfTheServerExits(t *testing.T) {
	fakeServer(t, "echo out of luck >&2; exit 1")
	_, err := Start(t.Context())
	if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("Start: %v, want errEnded and the log", err)
	}
	expectEmpty(t, os.TempDir())
}

func TestStartStopsAServerThatDoesNotRespond(t *testing.T) {
	fakeServer(t, "echo stuck; exec sleep 1000")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := Start(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("Start: %v, want the deadline and the log", err)
	}
	expectEmpty(t, os.TempDir())
}

func TestRemoveAbandoned(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	running := start(t)
	abandoned := filepath.Join(os.TempDir(), folderPrefix+"abandoned")
	recent := filepath.Join(os.TempDir(), folderPrefix+"recent")
	unrelated := filepath.Join(os.TempDir(), "unrelated")
	for _, folder := range []string{abandoned, recent, unrelated} {
		if err := os.MkdirAll(filepath.Join(folder, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	for _, folder := range []string{abandoned, unrelated, running.folder} {
		if err := os.Chtimes(folder, yesterday, yesterday); err != nil {
			t.Fatal(err)
		}
	}

	removeAbandoned(os.TempDir())

	for folder, want := range map[string]bool{abandoned: false, recent: true, unrelated: true, running.folder: true} {
		if _, err := os.Stat(folder); (err == nil) != want {
			t.Errorf("%s: %v, want it to exist: %t", folder, err, want)
		}
	}
}

func start(t *testing.T) *Cluster {
	t.Helper()
	openTempDir(t)
	c, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// fakeServer replaces initdb by a program that does nothing, and postgres by a shell script, for
// the rest of the test.
func fakeServer(t *testing.T, script string) {
	t.Helper()
	project := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	openTempDir(t)
	bin := filepath.Join(project, ".tools", "postgres", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		filepath.Join(project, "go.mod"): "module example.org/fake\n",
		filepath.Join(bin, "initdb"):     "#!/bin/sh\n",
		filepath.Join(bin, "postgres"):   "#!/bin/sh\n" + script + "\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(project)
}

// openTempDir gives the server's user access to a TMPDIR in the folder of the test, which package
// testing creates for its owner only.
func openTempDir(t *testing.T) {
	t.Helper()
	if parent := filepath.Dir(os.TempDir()); strings.Contains(parent, t.Name()) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func expectEmpty(t *testing.T, folder string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
