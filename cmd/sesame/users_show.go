package main

import (
	"bufio"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/auth"
)

// userRecord is a user as one line of NDJSON: what list prints, and what import reads.
type userRecord struct {
	ID           uuid.UUID `json:"id,omitzero"`
	Email        string    `json:"email"`
	Name         string    `json:"name"`
	Bio          *string   `json:"bio,omitzero"`
	PasswordHash *string   `json:"passwordHash,omitzero"` // only ever read
	CreatedAt    time.Time `json:"createdAt,omitzero"`
	Disabled     bool      `json:"disabled,omitzero"`
}

func recordOf(user *auth.User) userRecord {
	return userRecord{ID: user.ID, Email: user.Email, Name: user.Name, Bio: user.Bio, CreatedAt: user.CreatedAt.UTC(), Disabled: user.DisabledAt != nil}
}

func listUsersCommand(environment []string) *cobra.Command {
	var asJSON, disabled bool
	command := &cobra.Command{
		Use:   "list",
		Short: "List the users, by id: those of Sesame's own ids in the order they came",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return withService(command, environment, func(service *auth.Service) error {
				out := bufio.NewWriter(command.OutOrStdout())
				row := printUser
				if asJSON {
					row = printUserJSON
				} else if _, err := fmt.Fprintf(out, userRow, "ID", "CREATED", "DISABLED", "ADDRESS", "NAME"); err != nil {
					return err
				}
				for user, err := range service.Users(command.Context(), disabled) {
					if err != nil {
						return err
					}
					if err := row(out, user); err != nil {
						return err
					}
				}
				return out.Flush()
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "a line of JSON a user, as import reads them")
	command.Flags().BoolVar(&disabled, "disabled", false, "only those who are disabled")
	return command
}

// userRow is a row of the table. Its columns are of fixed width, so that no row waits for another; those that vary
// stand last.
const userRow = "%-36s  %-20s  %-20s  %-40s  %s\n"

func printUser(out io.Writer, user *auth.User) error {
	_, err := fmt.Fprintf(out, userRow, user.ID, inUTC(user.CreatedAt), disabledSince(user), user.Email, shown(user.Name))
	return err
}

func printUserJSON(out io.Writer, user *auth.User) error { return printJSON(out, recordOf(user)) }

func printJSON(out io.Writer, value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

func inUTC(at time.Time) string { return at.UTC().Format(time.RFC3339) }

func disabledSince(user *auth.User) string {
	if user.DisabledAt == nil {
		return "-"
	}
	return inUTC(*user.DisabledAt)
}

// sessionRecord is a session as show prints it.
type sessionRecord struct {
	ID          uuid.UUID `json:"id"`
	OpenedAt    time.Time `json:"openedAt"`
	RefreshedAt time.Time `json:"refreshedAt"`
	Address     string    `json:"address"`
	UserAgent   string    `json:"userAgent"`
}

func showUserCommand(environment []string) *cobra.Command {
	var asJSON bool
	command := userCommand(environment, "show", "Show a user and the live sessions", func(command *cobra.Command, service *auth.Service, user *auth.User) error {
		sessions, err := service.LiveSessions(command.Context(), user.ID)
		if err != nil {
			return err
		}
		if !asJSON {
			return showUser(command.OutOrStdout(), user, sessions)
		}
		records := make([]sessionRecord, 0, len(sessions))
		for _, s := range sessions {
			records = append(records, sessionRecord{ID: s.ID, OpenedAt: s.CreatedAt.UTC(), RefreshedAt: s.RotatedAt.UTC(), Address: s.IP, UserAgent: s.UserAgent})
		}
		return printJSON(command.OutOrStdout(), struct {
			userRecord
			Sessions []sessionRecord `json:"sessions"`
		}{recordOf(user), records})
	})
	command.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return command
}

func showUser(out io.Writer, user *auth.User, sessions []auth.Session) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	bio := "-"
	if user.Bio != nil {
		bio = shown(*user.Bio)
	}
	_, _ = fmt.Fprintf(table, "id\t%s\naddress\t%s\nname\t%s\nbio\t%s\ncreated\t%s\ndisabled\t%s\n", // Flush tells
		user.ID, user.Email, shown(user.Name), bio, inUTC(user.CreatedAt), disabledSince(user))
	if err := table.Flush(); err != nil || len(sessions) == 0 {
		return err
	}
	_, _ = fmt.Fprintln(table, "\nSESSION\tOPENED\tREFRESHED\tADDRESS\tUSER AGENT")
	for _, s := range sessions {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.ID, inUTC(s.CreatedAt), inUTC(s.RotatedAt), shown(s.IP), shown(s.UserAgent))
	}
	return table.Flush()
}
