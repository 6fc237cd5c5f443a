package doctor

import (
	"context"
	"fmt"
)

const (
	// fullDisk is how little free space makes writes fail soon: the write-ahead log needs some.
	fullDisk = 32 << 20
	// lowDisk is how little free space needs attention.
	lowDisk = 512 << 20
)

// checkDisk checks the free space of the data folder.
func checkDisk(_ context.Context, e *examination) Finding {
	free, total, known := diskSpace(e.DataDir)
	if !known {
		return skip("the free space of %s is not known", e.DataDir)
	}
	return judgeDisk(int64(min(free, 1<<62)), int64(min(total, 1<<62)), databaseBytes(e))
}

// judgeDisk judges the free space, in bytes.
func judgeDisk(free, total, database int64) Finding {
	detail := fmt.Sprintf("%s of %s are free", size(free), size(total))
	if database > 0 {
		detail += fmt.Sprintf("; the database takes %s", size(database))
	}
	const remedy = "Make room, or move the data folder to a larger disk. On a full disk the server confirms no change."
	switch {
	case free < fullDisk:
		return fail(remedy, "%s", detail)
	case free < lowDisk || free < database: // a backup, or a migration that copies a table, needs as much
		return warn(remedy, "%s", detail)
	}
	return ok("%s", detail)
}

// size returns a number of bytes for people.
func size(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	default:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
}
