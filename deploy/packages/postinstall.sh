#!/bin/sh
# Runs after the package was installed or upgraded. It does not start the server, because its settings come first, and
# does not restart it, because servers are restarted one after the other.
set -e
unit=/usr/lib/systemd/system/sesame.service
if grep -q '^User=sesame$' "$unit" && ! grep -q '^DynamicUser=yes$' "$unit" && ! getent passwd sesame >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/sesame --no-create-home --shell /usr/sbin/nologin sesame
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
