package mail

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"regexp"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/sesame-auth/sesame/internal/brand"
)

// longestName is how many code points of a name a letter shows.
const longestName = 64

//go:embed templates
var templateFiles embed.FS

var (
	texts = texttemplate.Must(texttemplate.ParseFS(templateFiles, "templates/*.txt"))
	htmls = htmltemplate.Must(htmltemplate.ParseFS(templateFiles, "templates/*.html"))
)

// ResetPasswordData fills the letter with the link to choose a new password.
type ResetPasswordData struct {
	To       string        // the stored address of the account
	Name     string        // the user's name: untrusted, may be anything
	Link     string        // the complete http(s) URL, token included
	ValidFor time.Duration // how long the link works; more than zero
	Brand    brand.Brand
}

// ResetPassword composes the letter with the link to choose a new password. It
// fails if the link or its lifetime cannot be shown; the error never quotes the
// link.
func ResetPassword(data ResetPasswordData) (Message, error) {
	if !isWebLink(data.Link) {
		return Message{}, errors.New("mail: the link must be a complete http or https URL")
	}
	if data.ValidFor < time.Second {
		return Message{}, errors.New("mail: the link's lifetime must be a second or more")
	}
	product := oneLine(data.Brand.Name)
	return render("reset-password", data.To, letter{
		Subject:  "Choose a new password for " + product,
		Name:     displayName(data.Name),
		Product:  product,
		Link:     data.Link,
		ValidFor: inWords(data.ValidFor),
	})
}

// PasswordChangedData fills the letter that tells the owner about a new password.
type PasswordChangedData struct {
	To    string    // the stored address of the account
	Name  string    // the user's name: untrusted, may be anything
	When  time.Time // when it was changed; shown in UTC
	Brand brand.Brand
}

// PasswordChanged composes the letter that tells the owner that the password
// was changed, that all devices were signed out, and what to do if it was
// somebody else.
func PasswordChanged(data PasswordChangedData) (Message, error) {
	product := oneLine(data.Brand.Name)
	return render("password-changed", data.To, letter{
		Subject: "Your " + product + " password was changed",
		Name:    displayName(data.Name),
		Product: product,
		When:    data.When.UTC().Format("2 January 2006 at 15:04 UTC"),
	})
}

// letter is what the templates see.
type letter struct {
	Subject, Name, Product, Link, ValidFor, When string
}

func render(name, to string, data letter) (Message, error) {
	var text, html strings.Builder
	if err := texts.ExecuteTemplate(&text, name+".txt", data); err != nil {
		return Message{}, fmt.Errorf("mail: composing %s.txt: %w", name, err)
	}
	if err := htmls.ExecuteTemplate(&html, name+".html", data); err != nil {
		return Message{}, fmt.Errorf("mail: composing %s.html: %w", name, err)
	}
	return Message{To: to, Subject: data.Subject, Text: text.String(), HTML: html.String()}, nil
}

// linkish matches what mail programs turn into a link. Anybody can register
// somebody else's address under a name like "see evil.example" and have the
// service mail it.
var linkish = regexp.MustCompile(`(?i)://|www\.|[\pL\pN]\.\pL{2}|@`)

// displayName makes an untrusted name one short line of visible text, or
// nothing if it would become a link.
func displayName(name string) string {
	name = oneLine(name)
	if linkish.MatchString(name) {
		return ""
	}
	if runes := []rune(name); len(runes) > longestName {
		return strings.TrimSpace(string(runes[:longestName-1])) + "…"
	}
	return name
}

// oneLine turns runs of white space, control characters and broken UTF-8 into
// one space each, and those of the marks that reorder the text around them too.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, " "), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) ||
			r == '\u2028' || r == '\u2029'
	}), " ")
}

// isWebLink tells whether link is an absolute http(s) URL that stays in one
// piece on a line.
func isWebLink(link string) bool {
	parsed, err := url.Parse(link)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Host != "" &&
		oneLine(link) == link && !strings.ContainsAny(link, " <>\"")
}

// inWords writes d, a second or more, in the largest unit that divides it, and
// otherwise in whole minutes (or seconds below one), never promising more.
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
