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

// Password is the password of the users that Register and NewUser register.
const Password = "correct horse battery staple"

// Response is an HTTP response with its JSON body.
type Response struct {
	Status int
	Header http.Header
	Raw    string
	Body   map[string]any
}

// Text returns a string field of the JSON body, or an empty string.
func (r Response) Text(name string) string {
	text, _ := r.Body[name].(string)
	return text
}

// Texts returns a list of strings of the JSON body.
func (r Response) Texts(name string) []string {
	var texts []string
	list, _ := r.Body[name].([]any)
	for _, entry := range list {
		text, _ := entry.(string)
		texts = append(texts, text)
	}
	return texts
}

// Code returns the code of a problem.
func (r Response) Code() string { return r.Text("code") }

// Errors returns the validation errors of a problem, each as "place code: detail". The place is a
// JSON pointer, or "?" and the name of a parameter.
func (r Response) Errors() []string {
	var errors []string
	list, _ := r.Body["errors"].([]any)
	for _, entry := range list {
		fields, _ := entry.(map[string]any)
		place, ok := fields["pointer"]
		if !ok {
			place = fmt.Sprintf("?%v", fields["parameter"])
		}
		errors = append(errors, fmt.Sprintf("%v %v: %v", place, fields["code"], fields["detail"]))
	}
	return errors
}

// Metrics returns the metrics in the text format of Prometheus.
func (s *Server) Metrics(t testing.TB) string {
	t.Helper()
	ctx := context.Background() // the context of t is done when the canaries are checked
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.AdminURL+"/metrics", nil)
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

// Metric returns the value of a series, given as in the text format. found is false if there is
// none.
func (s *Server) Metric(t testing.TB, series string) (value float64, found bool) {
	t.Helper()
	for line := range strings.Lines(s.Metrics(t)) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value, true
		}
	}
	return 0, false
}

// Do sends a request with a client. headers are alternating names and values.
func Do(t testing.TB, client *http.Client, method, url, body string, headers ...string) Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	return send(t, client, request)
}

func send(t testing.TB, client *http.Client, request *http.Request) Response {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Error(err) // not Fatal: tests send from goroutines
		return Response{}
	}
	raw, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Error(err)
	}
	result := Response{Status: response.StatusCode, Header: response.Header, Raw: string(raw)}
	_ = json.Unmarshal(raw, &result.Body) // pages are not JSON
	return result
}

// Do sends a request. headers are alternating names and values.
func (s *Server) Do(t testing.TB, method, path, body string, headers ...string) Response {
	t.Helper()
	return Do(t, s.Client, method, s.URL+path, body, headers...)
}

// Send sends a request.
func (s *Server) Send(t testing.TB, request *http.Request) Response {
	t.Helper()
	return send(t, s.Client, request)
}

// Post sends a JSON body, given as alternating names and values.
func (s *Server) Post(t testing.TB, path string, members ...any) Response {
	t.Helper()
	return s.Do(t, http.MethodPost, path, jsonObject(t, members), "Content-Type", "application/json")
}

// As sends a request with an access token. If there are members, alternating names and values, they
// are sent as a JSON body.
func (s *Server) As(t testing.TB, accessToken, method, path string, members ...any) Response {
	t.Helper()
	headers := []string{"Authorization", "Bearer " + accessToken}
	if len(members) == 0 {
		return s.Do(t, method, path, "", headers...)
	}
	return s.Do(t, method, path, jsonObject(t, members), append(headers, "Content-Type", "application/json")...)
}

func jsonObject(t testing.TB, members []any) string {
	t.Helper()
	body := make(map[string]any)
	for i := 0; i+1 < len(members); i += 2 {
		body[fmt.Sprint(members[i])] = members[i+1]
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// Register registers a user with Password.
func (s *Server) Register(t testing.TB, email string) Response {
	t.Helper()
	return s.Post(t, "/auth/register", "name", "Ada", "email", email, "password", Password, "confirm", Password)
}

var users atomic.Int64

// NewUser registers a user with Password and returns the email.
func (s *Server) NewUser(t testing.TB) string {
	t.Helper()
	email := fmt.Sprintf("user%d@example.com", users.Add(1))
	if response := s.Register(t, email); response.Status != http.StatusCreated {
		t.Fatalf("register: %d %s", response.Status, response.Raw)
	}
	return email
}

// Tokens are the tokens of a session.
type Tokens struct{ Access, Refresh string }

// Login logs in with Password. It must succeed.
func (s *Server) Login(t testing.TB, email string) Tokens {
	t.Helper()
	return s.tokens(t, s.Post(t, "/auth/login", "email", email, "password", Password))
}

// Refresh exchanges a refresh token. It must succeed.
func (s *Server) Refresh(t testing.TB, refreshToken string) Tokens {
	t.Helper()
	return s.tokens(t, s.TryRefresh(t, refreshToken))
}

func (s *Server) tokens(t testing.TB, response Response) Tokens {
	t.Helper()
	if response.Status != http.StatusOK {
		t.Fatalf("no tokens: %d %s", response.Status, response.Raw)
	}
	return Tokens{Access: response.Text("accessToken"), Refresh: response.Text("refreshToken")}
}

// TryRefresh exchanges a refresh token and returns the response, which may be an error.
func (s *Server) TryRefresh(t testing.TB, refreshToken string) Response {
	t.Helper()
	return s.Post(t, "/auth/refresh-tokens", "refreshToken", refreshToken)
}

// Logout logs out.
func (s *Server) Logout(t testing.TB, refreshToken string) Response {
	t.Helper()
	return s.Post(t, "/auth/logout", "refreshToken", refreshToken)
}

// Authenticate calls POST /auth with an access token.
func (s *Server) Authenticate(t testing.TB, accessToken string) Response {
	t.Helper()
	return s.Do(t, http.MethodPost, "/auth", "", "Authorization", "Bearer "+accessToken)
}

// ForgotPassword requests a reset link.
func (s *Server) ForgotPassword(t testing.TB, email string) Response {
	t.Helper()
	return s.Post(t, "/auth/forgot-password", "email", email)
}

// ResetPassword sets a new password.
func (s *Server) ResetPassword(t testing.TB, resetToken, password string) Response {
	t.Helper()
	return s.Post(t, "/auth/reset-password?token="+url.QueryEscape(resetToken), "password", password)
}

// ChangePassword changes the password from Password to another one.
func (s *Server) ChangePassword(t testing.TB, accessToken, password string) Response {
	t.Helper()
	return s.As(t, accessToken, http.MethodPost, "/auth/change-password",
		"currentPassword", Password, "password", password)
}

// RequireEnded requires that a session has ended: both of its tokens are refused.
func (s *Server) RequireEnded(t testing.TB, tokens Tokens) {
	t.Helper()
	if response := s.Authenticate(t, tokens.Access); response.Status != http.StatusUnauthorized {
		t.Errorf("the access token of an ended session returns %d", response.Status)
	}
	if response := s.TryRefresh(t, tokens.Refresh); response.Status != http.StatusUnauthorized {
		t.Errorf("the refresh token of an ended session returns %d", response.Status)
	}
}

// RequireActive requires that a session is valid, and returns its next tokens.
func (s *Server) RequireActive(t testing.TB, tokens Tokens) Tokens {
	t.Helper()
	if response := s.Authenticate(t, tokens.Access); response.Status != http.StatusOK {
		t.Errorf("the access token of a valid session returns %d %s", response.Status, response.Raw)
	}
	return s.Refresh(t, tokens.Refresh)
}
