package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// What the server has confirmed survives kill -9 and a restart: the user, the session, the email.
func TestRestartAfterKill(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine, "SESAME_THROTTLE=off") // else one email a minute
		server.Start(t)
		kill := func() {
			t.Helper()
			if _, err := server.Stop(t, syscall.SIGKILL); err == nil {
				t.Fatal("the server reports success after kill -9")
			}
		}
		tokens := server.Login(t)
		for cycle := range 3 {
			status, next := server.Post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
			if status != http.StatusOK {
				t.Fatalf("refresh in cycle %d: %d", cycle, status)
			}
			status, _ = server.Post(t, "/auth/forgot-password", `{"email":"ada@example.com"}`)
			if status != http.StatusAccepted {
				t.Fatalf("forgot password: %d", status)
			}
			kill()
			server.Start(t)
			if status := server.Authenticate(t, next["accessToken"]); status != http.StatusOK {
				t.Errorf("access token after the restart: %d", status)
			}
			tokens = next
		}
		status, _ := server.Post(t, "/auth/logout", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
		if status != http.StatusOK {
			t.Errorf("logout: %d", status)
		}
		kill()
		checkEmails(t, server, 3)
		server.Start(t)
		if status := server.Authenticate(t, tokens["accessToken"]); status != http.StatusUnauthorized {
			t.Errorf("access token after a confirmed logout: %d", status)
		}
	})
}

// checkEmails fails the test if fewer than n emails were sent or wait. An email in flight when the
// server was killed waits until its lease ends.
func checkEmails(t *testing.T, server *processtest.Server, n int) {
	t.Helper()
	sent := server.SentEmails(t)
	db, err := database.Open(t.Context(), server.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	var waiting int64
	err = errors.Join(db.WithContext(t.Context()).Table("outbox").Count(&waiting).Error, db.Close())
	if err != nil {
		t.Fatal(err)
	}
	if len(sent)+int(waiting) < n {
		t.Errorf("%d emails sent and %d waiting, want %d", len(sent), waiting, n)
	}
}

// The first start creates a data folder that only its owner can read, and prints where everything
// is.
func TestFirstStart(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.Start(t)
	server.Login(t)
	status, _ := server.Post(t, "/auth/forgot-password", `{"email":"ada@example.com"}`)
	if status != http.StatusAccepted {
		t.Fatalf("forgot password: %d", status)
	}
	server.MustShell(t, `until ls sesame-data/mail/*.eml >&/dev/null; do sleep 0.1; done`)
	output, err := server.Stop(t, syscall.SIGTERM)
	if err != nil {
		t.Error(err)
	}
	secret, err := os.ReadFile(filepath.Join(server.Folder, "sesame-data", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(output, strings.TrimSpace(string(secret))) {
		t.Error("the output contains the secret")
	}
	err = filepath.Walk(filepath.Join(server.Folder, "sesame-data"), func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	api, admin := "http://"+server.API, "http://"+server.Admin
	for _, text := range []string{
		"API       " + api,
		"OpenAPI   " + api + "/openapi.yaml",
		"docs      " + api + "/docs",
		"/.well-known/jwks.json",
		admin + "/dev/mail (files in ",
		"sesame-data/mail",
		"curl -s",
	} {
		if !strings.Contains(output, text) {
			t.Errorf("the start does not print %q:\n%s", text, output)
		}
	}
	requestLine := regexp.MustCompile(`"msg":"request".*"route":"/auth/forgot-password","status":202`)
	if !requestLine.MatchString(output) {
		t.Errorf("the request is not logged:\n%s", output)
	}
}

// After SIGTERM the server finishes requests in flight and accepts no new ones. Meanwhile it says
// that it is not ready.
func TestDrain(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.Start(t)
	server.Login(t)
	var dialer net.Dialer
	connection, err := dialer.DialContext(t.Context(), "tcp", server.API)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	const body = `{"email":"ada@example.com","password":"correct horse battery"}`
	head := fmt.Sprintf("POST /auth/login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", server.API, len(body))
	if _, err := io.WriteString(connection, head); err != nil {
		t.Fatal(err)
	}
	response := bufio.NewReader(connection)
	readLine := func(want string) {
		t.Helper()
		if line, err := response.ReadString('\n'); err != nil || !strings.Contains(line, want) {
			t.Fatalf("%q, %v, want %q", line, err, want)
		}
	}
	readLine("100 Continue") // now the request is in flight
	readLine("")
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// Wait until the server accepts no connection.
	server.MustShell(t,
		"while (: < /dev/tcp/"+strings.Replace(server.API, ":", "/", 1)+") 2> /dev/null; do sleep 0.05; done")
	if status, _ := processtest.Get(t, "http://"+server.Admin+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", status)
	}
	if _, err := io.WriteString(connection, body); err != nil {
		t.Fatal(err)
	}
	readLine("200 OK")
	if _, err := server.Wait(t); err != nil {
		t.Errorf("on SIGTERM: %v", err)
	}
}
