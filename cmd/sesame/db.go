package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/database/copydb"
	"github.com/sesame-auth/sesame/internal/server"
)

func dbCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "db",
		Short:   "Copy a database, for example from SQLite to PostgreSQL",
		Example: copyExample,
		Args:    noArguments,
		RunE:    func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(copyCommand())
	return command
}

const copyExample = "" +
	"  sesame db copy --from ./sesame-data --to 'postgres://sesame@db.example.com/sesame?sslmode=verify-full'\n" +
	"  sesame db copy --from 'postgres://sesame@db.example.com/sesame?sslmode=verify-full' --to ./sesame-data"

func copyCommand() *cobra.Command {
	var from, to string
	command := &cobra.Command{
		Use:   "copy --from DATABASE --to DATABASE",
		Short: "Copy everything from one database to another, and compare them",
		Long: `Copy everything from one database to another, and compare them.

DATABASE is a data folder with an SQLite database, or the URL of a PostgreSQL database. Leave the password out of the
URL, because other users of the machine can read arguments: it is read from PGPASSWORD or from the file ~/.pgpass.

Stop all servers that use one of them first. The destination must be empty, or must not exist. Users, passwords, second
factors, sessions and signing keys continue to work, with the same secret.

If the command is interrupted, run it again to continue. If the databases differ at the end, a server has changed one of
them meanwhile; then the exit status is 1. Run it again to copy the changes. The settings of the server are not used.`,
		Example: copyExample,
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			source, err := parseDatabase("--from", from)
			if err != nil {
				return err
			}
			destination, err := parseDatabase("--to", to)
			if err != nil {
				return err
			}
			err = server.CopyDatabase(command.Context(), source, destination, func(copier *copydb.Copier) error {
				return copyAndCompare(command, copier)
			})
			if err != nil {
				return err
			}
			return printLine(command, "%s", aboutSecret(from, to))
		},
	}
	command.Flags().StringVar(&from, "from", "", "the database to copy")
	command.Flags().StringVar(&to, "to", "", "the database to copy it to")
	return command
}

// parseDatabase returns the configuration of a database that a flag names.
func parseDatabase(flag, value string) (server.Config, error) {
	var c server.Config
	var err error
	switch {
	case value == "":
		return c, usageError{errors.New("--from and --to are required")}
	case isPostgres(value):
		c.DatabaseURL, err = value, checkDatabaseURL(value)
	case strings.Contains(value, ":/"):
		err = errors.New("must be a data folder, or a URL that begins with postgres://")
	default:
		if c.DataDir, err = filepath.Abs(value); err == nil {
			err = checkDataDir(c.DataDir)
		}
	}
	if err != nil {
		return c, usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	return c, nil
}

// copyAndCompare copies the rows, compares both databases and prints the result.
func copyAndCompare(command *cobra.Command, copier *copydb.Copier) error {
	ctx, out := command.Context(), command.ErrOrStderr()
	total, err := copier.Rows(ctx)
	if err != nil {
		return err
	}
	started, bar := time.Now(), newRowProgress(out, copying, total)
	err = copier.Copy(ctx, bar.show)
	bar.finish()
	if err != nil {
		return fmt.Errorf("stopped; run the same command again to continue: %w", err)
	}
	took := time.Since(started)
	bar = newRowProgress(out, comparing, total)
	results, err := copier.Compare(ctx, bar.show)
	bar.finish()
	if err != nil {
		return fmt.Errorf("everything is copied, but not compared yet; run the same command again: %w", err)
	}
	if err := printResults(command.OutOrStdout(), results); err != nil {
		return err
	}
	command.PrintErrf("Copied %d rows in %s (%.0f rows a second).\n",
		total, took.Round(time.Millisecond), float64(total)/took.Seconds())
	if slices.ContainsFunc(results, func(r copydb.Result) bool { return !r.Same() }) {
		return errors.New("the databases differ: a server or a command has changed one of them meanwhile. " +
			"Stop all servers and run the same command again")
	}
	return nil
}

// printResults prints a table. The digest is the start of the SHA-256 of all rows.
func printResults(out io.Writer, results []copydb.Result) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "TABLE\tROWS\tDIGEST\tDESTINATION") // Flush returns the error
	for _, result := range results {
		destination := "same"
		if !result.Same() {
			destination = fmt.Sprintf("different: %d rows, %s", result.To.Rows, shortDigest(result.To))
		}
		_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", result.Table, result.From.Rows, shortDigest(result.From), destination)
	}
	return table.Flush()
}

func shortDigest(d copydb.Digest) string { return fmt.Sprintf("%x", d.SHA256[:6]) }

// aboutSecret returns what to do after a copy, because its rows are encrypted with the secret.
func aboutSecret(from, to string) string {
	file := filepath.Join(from, "secret")
	_, err := os.Stat(file)
	switch inFile := !isPostgres(from) && err == nil; {
	case inFile && isPostgres(to):
		return "Set SESAME_SECRET to the content of " + file + ", unless it is set already."
	case inFile:
		return "Copy " + file + " to " + filepath.Join(to, "secret") + ", unless SESAME_SECRET is set."
	default:
		return "Keep SESAME_SECRET: the new database needs the same one."
	}
}

// rowProgress shows how many rows were read: on a terminal with a bar, and otherwise, while they are
// copied, with a line for each table.
type rowProgress struct {
	out  io.Writer
	step string
	bar  *progressbar.ProgressBar // nil: not on a terminal
	rows int                      // of the current table
}

// The steps of a copy.
const (
	copying   = "copying"
	comparing = "comparing"
)

func newRowProgress(out io.Writer, step string, total int64) *rowProgress {
	p := &rowProgress{out: out, step: step}
	if _, onTerminal := terminal(out); onTerminal {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

func (p *rowProgress) show(now copydb.Progress) {
	p.rows += now.Rows
	switch {
	case p.bar != nil:
		p.bar.Describe(p.step + " " + now.Table)
		_ = p.bar.Add(now.Rows) // fails if there are more rows than were counted
	case now.Done && p.step == copying:
		_, _ = fmt.Fprintf(p.out, "%s: %d rows\n", now.Table, p.rows) // best effort
	}
	if now.Done {
		p.rows = 0
	}
}

func (p *rowProgress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish() // best effort
	}
}
