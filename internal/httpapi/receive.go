package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// The policies of what is answered. An API's answer may load and embed nothing; the pages widen this for
// themselves.
const (
	contentSecurityPolicy   = "default-src 'none'; frame-ancestors 'none'"
	strictTransportSecurity = "max-age=63072000; includeSubDomains"
	longestUserAgent        = 256 // bytes kept of it
)

// receive is the first to see a request and the last to see its answer: it names it, sets the headers every
// answer has, bounds its body and its time, catches panics, counts it, and logs it. The query is never logged: it may
// hold a reset token.
func (e *Edge) receive(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		e.metrics.inHand.Inc()
		defer e.metrics.inHand.Dec()
		r, header := c.Request(), c.Response().Header()
		state := &requestState{client: e.client(r, uuid.Must(uuid.NewV7()).String())}
		e.warnOfProxy(r)
		header.Set("X-Request-Id", state.client.RequestID)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("Referrer-Policy", "no-referrer")
		if e.secure {
			header.Set("Strict-Transport-Security", strictTransportSecurity)
		}
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), requestKey{}, state), operationTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		// Ahead of everything that could read: Echo's BodyLimit can be walked around.
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBody)
		c.SetRequest(r)

		if err := e.guarded(next, c); err != nil {
			c.Error(err)
		}
		took := time.Since(started)
		e.metrics.answered(e.validator.operationOf(r.Method, c.Path()), c.Response().Status, took)
		e.log.LogAttrs(ctx, slog.LevelInfo, "request",
			slog.String("id", state.client.RequestID),
			slog.String("method", r.Method),
			slog.String("route", c.Path()),
			slog.Int("status", c.Response().Status),
			slog.Duration("took", took),
			slog.String("client", state.client.Address))
		return nil
	}
}

// guarded turns a panic into an error. The panic's value is not told: it may hold what was submitted.
func (e *Edge) guarded(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		switch cause := recover(); cause {
		case nil:
		case http.ErrAbortHandler:
			panic(cause)
		default:
			e.metrics.panics.Inc()
			err = fmt.Errorf("panic (%T): %s", cause, debug.Stack())
		}
	}()
	return next(c)
}

// storable is a header's text as both databases take it: valid UTF-8 without NUL, and not endless.
func storable(text string) string {
	if len(text) > longestUserAgent {
		text = text[:longestUserAgent]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

func isHTTPS(url string) bool { return strings.HasPrefix(url, "https://") }
