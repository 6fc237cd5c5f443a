package servertest

import (
	"net/http"
	"testing"
)

// Call is a POST of a client with another IP address. The test must be a trusted proxy.
type Call struct {
	IP          string // empty: that of the test
	Path        string
	AccessToken string // empty: none
}

// Send sends the call with a JSON body, given as alternating names and values.
func (c Call) Send(t testing.TB, s *Server, members ...any) Response {
	t.Helper()
	headers := []string{"Content-Type", "application/json"}
	if c.AccessToken != "" {
		headers = append(headers, "Authorization", "Bearer "+c.AccessToken)
	}
	if c.IP != "" {
		headers = append(headers, "X-Forwarded-For", c.IP)
	}
	return s.Do(t, http.MethodPost, c.Path, jsonObject(t, members), headers...)
}

// Account returns the account of an access token.
func (s *Server) Account(t testing.TB, accessToken string) Response {
	t.Helper()
	return s.As(t, accessToken, http.MethodGet, "/auth/account")
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
	return s.As(t, accessToken, http.MethodPost, "/auth/change-email", "email", email, "password", Password)
}

// CancelEmailChange cancels a change of the email.
func (s *Server) CancelEmailChange(t testing.TB, accessToken string) Response {
	t.Helper()
	return s.As(t, accessToken, http.MethodDelete, "/auth/change-email")
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
