package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/server"
)

// followEvery is how often the database is asked for new events.
const followEvery = time.Second

// auditCommand prints the record of what happened to accounts, sessions and keys.
func auditCommand(environment []string) *cobra.Command {
	var since time.Duration
	var user string
	var kinds []string
	var follow, asJSON bool
	command := &cobra.Command{
		Use:   "audit",
		Short: "Print what happened to accounts, sessions and keys, the oldest first",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) (err error) {
			filter := audit.Filter{Since: time.Now().Add(-since)}
			for _, kind := range kinds {
				filter.Kinds = append(filter.Kinds, audit.Kind(kind))
			}
			if id, failed := uuid.Parse(user); failed == nil {
				filter.UserID = id
			} else if user != "" {
				if filter.Email, err = auth.NormalizeEmail(user); err != nil {
					return usageError{fmt.Errorf("--user: %q is neither an id nor an address", user)}
				}
			}
			c, err := load(environment)
			if err != nil {
				return err
			}
			db, err := server.OpenDatabase(command.Context(), c.Config)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			each := printer(command.OutOrStdout(), asJSON)
			if follow {
				return audit.Follow(command.Context(), db, filter, followEvery, each)
			}
			return audit.Read(command.Context(), db, filter, each)
		},
	}
	flags := command.Flags()
	flags.DurationVar(&since, "since", 24*time.Hour, "how far to look back")
	flags.StringVar(&user, "user", "", "only the events of this user: an address or an id")
	flags.StringSliceVar(&kinds, "kind", nil, "only events of these kinds, such as login,refresh-reuse")
	flags.BoolVarP(&follow, "follow", "f", false, "go on with new events until interrupted")
	flags.BoolVar(&asJSON, "json", false, "a JSON object a line")
	return command
}

// printer prints events as JSON lines, or as lines of name=value in which text from outside is quoted: it could
// end the line or steer a terminal.
func printer(out io.Writer, asJSON bool) func(audit.Event) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		return func(event audit.Event) error { return encoder.Encode(event) }
	}
	return func(event audit.Event) error {
		var line strings.Builder
		fmt.Fprintf(&line, "%s %s %s", event.At.UTC().Format("2006-01-02T15:04:05.000Z"), event.Kind, event.Outcome)
		for _, part := range []struct{ name, value string }{
			{"email", event.Email}, {"ip", event.IP}, {"detail", event.Detail}, {"user", known(event.UserID)},
			{"session", known(event.SessionID)}, {"request", event.RequestID}, {"agent", event.UserAgent},
		} {
			if part.value != "" {
				fmt.Fprintf(&line, " %s=%s", part.name, quoted(part.value))
			}
		}
		_, err := fmt.Fprintln(out, line.String())
		return err
	}
}

func known(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func quoted(text string) string {
	plain := strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:@+-_") == ""
	if plain {
		return text
	}
	return fmt.Sprintf("%+q", text)
}
