package database

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// walkRows is how many rows Walk passes over in one step: a few milliseconds of reading.
const walkRows = 500

// DeleteUntil deletes up to limit rows of a table, with this primary or unique key, in which a column
// is not later than until. The column needs an index. It returns how many it deleted. The names are
// constants of the program.
//
// The condition is repeated: the inner one selects rows, and PostgreSQL then waits for transactions
// that are changing them. Only the outer one is checked again afterwards. Without it, a row that was
// just made current would be deleted. The order makes PostgreSQL use the index: without it, each
// call could read all rows that the calls before it have deleted.
func DeleteUntil(tx *gorm.DB, table, key, column string, until any, limit int) (int64, error) {
	deletion := tx.Exec(fmt.Sprintf(`
		DELETE FROM %[1]s WHERE %[3]s <= ? AND %[2]s IN (
			SELECT %[2]s FROM %[1]s WHERE %[3]s <= ? ORDER BY %[3]s LIMIT ?)`,
		table, key, column), until, until, limit)
	return deletion.RowsAffected, deletion.Error
}

// Checkpoint copies what was written from the write-ahead log of SQLite to its file. Otherwise the
// commit that fills the log does that, while other writers wait. On PostgreSQL it does nothing.
func (db *DB) Checkpoint(ctx context.Context) error {
	if db.file == nil {
		return nil
	}
	var busy int // another connection does the same
	return db.WithContext(ctx).Raw("PRAGMA wal_checkpoint(PASSIVE)").Row().Scan(&busy, new(int), new(int))
}

// Walk calls step for consecutive ranges of a table's key, the UUID id: the rows with an id greater
// than after, up to and including last. Together they are the whole table, and each has at most
// walkRows rows when Walk reads it. Walk stops at the first error, and returns it.
func (db *DB) Walk(ctx context.Context, table string, step func(after, last uuid.UUID) error) error {
	for after, last := uuid.Nil, uuid.Nil; last != uuid.Max; after = last {
		var ids []uuid.UUID
		err := db.WithContext(ctx).Table(table).Where("id > ?", after).
			Order("id").Offset(walkRows-1).Limit(1).Pluck("id", &ids).Error
		if err != nil {
			return err
		}
		last = uuid.Max
		if len(ids) > 0 {
			last = ids[0]
		}
		if err := step(after, last); err != nil {
			return err
		}
	}
	return nil
}
