package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// pairs is how often the two requests of a timing benchmark are compared.
const pairs = 2000

// BenchmarkLoginTiming compares a login with an unknown email to one with a wrong password.
func BenchmarkLoginTiming(b *testing.B) {
	login := func(email string) []byte {
		return request("/auth/login", "", fmt.Sprintf(`{"email":%q,"password":"a wrong password"}`, email))
	}
	compareTimings(b, "/auth/login", 401, func(i int) (known, unknown []byte) {
		return login(emailOf(i % connections)), login(fmt.Sprintf("none-%d@example.com", i%connections))
	})
}

// BenchmarkForgotPasswordTiming compares a reset request for a known email to one for an unknown
// email.
func BenchmarkForgotPasswordTiming(b *testing.B) {
	forgot := func(email string) []byte {
		return request("/auth/forgot-password", "", fmt.Sprintf(`{"email":%q}`, email))
	}
	compareTimings(b, "/auth/forgot-password", 202, func(i int) (known, unknown []byte) {
		return forgot(emailOf(i % connections)), forgot(fmt.Sprintf("none-%d@example.com", i%connections))
	})
}

// private are the settings under which a registration does not reveal whether the email has an
// account.
var private = []string{"SESAME_REGISTRATION=private", "SESAME_EMAIL_VERIFICATION=required"}

// BenchmarkPrivateRegistrationTiming compares a private registration of an email with an account to
// one of a new email.
func BenchmarkPrivateRegistrationTiming(b *testing.B) {
	register := func(email string) []byte {
		return request("/auth/register", "", fmt.Sprintf(`{"name":"Eve","email":%q,"password":%q,"confirm":%q}`,
			email, userPassword, userPassword))
	}
	fresh := 0
	compareTimings(b, "/auth/register", 201, func(i int) (known, unknown []byte) {
		fresh++
		return register(emailOf(i % connections)), register(fmt.Sprintf("none-%d@example.com", fresh))
	}, private...)
}

// BenchmarkPrivateLoginTiming compares a login with the right password of an email that is not
// verified to one with a wrong password, as after a private registration of an email with an account.
func BenchmarkPrivateLoginTiming(b *testing.B) {
	login := func(email, password string) []byte {
		return request("/auth/login", "", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))
	}
	compareTimings(b, "/auth/login", 401, func(i int) (known, unknown []byte) {
		return login(emailOf(i%connections), "a wrong password, which is longer"), login(emailOf(i%connections), userPassword)
	}, private...)
}

// compareTimings measures pairs of requests: one about an email with an account, and one about an
// email without.
func compareTimings(
	b *testing.B, path string, status int, requestsOf func(i int) (known, unknown []byte), settings ...string,
) {
	b.Helper()
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in := install(b, engine, settings...)
			c := dial(b, in.address)
			send := func(r []byte) float64 {
				started := time.Now()
				if _, err := c.send(r, status); err != nil {
					b.Fatalf("%s: %v", path, err)
				}
				return time.Since(started).Seconds() * 1000
			}
			var known, unknown []float64
			for b.Loop() { // once, if it takes longer than -benchtime
				known, unknown = measurePairs(send, requestsOf)
			}
			p := signTest(known, unknown)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(p, "p-value")
			b.ReportMetric(median(known), "known-ms")
			b.ReportMetric(median(unknown), "unknown-ms")
		})
	}
}

// measurePairs sends the requests of each pair one after the other, in random order, so that other
// load on the machine affects both alike. It returns their durations.
func measurePairs(send func([]byte) float64, requestsOf func(int) (known, unknown []byte)) (known, unknown []float64) {
	known, unknown = make([]float64, pairs), make([]float64, pairs)
	for i := range pairs {
		knownRequest, unknownRequest := requestsOf(i)
		if rand.IntN(2) == 0 {
			known[i], unknown[i] = send(knownRequest), send(unknownRequest)
		} else {
			unknown[i], known[i] = send(unknownRequest), send(knownRequest)
		}
	}
	return known, unknown
}

// signTest returns the two-sided p-value of the sign test for pairs: how likely a difference as
// large as this one is, if a request of either type is slower with the same probability. It uses
// the normal approximation with a correction for continuity.
func signTest(a, b []float64) float64 {
	greater, n := 0, 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
		if a[i] > b[i] {
			greater++
		}
	}
	if n == 0 {
		return 1
	}
	z := (math.Abs(float64(2*greater-n)) - 1) / math.Sqrt(float64(n))
	return math.Erfc(max(0, z) / math.Sqrt2)
}

func TestSignTest(t *testing.T) {
	of := func(greater, less int) float64 {
		a, b := make([]float64, greater+less), make([]float64, greater+less)
		for i := range a {
			a[i] = 1
			if i < less {
				a[i] = -1
			}
		}
		return signTest(a, b)
	}
	for _, test := range []struct {
		greater, less int
		low, high     float64 // the exact binomial p-value is in between
	}{
		{1000, 1000, 1, 1},
		{0, 0, 1, 1},
		{12, 8, 0.49, 0.51},       // 0.5034
		{60, 40, 0.055, 0.059},    // 0.0569
		{1050, 950, 0.026, 0.028}, // 0.0268
		{1200, 800, 0, 1e-17},
	} {
		for _, p := range []float64{of(test.greater, test.less), of(test.less, test.greater)} {
			if p < test.low || p > test.high {
				t.Errorf("%d of %d: p is %v, want %v to %v", test.greater, test.greater+test.less, p, test.low, test.high)
			}
		}
	}
}
