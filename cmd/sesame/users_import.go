package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/auth"
)

func importUsersCommand(environment []string) *cobra.Command {
	var dryRun bool
	command := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Import users from a file of NDJSON, one user per line",
		Long: `Import users from a file of NDJSON, one user per line:

  {"email":"ada@example.com","name":"Ada","passwordHash":"$2b$10$…","createdAt":"2020-01-02T03:04:05Z"}

email and name are required; bio, passwordHash, totpSecret, id (a UUID), createdAt, lastLoginAt, disabled and
emailVerified are optional. Emails are marked as verified, unless emailVerified is false. Supported hashes are argon2id,
argon2i, bcrypt, scrypt and PBKDF2. A user without a hash cannot log in before using a reset link. totpSecret is the
secret of an authenticator app in base32, which becomes the second factor.

For each line it prints a line of NDJSON: the outcome is created, exists, or refused with a reason. You can run an
interrupted import again; the users that it has stored then exist.`,
		Example: `  sesame users import --dry-run users.ndjson
  sesame users import - < users.ndjson`,
		Args: oneArgument,
		RunE: func(command *cobra.Command, args []string) error {
			in, size, err := openInput(command, args[0])
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // it is only read
			return withService(command, environment, func(service *auth.Service) error {
				return importUsers(command, service, newImportReader(in), newProgress(command.ErrOrStderr(), size), dryRun)
			})
		},
	}
	command.Flags().BoolVar(&dryRun, "dry-run", false, "check the file, but store nothing")
	return command
}

// openInput opens a file, or standard input for the name "-". A size of -1 is unknown.
func openInput(command *cobra.Command, name string) (in io.ReadCloser, size int64, err error) {
	if name == "-" {
		return io.NopCloser(command.InOrStdin()), -1, nil
	}
	file, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, 0, err
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		return file, info.Size(), nil
	}
	return file, -1, nil
}

// newProgress returns a progress bar for a terminal, and otherwise one that shows nothing. A size
// of -1 is unknown.
func newProgress(out io.Writer, size int64) *progressbar.ProgressBar {
	if _, onTerminal := terminal(out); !onTerminal {
		return progressbar.DefaultBytesSilent(size)
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription("importing"),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
}

// reportLine is the outcome of a line.
type reportLine struct {
	Line    int    `json:"line"`
	Email   string `json:"email,omitzero"` // as in the line; empty if the line is not valid JSON
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitzero"`
}

// importUsers imports in batches. It reports a batch after the commit, so a user who was reported
// as created is stored.
func importUsers(
	command *cobra.Command, service *auth.Service,
	reader *importReader, progress *progressbar.ProgressBar, dryRun bool,
) error {
	out := bufio.NewWriter(command.OutOrStdout())
	count := make(map[string]int)
	for last := 0; ; {
		batch, err := await(command.Context(), reader.batch)
		if err == nil && len(batch) > 0 {
			err = importBatch(command.Context(), service, batch, out, count, dryRun)
		}
		if err != nil {
			return errors.Join(progress.Finish(), fmt.Errorf("stopped after line %d; run it again to continue: %w", last, err))
		}
		if len(batch) == 0 {
			break
		}
		last = batch[len(batch)-1].number
		if err := progress.Set(reader.bytes); err != nil {
			return err
		}
	}
	if err := progress.Finish(); err != nil {
		return err
	}
	stored := "created"
	if dryRun {
		stored = "would be created"
	}
	command.PrintErrf("%d %s, %d already existed, %d refused.\n", count[created], stored, count[exists], count[refused])
	if count[refused] > 0 {
		return fmt.Errorf("lines refused: %d", count[refused])
	}
	return nil
}

// The outcomes of a line.
const (
	created = "created"
	exists  = "exists"
	refused = "refused"
)

// importBatch imports the valid lines of a batch. It reports and counts all lines.
func importBatch(
	ctx context.Context, service *auth.Service,
	batch []importLine, out *bufio.Writer, count map[string]int, dryRun bool,
) error {
	var accounts []auth.ImportedUser
	for _, line := range batch {
		if line.err == nil {
			accounts = append(accounts, line.account)
		}
	}
	outcomes, err := service.ImportUsers(ctx, accounts, dryRun)
	if err != nil {
		return err
	}
	for _, line := range batch {
		if line.err == nil {
			line.err, outcomes = outcomes[0], outcomes[1:]
		}
		report := reportLine{Line: line.number, Email: line.account.Email, Outcome: created}
		switch {
		case errors.Is(line.err, auth.ErrEmailTaken):
			report.Outcome = exists
		case line.err != nil:
			report.Outcome, report.Reason = refused, line.err.Error()
		}
		count[report.Outcome]++
		if err := printJSON(out, report); err != nil {
			return err
		}
	}
	return out.Flush()
}
