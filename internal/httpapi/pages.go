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

// mountPages serves what is not an operation of the contract: the contract itself, and pages for people.
func mountPages(router *echo.Echo, settings Settings) error {
	router.GET("/openapi.yaml", contractIn("application/yaml", sesame.OpenAPI))
	router.GET("/openapi.json", contractIn("application/json", sesame.OpenAPIJSON))
	pages, err := web.Pages(web.Settings{
		Brand: settings.Brand, PublicURL: settings.PublicURL, ResetURL: settings.ResetURL,
		Problems: problemPages(), Mailbox: settings.Mailbox,
	})
	if err != nil {
		return err
	}
	for path, page := range pages {
		router.GET(path, func(c echo.Context) error {
			r := c.Request()
			for _, name := range c.ParamNames() {
				r.SetPathValue(name, c.Param(name))
			}
			return page(c.Response(), r)
		})
	}
	for _, route := range router.Routes() { // RFC 9110, section 9.1: what has GET has HEAD
		if route.Method == http.MethodGet {
			router.HEAD(route.Path, func(c echo.Context) error { return headOf(router, c) })
		}
	}
	return nil
}

// contractIn serves the contract to pages of every origin: it is public, and tools that show it stand elsewhere. It
// may be kept, and is asked for again each time by its ETag (RFC 9110, section 13.1.2).
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

// headOf runs the GET handler; net/http leaves the body out.
func headOf(router *echo.Echo, c echo.Context) error {
	router.Router().Find(http.MethodGet, c.Request().URL.Path, c)
	return c.Handler()(c)
}
