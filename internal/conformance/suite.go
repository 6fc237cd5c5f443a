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
	longestAnswer = 30 * time.Second // for an answer to be whole
	longestWait   = time.Minute      // for a limit to let the suite go on
	mostTries     = 3                // of a call that meets one
	largestAnswer = 1 << 20          // bytes
)

// suite is one run. Its first error is its last: from then on nothing is sent, every answer is empty and everything
// holds, so that a check reads as if nothing could go wrong.
type suite struct {
	ctx      context.Context
	target   Target
	contract *Contract
	client   *http.Client
	now      func() time.Time
	report   *Report

	check   string // that runs
	last    call
	answer  *answer // to last
	err     error
	account account // registered by checkRegister
}

// call is a request.
type call struct {
	method, path string // path may have a query
	media, body  string
	bearer       string // empty: no Authorization
}

// get reads something.
func get(path string) call { return call{method: http.MethodGet, path: path} }

// post sends members as JSON: alternating names and values.
func post(path string, members ...any) call {
	body := make(map[string]any)
	for i := 0; i+1 < len(members); i += 2 {
		body[fmt.Sprint(members[i])] = members[i+1]
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err) // the suite's own
	}
	return call{method: http.MethodPost, path: path, media: mediaJSON, body: string(encoded)}
}

// where is the path without its query, which may hold a token.
func (c call) where() string {
	path, _, _ := strings.Cut(c.path, "?")
	return path
}

const mediaJSON = "application/json"

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// text is a member of the body, or of an object in it.
func (a answer) text(names ...string) string {
	var value any = a.body
	for _, name := range names {
		members, _ := value.(map[string]any)
		value = members[name]
	}
	text, _ := value.(string)
	return text
}

// faults are the places that a problem names, in order.
func (a answer) faults() []string {
	var places []string
	list, _ := a.body["errors"].([]any)
	for _, entry := range list {
		fault, _ := entry.(map[string]any)
		place, is := fault["pointer"].(string)
		if !is {
			place, _ = fault["parameter"].(string)
		}
		places = append(places, place)
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// expect sends a call, whose answer must have that status, be the contract's, and have the headers that every answer
// has. A limit that is met on the way is sat out.
func (s *suite) expect(status int, c call) answer {
	a := s.send(c)
	for tries := 1; a.status == http.StatusTooManyRequests && status != a.status; tries++ {
		s.sitOut(a, tries)
		a = s.send(c)
	}
	s.hold(a.status == status, "the status must be %d", status)
	return a
}

// sitOut waits as long as a 429 says.
func (s *suite) sitOut(a answer, tries int) {
	if s.err != nil {
		return
	}
	seconds, _ := strconv.Atoi(a.header.Get("Retry-After")) // which the contract has made sure of
	pause := time.Duration(seconds) * time.Second
	if pause > longestWait || tries == mostTries {
		s.err = &ThrottledError{Check: s.check, Wait: pause}
		return
	}
	s.err = wait(s.ctx, pause)
}

// refuse is expect for a problem of that code.
func (s *suite) refuse(status int, code string, c call) answer {
	a := s.expect(status, c)
	s.hold(a.text("code") == code, "the problem's code must be %s", code)
	return a
}

// hold notes a breach unless what the last answer must fulfil holds.
func (s *suite) hold(holds bool, format string, args ...any) {
	if holds || s.err != nil {
		return
	}
	breach := &Breach{Check: s.check, Call: s.last.method + " " + s.target.URL + s.last.where(), Reason: fmt.Sprintf(format, args...)}
	if s.answer != nil {
		breach.Answer = s.answer.shown()
	}
	s.err = breach
}

// send sends a call and judges the answer by what holds for every answer.
func (s *suite) send(c call) answer {
	if s.err != nil {
		return answer{}
	}
	s.last, s.answer = c, nil
	request, err := http.NewRequestWithContext(s.ctx, c.method, s.target.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		s.err = err
		return answer{}
	}
	if c.media != "" {
		request.Header.Set("Content-Type", c.media)
	}
	if c.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	started := s.now()
	response, err := s.client.Do(request)
	if err != nil {
		if withURL, ok := errors.AsType[*url.Error](err); ok { // it contains the whole URL
			err = withURL.Err
		}
		s.err = fmt.Errorf("%s %s: %w", c.method, s.target.URL+c.where(), err)
		return answer{}
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, largestAnswer))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		s.err = fmt.Errorf("%s %s: the answer broke off: %w", c.method, s.target.URL+c.where(), err)
		return answer{}
	}
	took := s.now().Sub(started)
	a := answer{status: response.StatusCode, header: response.Header, raw: raw}
	_ = json.Unmarshal(raw, &a.body) // where it should be an object, Check tells
	s.answer = &a
	s.report.add(s.contract.OperationAt(c.method, c.where()), response.StatusCode, took)
	if err := s.contract.Check(c.where(), response, raw); err != nil {
		s.hold(false, "%v", err)
	}
	s.holdHeaders(a)
	return a
}

// holdHeaders holds what every answer has, whatever it answers.
func (s *suite) holdHeaders(a answer) {
	id := a.header.Get("X-Request-Id")
	s.hold(len(id) == 36, "X-Request-Id must be there, a UUID")
	if a.status >= 400 {
		s.hold(a.text("instance") == "urn:uuid:"+id, "the problem's instance must be the X-Request-Id")
	}
	for _, header := range []struct{ name, want string }{
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "no-referrer"},
	} {
		s.hold(a.header.Get(header.name) == header.want, "%s must be %s", header.name, header.want)
	}
	policy := a.header.Get("Content-Security-Policy")
	s.hold(strings.HasPrefix(policy, "default-src 'none'") && strings.Contains(policy, "frame-ancestors 'none'"),
		"Content-Security-Policy must allow nothing, no frame either")
	s.hold(a.status < 400 && a.header.Get("Access-Control-Allow-Origin") == "*" || a.header.Get("Cache-Control") == "no-store",
		"Cache-Control must be no-store for what is not public")
	if strings.HasPrefix(s.target.URL, "https:") {
		s.hold(strings.HasPrefix(a.header.Get("Strict-Transport-Security"), "max-age="), "Strict-Transport-Security must be there")
	}
}

// shown is an answer as a person may see it and keep it in a log: without tokens.
func (a answer) shown() string {
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
		_ = encoder.Encode(shown) // what came from JSON
	}
	return strings.ReplaceAll(text.String(), "\r\n", "\n")
}
