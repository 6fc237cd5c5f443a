package mail

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"
)

const (
	testFrom  = "Sesame <no-reply@sesame.example>"
	testToken = "kX3m-_Qe9bTqVYwA7n1uZc5RsLpHd0fGoJi2Wv4yB8E"
	testLink  = "https://sesame.example/reset-password#token=" + testToken
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123456000, time.FixedZone("", 3600))

// parsedMail is a message as a mail program reads it.
type parsedMail struct {
	header     mail.Header
	text, html string
	encodings  []string
}

func parseMail(t *testing.T, raw []byte) parsedMail {
	t.Helper()
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	kind, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s, %v", kind, err)
	}
	parsed := parsedMail{header: message.Header}
	parts := multipart.NewReader(message.Body, params["boundary"])
	parsed.text = parsed.next(t, parts, "text/plain; charset=UTF-8")
	parsed.html = parsed.next(t, parts, "text/html; charset=UTF-8")
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Fatalf("after the second part: %v", err)
	}
	return parsed
}

// next reads and decodes one part. Its lines end in \n.
func (p *parsedMail) next(t *testing.T, parts *multipart.Reader, kind string) string {
	t.Helper()
	part, err := parts.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	encoding := part.Header.Get("Content-Transfer-Encoding")
	p.encodings = append(p.encodings, encoding)
	var body io.Reader = part
	if encoding == "quoted-printable" {
		body = quotedprintable.NewReader(part)
	}
	content, err := io.ReadAll(body)
	if got := part.Header.Get("Content-Type"); err != nil || got != kind {
		t.Fatalf("%s, %v; want %s", got, err, kind)
	}
	return strings.ReplaceAll(string(content), "\r\n", "\n")
}

func testMailbox(t *testing.T) mailbox {
	t.Helper()
	box, err := parseMailbox(testFrom)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func TestHeaders(t *testing.T) {
	m := testMessage(t)
	raw, err := testMailbox(t).compose(m, noon)
	if err != nil {
		t.Fatal(err)
	}
	header := parseMail(t, raw).header
	for name, want := range map[string]string{
		"From":                      `"Sesame" <no-reply@sesame.example>`,
		"To":                        "<ada@example.org>",
		"Subject":                   "Reset your Sesame password",
		"Date":                      "Fri, 02 Jan 2026 11:00:00 +0000",
		"Auto-Submitted":            "auto-generated",
		"Mime-Version":              "1.0",
		"Content-Transfer-Encoding": "8bit",
	} {
		if got := header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	id := header.Get("Message-Id")
	if !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, "@sesame.example>") {
		t.Errorf("Message-ID %s", id)
	}
	if len(header) != 9 { // those above, Message-ID and Content-Type
		t.Errorf("headers: %v", header)
	}
	again, err := testMailbox(t).compose(m, noon)
	if err != nil || parseMail(t, again).header.Get("Message-Id") == id {
		t.Errorf("two messages have the same Message-ID (%v)", err)
	}
}

// Characters that could start another header line are refused.
func TestHeaderInjection(t *testing.T) {
	box := testMailbox(t)
	for _, poison := range []string{"\r\n", "\n", "\r", "\x00", "\t", "\u0085", "\u2028"} {
		for name, m := range map[string]Message{
			"recipient":            {To: "ada@example.org" + poison + "Bcc: eve@example.org"},
			"recipient, folded":    {To: "ada@example.org," + poison + " eve@example.org"},
			"recipient, at end":    {To: "ada@example.org" + poison},
			"recipient, in quotes": {To: `"a` + poison + `da"@example.org`},
			"subject":              {To: "ada@example.org", Subject: "Hello" + poison + "Bcc: eve@example.org"},
		} {
			if raw, err := box.compose(m, noon); !errors.Is(err, ErrMalformed) || raw != nil {
				t.Errorf("%s with %q: %v, %q", name, poison, err, raw)
			}
		}
	}
	for _, from := range []string{
		"", "Sesame", "a@x.example, b@x.example", "Sesame <no-reply@sesame.example>\r\nBcc: eve@example.org",
		"=?utf-8?q?Sesame=0D=0ABcc=3A_eve?= <no-reply@sesame.example>",
		"Sesame <no-reply@s\u00e9same.example>", "\"a\r\nb\"@sesame.example",
	} {
		if _, err := parseMailbox(from); err == nil {
			t.Errorf("accepted %q as the sender", from)
		}
	}
}

// A message goes to exactly the given email, or is refused.
func TestRecipientExactly(t *testing.T) {
	box := testMailbox(t)
	for _, to := range []string{
		"ada@example.org", "Ada.Lovelace+x@Example.ORG", `"a d a"@example.org`, "ada@[192.0.2.1]",
		"m\u00fcller@example.org", "ad\u0430@example.org", // the last with a Cyrillic letter
	} {
		raw, err := box.compose(Message{To: to, Text: "x", HTML: "x"}, noon)
		if err != nil {
			t.Errorf("%s: %v", to, err)
		} else if got := parseMail(t, raw).header.Get("To"); got != "<"+to+">" {
			t.Errorf("%s became %s", to, got)
		}
	}
	for _, to := range []string{
		"", "ada", "Ada <ada@example.org>", "<ada@example.org>", " ada@example.org", "ada@example.org ",
		"ada@example.org (eve@example.org)", "ada@example.org, eve@example.org", `"ada"@example.org`,
		"ada@ example.org", "ada@example.org>", "ada@example.org> NOTIFY=SUCCESS",
	} {
		if _, err := box.compose(Message{To: to}, noon); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %v", to, err)
		}
	}
}

func TestPartEncoding(t *testing.T) {
	box := testMailbox(t)
	for name, test := range map[string]struct{ part, want string }{
		"ASCII":           {"a=b\n\t\n~", "8bit"},
		"longest line":    {strings.Repeat("a", 899) + "\n" + strings.Repeat("a", 899), "8bit"},
		"longer line":     {strings.Repeat("a", 900), "quoted-printable"},
		"not ASCII":       {"Grüße", "quoted-printable"},
		"carriage return": {"a\rb", "quoted-printable"},
		"control":         {"a\x1bb", "quoted-printable"},
	} {
		raw, err := box.compose(Message{To: "ada@example.org", Text: test.part, HTML: test.part}, noon)
		if err != nil {
			t.Fatal(err)
		}
		parsed := parseMail(t, raw)
		if parsed.encodings[0] != test.want || parsed.encodings[1] != test.want {
			t.Errorf("%s: %v", name, parsed.encodings)
		}
		for line := range strings.SplitSeq(string(raw), "\n") {
			if len(line) > 998 {
				t.Errorf("%s: a line of %d bytes", name, len(line))
			}
		}
	}
}

func TestTextOnly(t *testing.T) {
	raw, err := testMailbox(t).compose(Message{To: "ada@example.org", Text: "x\n"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(message.Body)
	if got := message.Header["Content-Transfer-Encoding"]; err != nil || string(body) != "x\n" || len(got) != 1 {
		t.Errorf("%q, %q, %v", body, got, err)
	}
}
