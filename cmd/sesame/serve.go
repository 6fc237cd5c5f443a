package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/server"
)

// hashingWait is how long a request waits until its password can be hashed. People wait that long
// for a login; in a longer queue the first ones would have given up when it is their turn.
const hashingWait = 2 * time.Second

func serveCommand(environment []string) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Start the server",
		Long: `Start the server. It migrates the database, listens, and runs until it gets SIGINT or SIGTERM.
Then it is not ready, accepts requests for SESAME_DRAIN_DELAY, and waits for those that are in flight.
A second signal ends it at once.`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := loadWithSockets(environment)
			if err != nil {
				return err
			}
			if !c.drainSet && interactive(command) {
				c.DrainDelay = 0 // somebody waits for it to end
			}
			tuneGC(environment)
			return serve(command.Context(), c, command.OutOrStdout(), newLogger(c, command.ErrOrStderr()))
		},
	}
}

// hashers returns the maximum number of processes that hash passwords.
func hashers() int { return runtime.GOMAXPROCS(0) }

// serve runs the server until ctx is done.
func serve(ctx context.Context, c *config, stdout io.Writer, log *slog.Logger) (err error) {
	c.Log, c.Now, c.Traces.Console = log, time.Now, stdout
	c.OnReady = func() {
		announce(stdout, c)
		notifySystemd(daemon.SdNotifyReady, log)
	}
	ended := context.AfterFunc(ctx, func() { notifySystemd(daemon.SdNotifyStopping, log) })
	defer ended()
	c.Hashing = password.Config{AtOnce: hashers(), Wait: hashingWait, Worker: hashWorker(), Log: log}
	s, err := server.New(ctx, c.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, warning := range c.warnings() {
		log.Warn(warning.found, "remedy", warning.remedy)
	}
	if err := s.Listen(ctx); err != nil {
		return err
	}
	return s.Serve(ctx)
}

// announce prints where everything is.
func announce(out io.Writer, c *config) {
	data, emails := c.DataDir, c.MailDir()
	if c.DatabaseURL != "" {
		data = "PostgreSQL"
	}
	if c.SMTPURL != "" {
		emails = "sent by SMTP"
	}
	if c.Mailbox() {
		emails = fmt.Sprintf("http://%s/dev/mail (files in %s)", c.AdminAddr, emails)
	}
	health := "http://" + c.AdminAddr + "/readyz"
	if path, isUnix := server.SocketPath(c.AdminAddr); isUnix {
		health = "curl --unix-socket " + path + " http://localhost/readyz"
	}
	_, _ = fmt.Fprintf(out, `Sesame is ready.

  API       %[1]s
  docs      %[1]s/docs
  OpenAPI   %[1]s/openapi.yaml
  keys      %[1]s/.well-known/jwks.json
  health    %[2]s
  data      %[3]s
  emails    %[4]s

Register a user, and log in:

  curl -s %[1]s/auth/register -H 'Content-Type: application/json' -d '{"name":"Ada Lovelace",
    "email":"ada@example.com","password":"correct horse battery staple","confirm":"correct horse battery staple"}'
  curl -s %[1]s/auth/login -H 'Content-Type: application/json' \
    -d '{"email":"ada@example.com","password":"correct horse battery staple"}'

`, c.PublicURL, health, data, emails)
}

func newLogger(c *config, out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.logLevel}
	_, onTerminal := terminal(out)
	if c.logFormat == "text" || c.logFormat == "" && onTerminal {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}
