// Package totp makes and checks time-based one-time passwords (RFC 6238) with the parameters that
// every authenticator app supports: HMAC-SHA-1, 6 digits and steps of 30 seconds.
//
// It is not a library because a code must work only once (section 5.2): the caller has to store the
// time step that a code belongs to, and libraries do not return it.
package totp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238's default, and the only hash that every app supports
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	// Digits is the length of a code.
	Digits = 6
	// Period is the length of a time step.
	Period = 30 * time.Second
	// drift is how many steps the clock of an app may differ (section 5.2 recommends at most one).
	drift = 1

	secretBytes = 20 // RFC 4226, section 4, recommends 160 bits
	minBytes    = 10 // and requires 128, but other systems have made secrets of 80 bits
	maxBytes    = 64 // the block size of SHA-1: longer keys are hashed, and no app makes them
	modulo      = 1_000_000
)

// ErrSecret is returned for a text that is not a secret.
var ErrSecret = errors.New("a TOTP secret is base32 of 10 to 64 bytes")

// Secret is the key that a server and an authenticator app share.
type Secret []byte

// NewSecret returns a random secret.
func NewSecret() Secret {
	secret := make(Secret, secretBytes)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return secret
}

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ParseSecret decodes a secret in base32, as [Secret.String] returns it or as other programs write
// it: in lower case, with padding, or in groups. Its error does not quote the text.
func ParseSecret(text string) (Secret, error) {
	text = strings.NewReplacer(" ", "", "-", "").Replace(text)
	secret, err := encoding.DecodeString(strings.ToUpper(strings.TrimRight(text, "=")))
	if err != nil || len(secret) < minBytes || len(secret) > maxBytes {
		return nil, ErrSecret
	}
	return secret, nil
}

// String returns the secret in base32, which users can type into an app.
func (s Secret) String() string { return encoding.EncodeToString(s) }

// URI returns the otpauth URI of the secret, for a QR code. The app shows issuer, the name of the
// service, and account, the email of the user.
func (s Secret) URI(issuer, account string) string {
	issuer = strings.ReplaceAll(issuer, ":", "") // it separates issuer and account
	// Apps do not decode a plus sign.
	query := strings.ReplaceAll(url.Values{"secret": {s.String()}, "issuer": {issuer}}.Encode(), "+", "%20")
	return "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(account) + "?" + query
}

// Step returns the number of the time step that contains a time.
func Step(at time.Time) int64 { return at.Unix() / int64(Period/time.Second) }

// Time returns the time at which a step begins, in UTC.
func Time(step int64) time.Time { return time.Unix(step*int64(Period/time.Second), 0).UTC() }

// Code returns the code of a time step.
func (s Secret) Code(step int64) string {
	mac := hmac.New(sha1.New, s)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash returns no errors
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf // RFC 4226, section 5.3
	value := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", Digits, value%modulo)
}

// Match returns the newest time step after last whose code is code, among the steps that are
// acceptable at this time. It returns false if there is none.
//
// It checks every step in the same time. Two steps can have the same code. Then the newer one is
// used up, or the code would work twice. A last step that no code could have now was stored while a
// clock was ahead. It is ignored, or no code would match until then.
func (s Secret) Match(code string, at time.Time, last int64) (step int64, ok bool) {
	now := Step(at)
	if last > now+drift {
		last = 0
	}
	for candidate := now - drift; candidate <= now+drift; candidate++ {
		equal := subtle.ConstantTimeCompare([]byte(s.Code(candidate)), []byte(code)) == 1
		if equal && candidate > last {
			step, ok = candidate, true
		}
	}
	return step, ok
}
