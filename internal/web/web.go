// Package web contains the pages for people: resetting a password, the API documentation, a page for each type of
// problem and, during development, the emails. The pages load nothing from other servers, run no inline scripts, and
// use the API like any client.
//
// A page consists of its HTML and of assets whose names contain a digest of their content, so that browsers can cache
// them forever.
package web

import (
	"embed"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/sesame-auth/sesame/internal/brand"
)

//go:embed pages assets
var files embed.FS

var templates = template.Must(template.ParseFS(files, "pages/*.html"))

// ErrNotFound is returned if there is no such page.
var ErrNotFound = errors.New("no such page")

// The content security policies of the pages. Inline scripts are never allowed, so text that was not escaped would still
// not run. Only scripts submit forms.
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
	PublicURL string    // without a trailing slash
	ResetURL  string    // the page where people reset their password
	AppURL    string    // where users continue after a reset; empty: the page has no such link
	Problems  []Problem // every type
	Mailbox   string    // the folder of the emails that /dev/mail shows; empty: there is no such page
}

// Problem describes a type of problem.
type Problem struct {
	Code, Title, Detail, Causes, Remedy string
	Statuses                            []int
}

// Page handles GET and HEAD requests. It returns ErrNotFound, or an error of the server, before it has written anything.
type Page func(http.ResponseWriter, *http.Request) error

// Pages returns the pages by path. A segment that starts with a colon is a parameter for http.Request.PathValue.
func Pages(config Config) (map[string]Page, error) {
	loaded, err := loadAssets(config.Brand.Color)
	if err != nil {
		return nil, err
	}
	site := &site{config: config, assets: loaded}
	pages := map[string]Page{
		"/reset-password": site.page("", "reset-password.html"),
		"/.well-known/change-password": func(w http.ResponseWriter, r *http.Request) error {
			http.Redirect(w, r, config.ResetURL, http.StatusSeeOther)
			return nil
		},
		"/docs":           site.docs,
		"/problems":       site.page("", "problems.html"),
		"/problems/:code": site.problem,
	}
	for _, asset := range loaded {
		pages["/"+asset.path] = asset.serve
	}
	if config.Mailbox != "" {
		box := &mailbox{site: site, folder: config.Mailbox}
		pages["/dev/mail"] = box.local(box.list)
		pages["/dev/mail/:id"] = box.local(box.message)
		pages["/dev/mail/:id/html"] = box.local(box.html)
	}
	return pages, nil
}

// site is what all pages have in common.
type site struct {
	config Config
	assets map[string]asset // by name
}

// view is what a template sees.
type view struct {
	*site
	Root string // the relative path from the page to the root, such as ../
	Data any
}

// Brand returns the name of the service.
func (s *site) Brand() string { return s.config.Brand.Name }

// AppURL returns the URL where users continue, or "".
func (s *site) AppURL() string { return s.config.AppURL }

// Problems returns the types of problems.
func (s *site) Problems() []Problem { return s.config.Problems }

// Asset returns the path of an asset, relative to the root.
func (s *site) Asset(name string) string { return s.assets[name].path }

// page returns a page without parameters.
func (s *site) page(root, name string) Page {
	return func(w http.ResponseWriter, _ *http.Request) error { return s.render(w, strictPolicy, root, name, nil) }
}

func (s *site) docs(w http.ResponseWriter, _ *http.Request) error {
	return s.render(w, docsPolicy, "", "docs.html", nil)
}

// problem is the page that the type of a problem document points to.
func (s *site) problem(w http.ResponseWriter, r *http.Request) error {
	i := slices.IndexFunc(s.config.Problems, func(p Problem) bool { return p.Code == r.PathValue("code") })
	if i < 0 {
		return ErrNotFound
	}
	return s.render(w, strictPolicy, "../", "problem.html", s.config.Problems[i])
}

// render writes a page, or nothing if it returns an error.
func (s *site) render(w http.ResponseWriter, policy, root, name string, data any) error {
	var page strings.Builder
	if err := templates.ExecuteTemplate(&page, name, view{site: s, Root: root, Data: data}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	_, _ = w.Write([]byte(page.String())) // the browser may have disconnected
	return nil
}
