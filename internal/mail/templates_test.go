package mail

import (
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/brand"
)

// testBrand is the brand of the tests' emails.
var testBrand = brand.Brand{Name: brand.DefaultName, Color: brand.DefaultColor}

// received composes a message and returns it as a mail program reads it.
func received(t *testing.T, m Message) parsedMail {
	t.Helper()
	raw, err := testMailbox(t).compose(m, noon)
	if err != nil {
		t.Fatal(err)
	}
	return parseMail(t, raw)
}

var anchor = regexp.MustCompile(`<a href="([^"]*)" style="([^"]*)">([^<]*)</a>`)

// checkLinks checks that an HTML part has a button in the brand's color and the same link as text.
func checkLinks(t *testing.T, part, link, button, color string) {
	t.Helper()
	found := anchor.FindAllStringSubmatch(part, -1)
	if len(found) != 2 || html.UnescapeString(found[0][1]) != link || found[0][3] != button ||
		html.UnescapeString(found[1][1]) != link || html.UnescapeString(found[1][3]) != link {
		t.Errorf("links %q in\n%s", found, part)
	}
	if !strings.Contains(part, `bgcolor="`+color+`"`) || strings.Count(part, color) != 3 {
		t.Errorf("the color %s is missing in\n%s", color, part)
	}
}

// Mail programs block what an email loads, and most of them ignore style sheets.
func checkSelfContained(t *testing.T, part string) {
	t.Helper()
	for _, unwanted := range []string{"<img", "<link", "<style", "<script", "src=", "url(", "@import"} {
		if strings.Contains(part, unwanted) {
			t.Errorf("%s in\n%s", unwanted, part)
		}
	}
	if !strings.Contains(part, `<html lang="en">`) {
		t.Errorf("no language in\n%s", part)
	}
}

func TestResetPassword(t *testing.T) {
	m, err := ResetPassword(Data{
		To: "ada@example.org", Link: testLink, ValidFor: 30 * time.Minute, Brand: testBrand,
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "Reset your Sesame password" {
		t.Errorf("subject %q", m.Subject)
	}
	got := received(t, m)
	const want = `Reset your password

We received a request to reset the password of your Sesame account. Use
the link to choose a new password.

Reset password:

` + testLink + `

The link works once and expires in 30 minutes.

If you did not request this, you can ignore this email. Your password
stays the same.

Sesame
`
	if got.text != want {
		t.Errorf("text:\n%s", got.text)
	}
	checkLinks(t, got.html, testLink, "Reset password", brand.DefaultColor)
	checkSelfContained(t, got.html)
	if got.encodings[0] != "8bit" || got.encodings[1] != "8bit" {
		t.Errorf("an ASCII message is encoded: %v", got.encodings)
	}
}

func TestPasswordChanged(t *testing.T) {
	const resetURL, color = "https://sesame.example/reset-password", "#7a1f5c"
	m, err := PasswordChanged(Data{
		To: "ada@example.org", When: noon, Link: resetURL, Brand: brand.Brand{Name: "Acme & Söhne", Color: color},
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "Your Acme & Söhne password was changed" {
		t.Errorf("subject %q", m.Subject)
	}
	got := received(t, m)
	text := strings.ReplaceAll(got.text, "\n", " ")
	for _, words := range []string{
		"The password of your Acme & Söhne account was changed on 2 January 2026 at 11:00 UTC.",
		"All other devices have been logged out.", "If this was not you, reset your password now.",
	} {
		if !strings.Contains(text, words) {
			t.Errorf("no %q in\n%s", words, got.text)
		}
		if !strings.Contains(got.html, strings.ReplaceAll(words, "&", "&amp;")) {
			t.Errorf("no %q in\n%s", words, got.html)
		}
	}
	if !strings.Contains(got.text, "\nReset password:\n\n"+resetURL+"\n") {
		t.Errorf("no link in\n%s", got.text)
	}
	checkLinks(t, got.html, resetURL, "Reset password", color)
	checkSelfContained(t, got.html)
}

func TestMessagesRefuseLinks(t *testing.T) {
	for _, link := range []string{
		"", "/reset-password#token=" + testToken, "javascript:alert(1)//" + testToken, "https:///" + testToken,
		"ftp://x.example/" + testToken, testLink + "\nBcc: eve@example.org", testLink + " x", testLink + "\u2028",
		"https://x.example/%zz" + testToken, testLink + `"><b>`, "\x7f" + testLink,
	} {
		reset, err := ResetPassword(Data{
			To: "ada@example.org", Link: link, ValidFor: time.Minute, Brand: testBrand,
		})
		if err == nil || strings.Contains(err.Error(), testToken) || reset != (Message{}) {
			t.Errorf("%q: %v", link, err)
		}
		changed := Data{To: "ada@example.org", Link: link, Brand: testBrand}
		if _, err := PasswordChanged(changed); err == nil {
			t.Errorf("%q: accepted", link)
		}
	}
}

func TestResetPasswordRefusesLifetimes(t *testing.T) {
	for _, lifetime := range []time.Duration{-time.Hour, 0, time.Second - 1} {
		data := Data{To: "ada@example.org", Link: testLink, ValidFor: lifetime, Brand: testBrand}
		if _, err := ResetPassword(data); err == nil {
			t.Errorf("accepted the lifetime %v", lifetime)
		}
	}
}

// The brand is text, not markup.
func TestBrandIsEscaped(t *testing.T) {
	m, err := ResetPassword(Data{
		To: "ada@example.org", Link: testLink, ValidFor: time.Minute,
		Brand: brand.Brand{Name: "<b>{{.Link}}</b>", Color: brand.DefaultColor},
	})
	if err != nil {
		t.Fatal(err)
	}
	part := received(t, m).html
	if strings.Contains(part, "<b>") || !strings.Contains(part, "&lt;b&gt;{{.Link}}&lt;/b&gt;") {
		t.Errorf("HTML:\n%s", part)
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("x", 80)
	for paragraph, want := range map[string]string{
		"":                              "",
		"one  line":                     "one line",
		strings.Repeat("ä", 72):         strings.Repeat("ä", 72),
		strings.Repeat("ä", 71) + " bc": strings.Repeat("ä", 71) + "\nbc",
		"a " + long + " b":              "a\n" + long + "\nb",
	} {
		if got := wrap(paragraph); got != want {
			t.Errorf("%q: got %q, want %q", paragraph, got, want)
		}
	}
}

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
