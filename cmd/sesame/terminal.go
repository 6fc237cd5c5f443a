package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// terminal returns the file of a stream, and whether it is a terminal.
func terminal(stream any) (*os.File, bool) {
	file, isFile := stream.(*os.File)
	return file, isFile && term.IsTerminal(int(file.Fd()))
}

// interactive reports whether standard input or output is a terminal.
func interactive(command *cobra.Command) bool {
	_, in := terminal(command.InOrStdin())
	_, out := terminal(command.OutOrStdout())
	return in || out
}

// await returns the result of read, or the cause of ctx when ctx is done first. A signal cancels
// ctx, but cannot interrupt a read from a terminal or a pipe; such a read goes on until the program
// ends.
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

// longestInput is the limit in bytes of what is read from standard input. It is larger than the
// longest valid password, so a longer input that is cut off is still refused.
const longestInput = 8192

// readPassword reads a new password. With fromStdin it returns standard input without the final
// line break. Otherwise it asks for the password twice on the terminal, without echo.
func readPassword(command *cobra.Command, fromStdin bool) (string, error) {
	in := command.InOrStdin()
	if fromStdin {
		read := func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, longestInput)) }
		content, err := await(command.Context(), read)
		return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), err
	}
	file, onTerminal := terminal(in)
	if !onTerminal {
		return "", usageError{errors.New("standard input is not a terminal: use --password-stdin to pass the password")}
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Repeat password: "} {
		var err error
		if typed[i], err = askHidden(command, file, prompt); err != nil {
			return "", err
		}
	}
	if typed[0] != typed[1] {
		return "", errors.New("the passwords do not match")
	}
	return typed[0], nil
}

// askHidden reads a line from the terminal without echo. It always turns the echo on again.
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

// confirm returns nil if the user answers yes on the terminal.
func confirm(command *cobra.Command, question string) error {
	file, onTerminal := terminal(command.InOrStdin())
	if !onTerminal {
		return usageError{errors.New("standard input is not a terminal: use --yes to confirm")}
	}
	command.PrintErr(question, " [y/N] ")
	answer, err := await(command.Context(), func() (string, error) { return bufio.NewReader(file).ReadString('\n') })
	if err != nil {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("canceled")
	}
	return nil
}

// shown returns untrusted text with characters that control a terminal replaced.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// shownJSON returns JSON with characters that control a terminal as escapes, such as \u202e, which
// mean the same to every JSON parser. Outside of strings, JSON has no such characters.
func shownJSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	shown := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if unicode.IsPrint(r) {
			shown = utf8.AppendRune(shown, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			shown = fmt.Appendf(shown, `\u%04x`, unit)
		}
	}
	return shown
}

// printLine writes one line to a command's standard output.
func printLine(command *cobra.Command, format string, args ...any) error {
	_, err := fmt.Fprintf(command.OutOrStdout(), format+"\n", args...)
	return err
}
