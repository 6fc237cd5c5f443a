package rarelog_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesame-auth/sesame/internal/rarelog"
)

// The first event is logged at once, and those of the next interval together at its end. After an
// interval without an event, the next one is logged at once again.
func TestEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var counts []int
		event := rarelog.New(func(count int) {
			mu.Lock()
			defer mu.Unlock()
			counts = append(counts, count)
		})
		expect := func(want ...int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(counts, want) {
				t.Errorf("logged %v, want %v", counts, want)
			}
		}
		event.Happened()
		expect(1)
		for range 1000 {
			event.Happened()
		}
		event.Happened()
		expect(1)
		time.Sleep(rarelog.Interval)
		expect(1, 1001)
		event.Happened()
		expect(1, 1001)
		time.Sleep(rarelog.Interval)
		expect(1, 1001, 1)
		time.Sleep(3 * rarelog.Interval)
		event.Happened()
		expect(1, 1001, 1, 1)
	})
}
