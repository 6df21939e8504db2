#!/usr/bin/env bash
# Makes what the other make targets need: .venv, js-client/node_modules, js-client/dist, and the Debian packages that the
# browser and network tests use. Each step leaves a stamp and is skipped while what it was made from is unchanged.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

digest() { cat "$@" | sha256sum | cut -d' ' -f1; }

# The first argument is a Python. A pyenv shim may exist and fail, and Debian's Python may come without venv.
works() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local pyenv="${PYENV_ROOT:-$HOME/.pyenv}" minor candidate
  # Newest first; versions that the lock file is not resolved for come last, as their wheels may not exist yet.
  for minor in 14 13 12 11 19 18 17 16 15; do
    for candidate in $(type -ap "python3.$minor" || true) "$pyenv"/versions/3."$minor".*/bin/python3; do
      if [ -x "$candidate" ] && works "$candidate"; then
        echo "$candidate"
        return
      fi
    done
  done
  for candidate in $(type -ap python3 || true); do
    if works "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

setup_debian() {
  local missing=()
  command -v chromium >/dev/null || missing+=(chromium)
  command -v firefox-esr >/dev/null || missing+=(firefox-esr)
  command -v ip >/dev/null || missing+=(iproute2)
  command -v nft >/dev/null || [ -x /usr/sbin/nft ] || missing+=(nftables)
  if [ "${#missing[@]}" -eq 0 ]; then
    return
  fi
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]} (Debian packages)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
  else
    say "the browser and network tests need ${missing[*]}, and will fail without. As root: apt-get install ${missing[*]}"
  fi
}

setup_python() {
  local stamp=.venv/.rtcrpc-setup python wanted
  wanted="$(digest requirements/dev.txt pyproject.toml tools/setup.sh)  $PWD"
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && works .venv/bin/python; then
    return
  fi
  if ! works .venv/bin/python; then
    if ! python="$(find_python)"; then
      say "no working Python >= 3.11 with venv, on PATH or under pyenv: install one (Debian: apt-get install python3-venv)"
      exit 1
    fi
    say "making .venv with $("$python" --version) ($python)"
    "$python" -m venv --clear .venv
  fi
  say "installing the Python packages of requirements/dev.txt"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
  echo "$wanted" >"$stamp"
}

setup_node() {
  local stamp=js-client/node_modules/.rtcrpc-setup major wanted
  major="$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)"
  if [ "$major" -lt 20 ] || ! command -v npm >/dev/null; then
    say "expected Node >= 20 with npm on PATH, got $(node --version 2>/dev/null || echo none): install it and run this again"
    exit 1
  fi
  wanted="$(digest js-client/package.json js-client/package-lock.json js-client/.npmrc)  node $major"
  if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    say "installing the packages of js-client/package-lock.json"
    npm --prefix js-client ci --loglevel=error --no-progress >&2
    echo "$wanted" >"$stamp"
  fi
}

# The page and the client.
setup_dist() {
  local stamp=js-client/dist/.rtcrpc-setup
  if [ -f "$stamp" ] && [ -z "$(find js-client/src js-client/page js-client/build.mjs js-client/package-lock.json \
    js-client/tsconfig.base.json js-client/tsconfig.build.json -newer "$stamp" -print -quit)" ]; then
    return
  fi
  # Dated before the build, so that a file which changes during it counts as newer.
  local started=js-client/node_modules/.rtcrpc-build-started
  touch "$started"
  npm --prefix js-client run --silent build >&2
  touch -r "$started" "$stamp"
}

setup_debian
setup_python
setup_node
setup_dist
