package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	sesame "github.com/sesame-auth/sesame"
	"github.com/sesame-auth/sesame/internal/web"
)

// mountPages registers what is not an operation: the OpenAPI document and pages for people. It returns their
// routes.
func mountPages(router *echo.Echo, config Config) (map[route]bool, error) {
	pages, err := web.Pages(web.Config{
		Brand: config.Brand, PublicURL: config.PublicURL, ResetURL: config.ResetURL, AppURL: config.AppURL,
		Problems: problemPages(), Mailbox: config.Mailbox,
	})
	if err != nil {
		return nil, err
	}
	handlers := map[string]echo.HandlerFunc{
		"/openapi.yaml": contractIn("application/yaml", sesame.OpenAPI),
		"/openapi.json": contractIn("application/json", sesame.OpenAPIJSON),
	}
	for path, page := range pages {
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
	return mounted, nil
}

// contractIn serves the OpenAPI document. Pages of every origin may read it, for tools that show it. Browsers may cache
// it, but must revalidate it by its ETag (RFC 9110, section 13.1.2).
func contractIn(mediaType string, content []byte) echo.HandlerFunc {
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
