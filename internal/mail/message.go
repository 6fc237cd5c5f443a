package mail

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	gomail "github.com/wneessen/go-mail"
)

// longestLine is the longest line, in bytes, that is sent as it is. RFC 5322
// §2.1.1 allows 998.
const longestLine = 900

// Message is one letter to one recipient.
type Message struct {
	To      string // one bare address: no name, no angle brackets
	Subject string // one line
	Text    string // the plain part, lines ended by \n
	HTML    string // the same as HTML; empty: the letter has only the plain part
}

// mailbox is the address letters come from.
type mailbox struct {
	address mail.Address
	domain  string // right of the @, for Message-ID and EHLO
}

// parseMailbox reads an RFC 5322 §3.4 mailbox, such as
// "Sesame <no-reply@example.com>".
func parseMailbox(from string) (mailbox, error) {
	address, err := mail.ParseAddress(from)
	if err != nil {
		return mailbox{}, errors.New(`mail: the sender must look like "Sesame <no-reply@example.com>"`)
	}
	if hasControl(address.Name) || hasControl(address.Address) {
		return mailbox{}, errors.New("mail: the sender holds a line break or another control character")
	}
	if !isPlain(address.Address) {
		return mailbox{}, errors.New("mail: the sender's address must be ASCII; write its domain in the xn-- form")
	}
	domain := address.Address[strings.LastIndexByte(address.Address, '@')+1:]
	return mailbox{address: *address, domain: domain}, nil
}

// path is the address as MAIL wants it, in angle brackets.
func (from mailbox) path() string {
	return (&mail.Address{Address: from.address.Address}).String()
}

// compose writes m, dated now, as an RFC 5322 message. Lines end in \r\n in the
// headers and as given in unencoded parts.
func (from mailbox) compose(m Message, now time.Time) ([]byte, error) {
	to, err := parseRecipient(m.To)
	if err != nil {
		return nil, err
	}
	if hasControl(m.Subject) {
		return nil, fmt.Errorf("%w: the subject holds a line break or another control character", ErrMalformed)
	}

	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&from.address)
	msg.ToMailAddress(to)
	msg.Subject(m.Subject)
	msg.SetDateWithValue(now.UTC())
	// Random each time: a receiver that drops duplicates must not drop a letter
	// sent again, which may hold the only link that still works.
	msg.SetMessageIDWithValue(uuid.NewString() + "@" + from.domain)
	// RFC 3834 §5: no out-of-office answers to this.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")

	text, html := partEncoding(m.Text), partEncoding(m.HTML)
	msg.SetBodyString(gomail.TypeTextPlain, m.Text, gomail.WithPartEncoding(text))
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML, gomail.WithPartEncoding(html))
		if text == gomail.NoEncoding || html == gomail.NoEncoding {
			// go-mail labels an unencoded part 8bit, and then the whole must
			// say so too (RFC 2045 §6.4).
			msg.SetGenHeader(gomail.HeaderContentTransferEnc, string(gomail.NoEncoding))
		}
	}

	var out bytes.Buffer
	if _, err := msg.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("mail: writing the message: %w", err)
	}
	return out.Bytes(), nil
}

// parseRecipient accepts an address only if it is written exactly as it will
// stand in the header and in RCPT, so that nothing is parsed away, added or
// folded into another address.
func parseRecipient(to string) (*mail.Address, error) {
	if hasControl(to) {
		return nil, fmt.Errorf("%w: the recipient holds a line break or another control character", ErrMalformed)
	}
	address, err := mail.ParseAddress(to)
	if err != nil || address.Name != "" || address.String() != "<"+to+">" {
		return nil, fmt.Errorf("%w: the recipient is not one bare address", ErrMalformed)
	}
	return address, nil
}

// partEncoding leaves a part readable in the raw mail if it can travel so.
func partEncoding(part string) gomail.Encoding {
	for line := range strings.SplitSeq(part, "\n") {
		if len(line) >= longestLine || !isPlain(strings.ReplaceAll(line, "\t", " ")) {
			return gomail.EncodingQP
		}
	}
	return gomail.NoEncoding
}

// isPlain tells whether s holds printable ASCII only.
func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// hasControl tells whether s holds a character that ends or breaks a header line.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	})
}
