package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/conformance"
)

// contractTestCommand holds a running deployment against the contract. It is a client of it and reads no setting.
func contractTestCommand() *cobra.Command {
	var target conformance.Target
	var linker string
	command := &cobra.Command{
		Use:   "contract-test --url URL --email-domain DOMAIN",
		Short: "Hold a running deployment against the contract",
		Long: `Hold a running deployment against the contract, as a client sees it, and stop at the first breach.

It makes an account under the domain, whose mail the domain's owner gets, and leaves it there. The limits that a
deployment has on guessing are met with that account. A reset that succeeds takes a link: --reset-link names a program
that prints one for the address it is given, such as 'sesame users reset-link', or one that asks for the mail and reads it.

The exit status is 0 if everything held, 1 for a breach or no answer.`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			target.URL = strings.TrimSuffix(target.URL, "/")
			var faults []error
			if err := checkPublicURL(target.URL); err != nil {
				faults = append(faults, fmt.Errorf("--url %w", err))
			}
			if _, err := auth.NormalizeEmail("conformance-00000000000000000000000000@" + target.Domain); err != nil {
				faults = append(faults, errors.New("--email-domain must be the domain of an address, such as example.com"))
			}
			if program := strings.Fields(linker); len(program) > 0 {
				target.ResetLink = func(ctx context.Context, address string) (string, error) {
					return resetLinkBy(ctx, command, append(program, address))
				}
			}
			if err := errors.Join(faults...); err != nil {
				return usageError{err}
			}
			return contractTest(command, target)
		},
	}
	flags := command.Flags()
	flags.StringVar(&target.URL, "url", "", "where clients reach the deployment")
	flags.StringVar(&target.Domain, "email-domain", "", "what the address of the account made is under")
	flags.StringVar(&linker, "reset-link", "", "a program that prints a reset link for the address it is given")
	return command
}

func contractTest(command *cobra.Command, target conformance.Target) error {
	out := command.OutOrStdout()
	report, err := conformance.Run(command.Context(), target, func(check string) {
		_, _ = fmt.Fprintln(out, "ok ", check) // the table tells
	})
	if report == nil || report.Empty() {
		return err
	}
	lines := []string{"", "Medians in milliseconds; - is in the contract and was not seen.", "", report.Table()}
	if report.Account != "" {
		lines = append(lines, "An account was made: "+report.Account)
	}
	return errors.Join(err, printLine(command, "%s", strings.Join(append(lines, report.Notes...), "\n")))
}

var resetLinks = regexp.MustCompile(`\S+#token=\S+`)

// resetLinkBy is the last link that a program prints.
func resetLinkBy(ctx context.Context, command *cobra.Command, words []string) (string, error) {
	program := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // whoever calls names it
	program.Stderr = command.ErrOrStderr()
	printed, err := program.Output()
	if err != nil {
		return "", fmt.Errorf("--reset-link: %s: %w", words[0], err)
	}
	links := resetLinks.FindAllString(string(printed), -1)
	if len(links) == 0 {
		return "", fmt.Errorf("--reset-link: %s printed no link with #token= in it", words[0])
	}
	return links[len(links)-1], nil
}
