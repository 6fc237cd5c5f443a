package password

import (
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A filter has five bytes of the digest of each password, its fingerprint. An index replaces the
// first two of them.
const (
	fingerprintBytes = 5
	suffixBytes      = 3
	starts           = 256 * 4 // where the part of the filter begins that has the counts
	suffixes         = starts + 1<<16
)

// breached is a filter of leaked passwords (see blocklist/NOTICE), as EncodeFilter returns it, with
// 470,297 fingerprints. The passwords cannot be read from it. The false positive rate is 470,297 in
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

// EncodeFilter returns a filter of fingerprints. It consists of
//
//   - for each value of the first byte, how many fingerprints are before the first one with this
//     byte: 256 numbers of four bytes;
//   - for each value of the first two bytes, how many fingerprints have them: 65,536 bytes;
//   - the other three bytes of each fingerprint, in ascending order.
func EncodeFilter(fingerprints []string) ([]byte, error) {
	fingerprints = slices.Compact(slices.Sorted(slices.Values(fingerprints)))
	filter := make([]byte, suffixes, suffixes+suffixBytes*len(fingerprints))
	for first := range 256 {
		before, _ := slices.BinarySearch(fingerprints, string([]byte{byte(first)}))
		binary.BigEndian.PutUint32(filter[4*first:], uint32(before)) //nolint:gosec // there are not that many
	}
	for _, fingerprint := range fingerprints {
		count := &filter[starts+prefix(fingerprint)]
		if *count++; *count == 0 {
			return nil, fmt.Errorf("more than 255 fingerprints begin with %x", fingerprint[:2])
		}
		filter = append(filter, fingerprint[2:]...)
	}
	return filter, nil
}

// isBreached reports whether the filter contains a folded password.
func isBreached(folded string) bool { return contains(Fingerprint(folded)) }

// contains reports whether the filter contains a fingerprint.
func contains(wanted string) bool {
	index := prefix(wanted)
	at := int(binary.BigEndian.Uint32([]byte(breached[4*(index>>8):][:4])))
	for _, count := range []byte(breached[starts:][index&^0xff : index]) {
		at += int(count)
	}
	count := int(breached[starts+index])
	for found := range slices.Chunk([]byte(breached[suffixes:][suffixBytes*at:][:suffixBytes*count]), suffixBytes) {
		if strings.HasSuffix(wanted, string(found)) {
			return true
		}
	}
	return false
}

// prefix returns the first two bytes of a fingerprint as a number.
func prefix(fingerprint string) int { return int(fingerprint[0])<<8 | int(fingerprint[1]) }
