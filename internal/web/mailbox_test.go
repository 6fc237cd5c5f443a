package web

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	olderID = "20260102T110001.000000Z-0a"
	newerID = "20260102T110002.000000Z-0b"
)

// mailboxServer serves the development mailbox on a loopback address.
type mailboxServer struct {
	*httptest.Server
	folder, port string
}

func newMailboxServer(t *testing.T) mailboxServer {
	t.Helper()
	folder := t.TempDir()
	handler, err := NewMailbox(Config{Brand: sesame}, folder, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	m := mailboxServer{server, folder, port}
	m.write(t, olderID, "Subject: =?utf-8?q?B=C3=BCcher?=\nTo: <ada@example.com>\n\nplain <b>https://h/#t=1</b>\n")
	m.write(t, newerID, "Subject: <script>alert(1)</script>\nContent-Type: multipart/alternative; boundary=x\n\n"+
		"--x\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\na=3Db\n"+
		"--x\nContent-Type: text/html\n\n<html><head></head><script>alert(1)</script></html>\n--x--\n")
	return m
}

func (m mailboxServer) write(t *testing.T, id, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.folder, id+".eml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get requests a path. An empty host means that of the listener.
func (m mailboxServer) get(t *testing.T, path, host string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := m.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestMailbox(t *testing.T) {
	m := newMailboxServer(t)
	const invalid = "20260102T110003.000000Z-0c"
	m.write(t, invalid, "not an email")
	m.write(t, "notes", "Subject: not from the server\n\n")

	_, list := m.get(t, "/dev/mail", "")
	if strings.Index(list, newerID) > strings.Index(list, olderID) || !strings.Contains(list, "Bücher") ||
		strings.Contains(list, invalid) || strings.Contains(list, "not from the server") ||
		strings.Contains(list, "<script>alert") {
		t.Errorf("the list of emails:\n%s", list)
	}
	for path, want := range map[string]string{
		"/dev/mail/" + olderID:           "plain &lt;b&gt;<a href=\"https://h/#t=1\">https://h/#t=1</a>&lt;/b&gt;",
		"/dev/mail/" + newerID:           "a=b",
		"/dev/mail/" + newerID + "/html": `<head><base target="_top"></head><script>`,
	} {
		page, body := m.get(t, path, "")
		if !strings.Contains(body, want) {
			t.Errorf("%s: %d\n%s", path, page.StatusCode, body)
		}
		policy := page.Header.Get("Content-Security-Policy")
		if strings.Contains(policy, "script-src") || !strings.Contains(policy, "default-src 'none'") ||
			!strings.Contains(policy, "base-uri 'none'") ||
			strings.HasSuffix(path, "html") != strings.HasPrefix(policy, "sandbox allow-top-navigation-by-user-activation; ") {
			t.Errorf("%s: policy %s", path, policy)
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if got := page.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	_, message := m.get(t, "/dev/mail/"+olderID, "")
	site, err := New(Config{Brand: sesame})
	if err != nil {
		t.Fatal(err)
	}
	for _, asset := range []string{site.Asset("page.css"), site.Asset("icon.svg")} {
		response, _ := m.get(t, "/"+asset, "")
		if !strings.Contains(message, `href="../../`+asset+`"`) || response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", asset, response.StatusCode)
		}
	}

	outside := filepath.Join(filepath.Dir(m.folder), "0-0.eml")
	if err := os.WriteFile(outside, []byte("Subject: outside\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"notes", invalid, "0-0", "..%2F0-0", "%2e%2e/0-0", olderID + "d", "0-0%00"} {
		page, body := m.get(t, "/dev/mail/"+id, "")
		if page.StatusCode != http.StatusNotFound || strings.Contains(body, "outside") {
			t.Errorf("%s: %d\n%s", id, page.StatusCode, body)
		}
	}
}

// A web page can make the name of its host resolve to this machine, but cannot change the Host
// header (DNS rebinding).
func TestMailboxRefusesOtherHosts(t *testing.T) {
	m := newMailboxServer(t)
	for host, want := range map[string]int{
		"127.0.0.1:" + m.port:           http.StatusOK,
		"localhost:" + m.port:           http.StatusOK,
		"[::1]:" + m.port:               http.StatusOK,
		"evil.example:" + m.port:        http.StatusNotFound,
		"localhost.evil:" + m.port:      http.StatusNotFound,
		"127.0.0.1.evil:" + m.port:      http.StatusNotFound,
		"192.0.2.1:" + m.port:           http.StatusNotFound,
		"0.0.0.0:" + m.port:             http.StatusNotFound,
		"127.0.0.1":                     http.StatusNotFound,
		"localhost":                     http.StatusNotFound,
		"127.0.0.1:1":                   http.StatusNotFound,
		"localhost:" + m.port + ".evil": http.StatusNotFound,
	} {
		for _, path := range []string{"/dev/mail", "/dev/mail/" + newerID, "/dev/mail/" + newerID + "/html"} {
			page, body := m.get(t, path, host)
			if page.StatusCode != want || strings.Contains(body, newerID) && want != http.StatusOK {
				t.Errorf("%s with the host %s: %d\n%s", path, host, page.StatusCode, body)
			}
		}
	}
}

// A request that a proxy forwards does not come from this machine, even if the proxy replaces the
// Host header.
func TestMailboxRefusesProxies(t *testing.T) {
	m := newMailboxServer(t)
	for _, header := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"} {
		if page, body := m.get(t, "/dev/mail", "", header, "127.0.0.1"); page.StatusCode != http.StatusNotFound {
			t.Errorf("with %s: %d\n%s", header, page.StatusCode, body)
		}
	}
}

// The mailbox exists only on a loopback address, whatever the Host header says.
func TestMailboxRefusesOtherAddresses(t *testing.T) {
	for ip, want := range map[string]bool{"127.0.0.1": true, "::1": true, "192.0.2.1": false, "0.0.0.0": false} {
		request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8081/dev/mail", nil)
		address := &net.TCPAddr{IP: net.ParseIP(ip), Port: 8081}
		ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, address)
		if got := isLocal(request.WithContext(ctx)); got != want {
			t.Errorf("on %s: %v, want %v", ip, got, want)
		}
	}
	if isLocal(httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8081/dev/mail", nil)) {
		t.Error("a request without a connection is local")
	}
}

// If an email cannot be read, the page says so.
func TestMailboxFails(t *testing.T) {
	m := newMailboxServer(t)
	const id = "20260102T110009.000000Z-0e"
	if err := os.Symlink(id+".eml", filepath.Join(m.folder, id+".eml")); err != nil { // a loop
		t.Fatal(err)
	}
	for _, path := range []string{"/dev/mail", "/dev/mail/" + id} {
		page, body := m.get(t, path, "")
		if page.StatusCode != http.StatusInternalServerError || !strings.Contains(body, "The emails could not be read.") {
			t.Errorf("%s: %d\n%s", path, page.StatusCode, body)
		}
	}
}
