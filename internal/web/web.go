// Package web contains the pages for people: the start page, the pages that emailed links open, the
// API documentation, a page for each type of problem and, during development, the emails and a page
// to try everything. The pages load nothing from other servers, run no inline scripts, and use the
// API like any client.
//
// A page consists of its HTML and of assets whose names contain a digest of their content, so that
// browsers can cache them forever. Links between pages are relative: they work under every host
// name and path that leads to the server.
package web

import (
	"embed"
	"errors"
	"html/template"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/password"
)

//go:embed pages assets
var files embed.FS

// templates returns the templates of the pages. They are parsed for the first page, not at start.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(files, "pages/*.html"))
})

// ErrNotFound is returned if there is no such page.
var ErrNotFound = errors.New("no such page")

// The content security policies of the pages. Inline scripts are never allowed, so text that was
// not escaped would still not run. Only scripts submit forms.
const (
	strictPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// Swagger UI's style sheet contains its images.
	docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// Config configures the pages.
type Config struct {
	Brand     brand.Brand
	PublicURL string    // where clients reach the API; on this machine: the pages include /try
	LinkURL   string    // where the pages for emailed links are
	AppURL    string    // where users continue afterwards; empty: the pages have no such link
	Problems  []Problem // every type
	Passwords password.Policy
}

// Problem describes a type of problem.
type Problem struct {
	Code, Title, Detail, Causes, Remedy string
	Statuses                            []int
}

// Page handles GET and HEAD requests. It returns ErrNotFound, or an error of the server, before it
// has written anything.
type Page func(http.ResponseWriter, *http.Request) error

// Site is all the pages.
type Site struct {
	config Config
	assets map[string]asset // by name
}

// New returns a Site.
func New(config Config) (*Site, error) {
	assets, err := loadAssets(config.Brand.Color)
	return &Site{config: config, assets: assets}, err
}

// tryScript is the script of /try.
const tryScript = "try.js"

// HasTry reports whether the page /try exists. It is for developers, so it exists only while the
// public URL is localhost or a loopback address.
func (s *Site) HasTry() bool {
	public, err := url.Parse(s.config.PublicURL)
	if err != nil {
		return false
	}
	return isLoopback(public.Hostname())
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Pages returns the pages by path. A segment that starts with a colon is a parameter for
// http.Request.PathValue.
func (s *Site) Pages() map[string]Page {
	pages := map[string]Page{
		"/":                     s.page("home.html"),
		"/favicon.ico":          s.favicon,
		"/reset-password":       s.page("reset-password.html"),
		"/verify-email":         s.page("verify-email.html"),
		"/confirm-email-change": s.page("confirm-email-change.html"),
		"/undo-email-change":    s.page("undo-email-change.html"),
		"/.well-known/change-password": func(w http.ResponseWriter, r *http.Request) error {
			http.Redirect(w, r, s.config.LinkURL+"/reset-password", http.StatusSeeOther)
			return nil
		},
		"/docs":           s.docs,
		"/problems":       s.page("problems.html"),
		"/problems/:code": s.problem,
	}
	if s.HasTry() {
		pages["/try"] = s.page("try.html")
	}
	for name, asset := range s.assets {
		if name != tryScript || s.HasTry() {
			pages["/"+asset.path] = asset.serve
		}
	}
	return pages
}

// Error writes the page of an error, with a status of 400 or higher.
func (s *Site) Error(w http.ResponseWriter, r *http.Request, status int, title, detail string) error {
	root := strings.Repeat("../", max(0, strings.Count(r.URL.EscapedPath(), "/")-1)) // GET * has no slash
	page, err := s.execute(root, "error.html", Problem{Title: title, Detail: detail})
	if err != nil {
		return err
	}
	write(w, status, strictPolicy, page)
	return nil
}

// view is what a template sees.
type view struct {
	*Site
	Root string // the relative path from the page to the root, such as ../
	Data any
}

// Brand returns the name of the service.
func (s *Site) Brand() string { return s.config.Brand.Name }

// AppURL returns the URL where users continue, or "".
func (s *Site) AppURL() string { return s.config.AppURL }

// MinPasswordLength returns how many characters a new password must have.
func (s *Site) MinPasswordLength() int { return s.config.Passwords.Required() }

// Problems returns the types of problems.
func (s *Site) Problems() []Problem { return s.config.Problems }

// Asset returns the path of an asset, relative to the root.
func (s *Site) Asset(name string) string { return s.assets[name].path }

// page returns a page of the root folder, without parameters.
func (s *Site) page(name string) Page {
	return func(w http.ResponseWriter, _ *http.Request) error { return s.render(w, strictPolicy, "", name, nil) }
}

func (s *Site) docs(w http.ResponseWriter, _ *http.Request) error {
	return s.render(w, docsPolicy, "", "docs.html", nil)
}

// problem is the page that the type of a problem document points to.
func (s *Site) problem(w http.ResponseWriter, r *http.Request) error {
	i := slices.IndexFunc(s.config.Problems, func(p Problem) bool { return p.Code == r.PathValue("code") })
	if i < 0 {
		return ErrNotFound
	}
	return s.render(w, strictPolicy, "../", "problem.html", s.config.Problems[i])
}

// render writes a page, or nothing if it returns an error.
func (s *Site) render(w http.ResponseWriter, policy, root, name string, data any) error {
	page, err := s.execute(root, name, data)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, policy, page)
	return nil
}

// execute executes a template.
func (s *Site) execute(root, name string, data any) (string, error) {
	var page strings.Builder
	err := templates().ExecuteTemplate(&page, name, view{Site: s, Root: root, Data: data})
	return page.String(), err
}

func write(w http.ResponseWriter, status int, policy, page string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, page) //nolint:gosec // best effort; html/template has escaped the page
}
