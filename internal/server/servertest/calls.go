package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// Password is the one of the users that NewUser makes.
const Password = "correct horse battery staple"

// Answer is what the server answered.
type Answer struct {
	Status int
	Header http.Header
	Raw    string
	Body   map[string]any
}

// Text is a member of the body.
func (a Answer) Text(name string) string {
	text, _ := a.Body[name].(string)
	return text
}

// Code is the problem's code.
func (a Answer) Code() string { return a.Text("code") }

// Errors returns the validation errors of a problem, each as "place code: detail". The place is a JSON pointer, or ? and
// the name of a parameter.
func (a Answer) Errors() []string {
	var errors []string
	list, _ := a.Body["errors"].([]any)
	for _, entry := range list {
		one, _ := entry.(map[string]any)
		place, ok := one["pointer"]
		if !ok {
			place = fmt.Sprintf("?%v", one["parameter"])
		}
		errors = append(errors, fmt.Sprintf("%v %v: %v", place, one["code"], one["detail"]))
	}
	return errors
}

// Metrics is what Prometheus would get.
func (s *Server) Metrics(t testing.TB) string {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.AdminURL+"/metrics", nil) // t's has ended when the canaries are looked for
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %d %s %v", response.StatusCode, text, err)
	}
	return string(text)
}

// Metric is the value of one series, named as Prometheus writes it; false if there is none.
func (s *Server) Metric(t testing.TB, series string) (value float64, found bool) {
	t.Helper()
	for line := range strings.Lines(s.Metrics(t)) {
		if text, is := strings.CutPrefix(line, series+" "); is {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value, true
		}
	}
	return 0, false
}

// Do sends a request with a body as it is, and headers in pairs.
func (s *Server) Do(t testing.TB, method, path, body string, headers ...string) Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	return s.Send(t, request)
}

// Send sends a request.
func (s *Server) Send(t testing.TB, request *http.Request) Answer {
	t.Helper()
	response, err := s.Client.Do(request)
	if err != nil {
		t.Error(err) // not Fatal: tests send from goroutines
		return Answer{}
	}
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	answer := Answer{Status: response.StatusCode, Header: response.Header, Raw: string(raw)}
	_ = json.Unmarshal(raw, &answer.Body) // pages are not JSON
	return answer
}

// Post sends a JSON body, given as alternating names and values.
func (s *Server) Post(t testing.TB, path string, members ...any) Answer {
	t.Helper()
	body := make(map[string]any)
	for i := 0; i+1 < len(members); i += 2 {
		body[fmt.Sprint(members[i])] = members[i+1]
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return s.Do(t, http.MethodPost, path, string(encoded), "Content-Type", "application/json")
}

// Register registers a user with Password.
func (s *Server) Register(t testing.TB, address string) Answer {
	t.Helper()
	return s.Post(t, "/auth/register", "name", "Ada", "email", address, "password", Password, "confirm", Password)
}

var users atomic.Int64

// NewUser registers a user and returns the address.
func (s *Server) NewUser(t testing.TB) string {
	t.Helper()
	address := fmt.Sprintf("user%d@example.com", users.Add(1))
	if answer := s.Register(t, address); answer.Status != http.StatusCreated {
		t.Fatalf("register: %d %s", answer.Status, answer.Raw)
	}
	return address
}

// Tokens are a session's.
type Tokens struct{ Access, Refresh string }

// Login logs in with Password.
func (s *Server) Login(t testing.TB, address string) Tokens {
	t.Helper()
	return s.tokens(t, s.Post(t, "/auth/login", "email", address, "password", Password))
}

// Refresh trades a refresh token, which must succeed.
func (s *Server) Refresh(t testing.TB, refreshToken string) Tokens {
	t.Helper()
	return s.tokens(t, s.TryRefresh(t, refreshToken))
}

func (s *Server) tokens(t testing.TB, answer Answer) Tokens {
	t.Helper()
	if answer.Status != http.StatusOK {
		t.Fatalf("no tokens: %d %s", answer.Status, answer.Raw)
	}
	return Tokens{Access: answer.Text("accessToken"), Refresh: answer.Text("refreshToken")}
}

// TryRefresh presents a refresh token.
func (s *Server) TryRefresh(t testing.TB, refreshToken string) Answer {
	t.Helper()
	return s.Post(t, "/auth/refresh-tokens", "refreshToken", refreshToken)
}

// Logout logs out.
func (s *Server) Logout(t testing.TB, refreshToken string) Answer {
	t.Helper()
	return s.Post(t, "/auth/logout", "refreshToken", refreshToken)
}

// Authenticate presents an access token.
func (s *Server) Authenticate(t testing.TB, accessToken string) Answer {
	t.Helper()
	return s.Do(t, http.MethodPost, "/auth", "", "Authorization", "Bearer "+accessToken)
}

// Forgot requests a reset link.
func (s *Server) Forgot(t testing.TB, address string) Answer {
	t.Helper()
	return s.Post(t, "/auth/forgot-password", "email", address)
}

// Reset sets a new password.
func (s *Server) Reset(t testing.TB, resetToken, password string) Answer {
	t.Helper()
	return s.Post(t, "/auth/reset-password?token="+url.QueryEscape(resetToken), "password", password)
}

// ExpectDead asserts that a session is over: neither of its tokens opens anything.
func (s *Server) ExpectDead(t testing.TB, tokens Tokens) {
	t.Helper()
	if answer := s.Authenticate(t, tokens.Access); answer.Status != http.StatusUnauthorized {
		t.Errorf("the access token of a dead session answers %d", answer.Status)
	}
	if answer := s.TryRefresh(t, tokens.Refresh); answer.Status != http.StatusUnauthorized {
		t.Errorf("the refresh token of a dead session answers %d", answer.Status)
	}
}

// ExpectLive asserts that a session goes on, and returns its next tokens.
func (s *Server) ExpectLive(t testing.TB, tokens Tokens) Tokens {
	t.Helper()
	if answer := s.Authenticate(t, tokens.Access); answer.Status != http.StatusOK {
		t.Errorf("the access token of a live session answers %d %s", answer.Status, answer.Raw)
	}
	return s.Refresh(t, tokens.Refresh)
}
