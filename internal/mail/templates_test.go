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

// Every email has the same parts: its brand, one idea in each paragraph, and, if there is something
// to do, a button and the same link as text.
func TestEmails(t *testing.T) {
	const resetURL, color = "https://sesame.example/reset-password", "#7a1f5c"
	const expires = "The link works once and expires in 7 days."
	const ifYou, reset = "If this was you, there is nothing else to do.", "If this was not you, reset your password now."
	const on = "on 2 January 2026 at 11:00 UTC"
	for name, test := range map[string]struct {
		email   func(Data) (Message, error)
		link    string // "": the email contains none
		subject string
		button  string
		words   []string
	}{
		"verify email": {VerifyEmail, testLink, "Verify your email for Acme & Söhne", "Verify email", []string{
			"Someone, probably you, registered an account at Acme & Söhne with this email.",
			"We will ask for the password of the account.", expires, "If you did not register, you can ignore this email.",
		}},
		"confirm email change": {
			ConfirmEmailChange, testLink, "Confirm your new email for Acme & Söhne", "Confirm email", []string{
				"We will ask for the password of the account.", expires, "you can ignore this email. Nothing changes.",
			},
		},
		"email in use": {EmailInUse, resetURL, "You already have an account at Acme & Söhne", "Reset password", []string{
			on, "Nothing has changed.", "If this was you, log in with this email.",
			"If this was not you, you can ignore this email.",
		}},
		"email change requested": {
			EmailChangeRequested, resetURL, "Your Acme & Söhne email is about to change", "Reset password", []string{
				on, "The email changes when the new one is confirmed.", reset + " This also cancels the change.",
			},
		},
		"email changed": {EmailChanged, testLink, "Your Acme & Söhne email was changed", "Undo the change", []string{
			on, "The account does not use this email any more.", ifYou, "This also logs out all devices.", expires,
		}},
		"email changed for good": {EmailChangedForGood, "", "Your Acme & Söhne email was changed", "", []string{
			on, "The account does not use this email any more.", ifYou, "If this was not you, contact Acme & Söhne.",
		}},
		"new login": {NewLogin, resetURL, "New login to your Acme & Söhne account", "Reset password", []string{
			on, "a network that you have not used before", ifYou, reset + " This also logs out all devices.",
		}},
		"account deleted": {AccountDeleted, "", "Your Acme & Söhne account was deleted", "", []string{
			on, ifYou, "If this was not you, contact Acme & Söhne.",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			data := Data{
				To: "ada@example.org", Link: test.link, ValidFor: 7 * 24 * time.Hour, When: noon,
				Brand: brand.Brand{Name: "Acme & Söhne", Color: color},
			}
			m, err := test.email(data)
			if err != nil {
				t.Fatal(err)
			}
			if m.Subject != test.subject {
				t.Errorf("subject %q", m.Subject)
			}
			got := received(t, m)
			text := strings.ReplaceAll(got.text, "\n", " ")
			for _, words := range test.words {
				if !strings.Contains(strings.ToLower(text), strings.ToLower(words)) ||
					!strings.Contains(strings.ToLower(html.UnescapeString(got.html)), strings.ToLower(words)) {
					t.Errorf("no %q in\n%s\n%s", words, got.text, got.html)
				}
			}
			checkSelfContained(t, got.html)
			for line := range strings.Lines(got.text) {
				if len([]rune(strings.TrimSpace(line))) > textWidth && strings.TrimSpace(line) != test.link {
					t.Errorf("a long line: %s", line)
				}
			}
			if !strings.HasSuffix(got.text, "\n\nAcme & Söhne\n") || strings.Contains(got.text, "\n\n\n") {
				t.Errorf("text:\n%s", got.text)
			}
			if test.link == "" {
				if strings.Contains(got.text, "http") || anchor.MatchString(got.html) || strings.Contains(got.html, "<a ") {
					t.Errorf("a link in\n%s\n%s", got.text, got.html)
				}
				return
			}
			if !strings.Contains(got.text, "\n"+test.button+":\n\n"+test.link+"\n") {
				t.Errorf("no link in\n%s", got.text)
			}
			checkLinks(t, got.html, test.link, test.button, color)
		})
	}
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

func TestLinksRefuseLifetimes(t *testing.T) {
	for name, email := range map[string]func(Data) (Message, error){
		"reset": ResetPassword, "verify": VerifyEmail, "confirm": ConfirmEmailChange, "changed": EmailChanged,
	} {
		for _, lifetime := range []time.Duration{-time.Hour, 0, time.Second - 1} {
			data := Data{To: "ada@example.org", Link: testLink, ValidFor: lifetime, Brand: testBrand}
			if _, err := email(data); err == nil {
				t.Errorf("%s: accepted the lifetime %v", name, lifetime)
			}
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
