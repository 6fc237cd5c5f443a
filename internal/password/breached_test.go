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

// The embedded filter is what make blocklist made, whole. A new package changes these figures and NOTICE.
func TestFilterIsWhole(t *testing.T) {
	const entries, digest = 470297, "f5e684d05bf9afd8188c3d6642e73cae78960da85e8bfca3f6de694da181cae9"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(breached))); got != digest {
		t.Errorf("digest %s", got)
	}
	if len(breached) != entries*fingerprintBytes {
		t.Errorf("%d bytes", len(breached))
	}
	for i := fingerprintBytes; i < len(breached); i += fingerprintBytes {
		if before, entry := breached[i-fingerprintBytes:i], breached[i:i+fingerprintBytes]; before >= entry {
			t.Fatalf("%x stands behind %x", entry, before)
		}
	}
}

// What leaked is refused in every case and with letters swapped; the first and the last of the filter are found.
func TestBreachedIsRefused(t *testing.T) {
	for password, want := range map[string]error{
		"chesterdog": ErrBreached, "ChesterDog": ErrBreached, "ch3sterd0g": ErrBreached, "halfbaked": ErrBreached, "gunsnroses": ErrBreached,
		"w1p2a3k4": ErrBreached, "28021970": ErrBreached, "zXthMkOI": ErrBreached,
		"password1": ErrCommon, "chesterdog sat": nil, "half baked bread": nil,
	} {
		if _, err := Accept(password); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
	}
	whole := breached
	defer func() { breached = whole }()
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
		t.Error("found in nothing")
	}
}

// Of a million texts that never leaked, some four in ten million are taken for one that did.
func TestFilterTakesFewForBreached(t *testing.T) {
	source, taken := rand.NewChaCha8([32]byte{}), 0
	for range 1_000_000 {
		if isBreached(string(binary.LittleEndian.AppendUint64([]byte("never leaked "), source.Uint64()))) {
			taken++
		}
	}
	if taken > 3 {
		t.Errorf("%d in a million", taken)
	}
}
