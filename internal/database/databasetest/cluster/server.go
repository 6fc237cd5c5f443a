package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// errEnded is returned if the server exits while it starts. Its log contains the reason.
var errEnded = errors.New("PostgreSQL ended while it started")

// run starts the server on a free port and waits until it accepts connections. It returns errEnded
// if the server exits.
func (c *Cluster) run(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	c.URL = (&url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, c.password),
		Host:     net.JoinHostPort("127.0.0.1", port),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}).String()
	if err := c.launch(port); err != nil {
		return err
	}
	return c.awaitReady(ctx)
}

// launch starts the server and writes its output to the log file.
func (c *Cluster) launch(port string) error {
	log, err := os.Create(c.logFile())
	if err != nil {
		return fmt.Errorf("make PostgreSQL's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the server has its own handle

	arguments := []string{"-D", c.dataFolder()}
	for _, setting := range c.settings(port) {
		arguments = append(arguments, "-c", setting)
	}
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), arguments...)
	cmd.Dir = c.folder
	cmd.SysProcAttr = processAttributes(c.owner)
	cmd.Stdout, cmd.Stderr = log, log

	exited := make(chan struct{})
	if err := startLocked(cmd, exited); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	c.server, c.exited = cmd, exited
	return nil
}

// settings returns the settings that differ from PostgreSQL's defaults.
func (c *Cluster) settings(port string) []string {
	settings := []string{
		"listen_addresses=127.0.0.1", "port=" + port, "unix_socket_directories=",
		"max_connections=300", "timezone=Pacific/Chatham",
	}
	if c.durable {
		return append(settings, "shared_buffers=1GB", "max_wal_size=4GB")
	}
	return append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off",
		"max_wal_size=256MB") // the folder may be in memory
}

// startLocked starts a command, and closes exited when it has ended.
func startLocked(cmd *exec.Cmd, exited chan<- struct{}) error {
	started := make(chan error)
	go func() {
		// On Linux the command is killed when the thread that started it ends, so this goroutine
		// keeps the thread until the command has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the log contains the reason
			close(exited)
		}
	}()
	return <-started
}

// awaitReady waits until the server accepts connections. It returns an error if the server exits or
// ctx is done first.
func (c *Cluster) awaitReady(ctx context.Context) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.URL)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.exited:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not respond: %w", errors.Join(context.Cause(ctx), err))
		case <-poll.C:
		}
	}
}

// freePort returns a port that is free now. Another process may take it before the server does.
func freePort() (string, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port for PostgreSQL: %w", err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}

// signal sends a signal to processes of the server. It ignores those that have ended.
func (c *Cluster) signal(signal syscall.Signal, processes ...int) error {
	for _, id := range processes {
		process, err := os.FindProcess(id)
		if err == nil {
			err = process.Signal(signal)
		}
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("send %s to PostgreSQL: %w", signal, err)
		}
	}
	return nil
}
