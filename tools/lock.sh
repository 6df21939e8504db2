#!/usr/bin/env bash
# Resolves requirements/dev.txt (hashes; every Python that pyproject.toml allows) and js-client/package-lock.json anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
.venv/bin/python -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
# Where the packages come from is the business of whoever installs: no address goes into the file.
"$work/venv/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
  --group dev pyproject.toml --output-file requirements/dev.txt
npm --prefix js-client update --package-lock-only --ignore-scripts
