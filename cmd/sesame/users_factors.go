package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/totp"
)

// factorsRecord are the factors and passkeys of a user as `users factors --json` prints them.
type factorsRecord struct {
	TOTP              *totpRecord     `json:"totp"` // null: none
	RecoveryCodesLeft int64           `json:"recoveryCodesLeft"`
	Passkeys          []passkeyRecord `json:"passkeys"`
}

type totpRecord struct {
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	Failures   int64     `json:"failures"` // wrong codes since then
}

type passkeyRecord struct {
	ID         uuid.UUID  `json:"id"`
	Name       string     `json:"name"`
	Model      uuid.UUID  `json:"model"` // AAGUID
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
	BackedUp   bool       `json:"backedUp"`
}

func factorsCommand(environment []string) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "factors USER",
		Short: "List the second factors and passkeys of a user",
		Args:  oneArgument,
		RunE: func(command *cobra.Command, args []string) error {
			return withReader(command, environment, func(reader *auth.Reader) error {
				user, err := findUser(command, reader, args[0])
				if err != nil {
					return err
				}
				factors, err := reader.Factors(command.Context(), user.ID)
				if err != nil {
					return err
				}
				passkeys, err := reader.Passkeys(command.Context(), user.ID)
				if err != nil {
					return err
				}
				record := newFactorsRecord(factors, passkeys)
				if asJSON {
					return printJSON(command.OutOrStdout(), record)
				}
				return showFactors(command.OutOrStdout(), record)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func newFactorsRecord(factors *auth.Factors, passkeys []auth.Passkey) factorsRecord {
	record := factorsRecord{RecoveryCodesLeft: factors.RecoveryCodesLeft, Passkeys: []passkeyRecord{}}
	if app := factors.TOTP; app != nil {
		record.TOTP = &totpRecord{
			CreatedAt: app.ConfirmedAt.UTC(), LastUsedAt: totp.Time(app.LastStep), Failures: app.Failures,
		}
	}
	for i := range passkeys {
		p := &passkeys[i]
		shown := passkeyRecord{
			ID: p.ID, Name: p.Name, Model: p.Model(), CreatedAt: p.CreatedAt.UTC(), BackedUp: p.BackedUp,
		}
		if p.LastUsedAt != nil {
			shown.LastUsedAt = new(p.LastUsedAt.UTC())
		}
		record.Passkeys = append(record.Passkeys, shown)
	}
	return record
}

func showFactors(out io.Writer, record factorsRecord) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) // returns write errors from Flush
	if app := record.TOTP; app != nil {
		_, _ = fmt.Fprintf(table, "authenticator app\tadded %s, last used %s, wrong codes since: %d\n",
			inUTC(app.CreatedAt), inUTC(app.LastUsedAt), app.Failures)
	} else {
		_, _ = fmt.Fprintln(table, "authenticator app\t-")
	}
	_, _ = fmt.Fprintf(table, "recovery codes left\t%d\npasskeys\t%d\n", record.RecoveryCodesLeft, len(record.Passkeys))
	if err := table.Flush(); err != nil || len(record.Passkeys) == 0 {
		return err
	}
	_, _ = fmt.Fprintln(table, "\nPASSKEY\tCREATED\tLAST USED\tBACKED UP\tMODEL\tNAME")
	for _, p := range record.Passkeys {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%t\t%s\t%s\n",
			p.ID, inUTC(p.CreatedAt), timeOrDash(p.LastUsedAt), p.BackedUp, p.Model, shown(p.Name))
	}
	return table.Flush()
}

func removeFactors(command *cobra.Command, service *auth.Service, user *auth.User) error {
	removed, err := service.RemoveFactors(command.Context(), user.ID)
	if err != nil {
		return err
	}
	if removed == (auth.RemovedFactors{}) {
		return printLine(command, "%s has no second factor and no passkey.", user.Email)
	}
	app := "no"
	if removed.TOTP {
		app = "yes"
	}
	return printLine(command, "Removed from %s: authenticator app: %s, passkeys: %d. The user is notified by email.",
		user.Email, app, removed.Passkeys)
}

func addTOTPCommand(environment []string) *cobra.Command {
	command := userCommand(environment, "add-totp", "Add an authenticator app to a user, with a QR code", addTOTP)
	command.Long = `Add an authenticator app to a user, with a QR code.

Scan the QR code with the app, then type the code that the app shows. Nothing changes before that. The command prints
the recovery codes, and notifies the user by email.`
	return command
}

// addTOTP prints the secret to standard error, and the recovery codes to standard output.
func addTOTP(command *cobra.Command, service *auth.Service, user *auth.User) error {
	secret, uri, err := service.EnrollUserTOTP(command.Context(), user.ID)
	if err != nil {
		return err
	}
	code, err := qrCode(uri)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(command.ErrOrStderr(), "%s\n%s\nSecret: %s\n\nCode of the app: ", code, uri, secret)
	if err != nil {
		return err
	}
	typed, err := await(command.Context(), func() (string, error) {
		line, err := bufio.NewReader(io.LimitReader(command.InOrStdin(), longestInput)).ReadString('\n')
		if line != "" {
			err = nil
		}
		return strings.TrimSpace(line), err
	})
	if err != nil {
		return fmt.Errorf("read the code: %w", err)
	}
	recoveryCodes, err := service.ConfirmUserTOTP(command.Context(), user.ID, typed)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(command.ErrOrStderr(), "\nThe app is added. Recovery codes:"); err != nil {
		return err
	}
	return printLine(command, "%s", strings.Join(recoveryCodes, "\n"))
}
