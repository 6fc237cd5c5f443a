// Package cluster starts throwaway PostgreSQL clusters for tests.
//
// A cluster listens only on a free port of 127.0.0.1, requires a random password, and keeps its
// files in a temporary folder. Its data is not durable, which makes it faster, unless it is started
// by StartDurable. Its time zone is unusual, so that code that confuses local time with UTC fails
// its tests.
//
// The folder is created in TMPDIR if that is set. Otherwise it is in memory on Linux if there is
// enough and the data is not durable, or in the system's temporary folder.
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

	bin      string // the folder of the programs
	owner    *user
	password string
	folder   string
	durable  bool

	server *exec.Cmd
	exited chan struct{} // closed when the server has exited
	paused []int         // the processes that Pause stopped
}

// Start creates a cluster and returns when it accepts connections. The context only limits the
// start: the caller must stop the cluster with Stop.
//
// If PostgreSQL is not installed, the error says what to run. If the server does not start, the
// error contains its log.
func Start(ctx context.Context) (_ *Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := create(ctx, false)
	if err != nil {
		return nil, err
	}
	return c.orStop(c.start(ctx))
}

// StartDurable is like Start, but the server syncs every commit to the disk and has the memory of a
// small production server, for benchmarks.
func StartDurable(ctx context.Context) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := create(ctx, true)
	if err != nil {
		return nil, err
	}
	return c.orStop(c.start(ctx))
}

// StartTLS is like Start, but the server supports TLS, with a certificate in PEM. SetCertificate
// replaces it.
func StartTLS(ctx context.Context, certificate, key string) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := create(ctx, false)
	if err != nil {
		return nil, err
	}
	err = c.writeFile(filepath.Join(c.dataFolder(), "postgresql.auto.conf"), "ssl = on\n")
	if err == nil {
		err = c.writeCertificate(certificate, key)
	}
	if err == nil {
		err = c.start(ctx)
	}
	return c.orStop(err)
}

// SetCertificate replaces the server's certificate. The server notices it soon after.
func (c *Cluster) SetCertificate(certificate, key string) error {
	if err := c.writeCertificate(certificate, key); err != nil {
		return err
	}
	return c.signal(syscall.SIGHUP, c.server.Process.Pid)
}

func (c *Cluster) writeCertificate(certificate, key string) error {
	return errors.Join(
		c.writeFile(filepath.Join(c.dataFolder(), "server.crt"), certificate),
		c.writeFile(filepath.Join(c.dataFolder(), "server.key"), key),
	)
}

// StartPair is like Start, but creates a primary and a standby, which receives every change of the
// primary. Promote makes the standby a primary.
func StartPair(ctx context.Context) (primary, standby *Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if primary, err = create(ctx, false); err != nil {
		return nil, nil, err
	}
	standby, err = primary.copy(ctx)
	if err == nil {
		err = primary.start(ctx)
	}
	if err == nil {
		err = standby.follow(ctx, primary)
	}
	if err != nil {
		err = errors.Join(err, primary.Stop())
		if standby != nil {
			err = errors.Join(err, standby.Stop())
		}
		return nil, nil, err
	}
	return primary, standby, nil
}

// create makes a cluster that is not started yet.
func create(ctx context.Context, durable bool) (*Cluster, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	parent := tempDir()
	if durable {
		parent = os.TempDir()
	}
	c, err := newCluster(bin, owner, parent, rand.Text())
	if err != nil {
		return nil, err
	}
	c.durable = durable
	return c.orStop(c.initialize(ctx))
}

// newCluster makes the folder of a cluster in the folder parent.
func newCluster(bin string, owner *user, parent, password string) (*Cluster, error) {
	removeAbandoned(parent)
	folder, err := os.MkdirTemp(parent, folderPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a folder for PostgreSQL: %w", err)
	}
	c := &Cluster{bin: bin, owner: owner, password: password, folder: folder}
	if owner == nil {
		return c, nil
	}
	if err := os.Chown(folder, owner.uid, owner.gid); err != nil {
		return c.orStop(fmt.Errorf("give PostgreSQL's folder to its user: %w", err))
	}
	return c, nil
}

// orStop returns c, or stops it if err is not nil.
func (c *Cluster) orStop(err error) (*Cluster, error) {
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// start starts the server. Another process may take the port before the server does, so it tries
// more than one.
func (c *Cluster) start(ctx context.Context) (err error) {
	for range 3 {
		if err = c.run(ctx); !errors.Is(err, errEnded) {
			break
		}
	}
	if err != nil {
		log, _ := os.ReadFile(c.logFile()) // best effort
		return fmt.Errorf("%w\n%s", err, log)
	}
	return nil
}

// Stop stops the server without saving its data and deletes the folder. Stopping a stopped cluster
// does nothing.
func (c *Cluster) Stop() error {
	if c.server != nil {
		if err := c.Resume(); err != nil { // a stopped process does not handle signals
			return err
		}
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
func (c *Cluster) initialize(ctx context.Context) error {
	passwordFile := filepath.Join(c.folder, "password")
	if err := c.writeFile(passwordFile, c.password); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"),
		"--pgdata="+c.dataFolder(),
		"--username="+superuser,
		"--pwfile="+passwordFile,
		"--auth=scram-sha-256",
		"--encoding=UTF8",
		"--locale=C",
		"--no-sync",
	)
	cmd.Dir = c.folder // the server's user may not have access to the current folder
	cmd.SysProcAttr = processAttributes(c.owner)
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) && c.owner != nil {
		return fmt.Errorf("%w: PostgreSQL does not run as root, and the user %s may not reach this file", err, c.owner.name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd.Path, err, output)
	}
	return nil
}

// writeFile writes a file that the server can read.
func (c *Cluster) writeFile(path, content string) error {
	err := os.WriteFile(path, []byte(content), 0o600)
	if err == nil && c.owner != nil {
		err = os.Chown(path, c.owner.uid, c.owner.gid)
	}
	if err != nil {
		return fmt.Errorf("prepare PostgreSQL's folder: %w", err)
	}
	return nil
}
