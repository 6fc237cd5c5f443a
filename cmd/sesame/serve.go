package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/password"
)

// hashingWait is how long a request waits for a processor to hash its password on. Who logs in waits that long;
// in a longer queue the first would have given up when their turn comes.
const hashingWait = 2 * time.Second

// purgeEvery is how often expired rows are deleted.
const purgeEvery = time.Hour

// drainTimeout is how long requests in hand may take once the server was told to end.
const drainTimeout = 25 * time.Second

func serveCommand(environment []string) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Serve the API until told to end",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := load(environment)
			if err != nil {
				return err
			}
			return serve(command.Context(), c, command.OutOrStdout(), newLogger(c, command.ErrOrStderr()))
		},
	}
}

// serve runs the API, the admin listener and the mail worker until ctx ends, and then lets requests and mails
// in hand finish.
func serve(ctx context.Context, c *config, stdout io.Writer, log *slog.Logger) (err error) {
	db, err := openDatabase(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.Close(db)) }()
	hasher, restore := newHasher()
	defer restore()
	in, err := install(ctx, c, db, hasher, log)
	if err != nil {
		return err
	}
	var draining atomic.Bool
	ready := func(ctx context.Context) error {
		if draining.Load() {
			return errors.New("shutting down")
		}
		return database.Migrated(ctx, db)
	}
	for _, warning := range c.warnings() {
		log.Warn(warning)
	}
	api := httpapi.NewServer(in.api, log)
	admin := httpapi.NewServer(httpapi.NewAdmin(ready, in.metrics, c.profiling, log), log)
	apiListener, err := listen(ctx, "SESAME_ADDR", c.addr)
	if err != nil {
		return err
	}
	adminListener, err := listen(ctx, "SESAME_ADMIN_ADDR", c.adminAddr)
	if err != nil {
		return errors.Join(err, apiListener.Close())
	}
	announce(stdout, c)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return untilClosed(api.Serve(apiListener)) })
	group.Go(func() error { return untilClosed(admin.Serve(adminListener)) })
	group.Go(func() error { in.outbox.Run(ctx, in.authority.Letters()); return nil })
	group.Go(func() error { in.authority.RunPurge(ctx, purgeEvery, log); return nil })
	group.Go(func() error { in.keys.Run(ctx, c.reloadKeys, log); return nil })
	group.Go(func() error {
		<-ctx.Done()
		draining.Store(true)
		log.Info("ending: requests in hand are finished first")
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		return errors.Join(api.Shutdown(bounded), admin.Shutdown(bounded))
	})
	return group.Wait()
}

// newHasher makes a hasher of as many passwords at once as Go has processors, which is as many as the machine has
// or the container may use, and gives Go that many more, for hashing not to take those of the requests. Go then no
// longer follows a limit that changes: neither would the hasher. restore undoes it.
func newHasher() (hasher *password.Hasher, restore func()) {
	processors := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(2 * processors)
	return password.NewHasher(processors, hashingWait), func() { runtime.GOMAXPROCS(processors) }
}

func untilClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func listen(ctx context.Context, setting, address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return listener, nil
}

// announce tells a newcomer where everything is.
func announce(out io.Writer, c *config) {
	data, mails := c.dataDir, c.mailFolder()
	if c.databaseURL != "" {
		data = "PostgreSQL"
	}
	if c.smtpURL != "" {
		mails = "sent by SMTP"
	}
	if c.mailbox() != "" {
		mails = fmt.Sprintf("%s/dev/mail, from %s", c.publicURL, mails)
	}
	_, _ = fmt.Fprintf(out, `Sesame is ready.

  API       %[1]s
  docs      %[1]s/docs
  contract  %[1]s/openapi.yaml
  keys      %[1]s/.well-known/jwks.json
  health    http://%[2]s/readyz
  data      %[3]s
  mails     %[4]s

Try it:

  curl -s %[1]s/auth/register -H 'Content-Type: application/json' \
    -d '{"name":"Ada","email":"ada@example.com","password":"correct horse","confirm":"correct horse"}'

`, c.publicURL, c.adminAddr, data, mails)
}

func newLogger(c *config, out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.logLevel}
	_, onTerminal := terminal(out)
	if c.logFormat == "text" || c.logFormat == "" && onTerminal {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}
