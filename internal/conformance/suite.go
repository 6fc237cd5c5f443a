package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	responseTimeout = 30 * time.Second // including the body
	maxWait         = time.Minute      // the longest Retry-After that the suite waits for
	maxTries        = 3                // the number of attempts if a rate limit is exceeded
	maxResponse     = 1 << 20          // bytes
)

// suite is one run. It keeps the first error of a check. After it, no requests are sent, responses
// are empty and require does nothing, so that checks need no error handling.
type suite struct {
	ctx      context.Context
	target   Target
	contract *Contract
	client   *http.Client
	now      func() time.Time
	report   *Report

	check        check             // the running one
	unusable     map[string]string // why an operation cannot be called, by operationId
	last         call
	lastResponse *response // to last; nil: there was none
	err          error
	account      account // given, or registered by checkRegister; empty: none

	app         *app           // what the running check has added to the account; nil: nothing
	device      *authenticator // with the passkey that the run has added; nil: none
	passkeyName string         // how the names of the passkeys of the run begin
}

// call is a request.
type call struct {
	method, path string // the path may have a query
	media, body  string
	bearer       string // the access token; empty: no Authorization header
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

// postAs is like post, with an access token.
func postAs(access, path string, members ...any) call {
	c := post(path, members...)
	c.bearer = access
	return c
}

// pathOnly returns the path without the query, which may contain a token.
func (c call) pathOnly() string {
	path, _, _ := strings.Cut(c.path, "?")
	return path
}

const mediaJSON = "application/json"

// expect sends a request and requires a response with this status that matches the OpenAPI
// document. If a rate limit is exceeded, it waits and tries again.
func (s *suite) expect(status int, c call) response {
	r := s.send(c)
	if status != http.StatusTooManyRequests {
		r = s.afterLimit(r, c)
	}
	if r.status != status {
		s.explain(r)
	}
	s.require(r.status == status, "the status must be %d", status)
	return r
}

// afterLimit sends a request again as long as r, its response, says that a rate limit is exceeded.
func (s *suite) afterLimit(r response, c call) response {
	for tries := 1; r.status == http.StatusTooManyRequests; tries++ {
		s.waitForLimit(r, tries)
		r = s.send(c)
	}
	return r
}

// waitForLimit waits for the time in the Retry-After header of a 429 response.
func (s *suite) waitForLimit(r response, tries int) {
	if s.err != nil {
		return
	}
	seconds, _ := strconv.Atoi(r.header.Get("Retry-After")) // send has checked it
	pause := time.Duration(seconds) * time.Second
	if pause > maxWait || tries == maxTries {
		s.err = &ThrottledError{Check: s.check.String(), Wait: pause}
		return
	}
	s.err = wait(s.ctx, pause)
}

// refuse is like expect, but requires a problem with this code.
func (s *suite) refuse(status int, code string, c call) response {
	r := s.expect(status, c)
	s.require(r.text("code") == code, "the problem's code must be %s", code)
	return r
}

// require records a breach by the last response if condition is false.
func (s *suite) require(condition bool, format string, args ...any) {
	if condition || s.err != nil {
		return
	}
	breach := &Breach{
		Check:  s.check.String(),
		Call:   s.last.method + " " + s.target.URL + s.last.pathOnly(),
		Reason: fmt.Sprintf(format, args...),
	}
	if s.lastResponse != nil {
		breach.Response = s.lastResponse.redacted()
	}
	s.err = breach
}

// skipError is the reason why a check cannot run.
type skipError string

func (e skipError) Error() string { return string(e) }

// skip ends the check without a breach.
func (s *suite) skip(format string, args ...any) {
	if s.err == nil {
		s.err = skipError(fmt.Sprintf(format, args...))
	}
}

// send sends a request and checks what applies to every response. It skips the check if the
// operation cannot be called.
func (s *suite) send(c call) response {
	operation := s.contract.OperationAt(c.method, c.pathOnly())
	if reason, unusable := s.unusable[operation]; unusable {
		s.skip("%s", reason)
	}
	if s.err != nil {
		return response{}
	}
	s.last, s.lastResponse = c, nil
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
	httpResponse, err := s.client.Do(request)
	if err != nil {
		if withURL, ok := errors.AsType[*url.Error](err); ok { // it contains the query
			err = withURL.Err
		}
		s.err = fmt.Errorf("%s %s: %w", c.method, s.target.URL+c.pathOnly(), err)
		return response{}
	}
	raw, err := io.ReadAll(io.LimitReader(httpResponse.Body, maxResponse))
	if err := errors.Join(err, httpResponse.Body.Close()); err != nil {
		s.err = fmt.Errorf("%s %s: the response is incomplete: %w", c.method, s.target.URL+c.pathOnly(), err)
		return response{}
	}
	took := s.now().Sub(started)
	r := response{status: httpResponse.StatusCode, header: httpResponse.Header, raw: raw}
	_ = json.Unmarshal(raw, &r.body) // Check reports an invalid body
	s.lastResponse = &r
	s.report.add(operation, r.status, took)
	if err := s.contract.Check(c.pathOnly(), httpResponse, raw); err != nil {
		s.require(false, "%v", err)
	}
	s.requireHeaders(r)
	return r
}

// requireHeaders checks the headers that every response must have.
func (s *suite) requireHeaders(r response) {
	id := r.header.Get("X-Request-Id")
	s.require(len(id) == 36, "X-Request-Id must be a UUID")
	if r.status >= 400 {
		s.require(r.text("instance") == "urn:uuid:"+id, "the problem's instance must be the X-Request-Id")
	}
	for _, header := range []struct{ name, want string }{
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "no-referrer"},
	} {
		s.require(r.header.Get(header.name) == header.want, "%s must be %s", header.name, header.want)
	}
	policy := r.header.Get("Content-Security-Policy")
	s.require(strings.HasPrefix(policy, "default-src 'none'") && strings.Contains(policy, "frame-ancestors 'none'"),
		"Content-Security-Policy must allow nothing, including frames")
	public := r.status < 400 && r.header.Get("Access-Control-Allow-Origin") == "*"
	s.require(public || r.header.Get("Cache-Control") == "no-store",
		"Cache-Control must be no-store unless the response is public")
	// On localhost, browsers would use it for every server.
	if public, err := url.Parse(s.target.URL); err == nil && public.Scheme == "https" && public.Hostname() != "localhost" {
		hsts := r.header.Get("Strict-Transport-Security")
		s.require(strings.HasPrefix(hsts, "max-age="), "Strict-Transport-Security must be set")
	}
}
