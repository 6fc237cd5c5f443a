//go:build !linux

package password

func allocate(n int) *[]block {
	blocks := make([]block, n)
	return &blocks
}
