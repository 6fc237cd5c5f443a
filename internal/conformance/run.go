package conformance

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// Target is a deployment to check.
type Target struct {
	URL    string // the public URL, without a trailing slash
	Domain string // the domain of the email that is registered
	// ResetLink returns a reset link for the user with this email. If it is nil, a successful reset is
	// not tested.
	ResetLink func(ctx context.Context, email string) (string, error)
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

// Error returns a text with several lines. The response is untrusted, so characters that control a
// terminal are replaced.
func (b *Breach) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "the deployment differs from the OpenAPI document: %s\nCheck: %s\nRequest: %s",
		b.Reason, b.Check, b.Call)
	if b.Response != "" {
		fmt.Fprintf(&text, "\nResponse:\n\n%s", b.Response)
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text.String())
}

// checks are the checks in the order in which they run. Those after checkRegister use its account.
var checks = []struct {
	name string
	run  func(*suite)
}{
	{"OpenAPI document", checkServed},
	{"keys and metadata", checkKeys},
	{"methods and paths", checkMethods},
	{"invalid bodies", checkBodies},
	{"registration", checkRegister},
	{"refused registrations", checkRegisterRefuses},
	{"login", checkLogin},
	{"access tokens", checkAccessTokens},
	{"refresh", checkRefresh},
	{"logout", checkLogout},
	{"password reset", checkResetPassword},
	{"forgot password", checkForgotPassword}, // after the reset: a new link invalidates the previous one
	{"rate limits", checkLimits},
}

// Run checks a deployment. It calls passed with the name of each check that passes.
//
// It returns a *Breach at the first difference, a *ThrottledError if it would have to wait too long
// for a rate limit, the error of ResetLink, or the error of a request that got no response. The
// report contains all responses so far, also after an error.
func Run(ctx context.Context, target Target, passed func(check string)) (*Report, error) {
	contract, err := Load()
	if err != nil {
		return nil, err
	}
	s := &suite{
		ctx: ctx, target: target, contract: contract, report: newReport(contract.Operations()), now: target.Now,
		client: &http.Client{
			Transport: target.Transport, Timeout: responseTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, check := range checks {
		s.check = check.name
		check.run(s)
		if s.err != nil {
			return s.report, s.err
		}
		passed(check.name)
	}
	return s.report, nil
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
