package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// HostsURL returns a URL of the database postgres with the hosts of both clusters of a pair.
func HostsURL(primary, standby *Cluster) (string, error) {
	both, err := url.Parse(primary.URL)
	if err != nil {
		return "", err
	}
	other, err := url.Parse(standby.URL)
	if err != nil {
		return "", err
	}
	both.Host += "," + other.Host
	return both.String(), nil
}

// Promote makes a standby a primary.
func (c *Cluster) Promote(ctx context.Context) error { return c.execute(ctx, "SELECT pg_promote()") }

// ReplicateSynchronously makes a commit of the primary wait until its standby has it, if the
// connection sets synchronous_commit=on.
func (c *Cluster) ReplicateSynchronously(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := c.execute(ctx, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	if err != nil {
		return err
	}
	// A connection that is older than the setting may not see it.
	const check = "SELECT 1 / count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for c.execute(ctx, check) != nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the standby: %w", ctx.Err())
		case <-poll.C:
		}
	}
	return nil
}

// execute runs statements as superuser.
func (c *Cluster) execute(ctx context.Context, statements ...string) (err error) {
	conn, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// copy returns a copy of a cluster that is not started yet.
func (c *Cluster) copy(ctx context.Context) (*Cluster, error) {
	other, err := newCluster(c.bin, c.owner, tempDir(), c.password)
	if err != nil {
		return nil, err
	}
	output, err := exec.CommandContext(ctx, "cp", "-Rp", c.dataFolder(), other.folder).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("copy PostgreSQL's data: %w\n%s", err, output)
	}
	return other.orStop(err)
}

// follow starts the cluster, a copy of primary, as its standby.
func (c *Cluster) follow(ctx context.Context, primary *Cluster) error {
	from, err := url.Parse(primary.URL)
	if err != nil {
		return fmt.Errorf("the primary's URL: %w", err)
	}
	connection := fmt.Sprintf("host=%s port=%s user=%s password=%s sslmode=disable",
		from.Hostname(), from.Port(), superuser, c.password)
	settings := "primary_conninfo = '" + strings.ReplaceAll(connection, "'", "''") + "'\n"
	for file, content := range map[string]string{"standby.signal": "", "postgresql.auto.conf": settings} {
		if err := c.writeFile(filepath.Join(c.dataFolder(), file), content); err != nil {
			return err
		}
	}
	return c.start(ctx)
}
