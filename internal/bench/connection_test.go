package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"slices"
	"strconv"
	"testing"
	"time"
)

// responseTimeout is how long to wait for a response.
const responseTimeout = 30 * time.Second

// connection is an HTTP connection that is kept alive. It uses much less processor time than
// http.Client, which would distort the measurement.
type connection struct {
	address   string
	conn      net.Conn // nil: not connected yet
	responses *bufio.Reader
	body      []byte
}

// dial returns a connection that is open from its first request until the end of the benchmark:
// servers close a connection on which no request comes soon.
func dial(t testing.TB, address string) *connection {
	t.Helper()
	c := &connection{address: address}
	t.Cleanup(func() {
		if c.conn != nil {
			c.conn.Close()
		}
	})
	return c
}

func (c *connection) connect() (err error) {
	if c.conn, err = net.Dial("tcp", c.address); err == nil {
		c.responses = bufio.NewReader(c.conn)
	}
	return err
}

// request returns a POST request. Each line of header ends in CRLF.
func request(path, header, body string) []byte {
	return requestWith("POST", path, header, body)
}

// get returns a GET request.
func get(path, header string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, header)
}

// requestWith returns a request with a body and this method.
func requestWith(method, path, header, body string) []byte {
	if body != "" {
		header += "Content-Type: application/json\r\n"
	}
	header += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s", method, path, header, body)
}

// errUnavailable is the error of a response with the status 503.
var errUnavailable = errors.New("unavailable")

// send sends a request and returns the body of the response, which is valid until the next call. It
// returns an error if the response does not have the status want.
func (c *connection) send(request []byte, want int) ([]byte, error) {
	status, err := c.exchange(request)
	if err == nil && status != want {
		err = fmt.Errorf("status %d, want %d: %s", status, want, c.body)
		if status == 503 {
			err = fmt.Errorf("%w: %w", errUnavailable, err)
		}
	}
	return c.body, err
}

// sendHashed is like send, for a request that hashes a password. It repeats the request if the
// password could not be hashed in time, as on a busy machine.
func (c *connection) sendHashed(request []byte, want int) error {
	for {
		if _, err := c.send(request, want); !errors.Is(err, errUnavailable) {
			return err
		}
	}
}

// exchange sends a request and reads the response into c.body.
func (c *connection) exchange(request []byte) (status int, err error) {
	if c.conn == nil {
		if err := c.connect(); err != nil {
			return 0, err
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(responseTimeout)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	status, length, err := c.readHeader()
	if err != nil {
		return 0, err
	}
	switch {
	case bytes.HasPrefix(request, []byte("HEAD ")):
		length = 0 // the Content-Length, if there is one, is that of GET
	case status == 204:
		length = 0
	case length < 0:
		return status, c.readChunks()
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	_, err = io.ReadFull(c.responses, c.body)
	return status, err
}

// readChunks reads a chunked body without trailers.
func (c *connection) readChunks() (err error) {
	if c.body, err = io.ReadAll(httputil.NewChunkedReader(c.responses)); err != nil {
		return err
	}
	_, err = c.responses.Discard(len("\r\n")) // after the last chunk
	return err
}

// readHeader reads a response up to the body. The length is negative if it is chunked. A response
// whose body ends with the connection is an error.
func (c *connection) readHeader() (status, length int, err error) {
	line, err := c.responses.ReadSlice('\n') // HTTP/1.1 200 OK
	if err != nil {
		return 0, 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, 0, fmt.Errorf("the response is not HTTP: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, fmt.Errorf("the response is not HTTP: %q", line)
	}
	length = -2
	for {
		if line, err = c.responses.ReadSlice('\n'); err != nil {
			return 0, 0, err
		}
		line = bytes.TrimSuffix(line, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		if bytes.Equal(line, []byte("Transfer-Encoding: chunked")) {
			length = -1
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, 0, err
			}
		}
	}
	if length == -2 && status != 204 {
		err = fmt.Errorf("the response, a %d, has no Content-Length", status)
	}
	return status, length, err
}
