package web

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxMessages is how many emails the list shows.
	maxMessages = 100
	// maxMessageBytes is how much of an email is read.
	maxMessageBytes = 1 << 20

	mailboxPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; base-uri 'none'; " +
		"form-action 'none'; frame-ancestors 'none'"
	// The HTML of an email contains its style, runs no script, and opens links in the surrounding
	// window.
	messagePolicy = "sandbox allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

// mailbox shows the emails in a folder, for development without an SMTP server. It has no login,
// and an email gives access to its recipient's account, so only this machine may see it: see
// isLocal.
type mailbox struct {
	*Site
	folder string
}

// message is an email.
type message struct {
	ID                string
	From, To, Subject string
	Date              time.Time
	Text              []segment
	HTML              string
}

// segment is a piece of text or, if Link is not empty, a link.
type segment struct{ Text, Link string }

var (
	messageID = regexp.MustCompile(`^[0-9TZ.]+-[0-9a-f-]+$`)
	links     = regexp.MustCompile(`https?://[^\s<>"]+`)
)

// NewMailbox returns the handler of the development mailbox, /dev/mail, and of the assets that its
// pages load. It is for a listener on a loopback address that no proxy forwards requests to.
func NewMailbox(config Config, folder string, log *slog.Logger) (http.Handler, error) {
	site, err := New(config)
	if err != nil {
		return nil, err
	}
	m := &mailbox{Site: site, folder: folder}
	pages := map[string]Page{"/dev/mail": m.list, "/dev/mail/{id}": m.message, "/dev/mail/{id}/html": m.html}
	for _, name := range []string{"page.css", "icon.svg"} {
		pages["/"+site.Asset(name)] = site.assets[name].serve
	}
	mux := http.NewServeMux()
	for path, page := range pages {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			switch err := page(w, r); {
			case errors.Is(err, ErrNotFound):
				http.NotFound(w, r)
			case err != nil:
				log.Error("development mailbox", "err", err)
				http.Error(w, "The emails could not be read. The server's log has the cause.", http.StatusInternalServerError)
			}
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Security-Policy", mailboxPolicy)
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		if !isLocal(r) {
			http.NotFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

// isLocal reports whether a browser on this machine sent a request directly to a loopback address.
//
// The host must be localhost or a loopback IP address, with the listener's port. A web page can
// make the name of its own host resolve to this machine, and could then read the response (DNS
// rebinding), but the Host header contains that name. A proxy that forwards requests of others
// usually says so in a header.
func isLocal(r *http.Request) bool {
	address, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !address.IP.IsLoopback() {
		return false
	}
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Values(name) != nil {
			return false
		}
	}
	host, port, err := net.SplitHostPort(r.Host)
	return err == nil && port == strconv.Itoa(address.Port) && isLoopback(host)
}

// list is the page of the newest emails.
func (m *mailbox) list(w http.ResponseWriter, _ *http.Request) error {
	names, err := filepath.Glob(filepath.Join(m.folder, "*.eml"))
	if err != nil {
		return err
	}
	slices.Sort(names) // they start with the time
	slices.Reverse(names)
	var messages []message
	for _, name := range names[:min(len(names), maxMessages)] {
		one, err := m.read(strings.TrimSuffix(filepath.Base(name), ".eml"))
		switch {
		case errors.Is(err, ErrNotFound): // deleted in the meantime, or not an email
			continue
		case err != nil:
			return err
		}
		messages = append(messages, one)
	}
	return m.render(w, mailboxPolicy, "../", "mailbox.html", messages)
}

// message is the page of one email.
func (m *mailbox) message(w http.ResponseWriter, r *http.Request) error {
	one, err := m.read(r.PathValue("id"))
	if err != nil {
		return err
	}
	return m.render(w, mailboxPolicy, "../../", "message.html", one)
}

// html is the HTML of one email, for the frame in its page.
func (m *mailbox) html(w http.ResponseWriter, r *http.Request) error {
	one, err := m.read(r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", messagePolicy)
	page := strings.Replace(one.HTML, "<head>", `<head><base target="_top">`, 1)
	_, _ = io.WriteString(w, page) // the browser may have disconnected
	return nil
}

// read reads an email. It returns ErrNotFound if there is none, or if the file is not an email.
func (m *mailbox) read(id string) (message, error) {
	if !messageID.MatchString(id) {
		return message{}, ErrNotFound
	}
	file, err := os.Open(filepath.Join(m.folder, id+".eml")) //nolint:gosec // the pattern has no separator in it
	if errors.Is(err, fs.ErrNotExist) {
		return message{}, ErrNotFound
	}
	if err != nil {
		return message{}, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	parsed, err := mail.ReadMessage(io.LimitReader(file, maxMessageBytes))
	if err != nil {
		return message{}, ErrNotFound
	}
	one := message{ID: id}
	var words mime.WordDecoder
	for name, value := range map[string]*string{"From": &one.From, "To": &one.To, "Subject": &one.Subject} {
		if *value, err = words.DecodeHeader(parsed.Header.Get(name)); err != nil {
			*value = parsed.Header.Get(name)
		}
	}
	one.To = strings.Trim(one.To, "<>") // a bare address
	if one.Date, err = parsed.Header.Date(); err != nil {
		one.Date = time.Time{}
	}
	return one, one.readParts(parsed.Header, parsed.Body)
}

// readParts reads the text and the HTML of an email, or of a part of one.
func (m *message) readParts(header interface{ Get(string) string }, body io.Reader) error {
	media, params, err := mime.ParseMediaType(header.Get("Content-Type"))
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
			if err := m.readParts(part.Header, part); err != nil {
				return err
			}
		}
	}
	if strings.EqualFold(header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return ErrNotFound
	}
	switch media {
	case "text/plain":
		m.Text = segments(string(content))
	case "text/html":
		m.HTML = string(content)
	}
	return nil
}

// segments splits a text into links and the text between them.
func segments(text string) []segment {
	var parts []segment
	from := 0
	for _, at := range links.FindAllStringIndex(text, -1) {
		parts = append(parts, segment{Text: text[from:at[0]]}, segment{Text: text[at[0]:at[1]], Link: text[at[0]:at[1]]})
		from = at[1]
	}
	return append(parts, segment{Text: text[from:]})
}
