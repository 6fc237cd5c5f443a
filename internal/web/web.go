// Package web holds the pages that people see: the one behind the mailed reset link, the contract to read and to try,
// a page for each kind of problem, and, while developing, the mails. They load nothing from elsewhere, run no inline
// script, and talk to the API like any client.
//
// What a page needs is in its first answer and in assets named by their content, so that these can be kept for ever.
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

// ErrNotFound says that nothing is where a page was asked for.
var ErrNotFound = errors.New("no such page")

// The policies of the pages. Inline scripts are not allowed anywhere, so a text that slipped through escaping would
// still not run. Forms are sent by scripts only.
const (
	strictPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// Swagger UI's style sheet has its pictures in itself.
	docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// Config are what the pages know of the installation.
type Config struct {
	Brand     brand.Brand
	PublicURL string    // without a trailing slash
	ResetURL  string    // the page where people reset their password
	Problems  []Problem // every kind there is
	Mailbox   string    // the folder whose mails /dev/mail shows to whoever asks; empty: there is no /dev/mail
}

// Problem is what the page about a kind of problem tells.
type Problem struct {
	Code, Title, Detail, Why, Fix string
	Statuses                      []int
}

// Page answers GET and HEAD. Errors, before anything is written: ErrNotFound, and faults of the server.
type Page func(http.ResponseWriter, *http.Request) error

// Pages are the pages by their path. A segment that begins with a colon is a parameter, for http.Request.PathValue.
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
		pages["/dev/mail/:id"] = box.local(box.letter)
		pages["/dev/mail/:id/html"] = box.local(box.html)
	}
	return pages, nil
}

// site is what all pages share.
type site struct {
	config Config
	assets map[string]asset // by name
}

// view is what a template sees.
type view struct {
	*site
	Root string // from the page to the root of the public URL, such as ../
	Data any
}

// Brand is the service's name.
func (s *site) Brand() string { return s.config.Brand.Name }

// Problems are the kinds of problems.
func (s *site) Problems() []Problem { return s.config.Problems }

// Asset is the path of an asset, from the root.
func (s *site) Asset(name string) string { return s.assets[name].path }

// page is a page that is the same for everybody.
func (s *site) page(root, name string) Page {
	return func(w http.ResponseWriter, _ *http.Request) error { return s.render(w, strictPolicy, root, name, nil) }
}

func (s *site) docs(w http.ResponseWriter, _ *http.Request) error {
	return s.render(w, docsPolicy, "", "docs.html", nil)
}

// problem is what the type of a problem points to.
func (s *site) problem(w http.ResponseWriter, r *http.Request) error {
	i := slices.IndexFunc(s.config.Problems, func(p Problem) bool { return p.Code == r.PathValue("code") })
	if i < 0 {
		return ErrNotFound
	}
	return s.render(w, strictPolicy, "../", "problem.html", s.config.Problems[i])
}

// render writes a page, or nothing if it fails.
func (s *site) render(w http.ResponseWriter, policy, root, name string, data any) error {
	var page strings.Builder
	if err := templates.ExecuteTemplate(&page, name, view{site: s, Root: root, Data: data}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	_, _ = w.Write([]byte(page.String())) // a browser that hung up needs no page
	return nil
}
