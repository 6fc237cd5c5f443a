package token

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/sesame-auth/sesame/internal/secret"
)

const (
	// ChallengeLifetime is how long a challenge is valid.
	ChallengeLifetime = 5 * time.Minute
	// maxAhead is how far the clock of the instance that made a challenge may be ahead.
	maxAhead = time.Minute
)

// ErrChallenge is returned for a challenge that is not authentic, not for this purpose, or expired.
var ErrChallenge = errors.New("challenge is not valid")

// Challenges makes and opens challenges: short-lived tokens that a client returns with an answer,
// such as a code or a signature.
//
// A challenge is not stored, so asking for one writes nothing. It is encrypted and authenticated
// (AES-256-GCM), and contains what is necessary to continue. Its random nonce makes it unique. It
// does not know whether it was used: the caller stores its [ChallengeDigest] then.
type Challenges struct {
	sealer secret.Sealer
	now    func() time.Time
}

// NewChallenges returns Challenges. They are made under the first secret, and opened under all of
// them.
func NewChallenges(secrets []secret.Secret, now func() time.Time) Challenges {
	return Challenges{sealer: secret.NewSealer(secrets, "challenge v1"), now: now}
}

// New returns a challenge with this content. The purpose names what it is for, and for whom; the
// challenge is valid only for exactly this purpose.
func (c Challenges) New(purpose string, content []byte) []byte {
	expires := c.now().Add(ChallengeLifetime).Unix()
	plain := binary.BigEndian.AppendUint64(nil, uint64(expires)) //nolint:gosec // Open converts it back
	return c.sealer.Seal(append(plain, content...), purpose)
}

// Open returns the content of a challenge that New made for this purpose, and when it expires. It
// returns ErrChallenge. A challenge that was made while a clock was ahead is not valid: it would be
// valid for too long.
func (c Challenges) Open(challenge []byte, purpose string) (content []byte, expires time.Time, err error) {
	plain, _, err := c.sealer.Open(challenge, purpose)
	if err != nil || len(plain) < 8 {
		return nil, time.Time{}, ErrChallenge
	}
	expires = time.Unix(int64(binary.BigEndian.Uint64(plain)), 0) //nolint:gosec // see New
	if now := c.now(); !now.Before(expires) || expires.After(now.Add(ChallengeLifetime+maxAhead)) {
		return nil, time.Time{}, ErrChallenge
	}
	return plain[8:], expires, nil
}

// NewText is like New, but returns the challenge in base64url.
func (c Challenges) NewText(purpose string, content []byte) string {
	return base64url.EncodeToString(c.New(purpose, content))
}

// OpenText is like Open, for a challenge of NewText.
func (c Challenges) OpenText(
	text, purpose string,
) (challenge, content []byte, expires time.Time, err error) {
	challenge, err = base64url.DecodeString(text)
	if err != nil || base64url.EncodeToString(challenge) != text { // the decoder ignores line breaks
		return nil, nil, time.Time{}, ErrChallenge
	}
	content, expires, err = c.Open(challenge, purpose)
	return challenge, content, expires, err
}

// ChallengeDigest returns the SHA-256 digest of a challenge, which is stored when the challenge is
// used.
func ChallengeDigest(challenge []byte) []byte {
	digest := sha256.Sum256(challenge)
	return digest[:]
}
