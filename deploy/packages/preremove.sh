#!/bin/sh
# Runs before the package is removed or upgraded. dpkg calls it with "remove" or "upgrade", rpm with the number of
# versions that will be left.
set -e
case $1 in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now sesame.socket sesame.service
	fi
	;;
esac
