package password

import (
	_ "unsafe" // for go:linkname

	_ "golang.org/x/crypto/argon2" // whose functions compress and compressInto are
)

// block is the unit of Argon2's memory: 1024 bytes, as words in little-endian order (RFC 9106, section 3.2).
type block [blockBytes / 8]uint64

const blockBytes = 1024

// Argon2's compression function G (RFC 9106, section 3.5) is where the time of a hash goes. The one of
// golang.org/x/crypto/argon2 is written in the vector instructions of the processors that have them, and is not
// exported; it is taken from there by name, because the exported functions cannot be: they compute in goroutines
// of their own, which a thread of low priority does not hold, and in memory that is fresh for each hash.
//
// Nobody promises that these names stay. go.mod pins the module; a version without them does not link, and one
// in which they mean something else fails the tests, which hold every hash against argon2.Key and argon2.IDKey.

// compress sets out to G(x, y). out may be x or y.
//
//go:linkname compress golang.org/x/crypto/argon2.processBlock
//go:noescape
func compress(out, x, y *block)

// compressInto sets out to out XOR G(x, y).
//
//go:linkname compressInto golang.org/x/crypto/argon2.processBlockXOR
//go:noescape
func compressInto(out, x, y *block)
