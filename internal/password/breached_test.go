package password

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// The embedded filter is complete, as `make blocklist` generates it. After an update of the npm
// package, change these figures and NOTICE.
func TestFilterIsComplete(t *testing.T) {
	const entries, digest = 470297, "886b29e7bc81a11e69f0b9a76aab7947982bf56aa8e1d8c3c968bcf51c102a29"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(breached))); got != digest {
		t.Errorf("digest %s", got)
	}
	if len(breached) != suffixes+entries*suffixBytes {
		t.Errorf("%d bytes", len(breached))
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

// A filter contains the fingerprints that it was made of, and none of their neighbors.
func TestFilter(t *testing.T) {
	original := breached
	defer func() { breached = original }()
	fingerprints := []string{"\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\xff"}
	for i := range 2000 {
		fingerprints = append(fingerprints, Fingerprint(strconv.Itoa(i)))
	}
	for _, some := range [][]string{fingerprints, fingerprints[:2], fingerprints[2:], nil} {
		filter, err := EncodeFilter(slices.Concat(some, some)) // twice the same is once
		if err != nil {
			t.Fatal(err)
		}
		if want := suffixes + suffixBytes*len(some); len(filter) != want {
			t.Errorf("%d bytes, want %d", len(filter), want)
		}
		breached = string(filter)
		for _, fingerprint := range fingerprints {
			for at := range fingerprint {
				for _, change := range []byte{0, 1, 0x80} {
					neighbor := []byte(fingerprint)
					neighbor[at] ^= change
					if got, want := contains(string(neighbor)), slices.Contains(some, string(neighbor)); got != want {
						t.Errorf("%x in a filter of %d: %v, want %v", neighbor, len(some), got, want)
					}
				}
			}
		}
	}
}

// A filter cannot count more than 255 fingerprints with the same first two bytes.
func TestFilterIsFull(t *testing.T) {
	var fingerprints []string
	for i := range 256 {
		fingerprints = append(fingerprints, string([]byte{1, 2, 3, 4, byte(i)}))
	}
	if _, err := EncodeFilter(fingerprints[1:]); err != nil {
		t.Error(err)
	}
	if _, err := EncodeFilter(fingerprints); err == nil {
		t.Error("256 fingerprints were accepted")
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
