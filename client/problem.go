package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	gen "github.com/sesame-auth/sesame/gen/client"
)

// ProblemCode is the type of a problem: one of the constants, or a code that was added to the
// server later. Handle unknown codes by the status of the problem. Each code is explained on a page
// of the server, such as https://auth.example.com/problems/email_taken.
type ProblemCode = gen.ProblemCode

// ValidationError describes one error in a request. Its Detail can be shown to the user.
type ValidationError = gen.ValidationError

// ValidationCode is the type of a ValidationError: one of the constants, or a code that was added
// to the server later.
type ValidationCode = gen.ValidationCode

// WeakPasswordReason is the reason why a password was rejected: one of the constants, or a reason
// that was added to the server later.
type WeakPasswordReason = gen.WeakPasswordReason

// FactorType is what the code of a second factor comes from: one of the constants, or a type that
// was added to the server later.
type FactorType = gen.FactorType

// Problem is an error response of the server (RFC 9457).
type Problem struct {
	// Status is the HTTP status code.
	Status int
	// Code is the type of the problem. It is empty if the response is not a problem document, for
	// example because it is from a proxy.
	Code ProblemCode
	// Detail is a sentence that can be shown to the user.
	Detail string
	// Errors are all errors in the request if Code is ProblemCodeValidationFailed.
	Errors []ValidationError
	// Reason is why the password was rejected if Code is ProblemCodeWeakPassword.
	Reason WeakPasswordReason
	// LoginToken continues the login if Code is ProblemCodeSecondFactorRequired.
	LoginToken string
	// Factors say where a code can come from if Code is ProblemCodeSecondFactorRequired.
	Factors []FactorType
	// StepUp is what the server requires if Code is ProblemCodeInsufficientUserAuthentication.
	StepUp StepUp
	// Instance is the id of the request, as in the server's log.
	Instance string
	// RetryAfter is how long to wait before the next attempt, or 0 if the server did not say.
	RetryAfter time.Duration
}

// Error returns the code and the detail.
func (p *Problem) Error() string {
	if p.Code == "" {
		return fmt.Sprintf("sesame: status %d without a problem document", p.Status)
	}
	return fmt.Sprintf("sesame: %s: %s", p.Code, p.Detail)
}

func newProblem(response *http.Response, body []byte) *Problem {
	p := &Problem{Status: response.StatusCode}
	if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 31); err == nil {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json") {
		return p
	}
	var document gen.Problem
	if json.Unmarshal(body, &document) != nil {
		return p
	}
	p.Code, p.Detail, p.Instance = document.Code, document.Detail, document.Instance
	if document.Errors != nil {
		p.Errors = *document.Errors
	}
	if document.Reason != nil {
		p.Reason = *document.Reason
	}
	if document.LoginToken != nil {
		p.LoginToken = *document.LoginToken
	}
	if document.Factors != nil {
		p.Factors = *document.Factors
	}
	if p.Code == ProblemCodeInsufficientUserAuthentication {
		p.StepUp, _ = parseStepUp(response)
	}
	return p
}

// isRefused reports whether err means that the server rejected a refresh token.
func isRefused(err error) bool { return isCode(err, ProblemCodeInvalidRefreshToken) }

func isCode(err error, code ProblemCode) bool {
	problem, ok := errors.AsType[*Problem](err)
	return ok && problem.Code == code
}
