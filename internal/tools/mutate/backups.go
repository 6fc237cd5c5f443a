package main

// backups has the guards of backups and restores.
var backups = []guard{
	{
		what: "a backup replaces no file that appears while it runs",
		file: "internal/database/backup.go",
		code: `if err := os.Link(from, to); err != nil {`,
		gone: `if err := os.Rename(from, to); err != nil {`,
		pkg:  "internal/database", run: "TestBackupDoesNotReplaceAFile",
	},
	{
		what: "a backup replaces no file",
		file: "internal/database/backup.go",
		code: `	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("back up database: %s: %w", path, fs.ErrExist)
	}
`,
		gone: `	_ = os.Remove(path)
`,
		pkg: "internal/database", run: "TestBackupFile",
	},
	{
		what: "a backup is checked before it has its name",
		file: "internal/database/backup.go",
		code: `if err := db.CheckIntegrity(ctx); err != nil {`,
		gone: `if err := db.Ping(ctx); err != nil {`,
		pkg:  "internal/database", run: "TestBackupIsChecked",
	},
	{
		what: "a database with rows that refer to none is damaged",
		file: "internal/database/backup.go",
		code: `if len(orphans) > 0 {`,
		gone: `if len(orphans) > 1e9 {`,
		pkg:  "internal/database", run: "TestBackupIsChecked",
	},
	{
		what: "the tools of PostgreSQL do not get the password as an argument",
		file: "internal/database/postgres_tools.go",
		code: `parsed.User = url.User(parsed.User.Username())`,
		gone: `_ = parsed.User`,
		pkg:  "internal/database", run: "TestToolURL",
	},
	{
		what: "a damaged backup is not restored",
		file: "internal/server/restore.go",
		code: `if err := db.CheckIntegrity(ctx); err != nil {`,
		gone: `if err := db.Ping(ctx); err != nil {`,
		pkg:  "internal/server", run: "TestRestoreRefuses",
	},
	{
		what: "a database is not restored without its write-ahead log",
		file: "internal/server/restore.go",
		code: `[]string{"-wal", "-journal"}`,
		gone: `[]string{}`,
		pkg:  "internal/server", run: "TestRestoreRefuses",
	},
	{
		what: "a restored database does not get the write-ahead log of another one",
		file: "internal/server/restore.go",
		code: `[]string{"", "-wal", "-shm", "-journal"}`,
		gone: `[]string{""}`,
		pkg:  "internal/server", run: "TestRestoreRefuses",
	},
	{
		what: "a restore does nothing while a server uses the folder",
		file: "internal/server/restore.go",
		code: `if lockAlone(f.handle) {`,
		gone: `if lockAlone(f.handle) && path == "" {`,
		pkg:  "internal/server", run: "TestRestoreNextToAServer",
	},
	{
		what: "a restore ends all sessions",
		file: "internal/auth/finish_restore.go",
		code: `"UPDATE users SET generation = generation + 1"`,
		gone: `"UPDATE users SET generation = generation"`,
		pkg:  "internal/server", run: "TestRestore",
	},
	{
		what: "a restore deletes the emailed links",
		file: "internal/auth/finish_restore.go",
		code: `"DELETE FROM one_time_tokens"`,
		gone: `"DELETE FROM one_time_tokens WHERE 1 = 0"`,
		pkg:  "internal/server", run: "TestRestore",
	},
	{
		what: "a restore deletes the emails that wait",
		file: "internal/mail/outbox.go",
		code: `"DELETE FROM outbox"`,
		gone: `"DELETE FROM outbox WHERE 1 = 0"`,
		pkg:  "internal/server", run: "TestRestore",
	},
	{
		what: "a restore replaces the signing keys",
		file: "internal/server/restore.go",
		code: `	if err != nil || keepSessions {
		return users`,
		gone: `	if err != nil || !keepSessions {
		return users`,
		pkg: "internal/server", run: "TestRestore",
	},
}
