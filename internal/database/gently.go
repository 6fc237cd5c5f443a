package database

import (
	"context"
	"time"
)

const (
	// restFactor is how many times longer than its work Gently rests.
	restFactor = 4
	// longestRest bounds the rest, so that a job ends even if the database is slow.
	longestRest = 250 * time.Millisecond
)

// Gently calls work, a small part of a job in the background. Then it rests for several times as long
// as that took, so that the job leaves most of the time of the database to others, and more of it
// the busier the database is. It returns the error of work, or that of ctx if ctx is done.
func Gently(ctx context.Context, work func() error) error {
	started := time.Now()
	if err := work(); err != nil {
		return err
	}
	select {
	case <-time.After(min(restFactor*time.Since(started), longestRest)):
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
