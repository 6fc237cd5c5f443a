// Package httpapi is the HTTP layer. It implements the interface generated from the OpenAPI
// document, validates every request against the document before an operation sees it, and turns
// errors into problem documents (RFC 9457). Status codes, headers and wire types are in this
// package only.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/rarelog"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/web"
)

const (
	// maxBody is the maximum size of a request body, in bytes.
	maxBody = 16 << 10
	// operationTimeout bounds the work on one request, including the wait for the database.
	operationTimeout = 10 * time.Second
)

// Config configures the API.
type Config struct {
	Auth    *auth.Service
	Keys    *signing.Keyring
	Metrics *Metrics
	Seen    *Sightings
	Log     *slog.Logger
	Tracer  trace.Tracer // of the spans of requests; nil: there are none

	PublicURL      string // where clients reach the API, without a trailing slash
	LinkURL        string // where the pages for emailed links are
	AppURL         string // where users continue after a reset; empty: no link
	Brand          brand.Brand
	TrustedProxies Proxies
	CORSOrigins    Origins
	Passwords      password.Policy
}

// New returns the handler of the API and of the pages next to it. It returns an error if the routes
// and the OpenAPI document do not match.
func New(config Config) (http.Handler, error) {
	document, err := loadDocument()
	if err != nil {
		return nil, err
	}
	if err := requireLength(document, config.Passwords); err != nil {
		return nil, err
	}
	site, err := web.New(web.Config{
		Brand: config.Brand, PublicURL: config.PublicURL, LinkURL: config.LinkURL, AppURL: config.AppURL,
		Problems: problemPages(), Passwords: config.Passwords,
	})
	if err != nil {
		return nil, err
	}
	validator := newValidator(document, bearerAuth{config.Auth}.authenticate)
	m := &middleware{
		problems:  problems{publicURL: config.PublicURL},
		validator: validator,
		site:      site,
		metrics:   config.Metrics,
		seen:      config.Seen,
		log:       config.Log,
		headers:   commonHeaders(config.PublicURL),
		proxies:   config.TrustedProxies,
		tracer:    config.Tracer,
		busy: rarelog.New(func(count int) {
			config.Log.Warn("requests returned 503, because their passwords could not be hashed in time", "count", count)
		}),
	}
	router := echo.New()
	router.HTTPErrorHandler = m.writeError
	router.IPExtractor = echo.ExtractIPDirect() // Echo's default trusts X-Forwarded-For
	router.Pre(m.handle)
	if config.Tracer != nil {
		router.Use(m.trace)
	}
	if len(config.CORSOrigins) > 0 {
		router.Use(config.CORSOrigins.allow(validator.isOperation))
	}
	router.Use(validator.validate)

	server := &Server{auth: config.Auth, keys: config.Keys, publicURL: config.PublicURL}
	api.RegisterHandlers(router, api.NewStrictHandler(server, nil))
	pages := mountPages(router, site)
	return router, validator.checkRoutes(router.Routes(), pages)
}

type requestKey struct{}

// requestState is what the middleware passes to an operation.
type requestState struct {
	client auth.Client
	access *auth.Access // of the access token, if the operation requires one
	span   trace.Span   // does nothing if there is none
}

func stateOf(ctx context.Context) *requestState {
	state, _ := ctx.Value(requestKey{}).(*requestState)
	return state
}
