package mail

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/sesame-auth/sesame/internal/brand"
)

// textWidth is the width of the plain text, in code points.
const textWidth = 72

//go:embed templates
var templateFiles embed.FS

// All emails have the same layout.
var (
	textLayout = texttemplate.Must(texttemplate.New("email.txt").
			Funcs(texttemplate.FuncMap{"wrap": wrap}).ParseFS(templateFiles, "templates/email.txt"))
	htmlLayout = htmltemplate.Must(htmltemplate.ParseFS(templateFiles, "templates/email.html"))
)

// content is what the layout shows. No text comes from a user: anyone can register an account with
// someone else's email, and its name could be a scam that the service then sends to them.
type content struct {
	Subject, Heading string
	Before           []string // paragraphs before the button
	Button, Link     string
	After            []string // paragraphs after it
	Brand            brand.Brand
}

// ResetPasswordData is the data of the email with a reset link.
type ResetPasswordData struct {
	To       string        // the email of the account, as stored
	Link     string        // the complete http or https URL, including the token
	ValidFor time.Duration // at least a second
	Brand    brand.Brand
}

// ResetPassword returns the email with a link to reset the password. It returns an error if the
// link or its lifetime cannot be shown. The error does not contain the link.
func ResetPassword(data ResetPasswordData) (Message, error) {
	if data.ValidFor < time.Second {
		return Message{}, errors.New("reset link: the lifetime must be at least a second")
	}
	return render(data.To, content{
		Subject: "Reset your " + data.Brand.Name + " password",
		Heading: "Reset your password",
		Before: []string{
			"We received a request to reset the password of your " + data.Brand.Name + " account. " +
				"Use the link to choose a new password.",
		},
		Button: "Reset password", Link: data.Link,
		After: []string{
			"The link works once and expires in " + inWords(data.ValidFor) + ".",
			"If you did not request this, you can ignore this email. Your password stays the same.",
		},
		Brand: data.Brand,
	})
}

// PasswordChangedData is the data of the email about a changed password.
type PasswordChangedData struct {
	To       string    // the email of the account, as stored
	When     time.Time // of the change; shown in UTC
	ResetURL string    // the page where users request a reset link
	Brand    brand.Brand
}

// PasswordChanged returns the email that reports a changed password. It says what to do if someone
// else changed it.
func PasswordChanged(data PasswordChangedData) (Message, error) {
	return render(data.To, content{
		Subject: "Your " + data.Brand.Name + " password was changed",
		Heading: "Your password was changed",
		Before: []string{
			"The password of your " + data.Brand.Name + " account was changed on " +
				data.When.UTC().Format("2 January 2006 at 15:04 UTC") + ". You have been logged out on all devices.",
			"If this was you, there is nothing else to do. Log in with your new password.",
			"If this was not you, reset your password now.",
		},
		Button: "Reset password", Link: data.ResetURL,
		After: []string{
			"Then change the password of your email account too, because someone else may be able to read your email.",
		},
		Brand: data.Brand,
	})
}

func render(to string, c content) (Message, error) {
	if !isWebLink(c.Link) {
		return Message{}, errors.New("the link must be a complete http or https URL")
	}
	var text, html strings.Builder
	if err := textLayout.Execute(&text, c); err != nil {
		return Message{}, fmt.Errorf("compose text: %w", err)
	}
	if err := htmlLayout.Execute(&html, c); err != nil {
		return Message{}, fmt.Errorf("compose HTML: %w", err)
	}
	return Message{To: to, Subject: c.Subject, Text: text.String(), HTML: html.String()}, nil
}

// isWebLink reports whether link is an absolute http or https URL that mail programs recognize as
// one link.
func isWebLink(link string) bool {
	parsed, err := url.Parse(link)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Host != "" &&
		!strings.ContainsFunc(link, func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`<>"`, r)
		})
}

// wrap breaks a paragraph into lines of at most textWidth, unless a word is longer.
func wrap(paragraph string) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(paragraph) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > textWidth {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n")
}

// inWords returns d, at least a second, in the largest unit that divides it. If none does, it is
// rounded down to minutes, or to seconds if it is shorter than a minute.
func inWords(d time.Duration) string {
	const day = 24 * time.Hour
	unit, name := time.Second, "second"
	switch {
	case d%day == 0:
		unit, name = day, "day"
	case d%time.Hour == 0:
		unit, name = time.Hour, "hour"
	case d >= time.Minute:
		unit, name = time.Minute, "minute"
	}
	if count := d / unit; count != 1 {
		return fmt.Sprintf("%d %ss", count, name)
	}
	return "1 " + name
}
