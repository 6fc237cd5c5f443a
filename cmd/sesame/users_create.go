package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/auth"
)

const passwordHelp = "read the password from standard input instead of asking for it"

func createUserCommand(environment []string) *cobra.Command {
	var account auth.NewUser
	var bio string
	var fromStdin, noPassword bool
	command := &cobra.Command{
		Use:   "create --email EMAIL --name NAME",
		Short: "Create a user and print the id",
		Example: `  sesame users create --email ada@example.com --name "Ada Lovelace"
  sesame users create --email ada@example.com --name "Ada Lovelace" --no-password
  sesame users reset-link ada@example.com`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if account.Email == "" || account.Name == "" {
				return usageError{errors.New("--email and --name are required")}
			}
			if fromStdin && noPassword {
				return usageError{errors.New("give either --password-stdin or --no-password, not both")}
			}
			if command.Flags().Changed("bio") {
				account.Bio = &bio
			}
			if !noPassword {
				password, err := readPassword(command, fromStdin)
				if err != nil {
					return err
				}
				account.Password = &password
			}
			return withService(command, environment, func(service *auth.Service) error {
				user, err := service.CreateUser(command.Context(), account)
				if err != nil {
					return err
				}
				return printLine(command, "%s", user.ID)
			})
		},
	}
	command.Flags().StringVar(&account.Email, "email", "", "the user's email")
	command.Flags().StringVar(&account.Name, "name", "", "the user's name")
	command.Flags().StringVar(&bio, "bio", "", "a text about the user")
	command.Flags().BoolVar(&account.Unverified, "unverified", false,
		"do not mark the email as verified")
	command.Flags().BoolVar(&fromStdin, "password-stdin", false, passwordHelp)
	command.Flags().BoolVar(&noPassword, "no-password", false,
		"the user sets a password with a reset link before the first login")
	return command
}

func setPasswordCommand(environment []string) *cobra.Command {
	var fromStdin bool
	setPassword := func(command *cobra.Command, service *auth.Service, user *auth.User) error {
		password, err := readPassword(command, fromStdin)
		if err != nil {
			return err
		}
		if err := service.SetPassword(command.Context(), user.ID, password); err != nil {
			return err
		}
		return printLine(command, "%s has a new password and is logged out everywhere.", user.Email)
	}
	const short = "Set a user's password, end all sessions and notify the user by email"
	command := userCommand(environment, "set-password", short, setPassword)
	command.Flags().BoolVar(&fromStdin, "password-stdin", false, passwordHelp)
	return command
}
