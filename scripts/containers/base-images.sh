#!/usr/bin/env bash
# Makes sure that the images which the Dockerfile and docker-compose.yml build upon are there: pulled where a registry answers,
# else made from Debian's and npm's packages and tagged with the official names, so that one Dockerfile serves everyone.
# Images made here carry this machine's CA bundle, so that npm works inside builds; they are for this machine only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

node_image=$(awk 'toupper($1) == "FROM" { print $2; exit }' Dockerfile)
nats_image=$(awk '$1 == "image:" && $2 ~ /^nats:/ { print $2; exit }' docker-compose.yml)
here=$PWD/scripts/containers
pull_timeout_s=${FILBERT_PULL_TIMEOUT_S:-300}
# A registry that says nothing for this long is taken as none.
registry_timeout_s=${FILBERT_REGISTRY_TIMEOUT_S:-20}

say() { echo "base-images: $*" >&2; }
present() { docker image inspect "$1" >/dev/null 2>&1; }

# Docker prints its first line when the registry has answered, or the error.
pull() { # image
  local log=$work/pull.log deadline=$((SECONDS + registry_timeout_s))
  : >"$log"
  timeout "$pull_timeout_s" docker pull "$1" >"$log" 2>&1 &
  local pulling=$!
  while [ ! -s "$log" ] && kill -0 "$pulling" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || kill "$pulling" 2>/dev/null
    sleep 0.1
  done
  wait "$pulling"
}

node_arch() { case $(dpkg --print-architecture) in amd64) echo x64 ;; arm64) echo arm64 ;; *) uname -m ;; esac; }

# A package of npm's registry, unpacked into a folder.
npm_package() { # package@version folder
  local tarball
  tarball=$(cd "$work" && npm pack --silent --ignore-scripts "$1" 2>/dev/null | tail -1)
  mkdir -p "$2"
  tar -xzf "$work/$tarball" -C "$2" --strip-components=1
  rm "$work/$tarball"
}

make_node_image() {
  command -v mmdebstrap >/dev/null 2>&1 || "$here/../apt-install.sh" mmdebstrap
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,libstdc++6 \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' bookworm - |
    docker import - filbert-local/bookworm >/dev/null
  local context=$work/node version
  # The version that the sources are tested with.
  version=$(sed -n 's/^ *"node": "\([0-9.]*\)".*/\1/p' package.json | head -1)
  npm_package "node-linux-$(node_arch)@$version" "$context/node"
  npm_package npm@11 "$context/npm"
  cp /etc/ssl/certs/ca-certificates.crt "$context/"
  cat >"$context/Dockerfile" <<'END'
FROM filbert-local/bookworm
COPY node/bin/node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \
 && chmod 755 /usr/local/lib/node_modules/npm/bin/*.js \
 && groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
CMD ["node"]
END
  docker build -q -t "$node_image" "$context" >/dev/null
}

make_nats_image() {
  local context=$work/nats
  "$here/debian-package.sh" trixie nats-server "$context/package"
  "$here/debian-package.sh" trixie libc6 "$context/package"
  mkdir -p "$context/root/lib64" "$context/root/tmp"
  cp "$(find "$context/package" -name nats-server -type f -perm -u+x | head -1)" "$context/root/nats-server"
  # The libraries stand where the loader looks for them; Debian's package keeps them in a folder of the architecture.
  local libraries
  libraries=$(dirname "$(find "$context/package" -name 'libc.so.6' | head -1)")
  mkdir -p "$context/root${libraries#"$context/package"}"
  cp -a "$libraries"/{libc.so.6,libpthread.so.0,libresolv.so.2,libdl.so.2} "$context/root${libraries#"$context/package"}/"
  cp -L "$libraries"/ld-linux-*.so.* "$context/root/lib64/" && cp -a "$context/root/lib64"/* "$context/root${libraries#"$context/package"}/"
  [ "$(node_arch)" = x64 ] || { mkdir -p "$context/root/lib" && cp -a "$context/root/lib64"/* "$context/root/lib/"; }
  cat >"$context/Dockerfile" <<'END'
FROM scratch
COPY root /
EXPOSE 4222 6222 8222
ENTRYPOINT ["/nats-server"]
END
  docker build -q -t "$nats_image" "$context" >/dev/null
}

ensure() { # image function
  present "$1" && { say "$1 is there"; return 0; }
  pull "$1" && { say "$1 pulled"; return 0; }
  say "no registry gives $1: making it from Debian's and npm's packages"
  "$2"
  say "$1 made"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ensure "$node_image" make_node_image
ensure "$nats_image" make_nats_image
