package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/server"
	"github.com/sesame-auth/sesame/internal/signing"
)

// keysCommand manages the signing keys in the database. Running servers follow within
// SESAME_RELOAD_KEYS.
func keysCommand(environment []string) *cobra.Command {
	command := &cobra.Command{
		Use:     "keys",
		Short:   "List, rotate and revoke the keys that sign access tokens",
		Example: "  sesame keys list\n  sesame keys rotate\n  sesame keys revoke KID",
		Args:    noArguments,
		RunE:    func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the keys, the newest first",
			Args:  noArguments,
			RunE: func(command *cobra.Command, _ []string) error {
				return withDatabase(command, environment, func(db *database.DB, c *config) error {
					return listKeys(command.Context(), command.OutOrStdout(), db, c.SigningAlgorithm)
				})
			},
		},
		&cobra.Command{
			Use:   "rotate",
			Short: "Publish the next key now; it signs ten minutes later",
			Args:  noArguments,
			RunE: func(command *cobra.Command, _ []string) error {
				return withKeys(command, environment, func(keys *signing.Keyring) error {
					kid, err := keys.Rotate(command.Context())
					if err != nil {
						return err
					}
					return printLine(command, "%s is published. It signs in %s at the latest.", kid, signing.RotateAfter)
				})
			},
		},
		&cobra.Command{
			Use:   "revoke KID",
			Short: "Delete a key; the tokens it signed are refused",
			// One kid in 64 starts with a hyphen, which must not make it a flag.
			DisableFlagParsing: true,
			Args:               oneArgument,
			RunE: func(command *cobra.Command, args []string) error {
				if args[0] == "--help" || args[0] == "-h" {
					return command.Help()
				}
				return withKeys(command, environment, func(keys *signing.Keyring) error {
					if err := keys.Revoke(command.Context(), args[0]); err != nil {
						return err
					}
					return printLine(command, "%s is revoked.", args[0])
				})
			},
		},
	)
	return command
}

// withKeys opens the keyring of the configured installation.
func withKeys(command *cobra.Command, environment []string, work func(*signing.Keyring) error) error {
	return withServer(command, environment, func(s *server.Server) error { return work(s.Keys) })
}

func listKeys(ctx context.Context, out io.Writer, db *database.DB, algorithm signing.Algorithm) error {
	list, err := signing.List(ctx, db, algorithm, time.Now())
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KID\tALGORITHM\tSTATE\tPUBLISHED\tSIGNS FROM") // Flush returns the error
	for _, key := range list {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", key.Kid, key.Algorithm, key.State,
			key.CreatedAt.UTC().Format(time.RFC3339), key.SignsFrom.UTC().Format(time.RFC3339))
	}
	return table.Flush()
}
