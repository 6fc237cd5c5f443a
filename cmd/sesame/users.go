package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/server"
)

// usersCommand manages accounts in the database. Running servers read it for every request, so a
// command takes effect immediately.
func usersCommand(environment []string) *cobra.Command {
	command := &cobra.Command{
		Use:   "users",
		Short: "Create, list, change, delete and import users",
		Long: "Create, list, change, delete and import users. USER is an email or an id.\n\n" +
			"A command works on the database, with the settings of the server. " +
			"Running servers use the change with the next request.",
		Example: `  sesame users create --email ada@example.com --name "Ada Lovelace"
  sesame users list --search ada
  sesame users disable ada@example.com`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(
		createUserCommand(environment),
		listUsersCommand(environment),
		showUserCommand(environment),
		userCommand(environment, "disable", "Lock a user out and end all sessions", disableUser),
		userCommand(environment, "enable", "Let a disabled user log in again", enableUser),
		userCommand(environment, "verify", "Mark the email of a user as verified", verifyUser),
		userCommand(environment, "unverify", "Mark the email of a user as not verified", unverifyUser),
		setPasswordCommand(environment),
		revokeSessionsCommand(environment),
		factorsCommand(environment),
		addTOTPCommand(environment),
		userCommand(environment, "remove-factors", "Remove the second factor and all passkeys of a user", removeFactors),
		userCommand(environment, "reset-link", "Print a link that resets the password, to hand over", resetLink),
		deleteUserCommand(environment),
		importUsersCommand(environment),
		convertUsersCommand(),
	)
	return command
}

// withDatabase opens the database for a command that only reads. It creates and changes nothing,
// and needs no secret.
func withDatabase(command *cobra.Command, environment []string, work func(*database.DB, *config) error) (err error) {
	c, err := load(environment)
	if err != nil {
		return err
	}
	db, err := server.OpenDatabase(command.Context(), c.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return work(db, c)
}

// withReader opens the database for a command that reads users.
func withReader(command *cobra.Command, environment []string, work func(*auth.Reader) error) error {
	return withDatabase(command, environment, func(db *database.DB, _ *config) error {
		return work(auth.NewReader(db, time.Now))
	})
}

// withServer assembles the configured installation, without serving it. It neither creates nor
// migrates the database.
func withServer(command *cobra.Command, environment []string, work func(*server.Server) error) error {
	c, err := load(environment)
	if err != nil {
		return err
	}
	c.Log, c.Now = newLogger(c, command.ErrOrStderr()), time.Now
	c.Hashing = password.Config{AtOnce: 1, Wait: hashingWait} // a command hashes one password
	s, err := server.Open(command.Context(), c.Config)
	if err != nil {
		return err
	}
	return errors.Join(work(s), s.Close())
}

// withService opens the configured installation and calls work with its use cases.
func withService(command *cobra.Command, environment []string, work func(*auth.Service) error) error {
	return withServer(command, environment, func(s *server.Server) error { return work(s.Auth) })
}

// userWork is what a command does with one user.
type userWork func(*cobra.Command, *auth.Service, *auth.User) error

// userCommand returns a command about one user.
func userCommand(environment []string, name, short string, work userWork) *cobra.Command {
	return &cobra.Command{
		Use:   name + " USER",
		Short: short,
		Args:  oneArgument,
		RunE: func(command *cobra.Command, args []string) error {
			return withService(command, environment, func(service *auth.Service) error {
				user, err := findUser(command, service.Reader, args[0])
				if err != nil {
					return err
				}
				return work(command, service, user)
			})
		},
	}
}

func findUser(command *cobra.Command, reader *auth.Reader, emailOrID string) (*auth.User, error) {
	user, err := reader.FindUser(command.Context(), emailOrID)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", emailOrID, err)
	}
	return user, nil
}

func disableUser(command *cobra.Command, service *auth.Service, user *auth.User) error {
	changed, err := service.DisableUser(command.Context(), user.ID)
	if err != nil {
		return err
	}
	if !changed {
		return printLine(command, "%s was already disabled.", user.Email)
	}
	return printLine(command, "%s is disabled and logged out everywhere.", user.Email)
}

func enableUser(command *cobra.Command, service *auth.Service, user *auth.User) error {
	changed, err := service.EnableUser(command.Context(), user.ID)
	if err != nil {
		return err
	}
	if !changed {
		return printLine(command, "%s was already enabled.", user.Email)
	}
	return printLine(command, "%s is enabled and can log in.", user.Email)
}

func verifyUser(command *cobra.Command, service *auth.Service, user *auth.User) error {
	changed, err := service.VerifyUser(command.Context(), user.ID)
	if err != nil {
		return err
	}
	if !changed {
		return printLine(command, "%s was already verified.", user.Email)
	}
	return printLine(command, "%s is verified.", user.Email)
}

func unverifyUser(command *cobra.Command, service *auth.Service, user *auth.User) error {
	changed, err := service.UnverifyUser(command.Context(), user.ID)
	if err != nil {
		return err
	}
	if !changed {
		return printLine(command, "%s was already unverified.", user.Email)
	}
	return printLine(command, "%s is not verified any more. The sessions continue.", user.Email)
}

func resetLink(command *cobra.Command, service *auth.Service, user *auth.User) error {
	link, err := service.ResetLink(command.Context(), user.ID)
	if err != nil {
		return err
	}
	return printLine(command, "%s", link)
}

func revokeSessions(command *cobra.Command, service *auth.Service, user *auth.User) error {
	sessions, err := service.RevokeSessions(command.Context(), user.ID)
	if err != nil {
		return err
	}
	return printLine(command, "%s is logged out everywhere. Sessions ended: %d.", user.Email, sessions)
}

func revokeSessionsCommand(environment []string) *cobra.Command {
	var all bool
	command := userCommand(environment, "revoke-sessions", "Log a user out everywhere, or all users", revokeSessions)
	one := command.RunE
	command.Use = "revoke-sessions USER | --all"
	command.Flags().BoolVar(&all, "all", false, "log out all users")
	command.Args = func(command *cobra.Command, args []string) error {
		if all && len(args) == 0 {
			return nil
		}
		if all {
			return usageError{errors.New("give either USER or --all, not both")}
		}
		return oneArgument(command, args)
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		if !all {
			return one(command, args)
		}
		return withService(command, environment, func(service *auth.Service) error {
			users, sessions, err := service.RevokeAllSessions(command.Context())
			if err != nil {
				return err
			}
			return printLine(command, "All users are logged out. Users: %d. Sessions ended: %d.", users, sessions)
		})
	}
	return command
}

func deleteUserCommand(environment []string) *cobra.Command {
	var yes bool
	deleteUser := func(command *cobra.Command, service *auth.Service, user *auth.User) error {
		if !yes {
			question := fmt.Sprintf("Delete %s (%s)? This cannot be undone.", user.Email, user.ID)
			if err := confirm(command, question); err != nil {
				return err
			}
		}
		if err := service.DeleteUser(command.Context(), user.ID); err != nil {
			return err
		}
		const left = "The audit log keeps the time and kind of the events, but no email or IP address."
		return printLine(command, "%s is deleted. "+left, user.Email)
	}
	command := userCommand(environment, "delete", "Delete a user and all their data", deleteUser)
	command.Long = `Delete a user and all their data.

What is left are the user's events in the audit log, without email, IP address, user agent and detail. They are deleted
at the end of their retention.`
	command.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation")
	return command
}
