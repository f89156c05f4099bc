#!/usr/bin/env bash
# What the container tests need before they run: an engine, the base images, and the image itself, which the tests build
# again out of the engine's cache. Needs no npm ci. end-docker.sh ends the engine where this started it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

step() { # name command…
  local name=$1 started=$SECONDS
  shift
  "$@" || { echo "prepare: $name failed after $((SECONDS - started)) s" >&2; return 1; }
  echo "prepare: $name took $((SECONDS - started)) s" >&2
}

build() {
  local said
  said=$(docker build --tag filbert:0.1.0 . 2>&1) || { tail -40 <<<"$said" >&2; return 1; }
}

step engine scripts/containers/ensure-docker.sh
step 'base images' scripts/containers/base-images.sh
step image build
