#!/usr/bin/env bash
# apt-install.sh PACKAGE…: installs Debian packages, as root and without questions. Waits for another apt that runs, and goes
# on where some of the machine's package sources do not answer, as long as the packages can be had.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
options=(-qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30)
update_attempts=10

# The lock of the lists is not waited for by apt itself.
for attempt in $(seq "$update_attempts"); do
  if said=$(apt-get "${options[@]}" update 2>&1); then break; fi
  [ "$attempt" -lt "$update_attempts" ] && grep -q 'lists/lock' <<<"$said" && sleep 3 && continue
  echo "apt-install: apt-get update failed, trying with the lists that are there: $said" >&2
  break
done
[ $# -eq 0 ] && exit 0
# What another run that was cut short left half installed.
[ -z "$(dpkg --audit)" ] || dpkg --configure -a >&2 || true
said=$(apt-get "${options[@]}" install -y --no-install-recommends "$@" 2>&1) || { tail -20 <<<"$said" >&2; exit 1; }
