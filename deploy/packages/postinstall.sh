#!/bin/sh
# Runs after the package was installed or upgraded. It does not start the server, because its settings come first, and
# does not restart it, because servers are restarted one after the other.
set -e
systemd-sysusers /usr/lib/sysusers.d/sesame.conf
chgrp sesame /etc/sesame/sesame.env # commands that run as the user of the server read it, too
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
