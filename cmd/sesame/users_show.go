package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/auth"
)

// userRecord is a user as one line of NDJSON. list prints it, and import reads it.
type userRecord struct {
	ID            uuid.UUID `json:"id,omitzero"`
	Email         string    `json:"email"`
	EmailVerified bool      `json:"emailVerified"` // import: true if absent
	Name          string    `json:"name"`
	Bio           *string   `json:"bio,omitzero"`
	PasswordHash  *string   `json:"passwordHash,omitzero"` // read, but never printed
	TOTPSecret    *string   `json:"totpSecret,omitzero"`   // likewise
	CreatedAt     time.Time `json:"createdAt,omitzero"`
	LastLoginAt   time.Time `json:"lastLoginAt,omitzero"`
	Disabled      bool      `json:"disabled,omitzero"`
}

func newUserRecord(user *auth.User) userRecord {
	record := userRecord{
		ID: user.ID, Email: user.Email, EmailVerified: user.EmailVerified(), Name: user.Name, Bio: user.Bio,
		CreatedAt: user.CreatedAt.UTC(), Disabled: user.DisabledAt != nil,
	}
	if user.LastLoginAt != nil {
		record.LastLoginAt = user.LastLoginAt.UTC()
	}
	return record
}

func listUsersCommand(environment []string) *cobra.Command {
	var asJSON bool
	var limit int
	var filter auth.UserFilter
	command := &cobra.Command{
		Use:   "list",
		Short: "List users, the oldest first",
		Long: `List users, ordered by id. Ids that Sesame made are in the order of registration; imported users may have
other ids.`,
		Example: `  sesame users list --search ada --limit 10
  sesame users list --disabled --json`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if limit < 0 || limit == 0 && command.Flags().Changed("limit") {
				return usageError{errors.New("--limit must be 1 or more")}
			}
			return withReader(command, environment, func(reader *auth.Reader) error {
				out := bufio.NewWriter(command.OutOrStdout()) // returns write errors from Flush
				row := printUser
				if asJSON {
					row = printUserJSON
				} else {
					_, _ = fmt.Fprintf(out, userRow, "ID", "CREATED", "LAST LOGIN", "DISABLED", "VERIFIED", "EMAIL", "NAME")
				}
				rows := 0
				for user, err := range reader.Users(command.Context(), filter) {
					if err != nil {
						return err
					}
					if err := row(out, user); err != nil {
						return err
					}
					if rows++; rows == limit {
						break
					}
				}
				return out.Flush()
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print NDJSON: one JSON object per line, as import reads it")
	command.Flags().BoolVar(&filter.Disabled, "disabled", false, "list only disabled users")
	command.Flags().BoolVar(&filter.Unverified, "unverified", false, "list only users whose email is not verified")
	command.Flags().StringVar(&filter.Search, "search", "",
		"list only users whose email or name contains this text, in any case")
	command.Flags().IntVar(&limit, "limit", 0, "list at most this many users")
	return command
}

// userRow is a row of the table. The columns have a fixed width, so that rows are printed as they
// are read. The columns of variable length are the last ones.
const userRow = "%-36s  %-20s  %-20s  %-20s  %-20s  %-40s  %s\n"

func printUser(out io.Writer, user *auth.User) error {
	_, err := fmt.Fprintf(out, userRow, user.ID, inUTC(user.CreatedAt), timeOrDash(user.LastLoginAt),
		timeOrDash(user.DisabledAt), timeOrDash(user.EmailVerifiedAt), user.Email, shown(user.Name))
	return err
}

func printUserJSON(out io.Writer, user *auth.User) error { return printJSON(out, newUserRecord(user)) }

// printJSON prints a value as one line.
func printJSON(out io.Writer, value any) error {
	line, err := json.Marshal(value, jsontext.AllowInvalidUTF8(true)) // not all of it was validated when it was stored
	if err != nil {
		return err
	}
	_, err = out.Write(append(shownJSON(line), '\n'))
	return err
}

func inUTC(at time.Time) string { return at.UTC().Format(time.RFC3339) }

func timeOrDash(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return inUTC(*at)
}

func textOrDash(text *string) string {
	if text == nil {
		return "-"
	}
	return shown(*text)
}

// sessionRecord is a session as show prints it.
type sessionRecord struct {
	ID         uuid.UUID `json:"id"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"` // the login or the latest refresh
	IP         string    `json:"ip"`
	UserAgent  string    `json:"userAgent"`
}

func showUserCommand(environment []string) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "show USER",
		Short: "Show a user and the valid sessions",
		Args:  oneArgument,
		RunE: func(command *cobra.Command, args []string) error {
			return withReader(command, environment, func(reader *auth.Reader) error {
				user, err := findUser(command, reader, args[0])
				if err != nil {
					return err
				}
				pending, err := reader.PendingEmail(command.Context(), user.ID)
				if err != nil {
					return err
				}
				sessions, err := reader.LiveSessions(command.Context(), user.ID)
				if err != nil {
					return err
				}
				if asJSON {
					return showUserJSON(command.OutOrStdout(), user, pending, sessions)
				}
				return showUser(command.OutOrStdout(), user, pending, sessions)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func showUserJSON(out io.Writer, user *auth.User, pending *string, sessions []auth.Session) error {
	records := make([]sessionRecord, 0, len(sessions))
	for _, s := range sessions {
		records = append(records, sessionRecord{
			ID: s.ID, CreatedAt: s.CreatedAt.UTC(), LastUsedAt: s.RotatedAt.UTC(), IP: s.IP, UserAgent: s.UserAgent,
		})
	}
	return printJSON(out, struct {
		userRecord
		PendingEmail *string         `json:"pendingEmail,omitzero"`
		Sessions     []sessionRecord `json:"sessions"`
	}{newUserRecord(user), pending, records})
}

func showUser(out io.Writer, user *auth.User, pending *string, sessions []auth.Session) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) // returns write errors from Flush
	for _, row := range [][2]string{
		{"id", user.ID.String()},
		{"email", user.Email},
		{"verified", timeOrDash(user.EmailVerifiedAt)},
		{"pending email", textOrDash(pending)},
		{"name", shown(user.Name)},
		{"bio", textOrDash(user.Bio)},
		{"created", inUTC(user.CreatedAt)},
		{"last login", timeOrDash(user.LastLoginAt)},
		{"disabled", timeOrDash(user.DisabledAt)},
	} {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", row[0], row[1])
	}
	if err := table.Flush(); err != nil || len(sessions) == 0 {
		return err
	}
	_, _ = fmt.Fprintln(table, "\nSESSION\tCREATED\tLAST USED\tIP\tUSER AGENT")
	for _, s := range sessions {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
			s.ID, inUTC(s.CreatedAt), inUTC(s.RotatedAt), shown(s.IP), shown(s.UserAgent))
	}
	return table.Flush()
}
