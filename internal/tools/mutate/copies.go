package main

// copies has the guards of copying a database.
var copies = []guard{
	{
		what: "a copy does not replace the rows of another installation",
		file: "internal/database/copydb/destination.go",
		code: `	if !slices.ContainsFunc(to, func(kid string) bool { return slices.Contains(from, kid) }) {
		return ErrNotEmpty
	}
`,
		gone: ``,
		pkg:  "internal/database/copydb", run: "TestForeignDestination",
	},
	{
		what: "a copy does not replace what a server has stored in an earlier one",
		file: "internal/database/copydb/destination.go",
		code: `if !checked.Equal(unserved) {`,
		gone: `if checked.IsZero() {`,
		pkg:  "internal/database/copydb", run: "TestServedDestination",
	},
	{
		what: "a copy leaves out no table or column of a newer version",
		file: "internal/database/copydb/destination.go",
		code: `return m.Name == ""`,
		gone: `return m.Name == "another"`,
		pkg:  "internal/database/copydb", run: "TestSchemaOfAnotherVersion",
	},
	{
		what: "a copy replaces rows that have changed",
		file: "internal/database/copydb/copydb.go",
		code: `if here == nil || !here.equal(there) {`,
		gone: `if here == nil {`,
		pkg:  "internal/database/copydb", run: "TestCopyRepairs",
	},
	{
		what: "both engines order the rows in the same way",
		file: "internal/database/copydb/tables.go",
		code: `key[i] += ` + "` COLLATE \"C\"`" + ` //`,
		gone: `key[i] += "" //`,
		pkg:  "internal/database/copydb", run: "TestCopyManyRows",
	},
	{
		what: "the comparison of a copy reads every value",
		file: "internal/database/copydb/compare.go",
		code: `return r.From == r.To`,
		gone: `return r.From.Rows == r.To.Rows`,
		pkg:  "internal/database/copydb", run: "TestCompareNoticesEveryValue",
	},
	{
		what: "a database is not copied to itself",
		file: "internal/server/copy.go",
		code: `	if same {`,
		gone: `	if same && err != nil {`,
		pkg:  "internal/server", run: "TestCopyToItself",
	},
	{
		what: "a data folder that a server uses is not copied",
		file: "internal/server/copy.go",
		code: `if lockAlone(folder) {`,
		gone: `if lockAlone(folder) && err != nil {`,
		pkg:  "internal/server", run: "TestCopyOfAUsedFolder",
	},
	{
		what: "a copy does not migrate the database of another installation",
		file: "internal/server/copy.go",
		code: `err == nil && len(schema.Pending()) == len(schema.Migrations)`,
		gone: `err == nil && len(schema.Pending()) >= 0`,
		pkg:  "internal/server", run: "TestCopyDoesNotMigrate",
	},
}
