package password

import (
	"crypto/sha256"
	_ "embed"
	"sort"
	"strings"
)

// fingerprintBytes is the number of bytes of a digest that the filter keeps.
const fingerprintBytes = 5

// breached is a filter of leaked passwords (see blocklist/NOTICE): 470,297 sorted fingerprints
// without separators. The passwords cannot be read from it. The false positive rate is 470,297 in
// 2⁴⁰, about one in 2.3 million. It is searched in place, so it uses no heap.
//
//go:embed blocklist/breached.bin
var breached string

// Fingerprint returns the fingerprint of a folded password. Passwords with the same canonical form
// have the same fingerprint.
func Fingerprint(folded string) string {
	digest := sha256.Sum256([]byte(Canonical(folded)))
	return string(digest[:fingerprintBytes])
}

// isBreached reports whether the filter contains a folded password.
func isBreached(folded string) bool {
	wanted := Fingerprint(folded)
	_, found := sort.Find(len(breached)/fingerprintBytes, func(i int) int {
		return strings.Compare(wanted, breached[fingerprintBytes*i:][:fingerprintBytes])
	})
	return found
}
