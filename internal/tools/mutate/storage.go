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
	{
		what: "a change is confirmed only if the file is still there",
		file: "internal/database/database.go",
		code: `return db.file.check()`,
		gone: `return nil`,
		pkg:  "internal/database", run: "TestRemovedFileConfirmsNothing",
	},
	{
		what: "a write is confirmed after the commit",
		file: "internal/database/sqlite_writer.go",
		code: `if <-g.ended; g.err != nil && g.writes > 1 {`,
		gone: `if g.err != nil && g.writes > 1 {`,
		pkg:  "internal/database", run: "TestWriteWaitsForTheCommit",
	},
	{
		what: "a write does not fail because of another one",
		file: "internal/database/sqlite_writer.go",
		code: `g.err != nil && g.writes > 1 {`,
		gone: `g.err != nil && g.writes > maxGroup {`,
		pkg:  "internal/database", run: "TestFailedCommit|TestInterruptedWrite",
	},
	{
		what: "a write that fails is undone",
		file: "internal/database/sqlite_writer.go",
		code: `_ = g.exec("ROLLBACK TO one_write")`,
		gone: `_ = g`,
		pkg:  "internal/database", run: "TestFailedWriteIsUndoneAlone|TestPanicInAWrite",
	},
	{
		what: "a transaction that SQLite rolled back is not continued",
		file: "internal/database/sqlite_writer.go",
		code: `g.failed = err != nil`,
		gone: `g.failed = false`,
		pkg:  "internal/database", run: "TestInterruptedWrite",
	},
	{
		what: "a transaction that lost a race runs again",
		file: "internal/database/database.go",
		code: `if !lostRace(err) || try == tries {`,
		gone: `if !lostRace(err) || try == 1 {`,
		pkg:  "internal/database", run: "TestDeadlocksAreRetried|TestSerializationFailuresAreRetried",
	},
	{
		what: "a connection to another machine is encrypted",
		file: "internal/database/postgres_url.go",
		code: `problems = append(problems, fmt.Sprintf("the connection to %s might not be encrypted`,
		gone: `_ = append(problems, fmt.Sprintf("the connection to %s might not be encrypted`,
		pkg:  "internal/database", run: "TestUnencryptedConnections",
	},
	{
		what: "a server that became a standby is left",
		file: "internal/database/postgres.go",
		code: `				c.evictions.Add(1)
				return false // closes this one
`,
		gone: `				return true
`,
		pkg: "internal/database", run: "TestReadOnlyServer",
	},
}
