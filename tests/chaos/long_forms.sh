#!/bin/bash
# The long forms of the chaos programs, one after the other; about an hour and a
# half on two cores. Fails if one of them does.
#
#   tests/chaos/long_forms.sh BUILD_FOLDER
set -euo pipefail

build=$(realpath "$1")
cd "$(dirname "$0")/../.."
export PROMPTD_BIN=$build/server/promptd
export PROMPTCTL_BIN=$build/client/promptctl
export PROMPTD_WORKER_BIN=$build/wire/promptd-worker
export PROMPTD_MODELS=$PWD/models
export PROMPTD_SOURCE_DIR=$PWD
export PYTHONFAULTHANDLER=1 PYTHONUNBUFFERED=1

failed=0
run() {
  echo "== $*"
  .venv/bin/python "tests/chaos/$1.py" "${@:2}" || failed=1
}
run front_end_kills --kills 1000
run stale_workers --workers 20 --pauses 500 --cuts 200
run worker_losses --losses 100
run rolling_restarts --restarts 100 --kills 10
exit "$failed"
