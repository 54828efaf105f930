#!/usr/bin/env bash
# Runs the benchmarks: bench/run.sh BUILD_DIR
# Ratios travel, absolute times do not: each program measures both sides of
# its comparison in one run. Left out, because they take an hour or more or
# because their figures do not change with the machine: coop_vs_reference.py,
# tuning_vs_reference.py and views_study.py; and serving_vs_triton.py, which
# installs Triton first (1.4 GB).
set -euo pipefail
build=${1:?usage: bench/run.sh BUILD_DIR}
for program in "$build"/bench/*_bench; do
  echo "== $(basename "$program")"
  "$program"
done
for program in image_tower_vs_open_clip start_to_ready coop_recipe csc_memory; do
  echo "== $program.py"
  "${PROMPTD_PYTHON:-.venv/bin/python}" "$(dirname "$0")/$program.py" "$build"
done
