#!/bin/sh
# Runs after the package was removed or upgraded. The data and the user stay.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
