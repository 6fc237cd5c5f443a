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

// ProblemCode is the type of a problem, for programs: one of the constants, or one that was added to the server later.
// Handle a code that you do not know like any other problem with the same status. The pages below /problems of a server
// explain the codes.
type ProblemCode = gen.ProblemCode

// ValidationError is one error of an invalid request. Its Detail is a sentence for people.
type ValidationError = gen.ValidationError

// ValidationCode is the type of a ValidationError: one of the constants, or a later one.
type ValidationCode = gen.ValidationCode

// WeakPasswordReason is why a password was rejected: one of the constants, or a later one.
type WeakPasswordReason = gen.WeakPasswordReason

// Problem is an error response of the server (RFC 9457).
type Problem struct {
	Status     int
	Code       ProblemCode        // empty if the response is not from Sesame, but for example from a proxy
	Detail     string             // a sentence for people
	Errors     []ValidationError  // with ProblemCodeValidationFailed, every error of the request
	Reason     WeakPasswordReason // with ProblemCodeWeakPassword
	Instance   string             // the id of the request in the log of the server
	RetryAfter time.Duration      // how long to wait before the next attempt; 0: not given
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
	var document gen.Problem
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(body, &document) != nil {
		return p
	}
	p.Code, p.Detail, p.Instance = document.Code, document.Detail, document.Instance
	if document.Errors != nil {
		p.Errors = *document.Errors
	}
	if document.Reason != nil {
		p.Reason = *document.Reason
	}
	return p
}

// isRefused reports whether the server rejected a refresh token.
func isRefused(err error) bool {
	problem, ok := errors.AsType[*Problem](err)
	return ok && problem.Code == ProblemCodeInvalidRefreshToken
}
