package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/server"
)

func migrateCommand(environment []string) *cobra.Command {
	var status bool
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Create the database or migrate its schema, as serve does at start",
		Long: `Create the database or migrate its schema, as serve does at start. With --status, only print the migrations.

An additive migration adds what older versions of Sesame do not use. They keep working with the new schema, so servers
can be replaced one after the other.`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := load(environment)
			if err != nil {
				return err
			}
			if status {
				return printStatus(command.Context(), command.OutOrStdout(), c)
			}
			applied, err := server.Migrate(command.Context(), c.Config)
			if err != nil {
				return err
			}
			for _, migration := range applied {
				if err := printLine(command, "Applied %s.", migration.Name); err != nil {
					return err
				}
			}
			return printLine(command, "The database schema is up to date.")
		},
	}
	command.Flags().BoolVar(&status, "status", false,
		"print the migrations and change nothing; the exit status is 1 if this program cannot use the schema")
	return command
}

// printStatus prints the migrations, the oldest first. Its error is the reason why this program
// cannot use the schema.
func printStatus(ctx context.Context, out io.Writer, c *config) error {
	schema, err := server.ReadSchema(ctx, c.Config)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "VERSION\tSTATE\tMIGRATION") // Flush returns the error
	for _, m := range schema.Migrations {
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\n", m.Version, migrationState(m), migrationName(m))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return schema.Check()
}

func migrationState(m database.Migration) string {
	switch {
	case !m.Applied:
		return "pending"
	case m.Additive:
		return "applied (additive)"
	default:
		return "applied"
	}
}

func migrationName(m database.Migration) string {
	if m.Name == "" {
		return "(of another version of Sesame)"
	}
	return m.Name
}
