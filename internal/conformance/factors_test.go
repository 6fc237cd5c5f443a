package conformance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/conformance"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// The codes are those of RFC 6238, appendix B, without the first two digits.
func TestTOTP(t *testing.T) {
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037",
		20000000000: "353130",
	} {
		if got := conformance.TOTPCode([]byte("12345678901234567890"), at/30); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

// givenAccount returns a target with an existing account that the run does not delete.
func givenAccount(t *testing.T, s *servertest.Server, url string) conformance.Target {
	t.Helper()
	to := target(s, url)
	to.Account, to.Password, to.ResetLink = s.NewUser(t), servertest.Password, nil
	to.Skip = []string{"changePassword", "deleteAccount"}
	return to
}

// A given account keeps neither an authenticator app nor a passkey of the run, whatever fails.
func TestGivenAccountStaysAsItWas(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for _, name := range []string{
			"no acr", "old recovery code accepted", "challenge without max_age", "reauthenticate without the code",
			"app not listed",
		} {
			leavesNothing(t, s, name, func() func(*exchange) { return factorBreaches()[name].change })
		}
		for _, name := range []string{
			"passkey of another origin", "passkey not renamed", "origin of the deployment refused",
		} {
			leavesNothing(t, s, name, func() func(*exchange) { return passkeyBreaches()[name].change })
		}
		leavesNothing(t, s, "nothing", func() func(*exchange) { return func(*exchange) {} })
		leavesNothing(t, s, "refused refresh", func() func(*exchange) {
			return afterCall(confirm, status(refresh, http.StatusOK, http.StatusInternalServerError))
		})
	})
}

func leavesNothing(t *testing.T, s *servertest.Server, name string, change func() func(*exchange)) {
	t.Helper()
	for _, keepGoing := range []bool{false, true} {
		to := givenAccount(t, s, proxy(t, s.URL, change()))
		to.KeepGoing = keepGoing
		_, err := run(t.Context(), t, to)
		if (err == nil) != (name == "nothing") {
			t.Errorf("%s: %v", name, err)
		}
		tokens := s.Login(t, to.Account)
		for _, path := range []string{"/auth/factors", "/auth/passkeys"} {
			if list := s.As(t, tokens.Access, http.MethodGet, path); !strings.Contains(list.Raw, ":[]") {
				t.Errorf("%s: %s", name, list.Raw)
			}
		}
	}
}

// The origin for passkeys can be chosen. One that the server refuses is a breach that names the
// option, and a default that cannot be right is not used.
func TestPasskeyOrigin(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	to := target(s, s.URL)
	to.PasskeyOrigin = servertest.AppOrigin
	if _, err := run(t.Context(), t, to); err != nil {
		t.Error(err)
	}
	to.PasskeyOrigin = "https://other.example.test"
	_, err := run(t.Context(), t, to)
	if err == nil || !strings.Contains(err.Error(), "page of https://other.example.test must be accepted") ||
		!strings.Contains(err.Error(), "--passkey-origin") {
		t.Errorf("another origin: %v", err)
	}
	to.Skip = []string{"finishPasskeyRegistration"}
	if _, err := run(t.Context(), t, to); err != nil {
		t.Errorf("without finishPasskeyRegistration: %v", err)
	}

	to = target(s, proxy(t, s.URL, swap(startPasskey, `"id":"example.test"`, `"id":"example.com"`)))
	report, err := run(t.Context(), t, to)
	skipped := named(report, conformance.Skipped)["finishPasskeyRegistration: success"]
	if err != nil || !strings.Contains(skipped.Reason(), "name another origin with --passkey-origin") {
		t.Errorf("RP ID of another domain: %v, %+v", err, skipped)
	}
}

// Without a verified email, the checks that add a factor are skipped. Everything else passes.
func TestUnverifiedEmail(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{EmailVerification: auth.VerificationOptional})
	to := target(s, s.URL)
	to.ResetLink = nil // a reset verifies the email
	report, err := run(t.Context(), t, to)
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"enrollTOTP: success", "completeLogin: success", "finishPasskeyLogin: success"} {
		if reason := named(report, conformance.Skipped)[name].Reason(); !strings.HasPrefix(reason, "it requires a verified") {
			t.Errorf("%s: %q", name, reason)
		}
	}
	if passed := named(report, conformance.Passed); passed["reauthenticate: success"].Check == "" {
		t.Errorf("passed: %q", names(passed))
	}
}

// A run needs no more than the rate limits allow, also without reset links, which lift them.
func TestRateLimitsAreEnough(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{Throttle: true})
	to := target(s, s.URL)
	to.ResetLink = nil
	if _, err := run(t.Context(), t, to); err != nil {
		t.Error(err)
	}
}
