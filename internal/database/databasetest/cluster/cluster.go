// Package cluster starts throwaway PostgreSQL clusters for tests.
//
// A cluster listens on a free port of 127.0.0.1 only, asks for a password that
// nobody else knows, keeps its files in a folder that it deletes, and gives up every
// promise of durability for speed. Its time zone is deliberately an odd one, so
// that code which confuses local time with UTC fails its tests.
//
// The folder lies under TMPDIR when that is set; else, on Linux, in memory if
// there is plenty; else in the system's temporary folder.
//
// Started by root, the server runs as the user postgres, or nobody, because
// PostgreSQL refuses to run as root. On Linux it dies with the process that
// started it; a folder that a killed process left behind is removed by a later
// Start.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	superuser    = "postgres"
	startTimeout = 60 * time.Second
	stopTimeout  = 10 * time.Second
)

// A Cluster is a running PostgreSQL server with a folder of its own.
type Cluster struct {
	// URL connects to the database postgres as superuser.
	URL string

	folder string
	server *exec.Cmd
	exited chan struct{} // closed once the server is gone
}

// Start makes a cluster and returns when it accepts connections. The cluster
// outlives ctx, which only limits the start; the caller must Stop it.
//
// The error says what to run when there is no PostgreSQL on the machine, and
// holds the server's log when there is one that does not start.
func Start(ctx context.Context) (_ *Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	parent := tempDir()
	removeAbandoned(parent)
	folder, err := os.MkdirTemp(parent, folderPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a folder for PostgreSQL: %w", err)
	}
	c := &Cluster{folder: folder}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()

	password := rand.Text()
	if err := c.initialize(ctx, bin, owner, password); err != nil {
		return nil, err
	}
	// A port is free only until somebody else takes it, so try more than one.
	for range 3 {
		err = c.run(ctx, bin, owner, password)
		if !errors.Is(err, errEnded) {
			break
		}
	}
	if err != nil {
		log, _ := os.ReadFile(c.logFile()) // without a log the error is just shorter
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	return c, nil
}

// Stop ends the server at once, without care for its data, and deletes the
// folder. Stopping a stopped cluster does nothing.
func (c *Cluster) Stop() error {
	if c.server != nil {
		// SIGQUIT is PostgreSQL's immediate shutdown: unlike SIGKILL it takes
		// the server's children and shared memory along.
		if err := c.server.Process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop PostgreSQL: %w", err)
		}
		select {
		case <-c.exited:
		case <-time.After(stopTimeout):
			if err := c.server.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return fmt.Errorf("kill PostgreSQL: %w", err)
			}
			<-c.exited
		}
	}
	if err := os.RemoveAll(c.folder); err != nil {
		return fmt.Errorf("delete PostgreSQL's folder: %w", err)
	}
	return nil
}

func (c *Cluster) dataFolder() string { return filepath.Join(c.folder, "data") }
func (c *Cluster) logFile() string    { return filepath.Join(c.folder, "log") }

// initialize runs initdb. A password is set because any user of the machine can
// reach the port, and a superuser of the cluster can run programs as us.
func (c *Cluster) initialize(ctx context.Context, bin string, owner *user, password string) error {
	passwordFile := filepath.Join(c.folder, "password")
	if err := os.WriteFile(passwordFile, []byte(password), 0o600); err != nil {
		return fmt.Errorf("prepare PostgreSQL's folder: %w", err)
	}
	if owner != nil {
		for _, path := range []string{c.folder, passwordFile} {
			if err := os.Chown(path, owner.uid, owner.gid); err != nil {
				return fmt.Errorf("give PostgreSQL's folder to its user: %w", err)
			}
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"),
		"--pgdata="+c.dataFolder(),
		"--username="+superuser,
		"--pwfile="+passwordFile,
		"--auth=scram-sha-256",
		"--encoding=UTF8",
		"--locale=C",
		"--no-sync",
	)
	cmd.Dir = c.folder // the current folder may be closed to the server's user
	cmd.SysProcAttr = processAttributes(owner)
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) && owner != nil {
		return fmt.Errorf("%w: PostgreSQL does not run as root, and the user %s may not reach this file", err, owner.name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd.Path, err, output)
	}
	return nil
}
