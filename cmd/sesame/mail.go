package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/server"
)

// mailCommand manages the emails that were not sent yet, or were given up. Running servers send
// them.
func mailCommand(environment []string) *cobra.Command {
	command := &cobra.Command{
		Use:   "mail",
		Short: "List, retry and drop emails that were not sent",
		Long: "List, retry and drop emails that were not sent. ID is the one that list prints.\n\n" +
			"An email is given up if the mail server rejects it, or if it could not be sent for a day. " +
			"It is kept for a week.",
		Example: "  sesame mail list --dead\n  sesame mail retry --dead\n  sesame mail drop ID",
		Args:    noArguments,
		RunE:    func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(
		listEmailsCommand(environment),
		changeEmailsCommand(environment, "retry", "Send an email now, as if it were new, or all that were given up",
			"Emails to send: %d.", (*mail.Outbox).Retry),
		changeEmailsCommand(environment, "drop", "Delete an email without sending it, or all that were given up",
			"Emails deleted: %d.", (*mail.Outbox).Drop),
	)
	return command
}

func listEmailsCommand(environment []string) *cobra.Command {
	var asJSON bool
	var limit int
	var filter mail.Filter
	command := &cobra.Command{
		Use:     "list",
		Short:   "List emails that were not sent, the oldest first",
		Example: "  sesame mail list --dead --json",
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if limit < 1 {
				return usageError{errors.New("--limit must be 1 or more")}
			}
			return withServer(command, environment, func(s *server.Server) error {
				entries, err := s.Outbox.Unsent(command.Context(), filter, limit)
				if err != nil {
					return err
				}
				if asJSON {
					return printEmailsJSON(command.OutOrStdout(), entries)
				}
				return printEmails(command.OutOrStdout(), entries)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print NDJSON: one JSON object per line")
	command.Flags().BoolVar(&filter.Dead, "dead", false, "list only emails that were given up")
	command.Flags().IntVar(&limit, "limit", 1000, "list at most this many emails")
	return command
}

// emailRecord is an email as one line of NDJSON.
type emailRecord struct {
	ID        string    `json:"id"`
	State     string    `json:"state"` // waiting, sending or dead
	Kind      mail.Kind `json:"kind"`
	Email     string    `json:"email"`
	Attempts  int       `json:"attempts"`
	LastError string    `json:"lastError,omitzero"`
	CreatedAt time.Time `json:"createdAt"`
	DueAt     time.Time `json:"dueAt,omitzero"`  // of an email that is waiting
	DeadAt    time.Time `json:"deadAt,omitzero"` // when it was given up
}

func newEmailRecord(entry mail.Entry) emailRecord {
	record := emailRecord{
		ID: entry.ID, Kind: entry.Kind, Email: entry.Email, Attempts: entry.Attempts, LastError: entry.LastError,
		CreatedAt: entry.CreatedAt.UTC(),
	}
	switch {
	case entry.DeadAt != nil:
		record.State, record.DeadAt = "dead", entry.DeadAt.UTC()
	case entry.Lease != nil:
		record.State = "sending"
	default:
		record.State, record.DueAt = "waiting", entry.DueAt.UTC()
	}
	return record
}

func printEmails(out io.Writer, entries []mail.Entry) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) // returns write errors from Flush
	_, _ = fmt.Fprintln(table, "ID\tSTATE\tCREATED\tATTEMPTS\tKIND\tEMAIL\tLAST ERROR")
	for _, entry := range entries {
		record := newEmailRecord(entry)
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", record.ID, record.State, inUTC(record.CreatedAt),
			record.Attempts, record.Kind, shown(record.Email), shown(record.LastError))
	}
	return table.Flush()
}

func printEmailsJSON(out io.Writer, entries []mail.Entry) error {
	buffered := bufio.NewWriter(out) // returns write errors from Flush
	for _, entry := range entries {
		if err := printJSON(buffered, newEmailRecord(entry)); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// changeEmailsCommand returns a command for one email, or for all that were given up.
func changeEmailsCommand(
	environment []string, name, short, done string,
	change func(*mail.Outbox, context.Context, mail.Filter) (int, error),
) *cobra.Command {
	var filter mail.Filter
	command := &cobra.Command{
		Use:   name + " ID | --dead",
		Short: short,
		Args: func(command *cobra.Command, args []string) error {
			if !filter.Dead {
				return oneArgument(command, args)
			}
			if len(args) > 0 {
				return usageError{errors.New("give either ID or --dead, not both")}
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) == 1 {
				id, err := uuid.Parse(args[0])
				if err != nil {
					return fmt.Errorf("%s: %w", args[0], mail.ErrUnknownEntry)
				}
				filter.ID = id.String()
			}
			return withServer(command, environment, func(s *server.Server) error {
				count, err := change(s.Outbox, command.Context(), filter)
				if err != nil {
					return err
				}
				return printLine(command, done, count)
			})
		},
	}
	command.Flags().BoolVar(&filter.Dead, "dead", false, "all emails that were given up")
	return command
}
