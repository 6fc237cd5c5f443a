package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/rarelog"
	"github.com/sesame-auth/sesame/internal/web"
)

// The security headers of a response. An API response may load and embed nothing; the pages set
// policies of their own.
const (
	contentSecurityPolicy   = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	strictTransportSecurity = "max-age=63072000; includeSubDomains"
)

// commonHeaders returns the headers of every response, except for the id of the request.
func commonHeaders(publicURL string) http.Header {
	header := make(http.Header)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	// Browsers would use it for every server on localhost, whatever its port.
	if public, err := url.Parse(publicURL); err == nil && public.Scheme == "https" && public.Hostname() != "localhost" {
		header.Set("Strict-Transport-Security", strictTransportSecurity)
	}
	return header
}

// maxUserAgent is how many bytes of a User-Agent are kept.
const maxUserAgent = 256

// middleware handles what all requests have in common.
type middleware struct {
	problems  problems
	validator *validator
	site      *web.Site
	metrics   *Metrics
	seen      *Sightings
	log       *slog.Logger
	headers   http.Header // of every response; all share the values
	proxies   Proxies
	tracer    trace.Tracer   // nil: there are no traces
	warned    sync.Map       // by reason why the IP address of a client is unknown
	busy      *rarelog.Event // a password could not be hashed in time
}

// handle is the outermost middleware. It gives the request an id, sets the headers that every
// response has, limits the body and the time, recovers from panics, and counts and logs the
// request. It never logs the query, which may contain a reset token.
func (m *middleware) handle(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		m.metrics.inFlight.Inc()
		defer m.metrics.inFlight.Dec()
		r, header := c.Request(), c.Response().Header()
		client := m.client(r, uuid.Must(uuid.NewV7()).String())
		state := &requestState{client: client, span: trace.SpanFromContext(r.Context())}
		header.Set("X-Request-Id", state.client.RequestID)
		maps.Copy(header, m.headers)
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), requestKey{}, state), operationTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		// Before anything can read the body: Echo's BodyLimit can be bypassed.
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBody)
		c.SetRequest(r)

		if err := m.recover(next, c); err != nil {
			c.Error(err)
		}
		state.endSpan(c.Response().Status)
		took := time.Since(started)
		m.metrics.observe(m.validator.operationID(r.Method, c.Path()), c.Response().Status, took)
		m.log.LogAttrs(ctx, slog.LevelInfo, "request",
			state.logged(),
			slog.String("method", r.Method),
			slog.String("route", c.Path()),
			slog.Int("status", c.Response().Status),
			slog.Duration("took", took),
			slog.String("ip", state.client.IP))
		return nil
	}
}

// client returns where the request came from.
func (m *middleware) client(r *http.Request, id string) auth.Client {
	ip, unknown := m.proxies.clientIP(peerOf(r), r.Header)
	m.warnUnknownIP(r, unknown)
	m.seen.see(r, m.proxies, ip, unknown)
	return auth.Client{RequestID: id, IP: ip, UserAgent: storable(r.UserAgent())}
}

// recover turns a panic into an error. It omits the panic's value, which may contain user input.
func (m *middleware) recover(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		switch cause := recover(); cause {
		case nil:
		case http.ErrAbortHandler:
			panic(cause)
		default:
			m.metrics.panics.Inc()
			err = fmt.Errorf("panic (%T): %s", cause, debug.Stack())
		}
	}()
	return next(c)
}

// storable returns the text of a header in a form that both databases can store: valid UTF-8
// without NUL, and not too long.
func storable(text string) string {
	if len(text) > maxUserAgent {
		text = text[:maxUserAgent]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}
