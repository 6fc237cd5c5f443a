package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// Check returns nil if this program can use the schema and the database stores a change. It writes
// one row. It returns ErrSchema, ErrUnavailable, or the error of a damaged database.
func (db *DB) Check(ctx context.Context) error {
	if err := db.CheckSchema(ctx); err != nil {
		return err
	}
	err := db.Statement(ctx, func(db *gorm.DB) error {
		return db.Exec("UPDATE health SET checked_at = ? WHERE id = 1", db.NowFunc()).Error
	})
	if err != nil {
		return fmt.Errorf("write to the database: %w", db.explain(err))
	}
	if db.Engine() == "postgres" {
		return db.checkSpace(ctx)
	}
	return nil
}

// checkSpace returns ErrUnavailable if PostgreSQL's disk is full. PostgreSQL can go on updating one
// row for a long time then, but it cannot write the temporary file of a query whose result is
// larger than its memory.
func (db *DB) checkSpace(ctx context.Context) error {
	err := db.Transaction(ctx, func(tx *gorm.DB) error {
		if err := tx.Exec("SET LOCAL work_mem = '64kB'").Error; err != nil { // the minimum
			return err
		}
		var rows int
		return tx.Raw("SELECT COUNT(*) FROM generate_series(1, 5000)").Scan(&rows).Error
	})
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "53400" {
		return nil // temp_file_limit forbids the temporary file: the disk is not full
	}
	if err != nil {
		return fmt.Errorf("write a temporary file of the database: %w", err)
	}
	return nil
}
