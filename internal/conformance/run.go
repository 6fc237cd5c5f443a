package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// Target is a deployment to check.
type Target struct {
	URL    string // the public URL, without a trailing slash
	Domain string // the domain of the emails of the run
	// Account and Password are those of an existing account, which the run uses and deletes. If they
	// are empty, the run registers an account.
	Account, Password string
	// ResetLink returns a reset link for the user with this email. If it is nil, a successful reset is
	// not tested.
	ResetLink func(ctx context.Context, email string) (string, error)
	// PasskeyOrigin is the origin of a page that may use passkeys. If it is empty, the run uses that
	// of the public URL.
	PasskeyOrigin string

	Skip      []string          // operationIds that the deployment does not have
	KeepGoing bool              // after a breach
	Transport http.RoundTripper // nil: http.DefaultTransport
	Now       func() time.Time  // nil: time.Now
}

// Breach is an error that describes how a deployment differs from the OpenAPI document.
type Breach struct {
	Check    string // the name of the check
	Call     string // the method and URL of the last request
	Response string // its status, headers and body, without tokens; empty: there was none
	Reason   string
}

// Error returns a text with several lines, without characters that control a terminal: the response
// is untrusted.
func (b *Breach) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "the deployment differs from the OpenAPI document: %s\nCheck: %s\nRequest: %s",
		b.Reason, b.Check, b.Call)
	if b.Response != "" {
		fmt.Fprintf(&text, "\nResponse:\n\n%s", b.Response)
	}
	return printable(text.String())
}

// printable replaces characters that control a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// Run checks a deployment. It calls done with the result of each check that ran or was skipped.
//
// The first difference ends the run, unless KeepGoing is set. Any other error always ends it: a
// *ThrottledError if the run would have to wait too long for a rate limit, an *AccountError if it
// cannot register an account and log in, the error of ResetLink, or the error of a request that got
// no response.
//
// Run returns an error only if it cannot start. The error of a check is in its result: the
// report contains the result of every check.
func Run(ctx context.Context, target Target, done func(Result)) (*Report, error) {
	contract, err := Load()
	if err != nil {
		return nil, err
	}
	s := &suite{
		ctx: ctx, target: target, contract: contract, report: newReport(contract.Operations()), now: target.Now,
		unusable: make(map[string]string), passkeyName: "Conformance " + rand.Text(),
		client: &http.Client{
			Transport: target.Transport, Timeout: responseTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, operation := range target.Skip {
		s.unusable[operation] = operation + " is skipped"
	}
	if target.Account != "" {
		s.account = account{strings.ToLower(target.Account), target.Password}
		s.report.Account = s.account.email
		s.unusable["register"] = "register is left out, because the run was given an account"
	}
	ended := false
	for _, one := range allChecks(contract) { //nolint:contextcheck // checks use the context of the suite
		if ended {
			s.report.Results = append(s.report.Results, one.result(skipError("the run ended before")))
			continue
		}
		result := s.run(one)
		s.report.Results = append(s.report.Results, result)
		done(result)
		if result.Status == Failed {
			_, breach := errors.AsType[*Breach](result.Err)
			ended = !breach || !target.KeepGoing
		}
	}
	if target.Account != "" && s.account != (account{}) && s.mayHavePasskeys() {
		s.cleanUp(s.removePasskeys)
	}
	return s.report, nil
}

// run runs one check.
func (s *suite) run(one check) Result {
	s.check, s.last, s.lastResponse, s.err = one, call{}, nil, nil
	started := s.now()
	if reason, unusable := s.unusable[one.operation]; unusable {
		s.skip("%s", reason)
	} else {
		one.run(s)
		s.cleanUp(s.removeApp)
	}
	result := one.result(s.err)
	result.Took = s.now().Sub(started)
	if result.Status == Failed && one.basic {
		s.unusable[one.operation] = fmt.Sprintf("the check %q failed", one)
	}
	return result
}

// ThrottledError is returned if a rate limit of the deployment is exceeded and the wait is too
// long.
type ThrottledError struct {
	Check string
	Wait  time.Duration
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts from this network: try the check %q again in %s", e.Check, e.Wait)
}

// wait waits for d, or returns the cause of ctx if ctx is done first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
