package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// A backup that is made while users register and log in has every account that was confirmed before
// it began. After the restore, all of them log in, and no session of before continues.
func TestBackupOfARunningServer(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite, "SESAME_THROTTLE=off")
	server.UseCheapHashes(t)
	server.Start(t)
	tokens := server.Login(t)
	const body = `{"name":"Ada","email":"%s","password":"correct horse battery","confirm":"correct horse battery"}`
	var mu sync.Mutex
	var confirmed []string
	var clients sync.WaitGroup
	enough, stop := make(chan struct{}), make(chan struct{})
	for client := range 3 {
		clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				email := fmt.Sprintf("user%d-%d@example.com", client, i)
				if status, _ := server.Post(t, "/auth/register", fmt.Sprintf(body, email)); status != http.StatusCreated {
					t.Errorf("register: %d", status)
					return
				}
				if status, _ := server.Post(t, "/auth/login", fmt.Sprintf(body, email)); status != http.StatusOK {
					t.Errorf("login: %d", status)
					return
				}
				mu.Lock()
				if confirmed = append(confirmed, email); len(confirmed) == 20 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	mu.Lock()
	before := len(confirmed)
	mu.Unlock()
	backup := filepath.Join(t.TempDir(), "backup.db")
	server.MustRun(t, "", "backup", backup)
	close(stop)
	clients.Wait()
	status, _ := server.Post(t, "/auth/logout", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
	if status != http.StatusOK {
		t.Errorf("logout: %d", status)
	}
	if _, err := server.Stop(t, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	server.MustShell(t, "mv sesame-data old && mkdir -m 700 sesame-data && cp -p old/secret sesame-data")

	server.MustRun(t, "", "restore", backup)
	server.Start(t)
	if status := server.Authenticate(t, tokens["accessToken"]); status != http.StatusUnauthorized {
		t.Errorf("the session that was logged out: %d", status)
	}
	status, _ = server.Post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
	if status != http.StatusUnauthorized {
		t.Errorf("refresh of the session that was logged out: %d", status)
	}
	for _, email := range confirmed[:before] {
		if status, _ := server.Post(t, "/auth/login", fmt.Sprintf(body, email)); status != http.StatusOK {
			t.Errorf("%s: login after the restore: %d", email, status)
		}
	}
}

// The commands that backup and restore print for PostgreSQL do what they say.
func TestBackupOfPostgres(t *testing.T) {
	for _, tool := range []string{"pg_dump", "pg_restore"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs the client programs of PostgreSQL: ", err)
		}
	}
	server := processtest.New(t, databasetest.Postgres)
	server.UseCheapHashes(t)
	server.Start(t)
	tokens := server.Login(t)
	dump := filepath.Join(t.TempDir(), "sesame.dump")
	runPrinted(t, server, 1, "backup", dump)
	status, _ := server.Post(t, "/auth/logout", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
	if status != http.StatusOK {
		t.Errorf("logout: %d", status)
	}

	restored := processtest.New(t, databasetest.Postgres,
		"SESAME_DATABASE_URL="+databasetest.Empty(t, databasetest.Postgres))
	restored.UseCheapHashes(t)
	runPrinted(t, restored, 3, "restore", dump)
	restored.Start(t)
	if status := restored.Authenticate(t, tokens["accessToken"]); status != http.StatusUnauthorized {
		t.Errorf("the session that was logged out: %d", status)
	}
	restored.CheckLogin(t, processtest.Password, http.StatusOK)
}

// runPrinted runs a command that fails, and the commands that it prints.
func runPrinted(t *testing.T, server *processtest.Server, want int, args ...string) {
	t.Helper()
	databaseURL, err := url.Parse(server.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := databaseURL.User.Password()
	status, _, stderr := server.Run(t, "", args...)
	if status != 1 || strings.Contains(stderr, password+"@") {
		t.Fatalf("sesame %q: status %d\n%s", args, status, stderr)
	}
	commands := 0
	for line := range strings.Lines(stderr) {
		if command, ok := strings.CutPrefix(line, "  "); ok {
			commands++
			path := "PATH=" + filepath.Dir(processtest.Binary(t)) + string(filepath.ListSeparator) + "$PATH"
			run := exec.Command("bash", "-c", path+" "+command)
			run.Dir, run.Env = server.Folder, append(slices.Clone(server.Environment), "PGPASSWORD="+password)
			if output, err := run.CombinedOutput(); err != nil {
				t.Fatalf("%s%v\n%s", command, err, output)
			}
		}
	}
	if commands != want {
		t.Errorf("%d commands in\n%s", commands, stderr)
	}
}
