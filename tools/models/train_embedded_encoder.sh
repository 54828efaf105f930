#!/bin/sh
# Makes the embedded encoder and the bundled tasks again, from nothing:
# packages, emoji sets, sprites, training, export, tasks, check, report.
# Every step that is done already is skipped, so a stopped run goes on.
#
# usage: train_embedded_encoder.sh [encoder|extra|tasks|report|all]
#   encoder  train and write models/embedded (about 75 minutes)
#   extra    train and write models/embedded-rn-small and models/embedded-vit,
#            both at once, on the text tower of models/embedded; not in "all"
#   tasks    draw models/tasks again (about a minute)
#   report   measure the tasks and write models/tasks/REPORT.md
#   all      (default) the three in a row
#
# WORK     where the art and the run are kept, outside the repository
#          (default: $HOME/.cache/promptd/embedded-encoder; about 1.5 GB)
# MINUTES  wall time of the training itself (default 70; extra: 48)
# VENV     the virtual environment to use (default: $WORK/venv); the packages of
#          requirements.txt are added to it, torch only when it has none
# PYTHON   a Python 3.11+ to make the virtual environment with
set -eu
what=${1:-all}
case $what in encoder|extra|tasks|report|all) ;; *)
  echo "unknown step '$what': encoder, extra, tasks, report or all" >&2; exit 2;;
esac
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${WORK:-$HOME/.cache/promptd/embedded-encoder}
mkdir -p "$work"

venv=${VENV:-$work/venv}
if [ ! -f "$venv/.tools-models-1" ]; then
  echo "packages: into $venv (about 1 GB with the CPU build of torch)"
  [ -d "$venv" ] || "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/python" -m pip install -q -r "$here/requirements.txt"
  # Without its dependencies: the torchvision it asks for is not needed.
  "$venv/bin/python" -m pip install -q --no-deps open_clip_torch==3.3.0
  touch "$venv/.tools-models-1"
fi
python=$venv/bin/python
# Threads that wait give their core away: matters on shared machines.
export OMP_WAIT_POLICY=PASSIVE

if [ "$what" != report ]; then
  "$here/fetch_sources.sh" "$work"
  "$python" "$here/rasterise.py" "$work"
fi
if [ "$what" = encoder ] || [ "$what" = all ]; then
  if [ ! -f "$work/run/finished" ]; then
    "$python" "$here/train.py" "$work" --minutes "${MINUTES:-70}"
    touch "$work/run/finished"
  fi
  "$python" "$here/export.py" "$work/run" "$root/models/embedded"
  "$python" "$root/tools/goldens/make_self_test.py" "$root/models/embedded"
fi
extra() {  # architecture
  if [ ! -f "$work/run-$1/finished" ]; then
    OMP_NUM_THREADS=1 "$python" "$here/train.py" "$work" --architecture "$1" \
      --run "run-$1" --batch 128 --minutes "${MINUTES:-48}" --save-every 150 \
      --text-from "$root/models/embedded"
    touch "$work/run-$1/finished"
  fi
  "$python" "$here/export.py" "$work/run-$1" "$root/models/embedded-$1" "$1"
  "$python" "$root/tools/goldens/make_self_test.py" "$root/models/embedded-$1"
}
if [ "$what" = extra ]; then
  extra rn-small & first=$!
  extra vit
  wait "$first"
fi
if [ "$what" = tasks ] || [ "$what" = all ]; then
  "$python" "$here/build_tasks.py" "$work" "$root/models/tasks"
  "$python" "$here/check_tasks.py" "$root/models/tasks"
fi
if [ "$what" = report ] || [ "$what" = all ]; then
  "$python" "$here/report.py" "$root/models/embedded" "$root/models/tasks" \
    --out "$root/models/tasks/REPORT.md"
fi
