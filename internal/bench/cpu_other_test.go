//go:build !linux

package bench

import (
	"errors"
	"testing"
	"time"
)

func cpuTimeOf(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

func (p *process) cpuTime(b *testing.B) time.Duration {
	b.Skip("the processor time of another process is measured on Linux only")
	return 0
}
