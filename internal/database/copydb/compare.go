package copydb

import (
	"context"
	"crypto/sha256"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Result is the comparison of one table.
type Result struct {
	Table    string
	From, To Digest
}

// Same reports whether both databases have the same rows.
func (r Result) Same() bool { return r.From == r.To }

// Digest identifies the rows of a table, on any engine.
type Digest struct {
	Rows   int64
	SHA256 [sha256.Size]byte
}

// Compare reads both databases, and returns a result for each table.
func (c *Copier) Compare(ctx context.Context, progress func(Progress)) ([]Result, error) {
	var results []Result
	for _, t := range c.tables {
		result := Result{Table: t.name}
		both, reading := errgroup.WithContext(ctx)
		both.Go(func() (err error) {
			result.From, err = newCursor(c.from, t).digest(reading, func(rows int) {
				progress(Progress{Table: t.name, Rows: rows})
			})
			return err
		})
		both.Go(func() (err error) {
			result.To, err = newCursor(c.to, t).digest(reading, func(int) {})
			return err
		})
		if err := both.Wait(); err != nil {
			return nil, fmt.Errorf("compare %s: %w", t.name, err)
		}
		progress(Progress{Table: t.name, Done: true})
		results = append(results, result)
	}
	return results, nil
}

// digest reads all rows. It calls progress with the number of those that it has read since the last
// call.
func (c *cursor) digest(ctx context.Context, progress func(rows int)) (d Digest, err error) {
	hash, reported := sha256.New(), int64(0)
	for {
		r, err := c.next(ctx)
		if err != nil {
			return Digest{}, err
		}
		if r == nil || d.Rows-reported == batchRows {
			progress(int(d.Rows - reported))
			reported = d.Rows
		}
		if r == nil {
			hash.Sum(d.SHA256[:0])
			return d, nil
		}
		d.Rows++
		_, _ = hash.Write(r.encoded) // never fails
	}
}
