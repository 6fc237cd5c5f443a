// Package copydb copies all rows from one database of Sesame to another, of either engine.
//
// A copy can be repeated: [Copier.Copy] reads both databases in the order of the primary key,
// deletes what the destination should not have, and inserts what it lacks. So the same call copies
// into an empty database, continues a copy that was interrupted, and repairs one whose source has
// changed since. [Copier.Compare] reads both databases again and compares them. What is compared are
// the values of all columns, which do not depend on the engine.
//
// Nothing is decrypted, so the destination needs the secret of the source.
package copydb

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

const (
	// batchRows is how many rows are read at once, and how many are written in one transaction.
	batchRows = 1000
	// statementRows is how many rows one statement writes. SQLite accepts 32,766 values in one.
	statementRows = 100
)

// Progress is how far a copy, or a comparison, is.
type Progress struct {
	Table string
	Rows  int  // that were read from the source since the last call
	Done  bool // with the table
}

// Copier copies rows from one database to another. New returns it.
type Copier struct {
	from, to *database.DB
	tables   []table
}

// Rows returns the number of rows in the source.
func (c *Copier) Rows(ctx context.Context) (total int64, err error) {
	for _, t := range c.tables {
		var rows int64
		if err := c.from.WithContext(ctx).Raw("SELECT COUNT(*) FROM " + t.name).Scan(&rows).Error; err != nil {
			return 0, fmt.Errorf("count %s: %w", t.name, err)
		}
		total += rows
	}
	return total, nil
}

// Copy makes the rows of the destination those of the source. No server may use either of them. If
// Copy returns an error, or its process ends, it can be called again, and continues.
func (c *Copier) Copy(ctx context.Context, progress func(Progress)) error {
	for _, t := range c.tables { // one that others refer to is before them
		if err := c.remove(ctx, t); err != nil {
			return fmt.Errorf("copy %s: %w", t.name, err)
		}
		if err := c.insert(ctx, t, progress); err != nil {
			return fmt.Errorf("copy %s: %w", t.name, err)
		}
		progress(Progress{Table: t.name, Done: true})
	}
	return nil
}

// remove deletes the rows of the destination that the source does not have, or has with other
// values. An update instead of the latter could violate a unique index, for example if two users
// have exchanged their emails.
//
// With a user, PostgreSQL and SQLite also delete the rows that refer to it. Their tables come later,
// so insert copies them again.
func (c *Copier) remove(ctx context.Context, t table) error {
	source, destination := newCursor(c.from, t), newCursor(c.to, t)
	var wrong [][]any // keys
	for {
		there, err := destination.next(ctx)
		if err != nil {
			return err
		}
		if there == nil {
			return c.deleteRows(ctx, t, wrong)
		}
		here, err := source.seek(ctx, there)
		if err != nil {
			return err
		}
		if here == nil || !here.equal(there) {
			wrong = append(wrong, t.keyOf(there))
		}
		if len(wrong) == batchRows {
			if err := c.deleteRows(ctx, t, wrong); err != nil {
				return err
			}
			wrong = nil
		}
	}
}

// insert copies the rows that the destination does not have.
func (c *Copier) insert(ctx context.Context, t table, progress func(Progress)) error {
	source, destination := newCursor(c.from, t), newCursor(c.to, t)
	var missing [][]any
	for read := 0; ; {
		here, err := source.next(ctx)
		if err != nil {
			return err
		}
		if here == nil || read == batchRows {
			if err := c.insertRows(ctx, t, missing); err != nil {
				return err
			}
			progress(Progress{Table: t.name, Rows: read})
			missing, read = nil, 0
		}
		if here == nil {
			return nil
		}
		read++
		there, err := destination.seek(ctx, here)
		if err != nil {
			return err
		}
		if there == nil {
			missing = append(missing, here.values)
		}
	}
}

// deleteRows deletes the rows with these keys in one transaction.
func (c *Copier) deleteRows(ctx context.Context, t table, keys [][]any) error {
	return c.write(ctx, keys, t.deletion)
}

// insertRows inserts rows in one transaction.
func (c *Copier) insertRows(ctx context.Context, t table, rows [][]any) error {
	return c.write(ctx, rows, t.insertion)
}

// write runs a statement for each few rows, all in one transaction of the destination.
func (c *Copier) write(ctx context.Context, rows [][]any, statement func(rows int) string) error {
	if len(rows) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil { // between transactions, not in one
		return err
	}
	return c.to.Batch(ctx, func(tx *gorm.DB) error {
		for some := range slices.Chunk(rows, statementRows) {
			text := numbered(c.to, statement(len(some)))
			// Not by GORM, which would take time for each of the thousands of values.
			if _, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, text, slices.Concat(some...)...); err != nil {
				return err
			}
		}
		return nil
	})
}
