package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/conformance"
	"github.com/sesame-auth/sesame/internal/httpapi"
)

// contractTestCommand checks a deployment as a client. It reads no settings.
func contractTestCommand() *cobra.Command {
	var target conformance.Target
	var linker, format string
	var fromStdin bool
	command := &cobra.Command{
		Use:   "contract-test --url URL --email-domain DOMAIN",
		Short: "Check a running deployment against the OpenAPI document",
		Long: `Check a running deployment against the OpenAPI document, as a client, and stop at the first difference.

The command registers a user with an email at the given domain, and deletes it at the end. The owner of the domain
receives the emails. The last check exceeds the rate limit of an email without an account.

If nobody can register, or if a login requires a verified email, create a user with 'sesame users create', and name it
with --account. The command changes the password of this user and deletes it. Unless the server verifies no emails, the
checks of authenticator apps and passkeys need such a user, too; otherwise they are skipped.

To test a successful password reset, the command needs reset links. --reset-link is a program that prints one; its last
argument is the user's email. An example is 'sesame users reset-link'. Other links in emails are never used.

The command uses passkeys as on a page of the public URL. If only pages of other origins may use them
(SESAME_PASSKEY_ORIGINS), name one with --passkey-origin.

If a gateway hides operations, leave them out with --skip. What needs a skipped operation is skipped too. With
--keep-going, the command goes on after a difference, and skips what needs an operation that has no valid success.

The last line of the text contains the result, such as 'passed: 196 checks, 3 skipped' or 'failed: 1 of 199 checks'. The
formats json and junit print one document and nothing else to standard output.

The exit status is 0 if no check failed, 1 if one did, and 2 if the arguments are invalid. Skipped checks do not change
it.`,
		Example: `  sesame contract-test --url https://auth.example.com --email-domain example.com
  sesame contract-test --url https://auth.example.com --email-domain example.com --format junit >junit.xml
  sesame contract-test --url https://auth.example.com --email-domain example.com --account test@example.com`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			target.URL = strings.TrimSuffix(target.URL, "/")
			if program := strings.Fields(linker); len(program) > 0 {
				target.ResetLink = func(ctx context.Context, email string) (string, error) {
					return runResetLink(ctx, command, append(program, email))
				}
			}
			if err := checkContractTest(target, format, fromStdin); err != nil {
				return usageError{err}
			}
			if target.Account != "" {
				password, err := readPassword(command, fromStdin)
				if err != nil {
					return err
				}
				target.Password = password
			}
			return contractTest(command, target, format)
		},
	}
	addTargetFlags(command, &target)
	flags := command.Flags()
	flags.BoolVar(&fromStdin, "password-stdin", false, "with --account: "+passwordHelp)
	flags.StringVar(&linker, "reset-link", "", "a program that prints a reset link; its last argument is the email")
	flags.StringVar(&format, "format", "text", "what to print: text, json or junit (JUnit XML)")
	return command
}

// addTargetFlags adds the flags that describe the deployment.
func addTargetFlags(command *cobra.Command, target *conformance.Target) {
	flags := command.Flags()
	flags.StringVar(&target.URL, "url", "", "the public URL of the deployment")
	flags.StringVar(&target.Domain, "email-domain", "", "the domain of the emails that the command uses")
	flags.StringVar(&target.Account, "account", "", "the email of a user to use and delete, instead of registering one")
	flags.StringVar(&target.PasskeyOrigin, "passkey-origin", "", "the origin of a page that may use passkeys")
	flags.StringSliceVar(&target.Skip, "skip", nil, "leave out these operations: operationIds, separated by commas")
	flags.BoolVar(&target.KeepGoing, "keep-going", false, "go on after a difference")
}

// checkContractTest returns an error for each invalid flag.
func checkContractTest(target conformance.Target, format string, fromStdin bool) error {
	var problems []error
	if err := checkPublicURL(target.URL); err != nil {
		problems = append(problems, fmt.Errorf("--url %w", err))
	}
	if _, err := auth.NormalizeEmail("conformance-00000000000000000000000000@" + target.Domain); err != nil {
		problems = append(problems, errors.New("--email-domain must be the domain of an email, such as example.com"))
	}
	if origins, err := httpapi.ParseOrigins(target.PasskeyOrigin); err != nil || len(origins) > 1 {
		problems = append(problems, errors.New("--passkey-origin must be an origin, such as https://app.example.com"))
	}
	if !slices.Contains([]string{"text", "json", "junit"}, format) {
		problems = append(problems, errors.New("--format must be text, json or junit"))
	}
	if target.Account != "" {
		if _, err := auth.NormalizeEmail(target.Account); err != nil {
			problems = append(problems, errors.New("--account must be an email"))
		}
	}
	if fromStdin && target.Account == "" {
		problems = append(problems, errors.New("--password-stdin needs --account"))
	}
	return errors.Join(append(problems, checkSkip(target.Skip))...)
}

// checkSkip returns an error if the OpenAPI document does not have all operations in skip.
func checkSkip(skip []string) error {
	contract, err := conformance.Load()
	if err != nil {
		return err
	}
	var known []string
	for _, operation := range contract.Operations() {
		known = append(known, operation.ID)
	}
	slices.Sort(known)
	var problems []error
	for _, operation := range skip {
		if !slices.Contains(known, operation) {
			problems = append(problems,
				fmt.Errorf("--skip: unknown operation %q; known are %s", operation, strings.Join(known, ", ")))
		}
	}
	return errors.Join(problems...)
}

func contractTest(command *cobra.Command, target conformance.Target, format string) error {
	asText := format == "text"
	report, err := conformance.Run(command.Context(), target, func(result conformance.Result) {
		if asText {
			printResult(command, result)
		}
	})
	if err != nil {
		return err
	}
	if asText {
		err = printReport(command, report)
	} else {
		err = writeDocument(command, report, format)
	}
	if err == nil && report.Count(conformance.Failed) > 0 {
		if err = errors.New(report.Summary()); asText {
			err = errPrinted
		}
	}
	return err
}

// printResult prints one line for a check, and a breach to standard error.
func printResult(command *cobra.Command, result conformance.Result) {
	line := fmt.Sprintf("%-7s  %s", result.Status, result.Name())
	if result.Err != nil {
		line += " (" + result.Reason() + ")"
	}
	_ = printLine(command, "%s", line) // best effort; the report returns the error
	if result.Status == conformance.Failed {
		command.PrintErrln("sesame:", result.Err)
	}
}

// printReport prints the table of responses and, in the last line, the result of the run.
func printReport(command *cobra.Command, report *conformance.Report) error {
	const legend = `Medians in milliseconds. "-" is a documented response that was not returned.`
	lines := []string{""}
	if !report.Empty() {
		lines = append(lines, legend, "", report.Table())
	}
	if report.Account != "" {
		lines = append(lines, "Remaining user: "+report.Account)
	}
	return printLine(command, "%s", strings.Join(append(lines, report.Summary()), "\n"))
}

func writeDocument(command *cobra.Command, report *conformance.Report, format string) error {
	encode := report.JSON
	if format == "junit" {
		encode = report.JUnit
	}
	document, err := encode()
	if err != nil {
		return err
	}
	_, err = command.OutOrStdout().Write(document)
	return err
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
