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
		Short: "Import users from NDJSON, a user a line",
		Long: `Import users from NDJSON, a user a line:

  {"email":"ada@example.com","name":"Ada","passwordHash":"$2b$10$…","createdAt":"2020-01-02T03:04:05Z"}

email and name must be there; bio, passwordHash, id (a UUID), createdAt and disabled may be. Hashes are those of
argon2id, argon2i, bcrypt, scrypt and PBKDF2. Without one, nobody can log in until a reset link was used. Each line
has a line of NDJSON on standard output: created, exists, or refused and the reason. An import that was cut off is
run again: what was stored exists by then.`,
		Args: oneArgument,
		RunE: func(command *cobra.Command, args []string) error {
			in, size := command.InOrStdin(), int64(-1)
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer func() { _ = file.Close() }() // it was only read
				if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
					size = info.Size()
				}
				in = file
			}
			return withService(command, environment, func(service *auth.Service) error {
				return importUsers(command, service, newImportReader(in), progressOf(command.ErrOrStderr(), size), dryRun)
			})
		},
	}
	command.Flags().BoolVar(&dryRun, "dry-run", false, "do everything but store")
	return command
}

// progressOf is a bar on a terminal, and nothing elsewhere. A size of -1 is not known.
func progressOf(out io.Writer, size int64) *progressbar.ProgressBar {
	if _, onTerminal := terminal(out); !onTerminal {
		return progressbar.DefaultBytesSilent(size)
	}
	return progressbar.NewOptions64(size, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("importing"),
		progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

// reportLine is what became of a line.
type reportLine struct {
	Line    int    `json:"line"`
	Email   string `json:"email,omitzero"` // as the line has it; empty if the line could not be read
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitzero"`
}

// importUsers imports batch by batch. A batch is reported once it is committed, so a line that was reported as
// created is there whatever happens next.
func importUsers(command *cobra.Command, service *auth.Service, reader *importReader, progress *progressbar.ProgressBar, dryRun bool) error {
	out := bufio.NewWriter(command.OutOrStdout())
	count := make(map[string]int)
	for last := 0; ; {
		batch, err := await(command.Context(), reader.batch)
		if err == nil && len(batch) > 0 {
			err = importBatch(command.Context(), service, batch, out, count, dryRun)
		}
		if err != nil {
			return errors.Join(progress.Finish(), fmt.Errorf("stopped after line %d; run it again to go on: %w", last, err))
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
	command.PrintErrf("%d %s, %d there already, %d refused.\n", count[created], stored, count[exists], count[refused])
	if count[refused] > 0 {
		return fmt.Errorf("%d line(s) refused", count[refused])
	}
	return nil
}

// The outcomes of a line.
const (
	created = "created"
	exists  = "exists"
	refused = "refused"
)

// importBatch imports the good lines of a batch, and reports and counts all of them.
func importBatch(ctx context.Context, service *auth.Service, batch []importLine, out *bufio.Writer, count map[string]int, dryRun bool) error {
	var accounts []auth.ImportedUser
	for _, line := range batch {
		if line.fault == nil {
			accounts = append(accounts, line.account)
		}
	}
	outcomes, err := service.ImportUsers(ctx, accounts, dryRun)
	if err != nil {
		return err
	}
	for _, line := range batch {
		if line.fault == nil {
			line.fault, outcomes = outcomes[0], outcomes[1:]
		}
		report := reportLine{Line: line.number, Email: line.account.Email, Outcome: created}
		switch {
		case errors.Is(line.fault, auth.ErrEmailTaken):
			report.Outcome = exists
		case line.fault != nil:
			report.Outcome, report.Reason = refused, line.fault.Error()
		}
		count[report.Outcome]++
		if err := printJSON(out, report); err != nil {
			return err
		}
	}
	return out.Flush()
}
