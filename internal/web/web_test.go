package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/password"
)

var sesame = brand.Brand{Name: brand.DefaultName, Color: brand.DefaultColor}

// linkPages are the pages that emailed links open.
var linkPages = []string{"/reset-password", "/verify-email", "/confirm-email-change", "/undo-email-change"}

// get requests a page.
func get(t *testing.T, config Config, pattern, url string, headers ...string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	site, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	page, found := site.Pages()[pattern]
	if !found {
		return nil, ErrNotFound
	}
	request := httptest.NewRequest(http.MethodGet, url, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	request.SetPathValue("code", strings.TrimPrefix(request.URL.Path, "/problems/"))
	response := httptest.NewRecorder()
	return response, page(response, request)
}

// The assets of pages exist. Their names contain a digest of their content, so they can be cached
// forever.
func TestAssets(t *testing.T) {
	names := make(map[string]bool)
	for _, color := range []string{brand.DefaultColor, "#7a1f5c"} {
		config := Config{Brand: brand.Brand{Name: "Sesame", Color: color}, PublicURL: "http://localhost:8080"}
		for _, pattern := range slices.Concat([]string{"/", "/docs", "/problems", "/try"}, linkPages) {
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
				isPacked := packed.Header().Get("Content-Encoding") == "gzip" && packed.Body.Len() < plain.Body.Len()/2
				if strings.Contains(path, "swagger") != isPacked {
					t.Errorf("%s: %d bytes of %d, %v", path, packed.Body.Len(), plain.Body.Len(), packed.Header())
				}
				if strings.Contains(path, "page.") && !strings.Contains(plain.Body.String(), "--brand: "+color+";") {
					t.Errorf("the color is not %s", color)
				}
			}
		}
	}
	if len(names) != 12+2 { // the style sheet and the icon contain the color
		t.Errorf("assets: %v", names)
	}
}

// All pages are in the brand's color, have an icon, and link to each other with relative URLs: the
// server does not know under which host name and path a browser reached it.
func TestLinksAreRelative(t *testing.T) {
	config := Config{
		Brand: brand.Brand{Name: "Acme & Sons", Color: "#7a1f5c"}, PublicURL: "http://127.0.0.1:8080",
		LinkURL: "https://auth.example.com", AppURL: "https://app.example.com/",
		Problems: []Problem{{Code: "not_found", Title: "Not found", Statuses: []int{404}}},
	}
	for _, pattern := range slices.Concat([]string{"/", "/docs", "/problems", "/problems/:code", "/try"}, linkPages) {
		page, err := get(t, config, pattern, "http://localhost:8080"+strings.Replace(pattern, ":code", "not_found", 1))
		if err != nil {
			t.Fatal(err)
		}
		body := page.Body.String()
		icon := regexp.MustCompile(`<link rel="icon" [^>]*href="(\.\./)?assets/icon\.[0-9a-f]{16}\.svg">`)
		if !strings.Contains(body, "Acme &amp; Sons") || !icon.MatchString(body) {
			t.Errorf("%s has no name or no icon:\n%s", pattern, body)
		}
		for _, match := range regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			if link := match[1]; link != config.AppURL && (strings.Contains(link, ":") || strings.HasPrefix(link, "/")) {
				t.Errorf("%s links to %s", pattern, link)
			}
		}
	}
}

func TestHome(t *testing.T) {
	for _, appURL := range []string{"", "https://app.example.com/"} {
		page, err := get(t, Config{Brand: sesame, AppURL: appURL}, "/", "http://h/")
		if err != nil {
			t.Fatal(err)
		}
		body := page.Body.String()
		for _, link := range []string{"docs", "openapi.yaml", "problems", "reset-password"} {
			if !strings.Contains(body, `<a href="`+link+`">`) {
				t.Errorf("no link to %s:\n%s", link, body)
			}
		}
		if strings.Contains(body, "Continue to Sesame") != (appURL != "") || strings.Contains(body, `<a href="">`) {
			t.Errorf("with the application %q:\n%s", appURL, body)
		}
	}
}

// The page for developers exists only while the public URL is on this machine. Otherwise neither
// the page nor its script has a path, and the start page does not link to it.
func TestTryExistsOnThisMachine(t *testing.T) {
	for publicURL, want := range map[string]bool{
		"http://127.0.0.1:8080": true, "http://127.9.9.9": true, "http://[::1]:8080": true, "http://localhost:8080": true,
		"http://localhost/auth": true, "https://localhost": true,
		"https://auth.example.com": false, "https://localhost.example.com": false, "https://example.com/localhost": false,
		"https://127.0.0.1.example.com": false, "https://127.0.0.1@example.com": false, "http://192.168.0.1": false,
		"http://0.0.0.0:8080": false, "http://[::]:8080": false, "": false, "http://%": false,
	} {
		config := Config{Brand: sesame, PublicURL: publicURL}
		site, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		pages := site.Pages()
		_, page := pages["/try"]
		_, script := pages["/"+site.Asset("try.js")]
		home, err := get(t, config, "/", "http://h/")
		if err != nil {
			t.Fatal(err)
		}
		if link := strings.Contains(home.Body.String(), `<a href="try">`); page != want || script != want || link != want {
			t.Errorf("%q: page %v, script %v, link %v, want %v", publicURL, page, script, link, want)
		}
	}
}

// Afterwards, users can continue to the application.
func TestAppURL(t *testing.T) {
	for _, path := range []string{"/reset-password", "/verify-email", "/confirm-email-change"} {
		for appURL, want := range map[string]string{
			"":                         "You can close this page.",
			"https://app.example.com/": `<a class="main" href="https://app.example.com/">Continue to Sesame</a>`,
		} {
			page, err := get(t, Config{Brand: sesame, AppURL: appURL}, path, "http://h"+path)
			if err != nil {
				t.Fatal(err)
			}
			_, done, _ := strings.Cut(page.Body.String(), `<section id="done"`)
			if !strings.Contains(done, want) || strings.Contains(page.Body.String(), "Continue to") != (appURL != "") {
				t.Errorf("%s, %q:\n%s", path, appURL, page.Body)
			}
		}
	}
}

// Browsers ask for /favicon.ico if they show something that is not a page, such as the OpenAPI
// document.
func TestFavicon(t *testing.T) {
	icon, err := get(t, Config{Brand: brand.Brand{Name: "Acme", Color: "#7a1f5c"}}, "/favicon.ico", "http://h/favicon.ico")
	if err != nil {
		t.Fatal(err)
	}
	header := icon.Header()
	if header.Get("Content-Type") != "image/svg+xml" || header.Get("Cache-Control") != "public, max-age=86400" ||
		!strings.Contains(icon.Body.String(), `fill="#7a1f5c"`) {
		t.Errorf("%v\n%s", header, icon.Body)
	}
}

// The documentation links to the page of every problem, and its form to log in is not sent by the
// browser.
func TestDocs(t *testing.T) {
	config := Config{Brand: sesame, Problems: []Problem{{Code: "not_found"}, {Code: "weak_password"}}}
	page, err := get(t, config, "/docs", "http://h/docs")
	if err != nil {
		t.Fatal(err)
	}
	body := page.Body.String()
	for _, want := range []string{
		`href="problems/not_found"`, `href="problems/weak_password"`, `<form method="post" novalidate>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	policy := page.Header().Get("Content-Security-Policy")
	for _, want := range []string{"script-src 'self';", "style-src 'self';", "form-action 'none';"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in the policy %s", want, policy)
		}
	}
}

// An error page finds its assets and the start page from every path.
func TestError(t *testing.T) {
	site, err := New(Config{Brand: sesame})
	if err != nil {
		t.Fatal(err)
	}
	for path, root := range map[string]string{
		"/nothing": "", "/a/": "../", "/a/b": "../", "/a%2Fb": "", "/a//b/c": "../../../", "": "", "*": "",
	} {
		response := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "http://h", nil)
		if path == "*" {
			request.URL.Path = path
		} else {
			request = httptest.NewRequest(http.MethodGet, "http://h"+path, nil)
		}
		if err := site.Error(response, request, http.StatusNotFound, "Page not found", "<b>Check</b> the URL."); err != nil {
			t.Fatal(err)
		}
		body, home := response.Body.String(), root
		if home == "" {
			home = "./"
		}
		for _, want := range []string{
			`href="` + root + site.Asset("page.css") + `"`, `<a href="` + home + `">`,
			"<h1>Page not found</h1>", "<p>&lt;b&gt;Check&lt;/b&gt; the URL.</p>",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %s in\n%s", path, want, body)
			}
		}
		if response.Code != http.StatusNotFound || response.Header().Get("Content-Security-Policy") != strictPolicy {
			t.Errorf("%s: %d %v", path, response.Code, response.Header())
		}
	}
}

// If a template fails, nothing is written.
func TestRenderFails(t *testing.T) {
	broken := &Site{config: Config{Brand: sesame}}
	response := httptest.NewRecorder()
	if err := broken.render(response, strictPolicy, "", "problem.html", struct{}{}); err == nil {
		t.Error("a page without its data was rendered")
	}
	if written, err := io.ReadAll(response.Body); err != nil || len(written) > 0 || len(response.Header()) > 0 {
		t.Errorf("%q, %v", written, response.Header())
	}
}

// The page for a new password says how many characters are required.
func TestResetPageNamesTheLength(t *testing.T) {
	for minLength, want := range map[int]string{0: "8", 8: "8", 15: "15", 64: "64"} {
		config := Config{Passwords: password.Policy{MinLength: minLength}}
		page, err := get(t, config, "/reset-password", "http://h/reset-password")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"Use " + want + " to 128 characters", ` minlength="` + want + `"`} {
			if !strings.Contains(page.Body.String(), text) {
				t.Errorf("%d: the page does not contain %s", minLength, text)
			}
		}
	}
}
