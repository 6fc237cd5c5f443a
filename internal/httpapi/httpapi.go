// Package httpapi is the edge: it satisfies the interface generated from the contract, holds every request
// against the contract before an operation sees it, and turns the domain's errors into problem documents
// (RFC 9457). Status codes, headers and wire types live here and nowhere else.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/token"
	"github.com/sesame-auth/sesame/internal/web"
)

const (
	// maxBody is the largest body that is read, in bytes.
	maxBody = 16 << 10
	// operationTimeout bounds the work on one request, the wait for the database included.
	operationTimeout = 10 * time.Second
)

// Edge is the API over HTTP.
type Edge struct {
	problems  problems
	validator *validator
	metrics   *Metrics
	log       *slog.Logger
	secure    bool // the public URL is https
	proxies   Proxies
	warned    sync.Once // of a proxy that is not trusted
}

// Settings are where the edge stands.
type Settings struct {
	PublicURL      string // where clients reach it, without a trailing slash
	TrustedProxies Proxies
	CORSOrigins    Origins
	Brand          web.Brand
	ResetURL       string // the page where people reset their password
	Mailbox        string // the folder of the mails that /dev/mail shows to whoever asks; empty: there is no /dev/mail
}

// New is the handler of the whole API and of the pages beside it.
func New(authority *auth.Authority, keys *token.Keyring, metrics *Metrics, settings Settings, log *slog.Logger) (http.Handler, error) {
	validator, err := newValidator(authority)
	if err != nil {
		return nil, err
	}
	edge := &Edge{
		problems: problems{publicURL: settings.PublicURL}, validator: validator, metrics: metrics, log: log,
		secure: isHTTPS(settings.PublicURL), proxies: settings.TrustedProxies,
	}
	router := echo.New()
	router.HTTPErrorHandler = edge.answerError
	router.IPExtractor = echo.ExtractIPDirect() // Echo would believe X-Forwarded-For
	router.Pre(edge.receive)
	if len(settings.CORSOrigins) > 0 {
		router.Use(settings.CORSOrigins.allow(validator.isOperation))
	}
	router.Use(validator.middleware)

	api.RegisterHandlers(router, api.NewStrictHandler(&Server{authority: authority, keys: keys, publicURL: settings.PublicURL}, nil))
	if err := mountPages(router, settings); err != nil {
		return nil, err
	}
	return router, nil
}

// NewServer is the http.Server for a handler of this package, with every time-out set.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      operationTimeout + 20*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// client is who sent the request.
func (e *Edge) client(r *http.Request, id string) auth.Client {
	return auth.Client{RequestID: id, Address: e.proxies.clientOf(r.RemoteAddr, r.Header), UserAgent: storable(r.UserAgent())}
}

type requestKey struct{}

// requestState is what the middlewares know of a request and an operation needs.
type requestState struct {
	client auth.Client
	bearer *auth.User // set by the security scheme of the contract
}

func stateOf(ctx context.Context) *requestState {
	state, _ := ctx.Value(requestKey{}).(*requestState)
	return state
}
