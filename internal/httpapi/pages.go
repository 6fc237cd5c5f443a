package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	sesame "github.com/sesame-auth/sesame"
	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/web"
)

// mountPages registers what is not an operation: the OpenAPI document and pages for people. It
// returns their routes.
func mountPages(router *echo.Echo, site *web.Site) map[route]bool {
	handlers := map[string]echo.HandlerFunc{
		"/openapi.yaml": openAPIHandler("application/yaml", sesame.OpenAPI),
		"/openapi.json": openAPIHandler("application/json", sesame.OpenAPIJSON),
	}
	for path, page := range site.Pages() {
		handlers[path] = func(c echo.Context) error {
			r := c.Request()
			for _, name := range c.ParamNames() {
				r.SetPathValue(name, c.Param(name))
			}
			return page(c.Response(), r)
		}
	}
	mounted := make(map[route]bool)
	for path, handler := range handlers {
		router.GET(path, handler)
		mounted[route{http.MethodGet, path}] = true
	}
	for _, r := range router.Routes() { // what supports GET supports HEAD (RFC 9110, section 9.1)
		if r.Method == http.MethodGet {
			router.HEAD(r.Path, func(c echo.Context) error { return headOf(router, c) })
			mounted[route{http.MethodHead, r.Path}] = true
		}
	}
	return mounted
}

// writeErrorPage writes an error as a page, if a browser asked for something that is not an
// operation, and reports whether it did.
func (m *middleware) writeErrorPage(c echo.Context, problem api.Problem) bool {
	r := c.Request()
	if r.Method != http.MethodGet && r.Method != http.MethodHead || m.validator.isOperation(r.Method, c.Path()) ||
		!strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	title, detail := problem.Title, problem.Detail
	if problem.Code == api.ProblemCodeNotFound {
		title, detail = "Page not found", "There is no page at this URL. Check the URL for typing errors."
	}
	if err := m.site.Error(c.Response(), r, int(problem.Status), title, detail); err != nil {
		m.log.Error("write error page", "err", err)
		return false
	}
	return true
}

// openAPIHandler returns a handler of the OpenAPI document. Pages of every origin may read it, for
// tools that show it. Browsers may cache it, but must revalidate it by its ETag (RFC 9110, section
// 13.1.2).
func openAPIHandler(mediaType string, content []byte) echo.HandlerFunc {
	digest := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(digest[:16]) + `"`
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("Access-Control-Allow-Origin", "*")
		header.Set("Cache-Control", "no-cache")
		header.Set("Content-Type", mediaType)
		header.Set("ETag", tag)
		http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(content))
		return nil
	}
}

// headOf calls the GET handler; net/http omits the body.
func headOf(router *echo.Echo, c echo.Context) error {
	router.Router().Find(http.MethodGet, c.Request().URL.Path, c)
	return c.Handler()(c)
}
