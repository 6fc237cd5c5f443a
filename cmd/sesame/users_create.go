package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/auth"
)

const passwordHelp = "read the password from standard input, up to the end of its line; without, it is asked for on the terminal"

func createUserCommand(environment []string) *cobra.Command {
	var account auth.NewUser
	var bio string
	var fromStdin, noPassword bool
	command := &cobra.Command{
		Use:   "create --email ADDRESS --name NAME",
		Short: "Make an account and print its id",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if account.Email == "" || account.Name == "" {
				return usageError{errors.New("--email and --name must be given")}
			}
			if fromStdin && noPassword {
				return usageError{errors.New("--password-stdin and --no-password exclude each other")}
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
	command.Flags().StringVar(&account.Email, "email", "", "the address")
	command.Flags().StringVar(&account.Name, "name", "", "how the user wants to be called")
	command.Flags().StringVar(&bio, "bio", "", "what the user says of themself")
	command.Flags().BoolVar(&fromStdin, "password-stdin", false, passwordHelp)
	command.Flags().BoolVar(&noPassword, "no-password", false, "nobody can log in until a reset link was used")
	return command
}

func setPasswordCommand(environment []string) *cobra.Command {
	var fromStdin bool
	command := userCommand(environment, "set-password", "Set a user's password; it ends all sessions, and the user is told by mail", func(command *cobra.Command, service *auth.Service, user *auth.User) error {
		password, err := readPassword(command, fromStdin)
		if err != nil {
			return err
		}
		if err := service.SetPassword(command.Context(), user.ID, password); err != nil {
			return err
		}
		return printLine(command, "%s has the new password, and is logged out everywhere.", user.Email)
	})
	command.Flags().BoolVar(&fromStdin, "password-stdin", false, passwordHelp)
	return command
}
