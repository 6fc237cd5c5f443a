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

// answerTimeout is when a request has failed.
const answerTimeout = 30 * time.Second

// connection is one that is kept alive. It is much cheaper than http.Client, so that the measurement is of
// the server; in exchange it knows no answer that is chunked or that ends with the connection.
type connection struct {
	conn    net.Conn
	answers *bufio.Reader
	body    []byte
}

// dial connects until the end of the benchmark.
func dial(t testing.TB, address string) *connection {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &connection{conn: conn, answers: bufio.NewReader(conn)}
}

// post is a whole request. Each of its header lines ends with CRLF.
func post(path, header, body string) []byte {
	if body != "" {
		header += "Content-Type: application/json\r\n"
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s", path, header, len(body), body)
}

// ask sends a request and returns the body of the answer, which is valid until the next. An answer of
// another status than the one wanted is an error.
func (c *connection) ask(request []byte, want int) ([]byte, error) {
	status, err := c.exchange(request)
	if err == nil && status != want {
		err = fmt.Errorf("the answer is a %d, not a %d: %s", status, want, c.body)
	}
	return c.body, err
}

// exchange sends a request and reads the answer, whatever its status is.
func (c *connection) exchange(request []byte) (status int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	status, length, err := c.readHeader()
	if err != nil {
		return 0, err
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	_, err = io.ReadFull(c.answers, c.body)
	return status, err
}

// readHeader reads of an answer all but the body.
func (c *connection) readHeader() (status, length int, err error) {
	line, err := c.answers.ReadSlice('\n') // HTTP/1.1 200 OK
	if err != nil {
		return 0, 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, 0, fmt.Errorf("the answer is not HTTP: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, fmt.Errorf("the answer is not HTTP: %q", line)
	}
	length = -1
	for {
		if line, err = c.answers.ReadSlice('\n'); err != nil {
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
	if length < 0 {
		return 0, 0, fmt.Errorf("the answer, a %d, has no Content-Length", status)
	}
	return status, length, nil
}
