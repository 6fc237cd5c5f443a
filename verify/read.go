package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
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
	members, err := decode(part)
	if err != nil {
		return header{}, refused("header")
	}
	algorithm, hasAlgorithm := member[string](members, "alg")
	kid, hasKid := member[string](members, "kid")
	typ, hasType := member[string](members, "typ")
	if !hasAlgorithm || !hasKid || !hasType || len(members) != 3 || typ != tokenType {
		return header{}, refused("kid, alg or typ, or more than these")
	}
	return header{algorithm: algorithm, kid: kid}, nil
}

// claims are the claims of RFC 9068, section 2.2, and the id of the session.
type claims struct {
	Claims
	issuer, audience, client string
}

func readClaims(part string) (claims, error) {
	members, err := decode(part)
	if err != nil {
		return claims{}, refused("claims")
	}
	var content claims
	for name, into := range map[string]*string{
		"iss": &content.issuer, "aud": &content.audience, "client_id": &content.client,
		"sub": &content.Subject, "sid": &content.Session, "jti": &content.ID,
	} {
		text, ok := member[string](members, name)
		if !ok {
			return claims{}, refused("a claim is missing, or not a string")
		}
		*into = text
	}
	for name, into := range map[string]*time.Time{
		"iat": &content.IssuedAt, "exp": &content.ExpiresAt, "auth_time": &content.AuthTime,
	} {
		seconds, ok := member[int64](members, name)
		if !ok {
			return claims{}, refused("a claim is missing, or not a time")
		}
		*into = time.Unix(seconds, 0)
	}
	verified, ok := member[bool](members, "email_verified")
	if !ok {
		return claims{}, refused("a claim is missing, or not true or false")
	}
	content.EmailVerified = verified
	return content, nil
}

// decode decodes a part of a token, which must be the canonical base64url encoding of one JSON
// object without duplicate names. Otherwise parsers could disagree: encoding/json uses the last
// duplicate.
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

// member returns a member of an object. ok is false if it is missing, null or not a T.
func member[T string | int64 | bool](members map[string]json.RawMessage, name string) (value T, ok bool) {
	var pointer *T
	if err := json.Unmarshal(members[name], &pointer); err != nil || pointer == nil {
		return value, false
	}
	return *pointer, true
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
