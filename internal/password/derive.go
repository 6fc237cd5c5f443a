package password

import (
	"encoding/binary"
	"runtime"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2b"
)

// derivation is one run of Argon2 (RFC 9106, section 3), on the goroutine that calls it: the lanes of a slice,
// which could be computed beside each other, follow one after another. The result is the same.
type derivation struct {
	argon2Hash
	columns uint32  // q, the blocks of a lane
	segment uint32  // the blocks of a lane in a slice
	blocks  []block // B, lane after lane; what they hold at first does not count
}

// slicesOfPass is SL: in each pass every lane is filled in as many segments, between which lanes may look at
// each other.
const slicesOfPass = 4

// derive is the tag of that many bytes, computed in m.
func (h argon2Hash) derive(prepared string, length uint32, m *memory) []byte {
	return h.run(h.initial(prepared, length), length, m)
}

// initial is H_0 (section 3.2), with neither a secret nor associated data.
func (h argon2Hash) initial(prepared string, length uint32) [blake2b.Size]byte {
	var input []byte
	for _, number := range []uint32{uint32(h.parallelism), length, h.memoryKiB, h.passes, argon2.Version, h.number()} {
		input = binary.LittleEndian.AppendUint32(input, number)
	}
	for _, text := range []string{prepared, string(h.salt), "", ""} {
		input = append(binary.LittleEndian.AppendUint32(input, uint32(len(text))), text...) //nolint:gosec // a request's password is no 4 GiB
	}
	return blake2b.Sum512(input)
}

// number is y, the variant as the computation names it (section 3.1).
func (h argon2Hash) number() uint32 {
	if h.variant == argon2i {
		return 1
	}
	return 2
}

// run is the tag that H_0 leads to (section 3.2).
func (h argon2Hash) run(initial [blake2b.Size]byte, length uint32, m *memory) []byte {
	segment := h.memoryKiB / (slicesOfPass * uint32(h.parallelism))
	columns := slicesOfPass * segment
	size := int(columns) * int(h.parallelism)
	held := m.take(size)
	d := derivation{argon2Hash: h, columns: columns, segment: segment, blocks: (*held)[:size]}
	d.begin(initial)
	for pass := range d.passes {
		for slice := range uint32(slicesOfPass) {
			for lane := range uint32(d.parallelism) {
				d.fill(pass, slice, lane)
			}
		}
	}
	var last [blockBytes]byte
	for lane := range uint32(d.parallelism) {
		for i, word := range d.blocks[(lane+1)*d.columns-1] {
			bytes := last[8*i:]
			binary.LittleEndian.PutUint64(bytes, binary.LittleEndian.Uint64(bytes)^word)
		}
	}
	runtime.KeepAlive(held) // for m, which must find it again, and because its blocks alone do not keep it mapped
	tag := make([]byte, length)
	hashTo(tag, last[:])
	return tag
}

// begin makes the first two blocks of each lane.
func (d *derivation) begin(initial [blake2b.Size]byte) {
	for lane := range uint32(d.parallelism) {
		for column := range uint32(2) {
			input := binary.LittleEndian.AppendUint32(initial[:], column)
			var bytes [blockBytes]byte
			hashTo(bytes[:], binary.LittleEndian.AppendUint32(input, lane))
			words := &d.blocks[lane*d.columns+column]
			for i := range words {
				words[i] = binary.LittleEndian.Uint64(bytes[8*i:])
			}
		}
	}
}

// fill computes one segment. Which block goes into the next beside its predecessor is read from the predecessor
// or, where the password must not show in the pattern of access, from blocks of addresses (section 3.4.1).
func (d *derivation) fill(pass, slice, lane uint32) {
	blind := d.variant == argon2i || pass == 0 && slice < slicesOfPass/2
	var addresses, zero block
	input := block{uint64(pass), uint64(lane), uint64(slice), uint64(len(d.blocks)), uint64(d.passes), uint64(d.number())}
	row := d.blocks[lane*d.columns:][:d.columns]
	first := uint32(0)
	if pass == 0 && slice == 0 {
		first = 2 // begin has made the others
	}
	for i := first; i < d.segment; i++ {
		column := slice*d.segment + i
		previous := &row[(column+d.columns-1)%d.columns]
		pointer := previous[0]
		if blind {
			at := i % uint32(len(addresses))
			if at == 0 || i == first {
				input[6] = uint64(i)/uint64(len(addresses)) + 1
				compress(&addresses, &zero, &input)
				compress(&addresses, &zero, &addresses)
			}
			pointer = addresses[at]
		}
		reference := &d.blocks[d.refer(pointer, pass, slice, lane, i)]
		if pass == 0 {
			compress(&row[column], previous, reference)
		} else {
			compressInto(&row[column], previous, reference)
		}
	}
}

// refer is the index of the block that pointer, J_2 ‖ J_1, means for the i-th of a segment (section 3.4.2).
func (d *derivation) refer(pointer uint64, pass, slice, lane, i uint32) uint32 {
	from := uint32(pointer>>32) % uint32(d.parallelism)
	start, among := uint32(0), slice*d.segment // the finished segments of this pass
	if pass == 0 && slice == 0 {
		from = lane
	}
	if pass > 0 { // those of the last pass, too, that are not yet replaced: three in all
		start, among = (slice+1)%slicesOfPass*d.segment, (slicesOfPass-1)*d.segment
	}
	switch {
	case from == lane:
		among += i - 1 // this segment so far, but not the predecessor
	case i == 0:
		among-- // not what stands beside the predecessor
	}
	x := pointer & 0xffffffff
	x = x * x >> 32
	x = uint64(among) * x >> 32
	return from*d.columns + (start+among-1-uint32(x))%d.columns
}

// hashTo fills out with H' of input (section 3.3): BLAKE2b of any length.
func hashTo(out, input []byte) {
	input = append(binary.LittleEndian.AppendUint32(nil, uint32(len(out))), input...) //nolint:gosec // a block or a tag
	for len(out) > blake2b.Size {
		v := blake2b.Sum512(input)
		out = out[copy(out, v[:blake2b.Size/2]):]
		input = v[:]
	}
	last, err := blake2b.New(len(out), nil)
	if err != nil {
		panic(err) // 1 to 64 bytes, and no key
	}
	_, _ = last.Write(input) // never fails (hash.Hash)
	last.Sum(out[:0])
}
