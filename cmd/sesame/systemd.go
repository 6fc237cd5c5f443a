package main

import (
	"fmt"
	"log/slog"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/sesame-auth/sesame/internal/server"
)

// socketSettings are the settings that sockets of systemd replace, by FileDescriptorName=.
var socketSettings = map[string]string{"api": "SESAME_ADDR", "admin": "SESAME_ADMIN_ADDR"}

// systemdSockets returns the sockets that systemd has opened for this process (sd_listen_fds(3)),
// by name. The child processes do not inherit them.
func systemdSockets() (map[string]net.Listener, error) {
	sockets := make(map[string]net.Listener)
	for _, file := range activation.Files(true) {
		name := file.Name()
		listener, err := net.FileListener(file)
		_ = file.Close() // the listener has a copy
		switch {
		case err != nil:
			return nil, fmt.Errorf("the socket %s of systemd: %w", name, err)
		case socketSettings[name] == "":
			return nil, fmt.Errorf("the socket %s of systemd: set FileDescriptorName= to api or admin", name)
		case sockets[name] != nil:
			return nil, fmt.Errorf("systemd passes two sockets with the name %s; there can be one", name)
		}
		sockets[name] = listener
	}
	return sockets, nil
}

// loadWithSockets is like load, with the sockets of systemd in place of the settings.
func loadWithSockets(environment []string) (*config, error) {
	sockets, err := systemdSockets()
	if err != nil {
		return nil, usageError{err}
	}
	for name, listener := range sockets {
		environment = append(environment, socketSettings[name]+"="+server.Address(listener))
	}
	c, err := load(environment)
	if err != nil {
		return nil, err
	}
	c.APIListener, c.AdminListener = sockets["api"], sockets["admin"]
	return c, nil
}

// notifySystemd reports a state to systemd, if the unit has Type=notify.
func notifySystemd(state string, log *slog.Logger) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd was not notified", "state", state, "err", err)
	}
}
