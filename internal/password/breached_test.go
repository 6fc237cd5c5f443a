package password

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The embedded filter is complete, as `make blocklist` generates it. After an update of the npm
// package, change these figures and NOTICE.
func TestFilterIsComplete(t *testing.T) {
	const entries, digest = 470297, "f5e684d05bf9afd8188c3d6642e73cae78960da85e8bfca3f6de694da181cae9"
	var fingerprints []string
	rests := breached[indexBytes:]
	for prefix := range prefixes {
		for range lowerThan(prefix+1) - lowerThan(prefix) {
			begin := string([]byte{byte(prefix >> 8), byte(prefix)})
			fingerprints = append(fingerprints, begin+rests[:restBytes])
			rests = rests[restBytes:]
		}
	}
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(fingerprints, "")))); got != digest {
		t.Errorf("digest %s", got)
	}
	if len(fingerprints) != entries || rests != "" || string(Filter(fingerprints)) != breached {
		t.Errorf("%d entries, %d bytes left", len(fingerprints), len(rests))
	}
	if !slices.IsSorted(fingerprints) || len(slices.Compact(fingerprints)) != entries {
		t.Error("the entries are not sorted, or not unique")
	}
}

// Leaked passwords are refused in upper and lower case, and with substituted letters.
func TestBreachedIsRefused(t *testing.T) {
	for want, passwords := range map[error][]string{
		ErrBreached: {
			"chesterdog", "ChesterDog", "ch3sterd0g", "halfbaked", "gunsnroses", "w1p2a3k4", "28021970", "zXthMkOI",
		},
		ErrCommon: {"password1"},
		nil:       {"chesterdog sat", "half baked bread"},
	} {
		for _, password := range passwords {
			if _, err := policy.Accept(password); !errors.Is(err, want) {
				t.Errorf("%q: %v, want %v", password, err, want)
			}
		}
	}
}

// The search finds every entry of a filter, and nothing else.
func TestSearchOfFilter(t *testing.T) {
	original := breached
	defer func() { breached = original }()
	wanted := Fingerprint("one")
	before := string([]byte{wanted[0], wanted[1], 0, 0, 0})
	after := string([]byte{wanted[0], wanted[1], 255, 255, 255})
	first, last := "\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\xff"
	for _, others := range [][]string{
		nil, {before}, {after}, {before, after}, {first}, {last}, {first, before, after, last},
	} {
		for _, isIn := range []bool{false, true} {
			fingerprints := slices.Clone(others)
			if isIn {
				fingerprints = append(fingerprints, wanted)
			}
			slices.Sort(fingerprints)
			breached = string(Filter(fingerprints))
			if isBreached("one") != isIn {
				t.Errorf("in %x: %v", fingerprints, !isIn)
			}
		}
	}
}

// The filter has about four false positives in ten million.
func TestFilterHasFewFalsePositives(t *testing.T) {
	source, positives := rand.NewChaCha8([32]byte{}), 0
	for range 1_000_000 {
		if isBreached(string(binary.LittleEndian.AppendUint64([]byte("never leaked "), source.Uint64()))) {
			positives++
		}
	}
	if positives > 3 {
		t.Errorf("%d false positives in a million", positives)
	}
}
