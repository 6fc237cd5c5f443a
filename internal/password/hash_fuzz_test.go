package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
)

// A stored hash of any content never crashes parse. It is either refused with ErrHash, or within
// bounds and equal to the hash formatted from what was parsed. Only cheap hashes are computed.
func FuzzStoredHash(f *testing.F) {
	const rest = "$c29tZXNhbHQ$Mrt8B40lu1Qy/8xJjg8VQgvQNCJUJsVISlbJQexDLTY"
	for _, seed := range []string{
		"", "$", "$$$$$",
		"$argon2id$v=19$m=64,t=1,p=1" + rest,
		"$argon2i$v=19$m=65536,t=10,p=4" + rest,
		"$argon2id$v=19$m=4294967295,t=1,p=1" + rest,
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$scrypt$ln=4,r=1,p=3" + rest,
		"$scrypt$ln=63,r=1,p=1" + rest,
		"$pbkdf2-sha256$10$....////AQIDBA$Mrt8B40lu1Qy/8xJjg8VQgvQNCI",
		"$pbkdf2-sha512$i=10,l=32" + rest,
		"$pbkdf2-sha256$i=9223372036854775807" + rest,
		"$pbkdf2-sha256$10" + rest + "\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		stored, err := parse(hash)
		if checked := CheckHash(hash); (checked == nil) != (err == nil) || err != nil && !errors.Is(err, ErrHash) {
			t.Fatalf("%q: parse returns %v, CheckHash %v", hash, err, checked)
		}
		if err != nil {
			return
		}
		if formatted := format(t, hash, stored); formatted != hash {
			t.Errorf("%q is parsed as %q", hash, formatted)
		}
		if isCheap(stored) && stored.matches("\x00 no password") {
			t.Errorf("%q matches any password", hash)
		}
	})
}

// format checks the bounds of a parsed hash, and returns it in the format in which it was read.
func format(t *testing.T, read string, stored storedHash) string {
	t.Helper()
	var salt, sum []byte
	encoding, parameters := base64.RawStdEncoding, ""
	switch h := stored.(type) {
	case bcryptHash:
		return string(h)
	case argon2Hash:
		if h.MemoryKiB > maxMemoryKiB || h.Passes > maxPasses || h.Parallelism > maxParallelism {
			t.Errorf("%q is out of bounds", read)
		}
		return h.String()
	case scryptHash:
		salt, sum, parameters = h.salt, h.sum, fmt.Sprintf("scrypt$ln=%d,r=%d,p=%d", h.logN, h.blocks, h.parallelism)
		if memory := 128 * h.blocks << h.logN; memory > 128<<20 || memory*h.parallelism > 128<<20 {
			t.Errorf("%q uses %d bytes, %d times", read, memory, h.parallelism)
		}
	case pbkdf2Hash:
		salt, sum, parameters = h.salt, h.sum, fmt.Sprintf("%s$i=%d", h.function, h.iterations)
		if len(read) > len(parameters)+3 && read[1:len(parameters)+4] == parameters+",l=" {
			parameters += fmt.Sprintf(",l=%d", len(h.sum))
		}
		if read[len(h.function)+2] != 'i' {
			parameters, encoding = fmt.Sprintf("%s$%d", h.function, h.iterations), passlibEncoding
		}
		if h.iterations > maxSHA256Iterations {
			t.Errorf("%q is out of bounds", read)
		}
	}
	if len(salt) > maxSaltBytes || len(sum) > maxHashBytes {
		t.Errorf("%q is out of bounds", read)
	}
	return "$" + parameters + "$" + encoding.EncodeToString(salt) + "$" + encoding.EncodeToString(sum)
}

// isCheap reports whether a hash takes less than a millisecond.
func isCheap(stored storedHash) bool {
	switch h := stored.(type) {
	case argon2Hash:
		return h.MemoryKiB <= 64 && h.Passes <= 2
	case scryptHash:
		return h.blocks*h.parallelism<<h.logN <= 1024
	case pbkdf2Hash:
		return h.iterations <= 100
	}
	return false
}
