#!/usr/bin/env bash
# Makes sure that a Docker engine answers and that `docker compose` (v2) exists.
# A running engine is used as it is. Where there is none, as root on Debian, installs Debian's docker.io and starts dockerd in
# the background; its process id is then in the file that FILBERT_TEST_DOCKERD_PID_FILE names, and end-docker.sh ends it.
set -euo pipefail

pid_file=${FILBERT_TEST_DOCKERD_PID_FILE:-/tmp/filbert-dockerd.pid}
log_file=${FILBERT_TEST_DOCKERD_LOG_FILE:-/tmp/filbert-dockerd.log}
start_timeout_s=${FILBERT_TEST_DOCKERD_TIMEOUT_S:-90}
# The engine's own state: what a killed one left must not keep the next from starting.
run_folder=/var/run
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { echo "ensure-docker: $*" >&2; }
engine_answers() { command -v docker >/dev/null 2>&1 && timeout 20 docker info >/dev/null 2>&1; }
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

install_engine() {
  command -v dockerd >/dev/null 2>&1 && command -v docker >/dev/null 2>&1 && return 0
  may_install || { say "no Docker engine answers: start one, or run this as root on Debian"; return 1; }
  say "installing Debian's docker.io"
  "$here/../apt-install.sh" docker.io cgroupfs-mount iptables ca-certificates || {
    say "docker.io could not be installed"
    return 1
  }
}

# A number in a pid file may belong to another process by now; dockerd then refuses to start, or waits in vain for it.
forget_stale_pid() { # file program
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || rm -f "$1"
}

start_engine() {
  [ "$(id -u)" = 0 ] || { say "no Docker engine answers: start one, or run this as root"; return 1; }
  if command -v cgroupfs-mount >/dev/null 2>&1; then cgroupfs-mount >&2 || true; fi
  say "starting dockerd, log in $log_file"
  forget_stale_pid "$run_folder/docker.pid" dockerd
  forget_stale_pid "$run_folder/docker/containerd/containerd.pid" containerd
  # With a session of its own, so that a Ctrl-C at the caller reaches the containers' tests first.
  setsid dockerd >"$log_file" 2>&1 </dev/null &
  local pid=$! deadline=$((SECONDS + start_timeout_s))
  echo "$pid" >"$pid_file"
  while [ "$SECONDS" -lt "$deadline" ]; do
    kill -0 "$pid" 2>/dev/null || { say "dockerd ended; its log ends with:"; tail -20 "$log_file" >&2; return 1; }
    engine_answers && return 0
    sleep 0.2
  done
  say "dockerd does not answer after $start_timeout_s s; its log ends with:"
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
  "$here/debian-package.sh" trixie docker-compose "$folder" || { rm -rf "$folder"; return 1; }
  local plugin
  plugin=$(find "$folder" -path '*cli-plugins/docker-compose' -type f | head -1)
  [ -n "$plugin" ] || { rm -rf "$folder"; say "the package holds no compose plugin"; return 1; }
  install -D -m 755 "$plugin" /usr/local/lib/docker/cli-plugins/docker-compose
  rm -rf "$folder"
}

if ! engine_answers; then
  install_engine
  engine_answers || start_engine
fi
compose_is_v2 || install_compose || { say "docker compose (v2) could not be installed"; exit 1; }
compose_is_v2 || { say "docker compose (v2) does not run"; exit 1; }
say "engine $(docker version --format '{{.Server.Version}}'), compose $(docker compose version --short)"
