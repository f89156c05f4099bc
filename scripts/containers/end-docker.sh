#!/usr/bin/env bash
# Ends the engine that ensure-docker.sh started, by its process id; an engine that ran already stays.
set -uo pipefail
pid_file=${FILBERT_TEST_DOCKERD_PID_FILE:-/tmp/filbert-dockerd.pid}
# dockerd gives containers 15 s.
stop_timeout_s=30

[ -s "$pid_file" ] || exit 0
pid=$(cat "$pid_file")
rm -f "$pid_file"
# The number may have passed on to another process.
alive() { [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; }

alive || exit 0
kill "$pid"
for _ in $(seq $((stop_timeout_s * 10))); do
  alive || exit 0
  sleep 0.1
done
echo "end-docker: dockerd ($pid) did not end in $stop_timeout_s s, killing it" >&2
kill -9 "$pid"
