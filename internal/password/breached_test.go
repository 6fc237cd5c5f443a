package password

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// The embedded filter is complete, as `make blocklist` generates it. After an update of the npm
// package, change these figures and NOTICE.
func TestFilterIsComplete(t *testing.T) {
	const entries, digest = 470297, "f5e684d05bf9afd8188c3d6642e73cae78960da85e8bfca3f6de694da181cae9"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(breached))); got != digest {
		t.Errorf("digest %s", got)
	}
	if len(breached) != entries*fingerprintBytes {
		t.Errorf("%d bytes", len(breached))
	}
	for i := fingerprintBytes; i < len(breached); i += fingerprintBytes {
		if before, entry := breached[i-fingerprintBytes:i], breached[i:i+fingerprintBytes]; before >= entry {
			t.Fatalf("%x follows %x", entry, before)
		}
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

// The search finds the first and the last entry of a filter.
func TestSearchOfFilter(t *testing.T) {
	original := breached
	defer func() { breached = original }()
	first, second, third := Fingerprint("one"), Fingerprint("two"), Fingerprint("three")
	if second < first {
		first, second = second, first
	}
	for _, filter := range []string{first, first + second} {
		breached = filter
		for _, text := range []string{"one", "two"} {
			if isBreached(text) != strings.Contains(filter, Fingerprint(text)) {
				t.Errorf("%s in %x: %v", text, filter, isBreached(text))
			}
		}
		if isBreached("three") {
			t.Errorf("%x in %x", third, filter)
		}
	}
	breached = ""
	if isBreached("one") {
		t.Error("found in an empty filter")
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
