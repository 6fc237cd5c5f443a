package servertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// Call is a request whose body is made of alternating names and values.
type Call struct {
	Method      string // empty: POST
	Path        string
	AccessToken string // empty: none
	IP          string // of the client, if the test is a proxy; empty: that of the test
}

// Send sends the request.
func (c Call) Send(t testing.TB, s *Server, members ...any) Response {
	t.Helper()
	body := make(map[string]any)
	for i := 0; i+1 < len(members); i += 2 {
		body[fmt.Sprint(members[i])] = members[i+1]
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	headers := []string{"Content-Type", "application/json"}
	if c.AccessToken != "" {
		headers = append(headers, "Authorization", "Bearer "+c.AccessToken)
	}
	if c.IP != "" {
		headers = append(headers, "X-Forwarded-For", c.IP)
	}
	if c.Method == "" {
		c.Method = http.MethodPost
	}
	if len(members) == 0 {
		encoded, headers = nil, headers[2:]
	}
	return s.Do(t, c.Method, c.Path, string(encoded), headers...)
}

// Account returns the account of an access token.
func (s *Server) Account(t testing.TB, accessToken string) Response {
	t.Helper()
	return Call{Method: http.MethodGet, Path: "/auth/account", AccessToken: accessToken}.Send(t, s)
}

// SendVerificationEmail requests a link to verify an email.
func (s *Server) SendVerificationEmail(t testing.TB, email string) Response {
	t.Helper()
	return s.Post(t, "/auth/send-verification-email", "email", email)
}

// VerifyEmail uses a link to verify an email.
func (s *Server) VerifyEmail(t testing.TB, token, password string) Response {
	t.Helper()
	return s.Post(t, "/auth/verify-email", "token", token, "password", password)
}

// ChangeEmail requests a change of the email, with Password.
func (s *Server) ChangeEmail(t testing.TB, accessToken, email string) Response {
	t.Helper()
	return Call{Path: "/auth/change-email", AccessToken: accessToken}.Send(t, s, "email", email, "password", Password)
}

// CancelEmailChange cancels a change of the email.
func (s *Server) CancelEmailChange(t testing.TB, accessToken string) Response {
	t.Helper()
	return Call{Method: http.MethodDelete, Path: "/auth/change-email", AccessToken: accessToken}.Send(t, s)
}

// ConfirmEmailChange uses a link to confirm a change of the email.
func (s *Server) ConfirmEmailChange(t testing.TB, token, password string) Response {
	t.Helper()
	return s.Post(t, "/auth/confirm-email-change", "token", token, "password", password)
}

// UndoEmailChange uses a link to undo a change of the email.
func (s *Server) UndoEmailChange(t testing.TB, token string) Response {
	t.Helper()
	return s.Post(t, "/auth/undo-email-change", "token", token)
}

// CheckEmailLink asks what a link is for.
func (s *Server) CheckEmailLink(t testing.TB, token string) Response {
	t.Helper()
	return s.Post(t, "/auth/check-email-link", "token", token)
}
