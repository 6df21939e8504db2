#!/usr/bin/env bash
# Every check that needs no run of the program. All of them run, so that one look shows all that is wrong.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

failed=()

check() {
  local name="$1"
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@" || failed+=("$name")
}

check "style" ruff check
check "format" ruff format --check
check "types" mypy
check "imports" lint-imports
check "modules" python tools/check_modules.py
check "constants" python tools/generate_constants.py --check
check "vectors" python tools/make_vectors.py --check
check "locks" python tools/check_locks.py
check "typescript" npm --prefix js-client run --silent typecheck

if [ "${#failed[@]}" -gt 0 ]; then
  printf '\ncheck: failed: %s\n' "${failed[*]}"
  exit 1
fi
printf '\ncheck: all passed\n'
