// Package cluster starts throwaway PostgreSQL clusters for tests.
//
// A cluster listens only on a free port of 127.0.0.1, requires a random password, and keeps its
// files in a temporary folder. Its data is not durable, which makes it faster. Its time zone is
// unusual, so that code that confuses local time with UTC fails its tests.
//
// The folder is created in TMPDIR if that is set. Otherwise it is in memory on Linux if there is
// enough, or in the system's temporary folder.
//
// If the tests run as root, the server runs as the user postgres or, if there is none, nobody:
// PostgreSQL refuses to run as root. On Linux the server is killed when the process that started it
// ends. Start removes the folders that killed processes left.
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

// A Cluster is a running PostgreSQL server with its own folder.
type Cluster struct {
	// URL connects to the database postgres as superuser.
	URL string

	folder string
	server *exec.Cmd
	exited chan struct{} // closed when the server has exited
}

// Start creates a cluster and returns when it accepts connections. The context only limits the
// start: the caller must stop the cluster with Stop.
//
// If PostgreSQL is not installed, the error says what to run. If the server does not start, the
// error contains its log.
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
	// Another process may take the port before the server does, so try more than one.
	for range 3 {
		err = c.run(ctx, bin, owner, password)
		if !errors.Is(err, errEnded) {
			break
		}
	}
	if err != nil {
		log, _ := os.ReadFile(c.logFile()) // best effort
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	return c, nil
}

// Stop stops the server without saving its data and deletes the folder. Stopping a stopped cluster
// does nothing.
func (c *Cluster) Stop() error {
	if c.server != nil {
		// SIGQUIT is PostgreSQL's immediate shutdown. Unlike SIGKILL, it also ends the server's child
		// processes and frees its shared memory.
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

// initialize runs initdb. It sets a password because every user of the machine can connect to the
// port, and a superuser of the cluster can run programs as the user of the server.
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
	cmd.Dir = c.folder // the server's user may not have access to the current folder
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
