package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/brand"
)

var sesame = brand.Brand{Name: brand.DefaultName, Color: brand.DefaultColor}

// get asks a page as httpapi does.
func get(t *testing.T, config Config, pattern, url string, headers ...string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	pages, err := Pages(config)
	if err != nil {
		t.Fatal(err)
	}
	page, found := pages[pattern]
	if !found {
		return nil, ErrNotFound
	}
	request := httptest.NewRequest(http.MethodGet, url, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if strings.Contains(pattern, ":id") {
		request.SetPathValue("id", strings.TrimSuffix(strings.TrimPrefix(request.URL.Path, "/dev/mail/"), "/html"))
	}
	answer := httptest.NewRecorder()
	return answer, page(answer, request)
}

// What a page loads is there, is named by its content, and may be kept for ever.
func TestAssets(t *testing.T) {
	names := make(map[string]bool)
	for _, color := range []string{brand.DefaultColor, "#7a1f5c"} {
		config := Config{Brand: brand.Brand{Name: "Sesame", Color: color}}
		for _, pattern := range []string{"/reset-password", "/docs", "/problems"} {
			page, err := get(t, config, pattern, "http://h"+pattern)
			if err != nil {
				t.Fatal(err)
			}
			loaded := regexp.MustCompile(`(?:src|href)="(assets/[^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
			if len(loaded) < 2 {
				t.Errorf("%s loads %q", pattern, loaded)
			}
			for _, match := range loaded {
				path := "/" + match[1]
				names[path] = true
				if !regexp.MustCompile(`^/assets/[a-z-]+\.[0-9a-f]{16}\.(css|js|svg)$`).MatchString(path) {
					t.Errorf("%s loads %s", pattern, path)
				}
				plain, err := get(t, config, path, "http://h"+path)
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				if got := plain.Header().Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
					t.Errorf("%s: Cache-Control is %q", path, got)
				}
				packed, err := get(t, config, path, "http://h"+path, "Accept-Encoding", "br, gzip")
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(path, "swagger") != (packed.Header().Get("Content-Encoding") == "gzip" && packed.Body.Len() < plain.Body.Len()/2) {
					t.Errorf("%s: %d bytes of %d, %v", path, packed.Body.Len(), plain.Body.Len(), packed.Header())
				}
				if strings.Contains(path, "page.") && !strings.Contains(plain.Body.String(), "--brand: "+color+";") {
					t.Errorf("the color is not %s", color)
				}
			}
		}
	}
	if len(names) != 7+2 { // with another color the style sheet and the icon are others
		t.Errorf("assets: %v", names)
	}
}

// The mails are shown to whoever asks for them by the name of this machine, and only where there is a folder of them.
func TestMailbox(t *testing.T) {
	folder := t.TempDir()
	mail := func(id, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, id+".eml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const older, newer, broken = "20260102T110001.000000Z-0a", "20260102T110002.000000Z-0b", "20260102T110003.000000Z-0c"
	mail(older, "Subject: =?utf-8?q?B=C3=BCcher?=\nTo: <ada@example.com>\n\nplain <b>https://h/#t=1</b>\n")
	mail(newer, "Subject: <script>alert(1)</script>\nContent-Type: multipart/alternative; boundary=x\n\n"+
		"--x\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\na=3Db\n"+
		"--x\nContent-Type: text/html\n\n<html><head></head><script>alert(1)</script></html>\n--x--\n")
	mail(broken, "no mail")
	mail("notes", "Subject: not ours\n\n")
	config := Config{Brand: sesame, PublicURL: "http://127.0.0.1:8080", Mailbox: folder}
	const local = "http://127.0.0.1:8080/dev/mail"

	list, err := get(t, config, "/dev/mail", local)
	if err != nil {
		t.Fatal(err)
	}
	if body := list.Body.String(); strings.Index(body, newer) > strings.Index(body, older) || !strings.Contains(body, "Bücher") ||
		strings.Contains(body, broken) || strings.Contains(body, "not ours") || strings.Contains(body, "<script>alert") {
		t.Errorf("the list:\n%s", body)
	}
	for url, want := range map[string]string{
		"/dev/mail/:id " + local + "/" + older:                "plain &lt;b&gt;<a href=\"https://h/#t=1\">https://h/#t=1</a>&lt;/b&gt;",
		"/dev/mail/:id " + local + "/" + newer:                "a=b",
		"/dev/mail/:id/html " + local + "/" + newer + "/html": `<head><base target="_top"></head><script>`,
	} {
		pattern, url, _ := strings.Cut(url, " ")
		page, err := get(t, config, pattern, url)
		if err != nil || !strings.Contains(page.Body.String(), want) {
			t.Errorf("%s: %v\n%s", url, err, page.Body)
		}
		policy := page.Header().Get("Content-Security-Policy")
		if strings.Contains(policy, "script-src") || !strings.Contains(policy, "default-src 'none'") ||
			strings.HasSuffix(pattern, "html") != strings.HasPrefix(policy, "sandbox allow-top-navigation-by-user-activation; ") {
			t.Errorf("%s: %s", url, policy)
		}
	}

	if err := os.WriteFile(filepath.Join(filepath.Dir(folder), "0-0.eml"), []byte("Subject: outside\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"notes", broken, "0-0", "..%2F0-0", "%2e%2e/0-0", "20260102T110001.000000Z-0d", "0-0%00"} {
		if page, err := get(t, config, "/dev/mail/:id", local+"/"+id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v\n%s", id, err, page.Body)
		}
	}
	for _, host := range []string{"evil.example:8080", "localhost:8080", "127.0.0.1", "127.0.0.1:8081"} {
		for pattern, path := range map[string]string{"/dev/mail": "", "/dev/mail/:id": "/" + newer, "/dev/mail/:id/html": "/" + newer + "/html"} {
			if page, err := get(t, config, pattern, "http://"+host+"/dev/mail"+path); !errors.Is(err, ErrNotFound) || page.Body.Len() > 0 {
				t.Errorf("asked of %s, %s answers %v\n%s", host, pattern, err, page.Body)
			}
		}
	}
	config.Mailbox = ""
	pages, err := Pages(config)
	if err != nil {
		t.Fatal(err)
	}
	for path := range pages {
		if strings.HasPrefix(path, "/dev") {
			t.Errorf("%s is there without a folder", path)
		}
	}
}

// A page that fails is no page, not half of one.
func TestRenderIsWhole(t *testing.T) {
	broken := &site{config: Config{Brand: sesame}}
	answer := httptest.NewRecorder()
	if err := broken.render(answer, strictPolicy, "", "problem.html", struct{}{}); err == nil {
		t.Error("a page without its data succeeds")
	}
	if written, err := io.ReadAll(answer.Body); err != nil || len(written) > 0 || len(answer.Header()) > 0 {
		t.Errorf("%q, %v", written, answer.Header())
	}
}
