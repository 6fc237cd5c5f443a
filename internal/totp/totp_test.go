package totp_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/totp"
)

// rfcSecret is that of RFC 6238, appendix B, and of RFC 4226, appendix D.
var rfcSecret = totp.Secret("12345678901234567890")

// RFC 6238 prints 8 digits. The last 6 of them are the code with 6 digits.
func TestCodesOfRFC6238(t *testing.T) {
	for seconds, want := range map[int64]string{
		59:          "94287082",
		1111111109:  "07081804",
		1111111111:  "14050471",
		1234567890:  "89005924",
		2000000000:  "69279037",
		20000000000: "65353130",
	} {
		if got := rfcSecret.Code(totp.Step(time.Unix(seconds, 0))); got != want[2:] {
			t.Errorf("at %d: %s, want %s", seconds, got, want[2:])
		}
	}
}

func TestCodesOfRFC4226(t *testing.T) {
	for counter, want := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		if got := rfcSecret.Code(int64(counter)); got != want {
			t.Errorf("counter %d: %s, want %s", counter, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	at := time.Unix(1_800_000_000, 0) // the first second of a step
	now := totp.Step(at)
	for _, test := range []struct {
		name      string
		step, age int64 // of the code, and of the last one used
		at        time.Duration
		want      bool
	}{
		{"the current step", 0, 10, 0, true},
		{"the previous step", -1, 10, 0, true},
		{"the previous step, at the end of the current one", -1, 10, totp.Period - 1, true},
		{"two steps ago", -2, 10, 0, false},
		{"the next step", 1, 10, 0, true},
		{"two steps ahead", 2, 10, totp.Period - 1, false},
		{"used", 0, 0, 0, false},
		{"older than the last one used", -1, 0, 0, false},
		{"newer than the last one used", 1, 0, 0, true},
		{"the next step, used", 1, -1, 0, false},
		{"the last one was used while a clock was ahead", 0, -2, 0, true},
	} {
		step, ok := rfcSecret.Match(rfcSecret.Code(now+test.step), at.Add(test.at), now-test.age)
		if ok != test.want || ok && step != now+test.step {
			t.Errorf("%s: step %d, %t", test.name, step-now, ok)
		}
	}
	for _, code := range []string{"", "0", rfcSecret.Code(now) + "0", rfcSecret.Code(now)[1:]} {
		if _, ok := rfcSecret.Match(code, at, 0); ok {
			t.Errorf("%q matches", code)
		}
	}
}

// If two adjacent steps have the same code, it works once: the newer step is used up.
func TestMatchOfEqualCodes(t *testing.T) {
	step := int64(1)
	for rfcSecret.Code(step) != rfcSecret.Code(step+1) {
		step++
	}
	at, code := totp.Time(step), rfcSecret.Code(step)
	used, ok := rfcSecret.Match(code, at, 0)
	if !ok || used != step+1 {
		t.Fatalf("step %d, %t, want %d", used, ok, step+1)
	}
	if used, ok := rfcSecret.Match(code, at.Add(totp.Period), used); ok {
		t.Errorf("the code works again, as that of step %d", used)
	}
}

func TestParseSecret(t *testing.T) {
	secret := totp.NewSecret()
	text := secret.String()
	if len(text) != 32 || secret.String() == totp.NewSecret().String() {
		t.Errorf("%s", text)
	}
	for _, spelling := range []string{text, strings.ToLower(text), text[:4] + " " + text[4:8] + "-" + text[8:],
		text + "=="} {
		if parsed, err := totp.ParseSecret(spelling); err != nil || parsed.String() != text {
			t.Errorf("%q: %v", spelling, err)
		}
	}
	for _, bytes := range []int{10, 64} {
		if _, err := totp.ParseSecret(totp.Secret(make([]byte, bytes)).String()); err != nil {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
	short, long := totp.Secret(make([]byte, 9)).String(), totp.Secret(make([]byte, 65)).String()
	for _, invalid := range []string{"", "canary1", "not base32", short, long} {
		if _, err := totp.ParseSecret(invalid); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", invalid, err)
		}
	}
}

func TestURI(t *testing.T) {
	uri := rfcSecret.URI("Ada & Co: Labs", "ada+x@example.com")
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	if parsed.Scheme != "otpauth" || parsed.Host != "totp" || parsed.Path != "/Ada & Co Labs:ada+x@example.com" {
		t.Errorf("%s", uri)
	}
	if query.Get("secret") != rfcSecret.String() || query.Get("issuer") != "Ada & Co Labs" ||
		strings.Contains(uri, "+Co") {
		t.Errorf("%s", uri)
	}
}
