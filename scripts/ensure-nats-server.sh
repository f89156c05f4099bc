#!/usr/bin/env bash
# The tests run against a real nats-server. Installs Debian's package where that is allowed (root, apt-get); elsewhere
# the binary must be on the PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v nats-server >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "nats-server is missing: installing Debian's package" >&2
  # The package starts a daemon where systemd runs; the tests start servers of their own on free ports.
  bash scripts/apt-install.sh nats-server || true
  command -v nats-server >/dev/null 2>&1 && exit 0
fi
echo "The tests need nats-server on the PATH: install it (Debian: apt-get install nats-server) and run npm test again." >&2
exit 1
