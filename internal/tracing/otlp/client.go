package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// firstRetry is the wait before the second attempt. It doubles with each attempt.
	firstRetry = time.Second
	// maxResponse is how much of a response is read, in bytes.
	maxResponse = 64 << 10
)

// client is an exporter that sends spans to an OTLP receiver.
type client struct {
	config Config
	http   *http.Client
	ctx    context.Context // ends all requests
}

func newClient(ctx context.Context, config Config) *client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config.tls, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
	}
	return &client{config: config, ctx: ctx, http: &http.Client{
		Transport: transport, Timeout: config.timeout,
		// A redirect could send the headers, which are secret, to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Shutdown closes the connections.
func (c *client) Shutdown(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// ExportSpans sends spans. It tries again as long as ctx allows, if the receiver does not respond or
// says that it may accept them later.
func (c *client) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)() //nolint:contextcheck // the end of the server ends it, too
	body := encode(spans)
	if c.config.gzip {
		var err error
		if body, err = compressed(body); err != nil {
			return err
		}
	}
	var before error // of the attempt before
	for wait := firstRetry; ; wait *= 2 {
		pause, err := c.send(ctx, body)
		if err == nil || pause == never {
			return err
		}
		if before != nil && ctx.Err() != nil {
			return before // this attempt was cut short
		}
		before = err
		pause = max(pause, wait/2+rand.N(wait/2)) //nolint:gosec // not a secret
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// never is the pause after an error that would happen again.
const never = time.Duration(-1)

// send sends one request. If it returns an error, it also returns how long the receiver wants not to
// be asked again, or never.
func (c *client) send(ctx context.Context, body []byte) (pause time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.Endpoint, bytes.NewReader(body))
	if err != nil {
		return never, err
	}
	request.Header = c.config.headers.Clone()
	if request.Header == nil {
		request.Header = make(http.Header)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", "Sesame-OTLP-Exporter")
	if c.config.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	switch response.StatusCode {
	case http.StatusOK:
		if err != nil {
			return never, err // the receiver has the spans
		}
		return never, rejected(content)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16) // 0: not a number
		return time.Duration(seconds) * time.Second, statusError(response.StatusCode)
	default:
		return never, statusError(response.StatusCode)
	}
}

type statusError int

func (s statusError) Error() string {
	return fmt.Sprintf("the receiver responds with status %d %s", int(s), http.StatusText(int(s)))
}

// rejected returns an error if the receiver has rejected some of the spans. The response is an
// ExportTraceServiceResponse: its field 1 is partial_success, which has the fields rejected_spans (1)
// and error_message (2).
func rejected(response []byte) error {
	_, partial := field(response, 1)
	count, _ := field(partial, 1)
	if _, reason := field(partial, 2); count > 0 {
		return fmt.Errorf("the receiver has rejected %d spans: %.200q", count, reason)
	}
	return nil
}

// field returns a field of a protobuf message, which is a number or bytes.
func field(message []byte, wanted protowire.Number) (number uint64, content []byte) {
	for len(message) > 0 {
		name, form, size := protowire.ConsumeTag(message)
		if size < 0 {
			break
		}
		message = message[size:]
		if size = protowire.ConsumeFieldValue(name, form, message); size < 0 {
			break
		}
		switch {
		case name == wanted && form == protowire.VarintType:
			number, _ = protowire.ConsumeVarint(message)
		case name == wanted && form == protowire.BytesType:
			content, _ = protowire.ConsumeBytes(message)
		}
		message = message[size:]
	}
	return number, content
}

func compressed(body []byte) ([]byte, error) {
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, err := writer.Write(body)
	err = errors.Join(err, writer.Close())
	return buffer.Bytes(), err
}
