package database

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// registerParameters says which PostgreSQL types the Go types of parameters are. pgx asks for them
// when it does not prepare statements, because a pooler is in front of the server.
//
// pgx has a list of its own, which the build tag nopgxregisterdefaulttypes leaves out. It consists
// of twelve Go types for each PostgreSQL type, ranges and geometry included: 1.4 MB of the binary.
func registerParameters(types *pgtype.Map) {
	for _, integer := range []any{
		int(0), int8(0), int16(0), int32(0), int64(0), uint8(0), uint16(0), uint32(0),
	} {
		types.RegisterDefaultPgType(integer, "int8")
	}
	types.RegisterDefaultPgType(uint64(0), "numeric")
	types.RegisterDefaultPgType(uint(0), "numeric")
	types.RegisterDefaultPgType(float64(0), "float8")
	types.RegisterDefaultPgType(false, "bool")
	types.RegisterDefaultPgType("", "text")
	types.RegisterDefaultPgType([]byte(nil), "bytea")
	types.RegisterDefaultPgType(time.Time{}, "timestamptz")
}
