#!/bin/sh
# Of the Debian and RPM packages: makes the daemon's user. It starts nothing, since
# there is neither a configuration nor a secret yet: docs/deployment.md.
set -e
if command -v systemd-sysusers >/dev/null; then systemd-sysusers latchgate.conf; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
