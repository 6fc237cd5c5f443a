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

// Problem is an answer that is no success (RFC 9457).
type Problem struct {
	Status     int
	Code       ProblemCode       // empty: the answer is not Sesame's, but of a proxy before it
	Detail     string            // a sentence for people
	Errors     []ValidationError // of a request that is not valid, each fault
	Instance   string            // the id of the request in the server's log
	RetryAfter time.Duration
}

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
	return p
}

// isRefused tells whether the server said that a refresh token is worth nothing.
func isRefused(err error) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Code == gen.ProblemCodeInvalidRefreshToken
}
