package mail

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	"sync"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/sesame-auth/sesame/internal/brand"
)

// textWidth is the width of the plain text, in code points.
const textWidth = 72

//go:embed templates
var templateFiles embed.FS

// All emails have the same layout. It is parsed for the first email, not at start.
var (
	textLayout = sync.OnceValue(func() *texttemplate.Template {
		return texttemplate.Must(texttemplate.New("email.txt").
			Funcs(texttemplate.FuncMap{"wrap": wrap}).ParseFS(templateFiles, "templates/email.txt"))
	})
	htmlLayout = sync.OnceValue(func() *htmltemplate.Template {
		return htmltemplate.Must(htmltemplate.ParseFS(templateFiles, "templates/email.html"))
	})
)

// content is what the layout shows.
type content struct {
	Subject, Heading string
	Before           []string // paragraphs before the button
	Button, Link     string   // empty: no button
	After            []string // paragraphs after it
	Brand            brand.Brand
}

func render(to string, c content) (Message, error) {
	if c.Button != "" && !isWebLink(c.Link) {
		return Message{}, errors.New("the link must be a complete http or https URL")
	}
	var text, html strings.Builder
	if err := textLayout().Execute(&text, c); err != nil {
		return Message{}, fmt.Errorf("compose text: %w", err)
	}
	if err := htmlLayout().Execute(&html, c); err != nil {
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
