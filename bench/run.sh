#!/usr/bin/env bash
# Runs every benchmark: bench/run.sh BUILD_DIR
# Ratios travel, absolute times do not: each program measures both sides of
# its comparison in one run.
set -euo pipefail
build=${1:?usage: bench/run.sh BUILD_DIR}
for program in "$build"/bench/*_bench; do
  echo "== $(basename "$program")"
  "$program"
done
for program in "$(dirname "$0")"/*.py; do
  echo "== $(basename "$program")"
  "${PROMPTD_PYTHON:-.venv/bin/python}" "$program" "$build"
done
