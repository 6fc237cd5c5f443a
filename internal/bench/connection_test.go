package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"
)

// responseTimeout is how long to wait for a response.
const responseTimeout = 30 * time.Second

// connection is an HTTP connection that is kept alive. It uses much less processor time than
// http.Client, which would distort the measurement. It only supports responses with a
// Content-Length.
type connection struct {
	conn      net.Conn
	responses *bufio.Reader
	body      []byte
}

// dial connects until the end of the benchmark.
func dial(t testing.TB, address string) *connection {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &connection{conn: conn, responses: bufio.NewReader(conn)}
}

// request returns a POST request. Each line of header ends in CRLF.
func request(path, header, body string) []byte {
	if body != "" {
		header += "Content-Type: application/json\r\n"
	}
	header += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s", path, header, body)
}

// send sends a request and returns the body of the response, which is valid until the next call. It
// returns an error if the response does not have the status want.
func (c *connection) send(request []byte, want int) ([]byte, error) {
	status, err := c.exchange(request)
	if err == nil && status != want {
		err = fmt.Errorf("status %d, want %d: %s", status, want, c.body)
	}
	return c.body, err
}

// exchange sends a request and reads the response into c.body.
func (c *connection) exchange(request []byte) (status int, err error) {
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
	case length < 0:
		return 0, fmt.Errorf("the response, a %d, has no Content-Length", status)
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	_, err = io.ReadFull(c.responses, c.body)
	return status, err
}

// readHeader reads a response up to the body. The length is negative if the response does not have
// one.
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
	length = -1
	for {
		if line, err = c.responses.ReadSlice('\n'); err != nil {
			return 0, 0, err
		}
		line = bytes.TrimSuffix(line, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, 0, err
			}
		}
	}
	return status, length, nil
}
