package httpapi

import (
	"bytes"
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
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          100,      // clients expect this many: RFC 9113, section 6.5.2
			MaxReadFrameSize:              16 << 10, // this and the next two bound the memory of a connection
			MaxReceiveBufferPerConnection: 64 << 10,
			MaxReceiveBufferPerStream:     2 * maxBody,
			WriteByteTimeout:              15 * time.Second, // WriteTimeout does not close a connection
		},
		ErrorLog: log.New(&errorLog{log: logger, now: time.Now}, "", 0),
		// net/http would respond to OPTIONS * without the headers that every response has.
		DisableGeneralOptionsHandler: true,
	}
}

// maxErrors is how many errors of an http.Server are logged in a minute.
const maxErrors = 10

// errorLog logs the errors of an http.Server. Clients can cause some of them, so it leaves out
// those after the first maxErrors of a minute, and says later how many they were. A failed TLS
// handshake is not a warning: the internet is full of programs that try every port.
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
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		l.log.Debug("http server", "err", strings.TrimSpace(string(line)))
		return len(line), nil
	}
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
