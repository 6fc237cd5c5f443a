package database

import (
	"errors"
	"strconv"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteDialect is a GORM dialect for modernc.org/sqlite. It contains only what the statements of
// this program need. The migrations create the schema, so GORM's generic Migrator is enough.
type sqliteDialect struct{ pool *sqlitePool }

// Name returns the name of the engine.
func (d sqliteDialect) Name() string { return "sqlite" }

// Initialize sets the pool and the clauses that SQLite supports.
func (d sqliteDialect) Initialize(db *gorm.DB) error {
	db.ConnPool = d.pool
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{
		CreateClauses: []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses: []string{"UPDATE", "SET", "FROM", "WHERE", "RETURNING"},
		DeleteClauses: []string{"DELETE", "FROM", "WHERE", "RETURNING"},
	})
	db.ClauseBuilders["LIMIT"] = buildLimit
	// SQLite has no row locks, and needs none: other transactions wait until this one ends.
	db.ClauseBuilders["FOR"] = func(clause.Clause, clause.Builder) {}
	return nil
}

// buildLimit writes the limit as a literal, because SQLite prepares a statement again when 0 or 1
// is bound to its limit. It adds a limit to a lone offset, because SQLite requires one.
func buildLimit(c clause.Clause, builder clause.Builder) {
	limit, ok := c.Expression.(clause.Limit)
	if !ok {
		return
	}
	rows := -1 // all
	if limit.Limit != nil && *limit.Limit >= 0 {
		rows = *limit.Limit
	}
	if rows >= 0 || limit.Offset > 0 {
		_, _ = builder.WriteString("LIMIT " + strconv.Itoa(rows)) // a strings.Builder never fails
	}
	if limit.Offset > 0 {
		_, _ = builder.WriteString(" OFFSET " + strconv.Itoa(limit.Offset))
	}
}

// Migrator returns GORM's generic migrator.
func (d sqliteDialect) Migrator(db *gorm.DB) gorm.Migrator {
	return migrator.Migrator{Config: migrator.Config{DB: db, Dialector: d}}
}

// DataTypeOf returns the type that GORM derived from the field. It is not used: the migrations
// declare the types of columns.
func (d sqliteDialect) DataTypeOf(field *schema.Field) string { return string(field.DataType) }

// DefaultValueOf returns the expression that is inserted for a field without a value.
func (d sqliteDialect) DefaultValueOf(*schema.Field) clause.Expression {
	return clause.Expr{SQL: "NULL"}
}

// BindVarTo writes the placeholder of a value.
func (d sqliteDialect) BindVarTo(writer clause.Writer, _ *gorm.Statement, _ any) {
	_ = writer.WriteByte('?') // a strings.Builder never fails
}

// QuoteTo writes a quoted identifier, whose parts are separated by dots.
func (d sqliteDialect) QuoteTo(writer clause.Writer, identifier string) {
	_ = writer.WriteByte('"')
	for _, c := range []byte(identifier) {
		switch c {
		case '.':
			_, _ = writer.WriteString(`"."`)
		case '"':
			_, _ = writer.WriteString(`""`)
		default:
			_ = writer.WriteByte(c)
		}
	}
	_ = writer.WriteByte('"')
}

// Explain returns a statement with its values, for GORM's log, which is off.
func (d sqliteDialect) Explain(sql string, values ...any) string {
	return logger.ExplainSQL(sql, nil, `'`, values...)
}

// Translate returns the error that GORM has for a violated constraint, ErrUnavailable, or err.
func (d sqliteDialect) Translate(err error) error {
	return translate(err, func(err error) error {
		if onSQLite, ok := errors.AsType[*sqlite.Error](err); ok {
			switch onSQLite.Code() {
			case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
				return gorm.ErrDuplicatedKey
			case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
				return gorm.ErrForeignKeyViolated
			}
		}
		return err
	})
}
