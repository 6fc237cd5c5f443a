package database

import (
	"fmt"

	"gorm.io/gorm"
)

// DeleteUntil deletes up to limit rows of a table, with this primary or unique key, in which a column
// is not later than until. It returns how many it deleted. The names are constants of the program.
//
// The condition is repeated: the inner one selects rows, and PostgreSQL then waits for transactions
// that are changing them. Only the outer one is checked again afterwards. Without it, a row that was
// just made current would be deleted.
func DeleteUntil(tx *gorm.DB, table, key, column string, until any, limit int) (int64, error) {
	deletion := tx.Exec(fmt.Sprintf(`
		DELETE FROM %[1]s WHERE %[3]s <= ? AND %[2]s IN (SELECT %[2]s FROM %[1]s WHERE %[3]s <= ? LIMIT ?)`,
		table, key, column), until, until, limit)
	return deletion.RowsAffected, deletion.Error
}
