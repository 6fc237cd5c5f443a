package password

import (
	"crypto/sha256"
	_ "embed"
	"sort"
	"strings"
)

// fingerprintBytes is how much of a digest the filter keeps.
const fingerprintBytes = 5

// breached is a filter of passwords that stood in leaks (see blocklist/NOTICE): the fingerprints of 470,297, in order,
// with nothing between them. None of the passwords can be read from it. A password that is none of them is taken for one
// with a probability of their number in 2⁴⁰, which is one in 2.3 million. It is searched as it lies in the binary.
//
//go:embed blocklist/breached.bin
var breached string

// Fingerprint is what the filter keeps of a folded password, whichever of its letters are swapped for signs.
func Fingerprint(folded string) string {
	digest := sha256.Sum256([]byte(Canonical(folded)))
	return string(digest[:fingerprintBytes])
}

// isBreached tells whether the filter takes a folded password for one that leaked.
func isBreached(folded string) bool {
	wanted := Fingerprint(folded)
	_, found := sort.Find(len(breached)/fingerprintBytes, func(i int) int {
		return strings.Compare(wanted, breached[fingerprintBytes*i:][:fingerprintBytes])
	})
	return found
}
