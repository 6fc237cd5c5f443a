package main

// examinations has the guards of `sesame doctor`.
var examinations = []guard{
	{
		what: "the doctor leaves the write-ahead log of a crash where it is",
		file: "internal/database/inspect.go",
		code: `if _, err := os.Stat(path + "-wal"); err == nil {`,
		gone: `if err := error(nil); err != nil {`,
		pkg:  "internal/database", run: "TestOpenUnchanged",
	},
	{
		what: "the doctor stores no change",
		file: "internal/database/inspect.go",
		code: `err = errors.Join(err, tx.Rollback())`,
		gone: `err = errors.Join(err, tx.Commit())`,
		pkg:  "internal/database", run: "TestCanWrite",
	},
	{
		what: "the server remembers only requests of the doctor",
		file: "internal/httpapi/sightings.go",
		code: `if !ok || len(id) != doctorID {`,
		gone: `if !ok {`,
		pkg:  "internal/httpapi", run: "TestSightings",
	},
	{
		what: "the doctor notices another deployment at the public URL",
		file: "internal/doctor/public_url.go",
		code: `if !shared {`,
		gone: `if false {`,
		pkg:  "internal/doctor", run: "TestPublicURLs",
	},
}
