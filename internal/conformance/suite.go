package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	responseTimeout = 30 * time.Second // including the body
	maxWait         = time.Minute      // for a rate limit
	maxTries        = 3                // of a request that exceeds a rate limit
	maxResponse     = 1 << 20          // bytes
)

// suite is one run. Its first error is its last: after it, nothing is sent, every response is empty and every condition
// counts as fulfilled. So checks need no error handling.
type suite struct {
	ctx      context.Context
	target   Target
	contract *Contract
	client   *http.Client
	now      func() time.Time
	report   *Report

	check   string // the name of the running check
	last    call
	answer  *response // to last
	err     error
	account account // registered by checkRegister
}

// call is a request.
type call struct {
	method, path string // path may have a query
	media, body  string
	bearer       string // empty: no Authorization
}

// get returns a GET request.
func get(path string) call { return call{method: http.MethodGet, path: path} }

// post returns a POST request with a JSON object of alternating names and values.
func post(path string, members ...any) call {
	body := make(map[string]any)
	for i := 0; i+1 < len(members); i += 2 {
		body[fmt.Sprint(members[i])] = members[i+1]
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err) // all values are constants or strings
	}
	return call{method: http.MethodPost, path: path, media: mediaJSON, body: string(encoded)}
}

// where returns the path without the query, which may contain a token.
func (c call) where() string {
	path, _, _ := strings.Cut(c.path, "?")
	return path
}

const mediaJSON = "application/json"

// response is a response with its body.
type response struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// text returns a member of the body, or of an object in it.
func (a response) text(names ...string) string {
	var value any = a.body
	for _, name := range names {
		members, _ := value.(map[string]any)
		value = members[name]
	}
	text, _ := value.(string)
	return text
}

// places returns the sorted places of a problem's validation errors.
func (a response) places() []string {
	var places []string
	list, _ := a.body["errors"].([]any)
	for _, entry := range list {
		invalid, _ := entry.(map[string]any)
		place, is := invalid["pointer"].(string)
		if !is {
			place, _ = invalid["parameter"].(string)
		}
		places = append(places, place)
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// expect sends a request and requires a response with this status that matches the OpenAPI document. If a rate limit is
// exceeded, it waits and tries again.
func (s *suite) expect(status int, c call) response {
	a := s.send(c)
	for tries := 1; a.status == http.StatusTooManyRequests && status != a.status; tries++ {
		s.waitForLimit(a, tries)
		a = s.send(c)
	}
	s.require(a.status == status, "the status must be %d", status)
	return a
}

// waitForLimit waits as long as a 429 response says.
func (s *suite) waitForLimit(a response, tries int) {
	if s.err != nil {
		return
	}
	seconds, _ := strconv.Atoi(a.header.Get("Retry-After")) // send has checked it
	pause := time.Duration(seconds) * time.Second
	if pause > maxWait || tries == maxTries {
		s.err = &ThrottledError{Check: s.check, Wait: pause}
		return
	}
	s.err = wait(s.ctx, pause)
}

// refuse is expect for a problem with this code.
func (s *suite) refuse(status int, code string, c call) response {
	a := s.expect(status, c)
	s.require(a.text("code") == code, "the problem's code must be %s", code)
	return a
}

// require records a breach of the last response if a condition is not fulfilled.
func (s *suite) require(fulfilled bool, format string, args ...any) {
	if fulfilled || s.err != nil {
		return
	}
	breach := &Breach{Check: s.check, Call: s.last.method + " " + s.target.URL + s.last.where(), Reason: fmt.Sprintf(format, args...)}
	if s.answer != nil {
		breach.Response = s.answer.redacted()
	}
	s.err = breach
}

// send sends a request and checks what applies to every response.
func (s *suite) send(c call) response {
	if s.err != nil {
		return response{}
	}
	s.last, s.answer = c, nil
	request, err := http.NewRequestWithContext(s.ctx, c.method, s.target.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		s.err = err
		return response{}
	}
	if c.media != "" {
		request.Header.Set("Content-Type", c.media)
	}
	if c.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	started := s.now()
	r, err := s.client.Do(request)
	if err != nil {
		if withURL, ok := errors.AsType[*url.Error](err); ok { // it contains the whole URL
			err = withURL.Err
		}
		s.err = fmt.Errorf("%s %s: %w", c.method, s.target.URL+c.where(), err)
		return response{}
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxResponse))
	if err := errors.Join(err, r.Body.Close()); err != nil {
		s.err = fmt.Errorf("%s %s: the response is incomplete: %w", c.method, s.target.URL+c.where(), err)
		return response{}
	}
	took := s.now().Sub(started)
	a := response{status: r.StatusCode, header: r.Header, raw: raw}
	_ = json.Unmarshal(raw, &a.body) // Check reports an invalid body
	s.answer = &a
	s.report.add(s.contract.OperationAt(c.method, c.where()), r.StatusCode, took)
	if err := s.contract.Check(c.where(), r, raw); err != nil {
		s.require(false, "%v", err)
	}
	s.requireHeaders(a)
	return a
}

// requireHeaders checks the headers of every response.
func (s *suite) requireHeaders(a response) {
	id := a.header.Get("X-Request-Id")
	s.require(len(id) == 36, "X-Request-Id must be a UUID")
	if a.status >= 400 {
		s.require(a.text("instance") == "urn:uuid:"+id, "the problem's instance must be the X-Request-Id")
	}
	for _, header := range []struct{ name, want string }{
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "no-referrer"},
	} {
		s.require(a.header.Get(header.name) == header.want, "%s must be %s", header.name, header.want)
	}
	policy := a.header.Get("Content-Security-Policy")
	s.require(strings.HasPrefix(policy, "default-src 'none'") && strings.Contains(policy, "frame-ancestors 'none'"),
		"Content-Security-Policy must allow nothing, including frames")
	s.require(a.status < 400 && a.header.Get("Access-Control-Allow-Origin") == "*" || a.header.Get("Cache-Control") == "no-store",
		"Cache-Control must be no-store unless the response is public")
	if strings.HasPrefix(s.target.URL, "https:") {
		s.require(strings.HasPrefix(a.header.Get("Strict-Transport-Security"), "max-age="), "Strict-Transport-Security must be set")
	}
}

// redacted returns the response as text without tokens, so that it can be logged.
func (a response) redacted() string {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%d %s\n", a.status, http.StatusText(a.status))
	_ = a.header.Write(&text) // to memory
	text.WriteString("\n")
	if a.body == nil {
		fmt.Fprintf(&text, "%.1000q", a.raw)
	} else {
		shown := make(map[string]any)
		for name, value := range a.body {
			shown[name] = value
			if secret, is := value.(string); is && slices.Contains([]string{"accessToken", "refreshToken"}, name) {
				shown[name] = fmt.Sprintf("(%d characters)", len(secret))
			}
		}
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(shown) // cannot fail: it was decoded from JSON
	}
	return strings.ReplaceAll(text.String(), "\r\n", "\n")
}
