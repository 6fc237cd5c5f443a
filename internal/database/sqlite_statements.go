package database

import (
	"context"
	"database/sql/driver"
	"fmt"

	"modernc.org/sqlite"
)

// maxStatements is how many compiled statements a connection keeps. The program has fewer; the
// length of a list makes further ones.
const maxStatements = 128

// sqliteConnector opens connections that keep their compiled statements. The driver compiles every
// statement each time it runs, which takes longer than a read of one row.
type sqliteConnector struct{ driver.Connector }

func newSQLiteConnector(source string) (driver.Connector, error) {
	connector, err := sqlite.NewConnector(source)
	return sqliteConnector{connector}, err
}

// Connect opens a connection.
func (c sqliteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(driverConn)
	if !ok {
		return nil, fmt.Errorf("a connection is a %T", opened)
	}
	return &sqliteConn{driverConn: conn, statements: make(map[string]statement)}, nil
}

// driverConn is what a connection of the driver implements.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// statement is what a compiled statement of the driver implements.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// sqliteConn is a connection that keeps its compiled statements. Like every [driver.Conn], it is used
// by one goroutine at a time.
type sqliteConn struct {
	driverConn

	statements map[string]statement // that are not in use
}

// ExecContext runs a statement that returns no rows.
func (c *sqliteConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := s.ExecContext(ctx, args)
	c.giveBack(query, s)
	return result, err
}

// QueryContext runs a statement that returns rows. Until they are closed, the statement is in use.
func (c *sqliteConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		c.giveBack(query, s)
		return nil, err
	}
	return &sqliteRows{Rows: rows, giveBack: func() { c.giveBack(query, s) }}, nil
}

// take returns a compiled statement that is not in use.
func (c *sqliteConn) take(ctx context.Context, query string) (statement, error) {
	if s, ok := c.statements[query]; ok {
		delete(c.statements, query)
		return s, nil
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s, ok := prepared.(statement)
	if !ok {
		return nil, fmt.Errorf("a statement is a %T", prepared)
	}
	return s, nil
}

// giveBack keeps a statement for the next time. If there are too many, it closes another one.
func (c *sqliteConn) giveBack(query string, s statement) {
	if other, twice := c.statements[query]; twice {
		_ = other.Close() // the statement has run: an error would be its error, which the caller has
	}
	c.statements[query] = s
	for text, other := range c.statements {
		if len(c.statements) <= maxStatements {
			return
		}
		if text != query {
			delete(c.statements, text)
			_ = other.Close()
		}
	}
}

// Close closes the statements and the connection.
func (c *sqliteConn) Close() error {
	for _, s := range c.statements {
		_ = s.Close()
	}
	clear(c.statements)
	return c.driverConn.Close()
}

// sqliteRows gives the statement back when the rows are closed.
type sqliteRows struct {
	driver.Rows

	giveBack func() // nil: it was given back
}

// ColumnTypeDatabaseTypeName returns the declared type of a column.
func (r *sqliteRows) ColumnTypeDatabaseTypeName(i int) string {
	if typed, ok := r.Rows.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return typed.ColumnTypeDatabaseTypeName(i)
	}
	return ""
}

// Close ends the statement.
func (r *sqliteRows) Close() error {
	err := r.Rows.Close()
	if r.giveBack != nil {
		r.giveBack()
		r.giveBack = nil
	}
	return err
}
