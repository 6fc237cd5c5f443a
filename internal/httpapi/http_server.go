package httpapi

import (
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// NewServer returns an http.Server for a handler of this package, with every limit set. Its errors
// are logged as warnings.
func NewServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      operationTimeout + 20*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(&errorLog{log: logger, now: time.Now}, "", 0),
		// net/http would respond to OPTIONS * without the headers that every response has.
		DisableGeneralOptionsHandler: true,
	}
}

// maxErrors is how many errors of an http.Server are logged in a minute.
const maxErrors = 10

// errorLog logs the errors of an http.Server. Clients can cause some of them, so it leaves out
// those after the first maxErrors of a minute, and says later how many they were.
type errorLog struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	since  time.Time // when the minute began
	logged int       // in this minute
	left   int       // out, since the last line
}

// Write logs one error.
func (l *errorLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.since) >= time.Minute || now.Before(l.since) {
		l.since, l.logged = now, 0
	}
	if l.logged == maxErrors {
		l.left++
		return len(line), nil
	}
	l.log.Warn("http server", "err", strings.TrimSpace(string(line)), "leftOut", l.left)
	l.logged, l.left = l.logged+1, 0
	return len(line), nil
}
