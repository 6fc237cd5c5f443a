// Command sesame is the Sesame authentication server and what its operator needs beside it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := realMain(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// realMain runs one command. Its result is the exit status: 0, 1 for a failure, 2 for a fault of the command
// line or the configuration.
func realMain(ctx context.Context, args, environment []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "sesame",
		Short:         "An authentication server whose contract is openapi.yaml",
		Long:          "Sesame is an authentication server whose contract is openapi.yaml.\nIt is configured by the environment; `sesame config` lists the settings.",
		Args:          noArguments,
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		serveCommand(environment),
		migrateCommand(environment),
		keysCommand(environment),
		usersCommand(environment),
		auditCommand(environment),
		contractTestCommand(),
		configCommand(environment),
		openapiCommand(),
		healthcheckCommand(environment),
		versionCommand(),
		hashWorkerCommand(),
	)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "sesame:", err) // there is nowhere left to report to
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// usageError is a fault of whoever called, not of the program or its surroundings.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// noArguments is cobra's, as a usageError.
func noArguments(command *cobra.Command, args []string) error {
	if err := cobra.NoArgs(command, args); err != nil {
		return usageError{err}
	}
	return nil
}

// oneArgument is cobra's, as a usageError.
func oneArgument(command *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(command, args); err != nil {
		return usageError{err}
	}
	return nil
}
