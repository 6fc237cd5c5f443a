package main

import (
	"context"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	sesame "github.com/sesame-auth/sesame"
	"github.com/sesame-auth/sesame/internal/server"
	"github.com/sesame-auth/sesame/internal/version"
)

func configCommand(environment []string) *cobra.Command {
	var check bool
	command := &cobra.Command{
		Use:   "config",
		Short: "List the settings with their values, but not the secrets",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if check {
				if _, err := load(environment); err != nil {
					return err
				}
				return printLine(command, "The configuration is valid.")
			}
			given, _ := values(environment)
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, s := range allSettings() {
				value, set := given[s.name]
				switch {
				case set && s.secret:
					value = "(set)"
				case !set:
					value = s.fallback
				}
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", s.name, value, s.help) // Flush returns the error
			}
			if err := table.Flush(); err != nil {
				return err
			}
			_, err := load(environment) // the list is useful even if a setting is invalid
			return err
		},
	}
	command.Flags().BoolVar(&check, "check", false,
		"only check the settings, without opening the database or anything else; the exit status is 2 if any is invalid")
	return command
}

func openapiCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "openapi",
		Short:   "Print the OpenAPI document",
		Example: "  sesame openapi >openapi.yaml",
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			_, err := command.OutOrStdout().Write(sesame.OpenAPI)
			return err
		},
	}
}

func healthcheckCommand(environment []string) *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit with 0 if the server on this machine is ready, otherwise with 1",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := load(environment)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(command.Context(), 5*time.Second)
			defer cancel()
			return checkReady(ctx, c.AdminAddr)
		},
	}
}

// checkReady returns nil if the server with this admin address is ready.
func checkReady(ctx context.Context, address string) error {
	client, url := server.AdminClient(address)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", response.Status)
	}
	return nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return printLine(command, "%s", version.Current())
		},
	}
}
