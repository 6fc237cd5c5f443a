package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/server"
)

func backupCommand(environment []string) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the SQLite database to a new file, while the server runs",
		Long: `Copy the SQLite database to a new file, while the server runs. The file must not exist. It is complete and was
checked, or it does not appear. The secret is not in it: keep a copy of the secret in another place.

With PostgreSQL it copies nothing. It prints the command that makes a backup, and exits with status 1.`,
		Example: `  sesame backup /backups/sesame.db`,
		Args:    oneArgument,
		RunE: func(command *cobra.Command, args []string) error {
			c, err := load(environment)
			if err != nil {
				return err
			}
			if c.DatabaseURL != "" {
				return errUsePgDump(c.DatabaseURL, args[0])
			}
			c.Now = time.Now
			contents, err := server.Backup(command.Context(), c.Config, args[0])
			if err != nil {
				return err
			}
			size, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			return printLine(command, "%s is complete and intact (%d bytes): %s.\n"+
				"It does not contain the secret, which is in %s. "+
				"Without the secret, sessions, keys and authenticator apps are lost.",
				args[0], size.Size(), describe(contents), c.SecretPlace())
		},
	}
}

// describe returns what is in a backup, for people.
func describe(contents server.Contents) string {
	newest := "no events"
	if !contents.Newest.IsZero() {
		newest = "the newest event is of " + inUTC(contents.Newest)
	}
	return fmt.Sprintf("users: %d, sessions: %d, schema version: %d, %s",
		contents.Users, contents.Sessions, contents.Schema, newest)
}

// errUsePgDump returns the error of a backup with PostgreSQL: nothing was backed up.
func errUsePgDump(databaseURL, file string) error {
	toolURL, err := database.ToolURL(databaseURL)
	if err != nil {
		return err
	}
	return errors.New("nothing was backed up, because the database is on PostgreSQL. " +
		"Set the password in PGPASSWORD or ~/.pgpass, and run:\n\n" +
		"  pg_dump --format=custom --file=" + quote(file) + " --dbname=" + quote(toolURL) + "\n\n" +
		"A backup does not contain SESAME_SECRET: keep a copy of it in another place")
}

// quote quotes an argument for a shell.
func quote(argument string) string {
	return "'" + strings.ReplaceAll(argument, "'", `'\''`) + "'"
}
