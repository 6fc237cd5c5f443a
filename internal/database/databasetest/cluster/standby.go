package cluster

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
)

// copy returns a copy of a cluster that is not started yet.
func (c *Cluster) copy(ctx context.Context) (*Cluster, error) {
	other, err := newCluster(c.bin, c.owner, c.password)
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
