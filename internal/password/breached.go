package password

import (
	"crypto/sha256"
	_ "embed"
)

const (
	// fingerprintBytes is the number of bytes of a digest that the filter keeps.
	fingerprintBytes = 5
	// prefixBytes is how many of them the filter does not store, because it is sorted by them.
	prefixBytes = 2
	prefixes    = 1 << (8 * prefixBytes)
	restBytes   = fingerprintBytes - prefixBytes
	// countBytes is the size of a number in the index.
	countBytes = 3
	indexBytes = countBytes * (prefixes + 1)
)

// breached is a filter of leaked passwords (see blocklist/NOTICE) with 470,297 fingerprints, made by
// Filter. The passwords cannot be read from it. The false positive rate is 470,297 in 2⁴⁰, about one
// in 2.3 million. It is searched in place, so it uses no heap.
//
//go:embed blocklist/breached.bin
var breached string

// Fingerprint returns the fingerprint of a folded password. Passwords with the same canonical form
// have the same fingerprint.
func Fingerprint(folded string) string {
	digest := sha256.Sum256([]byte(Canonical(folded)))
	return string(digest[:fingerprintBytes])
}

// Filter returns the filter of sorted fingerprints: an index, and the rests of all fingerprints. The
// index contains, for each prefix, how many fingerprints have a lower one, and then how many there
// are.
func Filter(fingerprints []string) []byte {
	var counts [prefixes + 1]int
	var rests []byte
	for _, fingerprint := range fingerprints {
		counts[prefixOf(fingerprint)+1]++
		rests = append(rests, fingerprint[prefixBytes:]...)
	}
	index, lower := make([]byte, 0, indexBytes+len(rests)), 0
	for _, count := range counts {
		lower += count
		index = append(index, byte(lower>>16), byte(lower>>8), byte(lower)) //nolint:gosec // less than 2²⁴
	}
	return append(index, rests...)
}

// isBreached reports whether the filter contains a folded password.
func isBreached(folded string) bool {
	wanted := Fingerprint(folded)
	prefix, rests := prefixOf(wanted), breached[indexBytes:]
	for i := lowerThan(prefix); i < lowerThan(prefix+1); i++ {
		if rests[restBytes*i:][:restBytes] == wanted[prefixBytes:] {
			return true
		}
	}
	return false
}

// lowerThan returns how many fingerprints of the filter have a lower prefix.
func lowerThan(prefix int) int {
	count := breached[countBytes*prefix:][:countBytes]
	return int(count[0])<<16 | int(count[1])<<8 | int(count[2])
}

func prefixOf(fingerprint string) int { return int(fingerprint[0])<<8 | int(fingerprint[1]) }
