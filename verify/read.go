package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// base64url accepts only the canonical encoding of each value.
var base64url = base64.RawURLEncoding.Strict()

// header is the header of a token (RFC 7515, section 4.1).
type header struct{ algorithm, kid string }

// readHeader decodes the header. It allows only the members that Sesame writes. Thus crit, jku,
// x5u, jwk and all others are refused.
func readHeader(part string) (header, error) {
	o, err := decode(part)
	if err != nil {
		return header{}, refused("header")
	}
	head, typ := header{algorithm: o.text("alg"), kid: o.text("kid")}, o.text("typ")
	if o.failed || len(o.members) != 3 || typ != tokenType {
		return header{}, refused("kid, alg or typ, or more than these")
	}
	return head, nil
}

// claims are the claims of RFC 9068, section 2.2, and the id of the session.
type claims struct {
	Claims
	issuer, audience, client string
}

func readClaims(part string) (claims, error) {
	o, err := decode(part)
	if err != nil {
		return claims{}, refused("claims")
	}
	content := claims{
		Claims: Claims{
			Subject: o.text("sub"), Session: o.text("sid"), ID: o.text("jti"),
			IssuedAt: o.time("iat"), ExpiresAt: o.time("exp"), AuthTime: o.time("auth_time"),
			AMR: o.texts("amr"), ACR: o.text("acr"), EmailVerified: o.boolean("email_verified"),
		},
		issuer: o.text("iss"), audience: o.text("aud"), client: o.text("client_id"),
	}
	if o.failed {
		return claims{}, refused("a claim is missing, or of another type")
	}
	return content, nil
}

// object is a JSON object. Its methods return the value of a member. If the member is missing, null
// or of another type, they set failed.
type object struct {
	members map[string][]byte // each is valid JSON without white space around it
	failed  bool
}

// decode decodes a part of a token, which must be the canonical base64url encoding of one JSON
// object without duplicate names. Otherwise parsers could disagree: encoding/json uses the last
// duplicate.
func decode(part string) (*object, error) {
	raw, err := base64url.DecodeString(part)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, errors.New("not JSON")
	}
	rest, isObject := bytes.CutPrefix(bytes.TrimLeft(raw, whiteSpace), []byte("{"))
	if !isObject {
		return nil, errors.New("not an object")
	}
	members := make(map[string][]byte, 10)
	for end := byte(','); end == ','; {
		var name, value []byte
		if name, end, rest = cut(rest); end == '}' {
			break // the object is empty
		}
		value, end, rest = cut(rest)
		text, _ := unquote(name)
		if _, twice := members[text]; twice {
			return nil, errors.New("a name occurs twice")
		}
		members[text] = value
	}
	return &object{members: members}, nil
}

// whiteSpace is what JSON allows between tokens (RFC 8259, section 2).
const whiteSpace = " \t\n\r"

// cut cuts a name or a value from the rest of an object, which is valid JSON. It ends before a
// colon, a comma or the object's closing brace.
func cut(text []byte) (value []byte, end byte, rest []byte) {
	depth, quoted := 0, false
	for i := 0; ; i++ {
		switch c := text[i]; {
		case c == '\\':
			i++ // the next character is escaped
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			depth++
		case depth > 0 && (c == '}' || c == ']'):
			depth--
		case depth == 0 && (c == ':' || c == ',' || c == '}'):
			return bytes.Trim(text[:i], whiteSpace), c, text[i+1:]
		}
	}
}

// unquote decodes a string. It returns false if the value is not a string.
func unquote(value []byte) (string, bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	var text string
	err := json.Unmarshal(value, &text)
	return text, err == nil
}

func (o *object) text(name string) string {
	text, ok := unquote(o.members[name])
	o.failed = o.failed || !ok
	return text
}

// texts returns an array of strings that are not empty.
func (o *object) texts(name string) []string {
	var texts []string
	err := json.Unmarshal(o.members[name], &texts)
	o.failed = o.failed || err != nil || texts == nil || slices.Contains(texts, "") // null is "" or nil
	return texts
}

func (o *object) time(name string) time.Time {
	seconds, err := strconv.ParseInt(string(o.members[name]), 10, 64)
	o.failed = o.failed || err != nil
	return time.Unix(seconds, 0)
}

func (o *object) boolean(name string) bool {
	value := string(o.members[name])
	o.failed = o.failed || value != "true" && value != "false"
	return value == "true"
}

// isUUID reports whether text is a UUID (RFC 9562, section 4) in lower case, and not the nil UUID.
func isUUID(text string) bool {
	notNil := false
	for i, c := range []byte(text) {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '1' <= c && c <= '9', 'a' <= c && c <= 'f':
			notNil = true
		case c != '0':
			return false
		}
	}
	return notNil && len(text) == 36
}
