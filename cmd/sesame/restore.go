package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/server"
)

func restoreCommand(environment []string) *cobra.Command {
	var keepSessions, finish bool
	command := &cobra.Command{
		Use:   "restore FILE | --finish",
		Short: "Make a backup the database of a data folder that has none",
		Long: `Make a backup the database of a data folder that has none. The secret of the backup must be there, or in
SESAME_SECRET. The backup is checked and, if it is from an older version, migrated.

All sessions end, because some may have been revoked after the backup. Links that were emailed do not work any more,
emails that were not sent are deleted, and access tokens get a new key.

With PostgreSQL it restores nothing. It prints the commands to run, and exits with status 1. The last one of them is
sesame restore --finish, which ends the sessions.`,
		Example: `  sesame restore /backups/sesame.db`,
		Args: func(command *cobra.Command, args []string) error {
			if finish {
				return noArguments(command, args)
			}
			return oneArgument(command, args)
		},
		RunE: func(command *cobra.Command, args []string) error {
			c, err := load(environment)
			if err != nil {
				return err
			}
			switch {
			case finish && c.DatabaseURL == "":
				return usageError{errors.New("--finish is for PostgreSQL; sesame restore FILE restores an SQLite database")}
			case finish:
				return finishRestore(command, environment, keepSessions)
			case c.DatabaseURL != "":
				return errUsePgRestore(c.DatabaseURL, args[0], keepSessions)
			default:
				return restore(command, c, args[0], keepSessions)
			}
		},
	}
	command.Flags().BoolVar(&keepSessions, "keep-sessions", false,
		"do not end the sessions: only for a backup after which nothing has changed, to move to another machine")
	command.Flags().BoolVar(&finish, "finish", false, "end the sessions of a PostgreSQL database after pg_restore")
	return command
}

func restore(command *cobra.Command, c *config, file string, keepSessions bool) error {
	c.Log, c.Now = newLogger(c, command.ErrOrStderr()), time.Now
	c.Hashing = password.Config{AtOnce: 1, Wait: hashingWait}
	restored, err := server.Restore(command.Context(), c.Config, file, keepSessions)
	if err != nil {
		return err
	}
	if err := printLine(command, "%s is restored to %s: %s.", file, c.DataDir, describe(restored.Contents)); err != nil {
		return err
	}
	for _, migration := range restored.Applied {
		if err := printLine(command, "Applied %s.", migration.Name); err != nil {
			return err
		}
	}
	return printRestored(command, keepSessions)
}

func finishRestore(command *cobra.Command, environment []string, keepSessions bool) error {
	return withServer(command, environment, func(s *server.Server) error {
		users, sessions, err := s.FinishRestore(command.Context(), keepSessions)
		if err != nil {
			return err
		}
		if err := printLine(command, "The database is ready. users: %d, sessions: %d.", users, sessions); err != nil {
			return err
		}
		return printRestored(command, keepSessions)
	})
}

func printRestored(command *cobra.Command, keepSessions bool) error {
	const links = "Emailed links do not work any more, and unsent emails are deleted."
	if keepSessions {
		return printLine(command, "Sessions continue, also those that were revoked after the backup. "+links)
	}
	return printLine(command, "All users are logged out. "+links+"\n"+
		"Passwords, factors and disabled users are those of the backup.")
}

// errUsePgRestore returns the error of a restore with PostgreSQL: nothing was restored.
func errUsePgRestore(databaseURL, file string, keepSessions bool) error {
	toolURL, err := database.ToolURL(databaseURL)
	if err != nil {
		return err
	}
	finish := "sesame restore --finish"
	if keepSessions {
		finish += " --keep-sessions"
	}
	return errors.New(strings.Join([]string{
		"nothing was restored, because the database is on PostgreSQL. Stop all servers. " +
			"The database must be empty. Set the password in PGPASSWORD or ~/.pgpass, and run:\n",
		"  pg_restore --exit-on-error --single-transaction --no-owner --dbname=" +
			quote(toolURL) + " " + quote(file),
		"  sesame migrate",
		"  " + finish + "\n",
		"Without the last command, sessions that were revoked after the backup are valid again",
	}, "\n"))
}
