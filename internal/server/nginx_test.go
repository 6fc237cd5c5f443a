package server_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/porttest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// startNginx runs nginx with one location until the test ends, and returns its address.
func startNginx(t *testing.T, location string) (address string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // not in the PATH of every user
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatal("nginx is missing: .ci/setup installs it")
	}
	address = porttest.Address(t)
	folder := t.TempDir()
	config := "daemon off; master_process off; error_log stderr; pid nginx.pid; events { worker_connections 64; }\n" +
		"http { access_log off;\n"
	for _, module := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += module + "_temp_path " + module + ";\n"
	}
	config += "server { listen " + address + ";\n" + location + "\n} }\n"
	file := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	nginx := exec.Command(program, "-p", folder, "-c", file, "-e", "stderr")
	nginx.Stdout, nginx.Stderr = &output, &output
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = nginx.Wait() // it is killed
	}()
	t.Cleanup(func() {
		_ = nginx.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if connection, err := net.Dial("tcp", address); err == nil {
			_ = connection.Close()
			return address
		}
		select {
		case <-ended:
			t.Fatalf("nginx ended:\n%s", &output)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("nginx does not listen")
		}
	}
}

// Nothing of the development mailbox can be reached through nginx in front of the API, whose Host
// header is by default that of the API on the same machine.
func TestMailboxBehindNginx(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s, id := mailboxServer(t, engine)
		address := startNginx(t, "location / { proxy_pass "+s.URL+"; }")
		if response, _ := get(t, "http://"+address+"/reset-password", "", "text/html"); response.StatusCode != http.StatusOK {
			t.Fatalf("nginx does not forward to the API: %d", response.StatusCode)
		}
		mailbox := []string{"/dev/mail", "/dev/mail/" + id, "/dev/mail/" + id + "/html"}
		for _, path := range mailbox { // so that the test requests the right ones
			if response, _ := get(t, s.AdminURL+path, "", "text/html"); response.StatusCode != http.StatusOK {
				t.Fatalf("the admin listener returns %s: %d", path, response.StatusCode)
			}
		}
		admin := strings.TrimPrefix(s.AdminURL, "http://")
		for _, path := range mailbox {
			for _, target := range []string{
				path, path + "/", path + "?x=y", "/" + path, "/." + path, "/docs/.." + path, "/%64ev" + path[len("/dev"):],
				strings.Replace(path, "dev/", "dev%2F", 1), strings.ToUpper(path), s.AdminURL + path, "http://localhost" + path,
			} {
				for _, method := range []string{
					"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND",
				} {
					for _, host := range []string{address, admin, "localhost:" + admin[strings.LastIndex(admin, ":")+1:]} {
						request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n"+
							"Accept: text/html\r\n\r\n", method, target, host)
						response := exchange(t, address, request)
						status, _, _ := strings.Cut(strings.TrimPrefix(response, "HTTP/1.1 "), " ")
						if status != "404" && status != "405" && status != "400" || strings.Contains(response, id) ||
							strings.Contains(response, "#token=") || strings.Contains(response, "Emails") {
							t.Errorf("%s %s with the host %s:\n%s", method, target, host, response)
						}
						if method == http.MethodGet && status != "404" {
							t.Errorf("GET %s with the host %s: %s", target, host, status)
						}
					}
				}
			}
		}
	})
}

// exchange sends a request and returns everything that the server sends.
func exchange(t *testing.T, address, request string) string {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	var response bytes.Buffer
	if _, err := response.ReadFrom(connection); err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return response.String()
}

// The nginx of docs/operations.md reports the IP address of the client, whatever the client sends, to
// a TCP port and to a Unix socket.
func TestDocumentedNginx(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	locations := strings.Split(string(page), "\n    location / {\n")[1:]
	path := filepath.Join(porttest.SocketFolder(t), "api.sock")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	}
	tests := []struct {
		documented string
		options    servertest.Options
	}{
		{"http://127.0.0.1:8080", servertest.Options{BehindProxy: true}},
		{"http://unix:/run/sesame/api.sock",
			servertest.Options{Addr: "unix:" + path, Base: &http.Transport{DialContext: dial}}},
	}
	if len(locations) != len(tests) {
		t.Fatalf("docs/operations.md has %d locations", len(locations))
	}
	for i, test := range tests {
		location, _, _ := strings.Cut(locations[i], "\n    }\n")
		if !strings.Contains(location, test.documented+";") {
			t.Fatalf("docs/operations.md has no location for %s: %s", test.documented, location)
		}
		s := servertest.Start(t, databasetest.SQLite, test.options)
		upstream := "http://" + s.Addr()
		address := startNginx(t, "location / {\n"+strings.Replace(location, test.documented, upstream, 1)+"\n}")
		email := s.NewUser(t)
		before := len(s.Log.String())
		response := servertest.Do(t, http.DefaultClient, http.MethodPost, "http://"+address+"/auth/login",
			fmt.Sprintf(`{"email":%q,"password":%q}`, email, servertest.Password), "Content-Type", "application/json",
			"X-Forwarded-For", "198.51.100.1", "Forwarded", "for=198.51.100.1", "X-Real-IP", "198.51.100.1")
		var session auth.Session
		if err := s.DB.WithContext(t.Context()).Take(&session).Error; err != nil || session.IP != "127.0.0.1" {
			t.Errorf("login: %d %s; the client is %q, %v", response.Status, response.Raw, session.IP, err)
		}
		if log := s.Log.String()[before:]; strings.Contains(log, `"level":"WARN"`) {
			t.Errorf("a warning without a reason:\n%s", log)
		}
	}
}
