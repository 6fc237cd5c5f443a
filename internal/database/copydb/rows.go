package copydb

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
)

// row is one row of a table.
type row struct {
	values []any // in the order of the table's columns

	// encoded contains the values in a form that is the same on both engines, and different for
	// different values.
	encoded []byte
}

func (r *row) equal(other *row) bool { return bytes.Equal(r.encoded, other.encoded) }

// encode sets encoded.
func (r *row) encode() error {
	for _, value := range r.values {
		switch value := value.(type) {
		case nil:
			r.encoded = append(r.encoded, 'n')
		case bool:
			r.encoded = append(r.encoded, 'f')
			if value {
				r.encoded[len(r.encoded)-1] = 't'
			}
		case int64:
			r.encoded = binary.AppendVarint(append(r.encoded, 'i'), value)
		case time.Time: // an instant, with the precision of both engines
			r.encoded = binary.AppendVarint(append(r.encoded, 'd'), value.UnixMicro())
		case string:
			r.encoded = binary.AppendUvarint(append(r.encoded, 's'), uint64(len(value)))
			r.encoded = append(r.encoded, value...)
		case []byte:
			r.encoded = binary.AppendUvarint(append(r.encoded, 'b'), uint64(len(value)))
			r.encoded = append(r.encoded, value...)
		default:
			return fmt.Errorf("a value is a %T", value)
		}
	}
	return nil
}

// cursor reads the rows of a table in the order of its key, a page at a time. So no statement runs
// for long, and rows may be written meanwhile.
type cursor struct {
	db    *database.DB
	table table
	page  []row
	read  int   // of the page
	after []any // the key of the page's last row
	last  bool  // there is no further page
}

func newCursor(db *database.DB, t table) *cursor { return &cursor{db: db, table: t} }

// next returns the next row, or nil after the last one.
func (c *cursor) next(ctx context.Context) (*row, error) {
	r, err := c.peek(ctx)
	if r != nil {
		c.read++
	}
	return r, err
}

// seek goes to the first row whose key is not before that of another row. It returns this row if the
// keys are equal, and otherwise nil.
func (c *cursor) seek(ctx context.Context, other *row) (*row, error) {
	for {
		r, err := c.peek(ctx)
		if r == nil || err != nil {
			return nil, err
		}
		switch order := c.table.compareKeys(r, other); {
		case order == 0:
			return r, nil
		case order > 0:
			return nil, nil //nolint:nilnil // there is no such row
		}
		c.read++
	}
}

// peek returns the row that next will return.
func (c *cursor) peek(ctx context.Context) (*row, error) {
	if c.read == len(c.page) && !c.last {
		if err := c.readPage(ctx); err != nil {
			return nil, err
		}
	}
	if c.read == len(c.page) {
		return nil, nil //nolint:nilnil // there are no more rows
	}
	return &c.page[c.read], nil
}

func (c *cursor) readPage(ctx context.Context) error {
	rows, err := query(ctx, c.db, c.table.selection(c.db, c.after != nil), c.after...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err has the error
	c.page, c.read = nil, 0
	for rows.Next() {
		r, err := c.table.scan(rows)
		if err != nil {
			return err
		}
		c.page = append(c.page, r)
	}
	if c.last = len(c.page) < batchRows; !c.last {
		c.after = c.table.keyOf(&c.page[len(c.page)-1])
	}
	return rows.Err()
}

// scan returns the row that rows is at.
func (t table) scan(rows *sql.Rows) (row, error) {
	r := row{values: make([]any, len(t.columns))}
	pointers := make([]any, len(t.columns))
	for i := range pointers {
		pointers[i] = &r.values[i]
	}
	if err := rows.Scan(pointers...); err != nil {
		return row{}, err
	}
	for _, i := range t.booleans {
		switch r.values[i] {
		case int64(0):
			r.values[i] = false
		case int64(1):
			r.values[i] = true
		}
	}
	return r, r.encode()
}

// query runs a query on the connections of GORM, but not by GORM, which replaces some values, such
// as an empty []byte, by others.
func query(ctx context.Context, db *database.DB, text string, args ...any) (*sql.Rows, error) {
	return db.WithContext(ctx).Statement.ConnPool.QueryContext(ctx, numbered(db, text), args...)
}
