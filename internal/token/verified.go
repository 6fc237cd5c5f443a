package token

import (
	"crypto"
	"crypto/sha256"
	"sync"

	"github.com/sesame-auth/sesame/verify"
)

// maxVerified is how many verified tokens are remembered. Each takes about half a KiB of memory.
const maxVerified = 10_000

// verified is what remains of an access token after it was verified.
type verified struct {
	claims verify.Claims
	kid    string
	key    publicKey // which verified the signature
}

// publicKey is a crypto.PublicKey. All public keys of the standard library have this method.
type publicKey interface {
	Equal(other crypto.PublicKey) bool
}

// digest is the SHA-256 of a token. Tokens themselves are not kept in memory.
type digest [sha256.Size]byte

// verifiedTokens remembers tokens that were valid. To verify a signature takes a third of the
// processor time of a POST /auth, and a client sends the same token many times.
type verifiedTokens struct {
	mu     sync.RWMutex
	tokens map[digest]*verified
}

func newVerifiedTokens() *verifiedTokens {
	return &verifiedTokens{tokens: make(map[digest]*verified)}
}

// find returns a token, or nil.
func (v *verifiedTokens) find(token digest) *verified {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.tokens[token]
}

// add remembers a token that was just verified. If there are maxVerified, it forgets any other.
func (v *verifiedTokens) add(token digest, content *verified) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tokens[token] == nil && len(v.tokens) == maxVerified {
		for other := range v.tokens {
			delete(v.tokens, other)
			break
		}
	}
	v.tokens[token] = content
}
