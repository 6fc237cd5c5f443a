package conformance

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the hash of RFC 6238 that enrollTOTP documents
	"encoding/binary"
	"fmt"
	"time"
)

// totpPeriod is the length of a time step.
const totpPeriod = 30

// totpCode returns the code of a time step (RFC 6238: SHA-1, 6 digits). It does not use the code of
// the server, so that a run finds errors in it.
func totpCode(key []byte, step int64) string {
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash returns no errors
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1_000_000)
}

// app is the authenticator app that a check has added to the account.
type app struct {
	secret   string // in base32
	key      []byte // the secret
	clock    func() time.Time
	last     int64    // the time step of the last code
	tokens   tokens   // of a session that may remove the app
	recovery []string // unused recovery codes
}

// keep replaces the tokens, unless the request for new ones has failed.
func (a *app) keep(t tokens) {
	if t.access != "" {
		a.tokens = t
	}
}

// code returns the next code. Each works once, and the server accepts one step of drift, so a check
// can use two codes of an app without waiting.
func (a *app) code() string {
	a.last = max(a.last+1, a.clock().Unix()/totpPeriod)
	return totpCode(a.key, a.last)
}

// wrongCode returns a code that is wrong now and in the next minutes.
func (a *app) wrongCode() string {
	now := a.clock().Unix() / totpPeriod
	for step := now + 10; ; step++ {
		code, right := totpCode(a.key, step), false
		for near := now - 3; near <= now+6; near++ {
			right = right || code == totpCode(a.key, near)
		}
		if !right {
			return code
		}
	}
}

// recoveryCode returns an unused recovery code.
func (a *app) recoveryCode() string {
	if len(a.recovery) == 0 {
		return "none"
	}
	code := a.recovery[0]
	a.recovery = a.recovery[1:]
	return code
}
