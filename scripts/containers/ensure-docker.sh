#!/usr/bin/env bash
# Makes sure that a Docker engine answers and that `docker compose` (v2) exists.
# A running engine is used as it is. Where there is none, as root on Debian, installs Debian's docker.io and starts dockerd in
# the background; its process id is then in the file that FILBERT_DOCKERD_PID_FILE names, and whoever called this ends it.
set -euo pipefail

pid_file=${FILBERT_DOCKERD_PID_FILE:-/tmp/filbert-dockerd.pid}
log_file=${FILBERT_DOCKERD_LOG_FILE:-/tmp/filbert-dockerd.log}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { echo "ensure-docker: $*" >&2; }
engine_answers() { command -v docker >/dev/null 2>&1 && docker info >/dev/null 2>&1; }
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

install_engine() {
  command -v dockerd >/dev/null 2>&1 && command -v docker >/dev/null 2>&1 && return 0
  may_install || { say "no Docker engine answers: start one, or run this as root on Debian"; return 1; }
  say "installing Debian's docker.io"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends docker.io cgroupfs-mount iptables ca-certificates; } >&2
}

start_engine() {
  [ "$(id -u)" = 0 ] || { say "no Docker engine answers: start one, or run this as root"; return 1; }
  if command -v cgroupfs-mount >/dev/null 2>&1; then cgroupfs-mount >&2 || true; fi
  say "starting dockerd, log in $log_file"
  # With a session of its own, so that a Ctrl-C at the caller reaches the containers' tests first.
  setsid dockerd >"$log_file" 2>&1 </dev/null &
  echo $! >"$pid_file"
  for _ in $(seq 150); do
    engine_answers && return 0
    kill -0 "$(cat "$pid_file")" 2>/dev/null || break
    sleep 0.2
  done
  say "dockerd does not answer:"
  tail -20 "$log_file" >&2
  return 1
}

compose_is_v2() { docker compose version --short 2>/dev/null | grep -qE '^v?[2-9]'; }

# Debian 12 has only the first compose; the plugin of Debian 13's package is a single binary that runs here too.
install_compose() {
  may_install || { say "docker compose (v2) is missing: install the compose plugin"; return 1; }
  say "installing the compose plugin of Debian 13's docker-compose package"
  local folder
  folder=$(mktemp -d)
  "$here/debian-package.sh" trixie docker-compose "$folder"
  local plugin
  plugin=$(find "$folder" -path '*cli-plugins/docker-compose' -type f | head -1)
  [ -n "$plugin" ] || { say "the package holds no compose plugin"; return 1; }
  install -D -m 755 "$plugin" /usr/local/lib/docker/cli-plugins/docker-compose
  rm -rf "$folder"
}

if ! engine_answers; then
  install_engine
  engine_answers || start_engine
fi
compose_is_v2 || install_compose
compose_is_v2 || { say "docker compose (v2) does not run"; exit 1; }
say "engine $(docker version --format '{{.Server.Version}}'), compose $(docker compose version --short)"
