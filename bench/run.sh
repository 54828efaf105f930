#!/usr/bin/env bash
# Runs every benchmark of the build: bench/run.sh BUILD_BENCH_DIR
# Ratios travel, absolute times do not: each program measures both sides of
# its comparison in one run.
set -euo pipefail
dir=${1:?usage: bench/run.sh BUILD_BENCH_DIR}
for program in "$dir"/*_bench; do
  echo "== $(basename "$program")"
  "$program"
done
