package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/secret"
)

// ErrRefresh is returned for a refresh token that was not issued under any of the secrets. It
// deliberately has no details.
var ErrRefresh = errors.New("refresh token is not authentic")

// Refresh is the content of a refresh token: it is the Counter-th token of a session.
type Refresh struct {
	Session uuid.UUID
	Counter int64
}

// RefreshCodec encodes and decodes refresh tokens: base64url(version ‖ session id ‖ counter ‖ MAC).
// The MAC is HMAC-SHA256 under a key of its own.
//
// A token is derived, not stored. So it cannot be stolen from the database, a forged token is
// refused without a query, and the next token can be sent again to a client that lost the response.
type RefreshCodec struct{ keys [][]byte }

const (
	refreshVersion = 1
	refreshBody    = 1 + 16 + 8
	refreshLength  = refreshBody + sha256.Size
)

// base64url accepts only the encoding that Encode makes.
var base64url = base64.RawURLEncoding.Strict()

// NewRefreshCodec returns a codec that encodes under the first secret and decodes under all of
// them.
func NewRefreshCodec(secrets []secret.Secret) RefreshCodec {
	var codec RefreshCodec
	for _, s := range secrets {
		codec.keys = append(codec.keys, s.Derive("refresh token v1"))
	}
	return codec
}

// Encode returns the token: 76 characters.
func (c RefreshCodec) Encode(token Refresh) string {
	raw := make([]byte, 0, refreshLength)
	raw = append(raw, refreshVersion)
	raw = append(raw, token.Session[:]...)
	raw = binary.BigEndian.AppendUint64(raw, uint64(token.Counter)) //nolint:gosec // Decode converts it back
	return base64url.EncodeToString(append(raw, authenticate(c.keys[0], raw)...))
}

// Decode returns the content of a token that Encode made under one of the secrets. It returns
// ErrRefresh.
func (c RefreshCodec) Decode(text string) (Refresh, error) {
	if len(text) != base64url.EncodedLen(refreshLength) {
		return Refresh{}, ErrRefresh
	}
	raw, err := base64url.DecodeString(text)
	if err != nil || len(raw) != refreshLength || raw[0] != refreshVersion { // the decoder ignores line breaks
		return Refresh{}, ErrRefresh
	}
	body, mac := raw[:refreshBody], raw[refreshBody:]
	if !slices.ContainsFunc(c.keys, func(key []byte) bool { return hmac.Equal(mac, authenticate(key, body)) }) {
		return Refresh{}, ErrRefresh
	}
	return Refresh{
		Session: uuid.UUID(body[1:17]),
		Counter: int64(binary.BigEndian.Uint64(body[17:])), //nolint:gosec // see Encode
	}, nil
}

func authenticate(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return mac.Sum(nil)
}
