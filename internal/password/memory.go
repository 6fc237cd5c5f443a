package password

import "weak"

// memory is what one hash after another is computed in: fresh memory would cost a hash a tenth of its time. It is
// the garbage collector's to take between two hashes, so that a server where nobody logs in gives it back.
//
// What a hash leaves there is not overwritten. With two passes or more, to hold a guess against it takes at least
// half of what it takes to hold it against the stored hash, and whoever reads this process's memory finds the
// passwords themselves.
type memory struct {
	kept weak.Pointer[[]block]
}

// take is n blocks, whatever stands in them, or more. More than today's hashes need are not kept.
func (m *memory) take(n int) *[]block {
	today := int(memoryKiB)
	if n > today {
		blocks := make([]block, n)
		return &blocks
	}
	if kept := m.kept.Value(); kept != nil {
		return kept
	}
	blocks := allocate(today)
	m.kept = weak.Make(blocks)
	return blocks
}
