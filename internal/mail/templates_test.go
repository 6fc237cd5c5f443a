package mail

import (
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/brand"
)

// throughTheWire composes the letter and reads it as a receiver does.
func throughTheWire(t *testing.T, m Message) parsedMail {
	t.Helper()
	raw, err := testMailbox(t).compose(m, noon)
	if err != nil {
		t.Fatal(err)
	}
	return parseMail(t, raw)
}

// testBrand is the brand of the tests' emails.
var testBrand = brand.Brand{Name: brand.DefaultName, Color: brand.DefaultColor}

func resetFor(t *testing.T, name string) parsedMail {
	t.Helper()
	m, err := ResetPassword(ResetPasswordData{To: "ada@example.org", Name: name, Link: testLink, ValidFor: 30 * time.Minute, Brand: testBrand})
	if err != nil {
		t.Fatal(err)
	}
	return throughTheWire(t, m)
}

var anchor = regexp.MustCompile(`<a href="([^"]*)">([^<]*)</a>`)

func TestResetPassword(t *testing.T) {
	got := resetFor(t, "Ada Lovelace")
	for _, words := range []string{
		"Hello Ada Lovelace,\n", "\n\n" + testLink + "\n\n", "within 30 minutes", "your Sesame account", "stays as it is",
	} {
		if !strings.Contains(got.text, words) {
			t.Errorf("no %q in\n%s", words, got.text)
		}
	}
	link := anchor.FindAllStringSubmatch(got.html, -1)
	if len(link) != 1 || html.UnescapeString(link[0][1]) != testLink || html.UnescapeString(link[0][2]) != testLink {
		t.Errorf("links %q in\n%s", link, got.html)
	}
	if !strings.Contains(got.html, `<html lang="en">`) || strings.Contains(got.html, "src=") {
		t.Errorf("no language, or something to load, in\n%s", got.html)
	}
	if got.encodings[0] != "8bit" || got.encodings[1] != "8bit" {
		t.Errorf("an ASCII letter is encoded: %v", got.encodings)
	}
}

func TestResetPasswordRefuses(t *testing.T) {
	good := ResetPasswordData{To: "ada@example.org", Link: testLink, ValidFor: time.Minute, Brand: testBrand}
	for _, link := range []string{
		"", "/reset-password#token=" + testToken, "javascript:alert(1)//" + testToken, "https:///" + testToken,
		"ftp://x.example/" + testToken, testLink + "\nBcc: eve@example.org", testLink + " x", testLink + "\u2028",
		"https://x.example/%zz" + testToken, testLink + `"><b>`, "\x7f" + testLink,
	} {
		data := good
		data.Link = link
		if m, err := ResetPassword(data); err == nil || strings.Contains(err.Error(), testToken) || m != (Message{}) {
			t.Errorf("%q: %v", link, err)
		}
	}
	for _, lifetime := range []time.Duration{-time.Hour, 0, time.Second - 1} {
		data := good
		data.ValidFor = lifetime
		if _, err := ResetPassword(data); err == nil {
			t.Errorf("accepted the lifetime %v", lifetime)
		}
	}
}

func TestPasswordChanged(t *testing.T) {
	m, err := PasswordChanged(PasswordChangedData{To: "ada@example.org", Name: "Ada", When: noon, Brand: brand.Brand{Name: "Acme & Söhne"}})
	if err != nil {
		t.Fatal(err)
	}
	got := throughTheWire(t, m)
	for _, words := range []string{
		"Hello Ada,", "2 January 2026 at 11:00 UTC", "your Acme & Söhne account", "All devices were signed out", "forgot password",
	} {
		if !strings.Contains(got.text, words) {
			t.Errorf("no %q in\n%s", words, got.text)
		}
		if words != "forgot password" && !strings.Contains(got.html, strings.ReplaceAll(words, "&", "&amp;")) {
			t.Errorf("no %q in\n%s", words, got.html)
		}
	}
	if m.Subject != "Your Acme & Söhne password was changed" || anchor.MatchString(got.html) {
		t.Errorf("subject %q, HTML\n%s", m.Subject, got.html)
	}
}

// TestNames: whatever a name holds, the letter keeps its shape.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"":                            "",
		" \t\r\n ":                    "",
		"Zoë Ærøskøbing-李 小龍":         "Zoë Ærøskøbing-李 小龍",
		"Dr. J. R. O'Neil, jr.":       "Dr. J. R. O'Neil, jr.",
		"Ada\r\nBcc: eve":             "Ada Bcc: eve",
		"Ada\r\n\r\nPay here":         "Ada Pay here",
		"Ada\x00\x1b[31m\u2028Eve":    "Ada [31m Eve",
		"Ada\u202eevE":                "Ada evE",
		"Ada\xff\xfe":                 "Ada",
		strings.Repeat("é", 64):       strings.Repeat("é", 64),
		strings.Repeat("é", 100_000):  strings.Repeat("é", 63) + "…",
		"<b>Ada</b>":                  "<b>Ada</b>",
		`"><script>alert(1)</script>`: `"><script>alert(1)</script>`,
		"{{.Link}}":                   "{{.Link}}",
		"see https://evil.example":    "",
		"see evil.example now":        "",
		"WWW.evil":                    "",
		"write to eve@evil":           "",
		"see EVIL.Пример":             "",
	} {
		greeting := "Hello,"
		if want != "" {
			greeting = "Hello " + want + ","
		}
		got := resetFor(t, name)
		if first, _, _ := strings.Cut(got.text, "\n"); first != greeting {
			t.Errorf("%.50q: the text begins %q, want %q", name, first, greeting)
		}
		if strings.Count(got.text, "\n") != strings.Count(resetFor(t, "").text, "\n") {
			t.Errorf("%.50q adds lines to\n%s", name, got.text)
		}
		if !strings.Contains(html.UnescapeString(got.html), "<p>"+greeting+"</p>") {
			t.Errorf("%.50q: no greeting in\n%s", name, got.html)
		}
		if tags := len(tag.FindAllString(got.html, -1)); tags != len(tag.FindAllString(resetFor(t, "").html, -1)) {
			t.Errorf("%.50q adds tags to\n%s", name, got.html)
		}
		if len(anchor.FindAllString(got.html, -1)) != 1 || !strings.Contains(got.text, "\n"+testLink+"\n") {
			t.Errorf("%.50q: the link is not alone", name)
		}
	}
}

var tag = regexp.MustCompile(`<[a-zA-Z/!]`)

func TestInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second:                 "1 second",
		45 * time.Second:            "45 seconds",
		time.Minute:                 "1 minute",
		30 * time.Minute:            "30 minutes",
		89*time.Minute + 59e9:       "89 minutes",
		90 * time.Minute:            "90 minutes",
		time.Hour:                   "1 hour",
		2 * time.Hour:               "2 hours",
		24 * time.Hour:              "1 day",
		72 * time.Hour:              "3 days",
		time.Second + time.Second/2: "1 second",
	} {
		if got := inWords(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
