package database

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"
	"modernc.org/sqlite"

	"github.com/sesame-auth/sesame/internal/tracing"
)

// transactionSpan is the name of the span of a transaction. It includes what no statement does: the
// wait for a connection or for other writers, BEGIN and COMMIT.
const transactionSpan = "transaction"

// trace records a span for a statement, or for those of a batch. Their texts have placeholders
// instead of values.
func (db *DB) trace(ctx context.Context, started time.Time, err error, statements ...string) {
	operation := firstWord(statements[0])
	if len(statements) > 1 {
		operation = "BATCH"
	}
	system := semconv.DBSystemNameSQLite
	if db.Engine() == "postgres" {
		system = semconv.DBSystemNamePostgreSQL
	}
	text := strings.Join(strings.Fields(strings.Join(statements, "; ")), " ") // on one line
	tracing.Record(ctx, operation, started, errorType(err), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(system, semconv.DBOperationName(operation), semconv.DBQueryText(text)))
}

// errorType returns the type of a statement's error, or "" if there is none: the SQLSTATE of
// PostgreSQL, the result code of SQLite, or a word.
func errorType(err error) string {
	if onPostgres, ok := errors.AsType[*pgconn.PgError](err); ok {
		return onPostgres.Code
	}
	if onSQLite, ok := errors.AsType[*sqlite.Error](err); ok {
		return strconv.Itoa(onSQLite.Code())
	}
	switch {
	case err == nil, errors.Is(err, gorm.ErrRecordNotFound):
		return ""
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return "duplicate_key"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case unavailable(err), errors.Is(err, ErrUnavailable):
		return "unavailable"
	}
	return semconv.ErrorTypeOther.Value.AsString()
}
