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
	"syscall"
	"time"
)

// A Pooler is a running PgBouncer.
type Pooler struct {
	folder string
	server *exec.Cmd
	exited chan struct{} // closed when PgBouncer has exited
	port   string
}

// StartPooler starts PgBouncer in front of the server at serverURL, in transaction mode: each
// transaction runs on one of its two connections.
func StartPooler(ctx context.Context, serverURL string) (_ *Pooler, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	server, err := url.Parse(serverURL)
	if err != nil {
		return nil, err
	}
	program, err := findPooler()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	files, err := newCluster("", owner, tempDir(), "")
	if err != nil {
		return nil, err
	}
	p := &Pooler{folder: files.folder, port: port, exited: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop())
		}
	}()
	password, _ := server.User.Password()
	config := filepath.Join(p.folder, "pgbouncer.ini")
	err = files.writeFile(config, fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
`, server.Hostname(), server.Port(), server.User.Username(), password, port))
	if err != nil {
		return nil, err
	}
	return p, p.start(ctx, exec.Command(program, config), owner)
}

// findPooler returns the path of PgBouncer. Debian installs it for administrators only.
func findPooler() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no pgbouncer on this machine: run .ci/setup, which installs it for the tests")
}

// start starts PgBouncer and waits until it accepts connections.
func (p *Pooler) start(ctx context.Context, cmd *exec.Cmd, owner *user) error {
	cmd.Dir, cmd.SysProcAttr = p.folder, processAttributes(owner)
	output, err := os.Create(filepath.Join(p.folder, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = output.Close() }() // PgBouncer has its own handle
	cmd.Stdout, cmd.Stderr = output, output
	if err := startLocked(cmd, p.exited); err != nil {
		return fmt.Errorf("start PgBouncer: %w", err)
	}
	p.server = cmd
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		var dialer net.Dialer
		if conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", p.port)); err == nil {
			return conn.Close()
		}
		select {
		case <-p.exited:
			log, _ := os.ReadFile(output.Name()) // best effort
			return fmt.Errorf("PgBouncer ended while it started\n%s", log)
		case <-ctx.Done():
			return fmt.Errorf("PgBouncer does not respond: %w", ctx.Err())
		case <-poll.C:
		}
	}
}

// Through returns the URL of a database of the server through PgBouncer.
func (p *Pooler) Through(databaseURL string) (string, error) {
	through, err := url.Parse(databaseURL)
	if err != nil {
		return "", err
	}
	through.Host = net.JoinHostPort("127.0.0.1", p.port)
	return through.String(), nil
}

// Stop stops PgBouncer and deletes its files.
func (p *Pooler) Stop() error {
	if p.server != nil {
		if err := p.server.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop PgBouncer: %w", err)
		}
		<-p.exited
	}
	return os.RemoveAll(p.folder)
}
