// With-postgres runs a command with a throwaway PostgreSQL cluster:
//
//	with-postgres go test ./...
//	with-postgres -durable go test -bench . ./internal/bench
//
// The command finds the cluster's URL in SESAME_TEST_POSTGRES_URL. If the variable
// is already set, no cluster is started, and the command uses that server. With
// -durable the cluster syncs its commits, as in production; otherwise it is faster.
// With-postgres exits with the status of the command.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/sesame-auth/sesame/internal/database/databasetest/cluster"
)

const variable = "SESAME_TEST_POSTGRES_URL"

func main() {
	command, start := os.Args[1:], cluster.Start
	if len(command) > 0 && command[0] == "-durable" {
		command, start = command[1:], cluster.StartDurable
	}
	if len(command) == 0 {
		fmt.Fprintln(os.Stderr, "usage: with-postgres [-durable] COMMAND [ARGUMENT...]")
		os.Exit(2)
	}
	status, err := run(command, start)
	if err != nil {
		fmt.Fprintln(os.Stderr, "with-postgres:", err)
	}
	os.Exit(status)
}

// run returns the exit status of the command. If the cluster cannot be started or
// stopped, it returns an error and a status of at least 1.
func run(command []string, start func(context.Context) (*cluster.Cluster, error)) (status int, err error) {
	// A signal must not end this process before the cluster is stopped.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()

	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = os.Environ()
	if os.Getenv(variable) == "" {
		postgres, err := start(ctx)
		if err != nil {
			return 1, err
		}
		defer func() {
			if stopErr := postgres.Stop(); stopErr != nil {
				status, err = max(status, 1), errors.Join(err, stopErr)
			}
		}()
		cmd.Env = append(cmd.Env, variable+"="+postgres.URL)
	}
	return supervise(cmd, signals)
}

// supervise runs cmd, forwards signals to it, and returns its exit status.
func supervise(cmd *exec.Cmd, signals <-chan os.Signal) (int, error) {
	if err := cmd.Start(); err != nil {
		return 127, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // fails only if the command has ended
		case err := <-ended:
			return exitStatus(err)
		}
	}
}

// exitStatus returns the status that a shell would return: 128 plus the number of
// the signal if a signal ended the command.
func exitStatus(err error) (int, error) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		if err != nil {
			return 1, err
		}
		return 0, nil
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
