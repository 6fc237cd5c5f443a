//go:build linux

// Package systemd tests the units with the programs of systemd, and that the server needs no system
// call that they do not allow.
package systemd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/certtest"
	"github.com/sesame-auth/sesame/internal/porttest"
	"github.com/sesame-auth/sesame/internal/processtest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

func TestMain(m *testing.M) { processtest.Main(m) }

// analyze runs systemd-analyze, or skips the test if it is not installed.
func analyze(t *testing.T, arguments ...string) (output string) {
	t.Helper()
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	return processtest.Program(t, ".", []string{"SYSTEMD_PAGER=", "LC_ALL=C.UTF-8"}, program, arguments...)
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// The units are valid: systemd-analyze has nothing to say about them.
func TestUnits(t *testing.T) {
	folder := t.TempDir()
	units := []string{"verify", "--man=no"}
	for _, name := range []string{"sesame.service", "sesame.socket"} {
		unit := strings.ReplaceAll(read(t, name), "/usr/bin/sesame", processtest.Binary(t))
		units = append(units, filepath.Join(folder, name))
		if err := os.WriteFile(filepath.Join(folder, name), []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if output := analyze(t, units...); output != "" {
		t.Error(output)
	}
}

// The documentation states how much the service is exposed.
func TestExposure(t *testing.T) {
	output := analyze(t, "security", "--offline=true", "sesame.service")
	exposure := regexp.MustCompile(`Overall exposure level for sesame.service: ([0-9.]+ \w+)`).FindStringSubmatch(output)
	if exposure == nil {
		t.Fatal(output)
	}
	if !strings.Contains(read(t, "../../docs/operations.md"), "`"+exposure[1]+"`") {
		t.Errorf("docs/operations.md does not state the exposure level %s", exposure[1])
	}
}

// All examples in sesame.env are valid, for systemd and in a shell.
func TestSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sesame.env")
	settings := regexp.MustCompile(`(?m)^#SESAME`).ReplaceAllString(read(t, "sesame.env"), "SESAME")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	processtest.Program(t, ".", nil, "sh", "-ac", `. "$0"; exec "$1" config --check`, file, processtest.Binary(t))
}

// allowedCalls returns the system calls that the service allows.
func allowedCalls(t *testing.T) map[string]bool {
	t.Helper()
	allowed := make(map[string]bool)
	var apply func(name string, allow bool)
	apply = func(name string, allow bool) {
		if !strings.HasPrefix(name, "@") {
			allowed[name] = allow
			return
		}
		for line := range strings.Lines(analyze(t, "syscall-filter", name)) {
			if member := strings.TrimSpace(line); strings.HasPrefix(line, " ") && !strings.HasPrefix(member, "#") {
				apply(member, allow)
			}
		}
	}
	apply("@default", true)
	filters := regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`)
	for _, match := range filters.FindAllStringSubmatch(read(t, "sesame.service"), -1) {
		for name := range strings.FieldsSeq(match[2]) {
			apply(name, match[1] == "")
		}
	}
	return allowed
}

// The service allows every system call of a server that starts, serves its API with TLS on a Unix
// socket, hashes passwords in child processes, writes emails, and stops.
func TestSystemCalls(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	allowed := allowedCalls(t)
	folder := porttest.SocketFolder(t)
	trace := filepath.Join(folder, "trace")
	socket, admin := filepath.Join(folder, "api.sock"), porttest.Address(t)
	authority := certtest.NewAuthority(t)
	certificate, key := authority.IssuePEM(t, "localhost", time.Now().Add(time.Hour))
	err = errors.Join(os.WriteFile(filepath.Join(folder, "tls.crt"), []byte(certificate), 0o600),
		os.WriteFile(filepath.Join(folder, "tls.key"), []byte(key), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	states, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = states.Close() }()
	server := exec.Command(strace, "-f", "-qq", "-o", trace, processtest.Binary(t), "serve")
	server.Dir, server.Stdout, server.Stderr = folder, &servertest.Log{}, &servertest.Log{}
	server.Env = []string{
		"SESAME_ADDR=unix:" + socket, "SESAME_ADMIN_ADDR=" + admin, "SESAME_PUBLIC_URL=https://auth.example.com",
		"SESAME_TLS_CERT=tls.crt", "SESAME_TLS_KEY=tls.key", "NOTIFY_SOCKET=" + filepath.Join(folder, "notify"),
		"SESAME_DRAIN_DELAY=0s",
	}
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	signal := func(s syscall.Signal) { _ = syscall.Kill(-server.Process.Pid, s) }
	t.Cleanup(func() { signal(syscall.SIGKILL) })
	if err := states.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := states.Read(make([]byte, 100)); err != nil {
		t.Fatalf("not ready: %v\n%s", err, server.Stderr)
	}
	use(t, socket, admin, authority.Pool)
	processtest.Eventually(t, "there is an email", func() bool {
		emails, _ := filepath.Glob(filepath.Join(folder, "sesame-data", "mail", "*.eml"))
		return len(emails) > 0
	})
	signal(syscall.SIGTERM)
	if err := server.Wait(); err != nil {
		t.Errorf("%v\n%s", err, server.Stderr)
	}
	seen := systemCalls(t, trace)
	for _, name := range []string{"accept4", "fsync", "execve", "setpriority"} { // so that the trace is complete
		if !seen[name] {
			t.Errorf("the server does not call %s", name)
		}
	}
	if os.Geteuid() == 0 {
		delete(seen, "fchown") // SQLite calls it only as root
	}
	maps.DeleteFunc(seen, func(name string, _ bool) bool { return allowed[name] })
	for name := range seen {
		t.Errorf("the service does not allow %s", name)
	}
}

// use registers a user, logs in, and requests a reset link and the metrics.
func use(t *testing.T, socket, admin string, roots *x509.CertPool) {
	t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", socket)
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
	}}
	for _, call := range []struct {
		path   string
		status int
	}{{"register", http.StatusCreated}, {"login", http.StatusOK}, {"forgot-password", http.StatusAccepted}} {
		members := map[string]string{"email": "ada@example.com"}
		if call.path != "forgot-password" {
			members["password"] = servertest.Password
		}
		if call.path == "register" {
			members["name"], members["confirm"] = "Ada", servertest.Password
		}
		body, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		response := servertest.Do(t, client, http.MethodPost, "https://localhost/auth/"+call.path, string(body),
			"Content-Type", "application/json", "X-Forwarded-For", "203.0.113.9")
		if response.Status != call.status {
			t.Errorf("%s: %d %s", call.path, response.Status, response.Raw)
		}
	}
	if status, _ := processtest.Get(t, "http://"+admin+"/metrics"); status != http.StatusOK {
		t.Errorf("metrics: %d", status)
	}
}

// systemCalls returns the names of the system calls in the output of strace -f. It fails the test if
// one makes memory that can be written and executed.
func systemCalls(t *testing.T, trace string) map[string]bool {
	t.Helper()
	seen := make(map[string]bool)
	call := regexp.MustCompile(`^[0-9]+ +(\w+)\(`)
	for line := range strings.Lines(read(t, trace)) {
		if match := call.FindStringSubmatch(line); match != nil {
			seen[match[1]] = true
		}
		if strings.Contains(line, "PROT_WRITE|PROT_EXEC") {
			t.Errorf("MemoryDenyWriteExecute= refuses %s", line)
		}
	}
	return seen
}
