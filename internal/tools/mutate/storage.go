package main

// storage has the guards of the database.
var storage = []guard{
	{
		what: "SQLite's readers cannot write",
		file: "internal/database/sqlite.go",
		code: `append(common, "query_only(1)")`,
		gone: `common`,
		pkg:  "internal/database", run: "TestSQLiteFile",
	},
}
