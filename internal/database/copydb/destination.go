package copydb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

// The destinations that New refuses.
var (
	ErrNotEmpty = errors.New("the destination is not empty, and is not an unfinished copy of the source: " +
		"use an empty database")
	ErrServed = errors.New("a server has used the destination since it was copied from the source, " +
		"and another copy would delete what has changed there: to copy again, use an empty database")
)

// unserved is the time of the latest check in a database that no server has used since it was copied.
// Every server that starts sets another time.
var unserved = time.Unix(0, 0).UTC()

// New returns a Copier, if it may replace the rows of the destination: the destination must be
// empty, or an unfinished copy of the source that no server has used. Both databases must have
// exactly the schema of this program. New changes only the table health of the destination.
func New(ctx context.Context, from, to *database.DB) (*Copier, error) {
	c := &Copier{from: from, to: to}
	if err := c.checkSchemas(ctx); err != nil {
		return nil, err
	}
	if err := c.checkDestination(ctx); err != nil {
		return nil, err
	}
	for _, t := range tables {
		described, err := t.withColumns(ctx, from)
		if err != nil {
			return nil, fmt.Errorf("read the columns of %s: %w", t.name, err)
		}
		c.tables = append(c.tables, described)
	}
	err := to.Statement(ctx, func(db *gorm.DB) error {
		return db.Exec("UPDATE health SET checked_at = ?", unserved).Error
	})
	if err != nil {
		return nil, fmt.Errorf("write to the destination: %w", err)
	}
	return c, nil
}

// checkSchemas returns an error unless both databases have the schema of this program. A server also
// accepts one that has more, but a copy would leave that out.
func (c *Copier) checkSchemas(ctx context.Context) error {
	for _, db := range []*database.DB{c.from, c.to} {
		name := "source"
		if db == c.to {
			name = "destination"
		}
		schema, err := db.Schema(ctx)
		if err == nil {
			err = schema.Check()
		}
		if err != nil {
			return fmt.Errorf("the %s: %w", name, err)
		}
		if slices.ContainsFunc(schema.Migrations, func(m database.Migration) bool { return m.Name == "" }) {
			return fmt.Errorf("the %s: %w: it was migrated by a newer version of Sesame: use that version", name,
				database.ErrSchema)
		}
	}
	return nil
}

// checkDestination returns an error if a copy would delete what is not a copy of the source.
func (c *Copier) checkDestination(ctx context.Context) error {
	empty, err := isEmpty(ctx, c.to)
	if err != nil || empty {
		return err
	}
	var from, to []string
	err = errors.Join(
		c.from.WithContext(ctx).Raw("SELECT kid FROM signing_keys").Scan(&from).Error,
		c.to.WithContext(ctx).Raw("SELECT kid FROM signing_keys").Scan(&to).Error,
	)
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	if !slices.ContainsFunc(to, func(kid string) bool { return slices.Contains(from, kid) }) {
		return ErrNotEmpty
	}
	var checked time.Time
	if err := c.to.WithContext(ctx).Raw("SELECT checked_at FROM health").Scan(&checked).Error; err != nil {
		return fmt.Errorf("read the latest check of the destination: %w", err)
	}
	if !checked.Equal(unserved) {
		return ErrServed
	}
	return nil
}

// isEmpty reports whether a database has no rows that a copy would delete.
func isEmpty(ctx context.Context, db *database.DB) (bool, error) {
	for _, t := range tables {
		var rows int
		if err := db.WithContext(ctx).Raw("SELECT COUNT(*) FROM (SELECT 1 FROM " + t.name + " LIMIT 1) AS any_row").
			Scan(&rows).Error; err != nil {
			return false, fmt.Errorf("look for rows in %s: %w", t.name, err)
		}
		if rows > 0 {
			return false, nil
		}
	}
	return true, nil
}
