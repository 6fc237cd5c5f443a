package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/sesame-auth/sesame/internal/server"
)

// checkDataFolder checks that only this user can read the data folder, that this user can write it,
// and that its file system is one that SQLite supports.
func checkDataFolder(_ context.Context, e *examination) Finding {
	info, err := os.Stat(e.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.usesPostgres():
		return ok("%s does not exist yet: the first start creates it, for emails", e.DataDir)
	case errors.Is(err, fs.ErrNotExist):
		return fail("Start the server, which creates it, or set SESAME_DATA_DIR to the folder of the server. "+
			"The default is in the current folder.", "%s does not exist", e.DataDir)
	case err != nil:
		return fail("Run sesame doctor as the user of the server.", "%s", err)
	}
	problems := accessProblems(e.DataDir, info)
	if e.usesSQLite() {
		problems = append(problems, fileSystemProblems(e.DataDir, fileSystem(e.DataDir))...)
	}
	detail := e.DataDir + ": only its owner has access"
	if user := owner(info); user >= 0 && user != os.Geteuid() {
		detail += fmt.Sprintf(" (user %d; this command runs as user %d)", user, os.Geteuid())
	}
	return orOK(problems, ok("%s", detail))
}

// fileSystemProblems reports a file system that SQLite does not support. Its locks must work, and
// all processes must be able to map the same file.
func fileSystemProblems(dataDir, system string) []Finding {
	if system == "" {
		return nil
	}
	return []Finding{fail("Move the folder to a local disk, or use PostgreSQL.",
		"%s is on a network file system (%s), where SQLite loses changes", dataDir, system)}
}

// accessProblems reports files of the data folder that others can read, that have another owner, or
// that this user cannot write.
func accessProblems(dataDir string, folder fs.FileInfo) (problems []Finding) {
	var exposed, paths []string
	for _, file := range server.Exposed(dataDir) {
		exposed = append(exposed, fmt.Sprintf("%s (mode %s)", file.Path, file.Mode))
		paths = append(paths, file.Path)
	}
	if len(exposed) > 0 {
		problems = append(problems, warn("Run chmod go= "+strings.Join(paths, " ")+".",
			"other users of this machine have access to %s", strings.Join(exposed, ", ")))
	}
	var refused []string
	for _, path := range server.DataFiles(dataDir) {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if owner(info) != owner(folder) {
			problems = append(problems, fail(fmt.Sprintf("Run chown -R %d %s, and run commands as the user of the server.",
				owner(folder), dataDir),
				"%s belongs to user %d, and the folder to user %d: a server of one cannot use both",
				path, owner(info), owner(folder)))
		}
		if !writable(path) {
			refused = append(refused, path)
		}
	}
	if len(refused) > 0 {
		problems = append(problems, fail("Run sesame doctor as the user of the server. If this is it, make the folder and "+
			"its files writable for it.", "user %d cannot write %s", os.Geteuid(), strings.Join(refused, ", ")))
	}
	return problems
}
