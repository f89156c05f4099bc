#!/usr/bin/env bash
# ensure-installed.sh TOOL…: what the tests run beside Node: a real nats-server, and curl for the tour of README.md. Installs
# Debian's packages, which have the tools' names, where that is allowed (root, apt-get); elsewhere they must be on the PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for tool in "$@"; do
  command -v "$tool" >/dev/null 2>&1 && continue
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "$tool is missing: installing Debian's package" >&2
    # The package of nats-server starts a daemon where systemd runs; the tests start servers of their own on free ports.
    bash scripts/apt-install.sh "$tool" || true
    command -v "$tool" >/dev/null 2>&1 && continue
  fi
  echo "The tests need $tool on the PATH: install it (Debian: apt-get install $tool) and run npm test again." >&2
  exit 1
done
