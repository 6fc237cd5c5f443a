package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/doctor"
	"github.com/sesame-auth/sesame/internal/version"
)

func doctorCommand(environment []string) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Check this deployment, and say how to fix what is wrong",
		Long: `Check this deployment, and say how to fix what is wrong: the settings, the data folder, the database, the
secret, the clock, the mail server, the public URL, the running server and the limits of this machine.

The command changes nothing, and needs no running server. Run it where the server runs, as the user of the server and
with its settings. It ends within seconds, or within three minutes if nothing responds.

The exit status is 0 if there is no error, even if there are warnings, 1 if there is one, and 2 if a setting is
invalid.`,
		Example: "  sesame doctor\n  sesame doctor --json",
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := load(environment)
			if err != nil {
				return err
			}
			return runDoctor(command.Context(), command.OutOrStdout(), deploymentOf(c), asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return command
}

// deploymentOf returns what the settings and this process say about the deployment.
func deploymentOf(c *config) doctor.Deployment {
	c.Now = time.Now
	deployment := doctor.Deployment{
		Config: c.Config, Version: version.Current().Version,
		Hashers: hashers(), Processors: processors(), Memory: availableMemory(os.DirFS("/")),
	}
	for _, w := range c.warnings() {
		deployment.Questionable = append(deployment.Questionable,
			doctor.Finding{Status: doctor.Warning, Detail: w.found, Remedy: w.remedy})
	}
	return deployment
}

// processors returns how many processors this machine, or the container, allows, whatever
// GOMAXPROCS says.
func processors() int {
	configured := runtime.GOMAXPROCS(0)
	runtime.SetDefaultGOMAXPROCS()
	return runtime.GOMAXPROCS(configured)
}

// doctorReport is the document that --json prints.
type doctorReport struct {
	Version  string           `json:"version"`
	Errors   int              `json:"errors"`
	Warnings int              `json:"warnings"`
	Checks   []doctor.Finding `json:"checks"`
}

// runDoctor checks a deployment and prints the findings. If there is an error, it returns
// errPrinted.
func runDoctor(ctx context.Context, out io.Writer, deployment doctor.Deployment, asJSON bool) error {
	report := doctorReport{Version: deployment.Version, Checks: []doctor.Finding{}}
	var failed error // to print
	err := doctor.Run(ctx, deployment, func(finding doctor.Finding) {
		finding.Detail = shown(strings.Join(strings.Fields(finding.Detail), " ")) // one line
		report.Checks = append(report.Checks, finding)
		switch finding.Status {
		case doctor.Error:
			report.Errors++
		case doctor.Warning:
			report.Warnings++
		}
		if !asJSON && failed == nil {
			failed = printFinding(out, finding)
		}
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	case asJSON:
		failed = json.MarshalWrite(out, report, jsontext.Multiline(true), jsontext.WithIndent("  "))
		if failed == nil {
			_, failed = fmt.Fprintln(out)
		}
	default:
		_, failed = fmt.Fprintf(out, "\nerrors: %d, warnings: %d\n", report.Errors, report.Warnings)
	}
	if failed == nil && report.Errors > 0 {
		return errPrinted
	}
	return failed
}

// printFinding prints one line for a finding, and its remedy in the next one.
func printFinding(out io.Writer, finding doctor.Finding) error {
	const columns = "%-8s %-21s %s\n"
	_, err := fmt.Fprintf(out, columns, finding.Status, finding.Name, finding.Detail)
	if err == nil && finding.Remedy != "" {
		_, err = fmt.Fprintf(out, columns, "", "", "-> "+finding.Remedy)
	}
	return err
}
