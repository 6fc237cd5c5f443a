package web

import (
	"errors"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// mostLetters is how many mails the list shows.
	mostLetters = 100
	// largestLetter is how much of a mail is read, in bytes.
	largestLetter = 1 << 20

	mailboxPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// A mail's own HTML has its style in itself, runs nothing, and opens links in the window around it.
	letterPolicy = "sandbox allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'"
)

// mailbox shows the mails that were written to a folder: what a developer has instead of a mail server. It asks for no
// password, and a mail opens its recipient's account. So it is for whoever sits at this machine: see local.
type mailbox struct {
	*site
	folder string
}

// letter is a mail.
type letter struct {
	ID                string
	From, To, Subject string
	Date              time.Time
	Text              []segment
	HTML              string
}

// segment is a piece of text, which may be a link.
type segment struct{ Text, Link string }

var (
	letterID = regexp.MustCompile(`^[0-9TZ.]+-[0-9a-f-]+$`)
	links    = regexp.MustCompile(`https?://[^\s<>"]+`)
)

// local lets through what was asked of the public URL's own host. Any page in the developer's browser can have its
// host's name resolved to this machine and would read the answer as its own (DNS rebinding); the Host header then has
// that name.
func (m *mailbox) local(page Page) Page {
	return func(w http.ResponseWriter, r *http.Request) error {
		if own, err := url.Parse(m.config.PublicURL); err != nil || r.Host != own.Host {
			return ErrNotFound
		}
		return page(w, r)
	}
}

// list is a Page of the newest mails.
func (m *mailbox) list(w http.ResponseWriter, _ *http.Request) error {
	names, err := filepath.Glob(filepath.Join(m.folder, "*.eml"))
	if err != nil {
		return err
	}
	slices.Sort(names) // they begin with the time
	slices.Reverse(names)
	var letters []letter
	for _, name := range names[:min(len(names), mostLetters)] {
		one, err := m.read(strings.TrimSuffix(filepath.Base(name), ".eml"))
		switch {
		case errors.Is(err, ErrNotFound): // somebody tidied up, or put something else there
			continue
		case err != nil:
			return err
		}
		letters = append(letters, one)
	}
	return m.render(w, mailboxPolicy, "../", "mailbox.html", letters)
}

// letter is a Page of one mail.
func (m *mailbox) letter(w http.ResponseWriter, r *http.Request) error {
	one, err := m.read(r.PathValue("id"))
	if err != nil {
		return err
	}
	return m.render(w, mailboxPolicy, "../../", "letter.html", one)
}

// html is the HTML of one mail, for the frame in its page.
func (m *mailbox) html(w http.ResponseWriter, r *http.Request) error {
	one, err := m.read(r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", letterPolicy)
	_, _ = io.WriteString(w, strings.Replace(one.HTML, "<head>", `<head><base target="_top">`, 1)) // a browser that hung up needs no page
	return nil
}

// read reads a mail. Errors: ErrNotFound, also for what is no mail.
func (m *mailbox) read(id string) (letter, error) {
	if !letterID.MatchString(id) {
		return letter{}, ErrNotFound
	}
	file, err := os.Open(filepath.Join(m.folder, id+".eml")) //nolint:gosec // the pattern has no separator in it
	if errors.Is(err, fs.ErrNotExist) {
		return letter{}, ErrNotFound
	}
	if err != nil {
		return letter{}, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	message, err := mail.ReadMessage(io.LimitReader(file, largestLetter))
	if err != nil {
		return letter{}, ErrNotFound
	}
	one := letter{ID: id}
	var words mime.WordDecoder
	for name, value := range map[string]*string{"From": &one.From, "To": &one.To, "Subject": &one.Subject} {
		if *value, err = words.DecodeHeader(message.Header.Get(name)); err != nil {
			*value = message.Header.Get(name)
		}
	}
	one.To = strings.Trim(one.To, "<>") // a bare address
	if one.Date, err = message.Header.Date(); err != nil {
		one.Date = time.Time{}
	}
	return one, one.readParts(message.Header.Get("Content-Type"), message.Header.Get("Content-Transfer-Encoding"), message.Body)
}

// readParts reads the text and the HTML of a mail, or of a part of one.
func (l *letter) readParts(contentType, encoding string, body io.Reader) error {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = "text/plain"
	}
	if strings.HasPrefix(media, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return ErrNotFound
			}
			if err := l.readParts(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part); err != nil {
				return err
			}
		}
	}
	if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return ErrNotFound
	}
	switch media {
	case "text/plain":
		l.Text = segments(string(content))
	case "text/html":
		l.HTML = string(content)
	}
	return nil
}

// segments parts a text where its links begin and end.
func segments(text string) []segment {
	var parts []segment
	from := 0
	for _, at := range links.FindAllStringIndex(text, -1) {
		parts = append(parts, segment{Text: text[from:at[0]]}, segment{Text: text[at[0]:at[1]], Link: text[at[0]:at[1]]})
		from = at[1]
	}
	return append(parts, segment{Text: text[from:]})
}
