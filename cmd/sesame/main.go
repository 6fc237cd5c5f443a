// Command sesame is the Sesame authentication server, with commands for its operator.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	status := realMain(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// realMain runs one command and returns the exit status: 0 on success, 1 if the command failed, and
// 2 if its arguments or the configuration are invalid.
func realMain(ctx context.Context, args, environment []string, stdout, stderr io.Writer) int {
	root := rootCommand(environment)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errPrinted) {
		_, _ = fmt.Fprintln(stderr, "sesame:", err) // best effort
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

// rootCommand returns the command that contains all others.
func rootCommand(environment []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "sesame",
		Short: "An authentication server with an OpenAPI contract",
		Long: `Sesame is an authentication server with an OpenAPI contract.

It is configured with environment variables. Run "sesame config" to list them.`,
		Example: `  sesame serve                                    # start the server
  sesame users create --email ada@example.com --name "Ada Lovelace"
  sesame audit --follow                           # watch what happens`,
		Version:       version.Current().String(),
		Args:          noArguments,
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		serveCommand(environment),
		migrateCommand(environment),
		dbCommand(),
		keysCommand(environment),
		usersCommand(environment),
		mailCommand(environment),
		auditCommand(environment),
		backupCommand(environment),
		restoreCommand(environment),
		contractTestCommand(),
		configCommand(environment),
		openapiCommand(),
		healthcheckCommand(environment),
		doctorCommand(environment),
		versionCommand(),
		hashWorkerCommand(),
	)
	return root
}

// errPrinted is the error of a command that has printed its errors itself.
var errPrinted = errors.New("the errors are already printed")

// usageError is an error in the arguments or the configuration, not of the program.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// noArguments is cobra.NoArgs with a usageError. It suggests the commands that a mistyped one
// resembles.
func noArguments(command *cobra.Command, args []string) error {
	err := cobra.NoArgs(command, args)
	if err == nil {
		return nil
	}
	command.SuggestionsMinimumDistance = 2 // characters that may differ
	if similar := command.SuggestionsFor(args[0]); len(similar) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(similar, " or "))
	}
	return usageError{err}
}

// oneArgument is cobra.ExactArgs(1) with a usageError.
func oneArgument(command *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(command, args); err != nil {
		return usageError{err}
	}
	return nil
}
