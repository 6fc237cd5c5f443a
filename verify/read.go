package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"
)

// Strict refuses every spelling but one.
var base64url = base64.RawURLEncoding.Strict()

type header struct{ algorithm, kid string }

func readHeader(part string) (header, error) {
	members, err := decode(part)
	if err != nil {
		return header{}, refused("header")
	}
	algorithm, hasAlgorithm := member[string](members, "alg")
	kid, hasKid := member[string](members, "kid")
	kind, hasType := member[string](members, "typ")
	if !hasAlgorithm || !hasKid || !hasType || len(members) != 3 || kind != tokenType {
		return header{}, refused("kid, alg or typ, or more than these")
	}
	return header{algorithm: algorithm, kid: kid}, nil
}

// claims are those of RFC 9068, section 2.2, and the session's id.
type claims struct {
	Claims
	issuer, audience, client string
}

func readClaims(part string) (claims, error) {
	members, err := decode(part)
	if err != nil {
		return claims{}, refused("claims")
	}
	var said claims
	for name, into := range map[string]*string{
		"iss": &said.issuer, "aud": &said.audience, "client_id": &said.client,
		"sub": &said.Subject, "sid": &said.Session, "jti": &said.ID,
	} {
		text, is := member[string](members, name)
		if !is {
			return claims{}, refused("a claim is missing, or no text")
		}
		*into = text
	}
	for name, into := range map[string]*time.Time{"iat": &said.IssuedAt, "exp": &said.ExpiresAt, "auth_time": &said.AuthTime} {
		seconds, is := member[int64](members, name)
		if !is {
			return claims{}, refused("a claim is missing, or no time")
		}
		*into = time.Unix(seconds, 0)
	}
	return said, nil
}

// decode reads one part of a token: canonical base64url of one JSON object, names once and in their case, so that no
// two readers of it disagree. encoding/json alone would take the last of several.
func decode(part string) (map[string]json.RawMessage, error) {
	raw, err := base64url.DecodeString(part)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, errors.New("not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	members := make(map[string]json.RawMessage)
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		text, _ := name.(string)
		if _, twice := members[text]; twice {
			return nil, errors.New("a name occurs twice")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		members[text] = value
	}
	return members, nil
}

// member is a member that is there and of its type; null is not.
func member[T string | int64](members map[string]json.RawMessage, name string) (value T, is bool) {
	var pointer *T
	if err := json.Unmarshal(members[name], &pointer); err != nil || pointer == nil {
		return value, false
	}
	return *pointer, true
}

// isUUID tells whether a text is a UUID as RFC 9562, section 4, writes it, in lower case, and not the one that stands
// for none.
func isUUID(text string) bool {
	some := false
	for i, c := range []byte(text) {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '1' <= c && c <= '9', 'a' <= c && c <= 'f':
			some = true
		case c != '0':
			return false
		}
	}
	return some && len(text) == 36
}
