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

// contractTestCommand checks a deployment as a client. It reads no settings.
func contractTestCommand() *cobra.Command {
	var target conformance.Target
	var linker string
	command := &cobra.Command{
		Use:   "contract-test --url URL --email-domain DOMAIN",
		Short: "Check a running deployment against the OpenAPI document",
		Long: `Check a running deployment against the OpenAPI document, as a client, and stop at the first difference.

The command registers a user with an email at the given domain, and does not delete it. The owner of the domain receives
the emails. The command reaches the rate limits of this user.

To test a successful password reset, the command needs a reset link. --reset-link is a program that prints one; its last
argument is the user's email. An example is 'sesame users reset-link'.

The exit status is 0 if all checks pass, and 1 otherwise.`,
		Example: "  sesame contract-test --url https://auth.example.com --email-domain example.com",
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			target.URL = strings.TrimSuffix(target.URL, "/")
			var problems []error
			if err := checkPublicURL(target.URL); err != nil {
				problems = append(problems, fmt.Errorf("--url %w", err))
			}
			if _, err := auth.NormalizeEmail("conformance-00000000000000000000000000@" + target.Domain); err != nil {
				problems = append(problems, errors.New("--email-domain must be the domain of an email, such as example.com"))
			}
			if program := strings.Fields(linker); len(program) > 0 {
				target.ResetLink = func(ctx context.Context, email string) (string, error) {
					return runResetLink(ctx, command, append(program, email))
				}
			}
			if err := errors.Join(problems...); err != nil {
				return usageError{err}
			}
			return contractTest(command, target)
		},
	}
	flags := command.Flags()
	flags.StringVar(&target.URL, "url", "", "the public URL of the deployment")
	flags.StringVar(&target.Domain, "email-domain", "", "the domain of the email that is registered")
	flags.StringVar(&linker, "reset-link", "", "a program that prints a reset link; its last argument is the email")
	return command
}

func contractTest(command *cobra.Command, target conformance.Target) error {
	out := command.OutOrStdout()
	report, err := conformance.Run(command.Context(), target, func(check string) {
		_, _ = fmt.Fprintln(out, "ok ", check) // best effort; the report returns the error
	})
	if report == nil || report.Empty() {
		return err
	}
	const legend = `Medians in milliseconds. "-" is a documented response that was not returned.`
	lines := []string{"", legend, "", report.Table()}
	if report.Account != "" {
		lines = append(lines, "Registered user: "+report.Account)
	}
	return errors.Join(err, printLine(command, "%s", strings.Join(append(lines, report.Notes...), "\n")))
}

var resetLinks = regexp.MustCompile(`\S+#token=\S+`)

// runResetLink runs a program and returns the last reset link that it prints.
func runResetLink(ctx context.Context, command *cobra.Command, words []string) (string, error) {
	program := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the operator chooses the program
	program.Stderr = command.ErrOrStderr()
	printed, err := program.Output()
	if err != nil {
		return "", fmt.Errorf("--reset-link: %s: %w", words[0], err)
	}
	links := resetLinks.FindAllString(string(printed), -1)
	if len(links) == 0 {
		return "", fmt.Errorf("--reset-link: %s printed no link that contains #token=", words[0])
	}
	return links[len(links)-1], nil
}
