// Package web holds the pages that people see: the form behind the mailed reset link, and a page for each
// kind of problem. They are plain HTML, load nothing from elsewhere, and talk to the API like any client.
package web

import (
	"embed"
	"html/template"
	"io/fs"
	"net/http"
)

//go:embed pages assets
var files embed.FS

var templates = template.Must(template.ParseFS(files, "pages/*.html"))

// policy lets a page run its own script and style and talk to its own server, and nothing else. Inline
// scripts are not allowed, so a text that slipped through escaping would still not run.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Paths are what Handler serves.
func Paths() []string {
	paths := []string{"/reset-password"}
	assets, err := fs.Glob(files, "assets/*")
	if err != nil {
		panic(err) // only for a pattern that is none
	}
	for _, asset := range assets {
		paths = append(paths, "/"+asset)
	}
	return paths
}

// Handler serves the pages and assets of Paths.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /reset-password", func(w http.ResponseWriter, _ *http.Request) {
		_ = render(w, "reset-password.html", nil) // a browser that hung up needs no page
	})
	mux.Handle("GET /assets/", http.FileServerFS(files))
	return mux
}

// ProblemPage is what a page about a kind of problem tells.
type ProblemPage struct {
	Code, Title, Detail, Fix string
	Status                   int
}

// Problem writes the page about a kind of problem.
func Problem(w http.ResponseWriter, page ProblemPage) error {
	return render(w, "problem.html", page)
}

func render(w http.ResponseWriter, name string, data any) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	return templates.ExecuteTemplate(w, name, data)
}
