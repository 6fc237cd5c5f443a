package database_test

import (
	"reflect"
	"slices"
	"sync"
	"testing"

	"gorm.io/gorm/schema"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/signing"
)

// models contains the models of all packages except mail, which does not export its model. The
// tests of mail write and read it.
var models = []any{
	&auth.User{}, &auth.Session{}, &auth.OneTimeToken{}, &auth.KnownNetwork{}, &audit.Event{}, &signing.StoredKey{},
}

// The migrated schema has exactly the columns of the models, on both engines.
func TestSchemaMatchesModels(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		for _, model := range models {
			parsed, err := schema.Parse(model, &sync.Map{}, db.WithContext(t.Context()).NamingStrategy)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, column := range databasetest.Columns(t, db, parsed.Table) {
				names = append(names, column.Name)
				field := parsed.LookUpField(column.Name)
				if field == nil {
					continue // reported below
				}
				if want := field.FieldType.Kind() == reflect.Pointer; column.Nullable != want {
					t.Errorf("%s.%s: nullable is %v, want %v", parsed.Table, column.Name, column.Nullable, want)
				}
				if want := columnTypes[engine][kindOf(field)]; column.Type != want {
					t.Errorf("%s.%s is %s, want %s", parsed.Table, column.Name, column.Type, want)
				}
			}
			want := slices.Clone(parsed.DBNames)
			slices.Sort(names)
			slices.Sort(want)
			if !slices.Equal(names, want) {
				t.Errorf("%s has columns %v, the model %v", parsed.Table, names, want)
			}
		}
	})
}

var columnTypes = map[databasetest.Engine]map[string]string{
	databasetest.SQLite:   {"uuid": "TEXT", "string": "TEXT", "int": "INTEGER", "time": "DATETIME", "bytes": "BLOB"},
	databasetest.Postgres: {"uuid": "uuid", "string": "text", "int": "int8", "time": "timestamptz", "bytes": "bytea"},
}

func kindOf(field *schema.Field) string {
	base := field.FieldType
	if base.Kind() == reflect.Pointer {
		base = base.Elem()
	}
	switch {
	case base.String() == "uuid.UUID":
		return "uuid"
	case base.String() == "time.Time":
		return "time"
	case base.Kind() == reflect.String:
		return "string"
	case base.Kind() == reflect.Int64:
		return "int"
	case base.Kind() == reflect.Slice:
		return "bytes"
	}
	return base.String()
}
