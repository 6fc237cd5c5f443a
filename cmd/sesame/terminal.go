package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// terminal is the file behind a stream, if that is a terminal.
func terminal(stream any) (*os.File, bool) {
	file, isFile := stream.(*os.File)
	return file, isFile && term.IsTerminal(int(file.Fd()))
}

// await is what read returns, or the end of ctx: a signal ends ctx, and a read of a terminal or a pipe knows
// nothing of it. The read then goes on until the program ends.
func await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// longestInput is more than any password takes, in bytes. What is longer is cut off, and still too long for one.
const longestInput = 8192

// readPassword reads a new password: all of standard input but the end of its line, or, twice, from the terminal,
// which does not show it.
func readPassword(command *cobra.Command, fromStdin bool) (string, error) {
	in := command.InOrStdin()
	if fromStdin {
		content, err := await(command.Context(), func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, longestInput)) })
		return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), err
	}
	file, onTerminal := terminal(in)
	if !onTerminal {
		return "", usageError{errors.New("there is no terminal to ask for the password on: give it with --password-stdin")}
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Once more: "} {
		var err error
		if typed[i], err = askHidden(command, file, prompt); err != nil {
			return "", err
		}
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ")
	}
	return typed[0], nil
}

// askHidden asks on the terminal without echo, which comes back however the asking ends.
func askHidden(command *cobra.Command, file *os.File, prompt string) (string, error) {
	fd := int(file.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	command.PrintErr(prompt)
	typed, err := await(command.Context(), func() ([]byte, error) { return term.ReadPassword(fd) })
	command.PrintErrln()
	return string(typed), errors.Join(err, term.Restore(fd, before))
}

// confirm asks for a yes on the terminal.
func confirm(command *cobra.Command, question string) error {
	file, onTerminal := terminal(command.InOrStdin())
	if !onTerminal {
		return usageError{errors.New("there is no terminal to ask on: give --yes")}
	}
	command.PrintErr(question, " [y/N] ")
	answer, err := await(command.Context(), func() (string, error) { return bufio.NewReader(file).ReadString('\n') })
	if err != nil {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// shown is untrusted text without what a terminal would obey.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// printLine writes one line of a command's answer.
func printLine(command *cobra.Command, format string, args ...any) error {
	_, err := fmt.Fprintf(command.OutOrStdout(), format+"\n", args...)
	return err
}
