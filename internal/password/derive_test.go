package password

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2b"
	"pgregory.net/rapid"
)

// The vectors of RFC 9106, sections 5.2 and 5.3. They have a secret and associated data, which passwords here have
// not, so H_0 is made by hand.
func TestVectorsOfTheRFC(t *testing.T) {
	for variant, want := range map[string]string{
		argon2i:  "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8",
		argon2id: "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
	} {
		h := argon2Hash{variant: variant, memoryKiB: 32, passes: 3, parallelism: 4}
		var input []byte
		for _, number := range []uint32{4, 32, 32, 3, 0x13, map[string]uint32{argon2i: 1, argon2id: 2}[variant]} {
			input = binary.LittleEndian.AppendUint32(input, number)
		}
		for _, text := range []string{strings.Repeat("\x01", 32), strings.Repeat("\x02", 16), strings.Repeat("\x03", 8), strings.Repeat("\x04", 12)} {
			input = append(binary.LittleEndian.AppendUint32(input, uint32(len(text))), text...)
		}
		if got := hex.EncodeToString(h.run(blake2b.Sum512(input), 32, new(memory))); got != want {
			t.Errorf("%s: %s", variant, got)
		}
	}
}

// Whatever a stored hash may ask for, and whatever stood in the memory before, the result is that of
// golang.org/x/crypto/argon2, whose compression function is used.
func TestDeriveIsArgon2(t *testing.T) {
	var m memory
	kept := m.take(1)
	rapid.Check(t, func(t *rapid.T) {
		h := argon2Hash{
			variant:     rapid.SampledFrom([]string{argon2id, argon2i}).Draw(t, "variant"),
			passes:      rapid.Uint32Range(1, 4).Draw(t, "passes"),
			parallelism: rapid.Uint8Range(1, maxParallelism).Draw(t, "parallelism"),
			salt:        rapid.SliceOfN(rapid.Byte(), minSaltBytes, maxSaltBytes).Draw(t, "salt"),
		}
		h.memoryKiB = 8*uint32(h.parallelism) + rapid.Uint32Range(0, 2500).Draw(t, "more memory")
		length := rapid.Uint32Range(minHashBytes, maxHashBytes).Draw(t, "length")
		password := strings.Repeat(rapid.StringN(0, 40, -1).Draw(t, "password"), rapid.IntRange(1, 100).Draw(t, "times"))
		dirt := rapid.Uint64().Draw(t, "dirt")
		for i := range h.memoryKiB {
			(*kept)[i][dirt%128] = dirt
		}
		checkDerive(t, h, password, length, &m)
	})
	runtime.KeepAlive(kept)
}

func TestDeriveTodays(t *testing.T) {
	var m memory
	for _, password := range []string{"correct horse", strings.Repeat("é", 128), ""} {
		checkDerive(t, today(), password, hashBytes, &m)
	}
	dear := argon2Hash{variant: argon2id, memoryKiB: maxMemoryKiB - 1, passes: 1, parallelism: 3, salt: []byte("somesalt")}
	checkDerive(t, dear, "correct horse", maxHashBytes, &m)
}

func checkDerive(t rapid.TB, h argon2Hash, password string, length uint32, m *memory) {
	t.Helper()
	reference := argon2.IDKey
	if h.variant == argon2i {
		reference = argon2.Key
	}
	want := reference([]byte(password), h.salt, h.passes, h.memoryKiB, h.parallelism, length)
	if got := h.derive(password, length, m); string(got) != string(want) {
		t.Errorf("%+v of %q, %d bytes: %x, want %x", h, password, length, got, want)
	}
}

// The memory of today's hashes serves one after another, and that of a dearer one goes with it.
func TestMemoryIsReused(t *testing.T) {
	var m memory
	first := m.take(int(memoryKiB))
	if dear := m.take(maxMemoryKiB); len(*dear) != maxMemoryKiB || &(*dear)[0] == &(*first)[0] {
		t.Errorf("%d blocks", len(*dear))
	}
	if again, smaller := m.take(int(memoryKiB)), m.take(8); &(*again)[0] != &(*first)[0] || &(*smaller)[0] != &(*first)[0] {
		t.Error("the memory was not used again")
	}
	if len(*first) != int(memoryKiB) {
		t.Errorf("%d blocks are kept", len(*first))
	}
	runtime.KeepAlive(first)
	runtime.GC()
	if m.kept.Value() != nil {
		t.Error("the memory outlives a collection in which nothing is hashed")
	}
}

// Nothing that is as large as a hash's memory is made for a hash.
func TestHashAllocatesLittle(t *testing.T) {
	var m memory
	held := m.take(1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	hash("correct horse", &m)
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(held)
	if made := after.TotalAlloc - before.TotalAlloc; made > 1<<20 {
		t.Errorf("a hash allocates %d bytes", made)
	}
}

func BenchmarkDerive(b *testing.B) {
	var m memory
	h, password := today(), string(rune('a'+rand.IntN(26)))
	b.Run("here", func(b *testing.B) {
		for b.Loop() {
			h.derive(password, hashBytes, &m)
		}
	})
	b.Run("x-crypto", func(b *testing.B) {
		for b.Loop() {
			argon2.IDKey([]byte(password), h.salt, h.passes, h.memoryKiB, h.parallelism, hashBytes)
		}
	})
}
