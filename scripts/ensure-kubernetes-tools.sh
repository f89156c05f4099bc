#!/usr/bin/env bash
# The tests of k8s/ render with kubectl and check the alert rules with promtool. Unpacks Debian's packages into
# node_modules/.cache/filbert-tools where they are missing; nothing is installed and no daemon starts. Elsewhere both must be
# on the PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=$PWD/node_modules/.cache/filbert-tools
PATH=$PATH:$tools

# Debian 12's kubectl is older than what the manifests use.
ensure() { # tool suite package
  if command -v "$1" >/dev/null 2>&1; then return 0; fi
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "The tests need $1 on the PATH: install it and run npm test again." >&2
    return 1
  fi
  echo "$1 is missing: unpacking Debian's $3" >&2
  local folder
  folder=$(mktemp -d)
  bash scripts/containers/debian-package.sh "$2" "$3" "$folder"
  install -D -m 755 "$folder/usr/bin/$1" "$tools/$1"
  rm -rf "$folder"
}

ensure kubectl trixie kubectl
ensure promtool bookworm prometheus
