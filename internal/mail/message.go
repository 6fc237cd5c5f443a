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

// longestLine is the length, in bytes, from which lines are encoded. RFC 5322,
// section 2.1.1, allows 998.
const longestLine = 900

// Message is an email to one recipient.
type Message struct {
	To      string // one bare email: no name, no angle brackets
	Subject string // one line
	Text    string // the text part; lines end in \n
	HTML    string // the HTML part; empty: none
}

// mailbox is the sender that messages show.
type mailbox struct {
	address mail.Address
	domain  string // after the @, for Message-ID and EHLO
}

// parseMailbox parses a mailbox (RFC 5322, section 3.4), such as
// "Sesame <no-reply@example.com>".
func parseMailbox(from string) (mailbox, error) {
	address, err := mail.ParseAddress(from)
	if err != nil {
		return mailbox{}, errors.New(`the sender must look like "Sesame <no-reply@example.com>"`)
	}
	if hasControl(address.Name) || hasControl(address.Address) {
		return mailbox{}, errors.New("the sender contains a line break or another control character")
	}
	if !isPlain(address.Address) {
		return mailbox{}, errors.New("the sender's email must be ASCII; write its domain in the xn-- form")
	}
	domain := address.Address[strings.LastIndexByte(address.Address, '@')+1:]
	return mailbox{address: *address, domain: domain}, nil
}

// path returns the sender's email for the MAIL command, in angle brackets.
func (from mailbox) path() string {
	return (&mail.Address{Address: from.address.Address}).String()
}

// compose returns m as an RFC 5322 message with the date now. Lines of headers end
// in \r\n; parts that are not encoded keep their line ends.
func (from mailbox) compose(m Message, now time.Time) ([]byte, error) {
	to, err := parseRecipient(m.To)
	if err != nil {
		return nil, err
	}
	if hasControl(m.Subject) {
		return nil, fmt.Errorf("%w: the subject contains a line break or another control character", ErrMalformed)
	}

	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&from.address)
	msg.ToMailAddress(to)
	msg.Subject(m.Subject)
	msg.SetDateWithValue(now.UTC())
	// Random each time: a message that is sent again may contain the only link that
	// works, so a receiver must not drop it as a duplicate.
	msg.SetMessageIDWithValue(uuid.NewString() + "@" + from.domain)
	// No out-of-office replies (RFC 3834, section 5).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")

	text, html := partEncoding(m.Text), partEncoding(m.HTML)
	msg.SetBodyString(gomail.TypeTextPlain, m.Text, gomail.WithPartEncoding(text))
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML, gomail.WithPartEncoding(html))
		if text == gomail.NoEncoding || html == gomail.NoEncoding {
			// go-mail labels an unencoded part 8bit, which the message must then
			// declare too (RFC 2045, section 6.4).
			msg.SetGenHeader(gomail.HeaderContentTransferEnc, string(gomail.NoEncoding))
		}
	}

	var out bytes.Buffer
	if _, err := msg.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("compose message: %w", err)
	}
	return out.Bytes(), nil
}

// parseRecipient parses a recipient. It returns an error unless the header and RCPT
// will contain exactly this text, so that parsing cannot turn it into another email.
func parseRecipient(to string) (*mail.Address, error) {
	if hasControl(to) {
		return nil, fmt.Errorf("%w: the recipient contains a line break or another control character", ErrMalformed)
	}
	address, err := mail.ParseAddress(to)
	if err != nil || address.Name != "" || address.String() != "<"+to+">" {
		return nil, fmt.Errorf("%w: the recipient is not one bare email", ErrMalformed)
	}
	return address, nil
}

// partEncoding returns the encoding of a part: none if it can be sent as it is, so that the raw
// message is readable.
func partEncoding(part string) gomail.Encoding {
	for line := range strings.SplitSeq(part, "\n") {
		if len(line) >= longestLine || !isPlain(strings.ReplaceAll(line, "\t", " ")) {
			return gomail.EncodingQP
		}
	}
	return gomail.NoEncoding
}

// isPlain reports whether s consists of printable ASCII.
func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// hasControl reports whether s contains a character that could end or break a header line.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	})
}
