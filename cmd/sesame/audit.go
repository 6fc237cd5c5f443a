package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
)

// followInterval is how often --follow queries the database for new events.
const followInterval = time.Second

// outputBuffer is how many bytes are printed at once without --follow.
const outputBuffer = 64 << 10

// auditCommand prints the audit log.
func auditCommand(environment []string) *cobra.Command {
	var since time.Duration
	var user string
	var kinds []string
	var follow, asJSON bool
	command := &cobra.Command{
		Use:   "audit",
		Short: "Print the audit log of accounts, sessions and keys, the oldest event first",
		Example: `  sesame audit --user ada@example.com --since 168h
  sesame audit --kind login,refresh-reuse --follow`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) (err error) {
			filter := audit.Filter{Since: time.Now().Add(-since)}
			for _, name := range kinds {
				kind := audit.Kind(name)
				if !slices.Contains(audit.Kinds, kind) {
					return usageError{fmt.Errorf("--kind: there is no kind %q; the kinds are %s", name, kindList())}
				}
				filter.Kinds = append(filter.Kinds, kind)
			}
			if id, failed := uuid.Parse(user); failed == nil {
				filter.UserID = id
			} else if user != "" {
				if filter.Email, err = auth.NormalizeEmail(user); err != nil {
					return usageError{fmt.Errorf("--user: %q is neither an id nor an email", user)}
				}
			}
			return withDatabase(command, environment, func(db *database.DB, _ *config) error {
				if follow { // each event at once
					each := printer(command.OutOrStdout(), asJSON)
					return audit.Follow(command.Context(), db, filter, followInterval, each)
				}
				out := bufio.NewWriterSize(command.OutOrStdout(), outputBuffer)
				err := audit.Read(command.Context(), db, filter, printer(out, asJSON))
				return errors.Join(err, out.Flush())
			})
		},
	}
	flags := command.Flags()
	flags.DurationVar(&since, "since", 24*time.Hour, "print events of this period, up to now")
	flags.StringVar(&user, "user", "", "print only events of this user: an email or an id")
	flags.StringSliceVar(&kinds, "kind", nil, "print only events of these kinds, separated by commas: "+kindList())
	flags.BoolVarP(&follow, "follow", "f", false, "wait for new events and print them, until interrupted")
	flags.BoolVar(&asJSON, "json", false, "print NDJSON: one JSON object per line")
	return command
}

// kindList returns the kinds of events, separated by commas.
func kindList() string {
	names := make([]string, 0, len(audit.Kinds))
	for _, kind := range audit.Kinds {
		names = append(names, string(kind))
	}
	return strings.Join(names, ", ")
}

// printer returns a function that prints events, as JSON or as name=value. Untrusted text, which
// could contain line breaks or control a terminal, is quoted.
func printer(out io.Writer, asJSON bool) func(audit.Event) error {
	if asJSON {
		return func(event audit.Event) error { return printJSON(out, event) }
	}
	var line []byte
	return func(event audit.Event) error {
		line = event.At.UTC().AppendFormat(line[:0], "2006-01-02T15:04:05.000Z")
		line = append(line, " "+string(event.Kind)+" "+string(event.Outcome)...)
		for _, part := range []struct{ name, value string }{
			{"email", event.Email}, {"ip", event.IP}, {"detail", event.Detail}, {"user", known(event.UserID)},
			{"session", known(event.SessionID)}, {"request", event.RequestID}, {"userAgent", event.UserAgent},
		} {
			if part.value != "" {
				line = append(line, " "+part.name+"="+quoted(part.value)...)
			}
		}
		line = append(line, '\n')
		_, err := out.Write(line)
		return err
	}
}

// known returns an id, or an empty string for the zero id.
func known(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// quoted returns text, in quotes if it contains other characters than those of ids and emails.
func quoted(text string) string {
	plain := strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:@+-_") == ""
	if plain {
		return text
	}
	return fmt.Sprintf("%+q", text)
}
