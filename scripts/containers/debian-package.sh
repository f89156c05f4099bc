#!/usr/bin/env bash
# debian-package.sh SUITE PACKAGE FOLDER: unpacks a Debian package of any suite into a folder, without installing it.
# The mirror is the one that this machine's apt uses. Needs root's apt-get, for nothing but its keyring and its network.
set -euo pipefail
suite=$1
package=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mkdir -p "$3" && cd "$3" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/parts"

find_mirror() {
  apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(SUITE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian" && $2 == "main" && $3 !~ /security|updates|backports/ { found = found ? found : $4 } END { print found }'
}
mirror=$(find_mirror)
# A machine whose apt never looked for packages knows no mirror.
[ -n "$mirror" ] || { "$here/../apt-install.sh" && mirror=$(find_mirror); }
[ -n "$mirror" ] || { echo "debian-package: apt knows no Debian mirror" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"

options=(
  -qq
  -o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/parts"
  -o "Dir::State::lists=$work/lists" -o "Dir::Cache::archives=$work/archives"
  -o "Dir::State::status=/dev/null" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o "APT::Sandbox::User=root"
  -o "Acquire::Languages=none" -o "Acquire::Retries=3" -o "Acquire::http::Timeout=30" -o "Acquire::https::Timeout=30"
)
apt-get "${options[@]}" update >&2
(cd "$work" && apt-get "${options[@]}" download "$package" >&2)
dpkg -x "$work"/*.deb "$folder"
