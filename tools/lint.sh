#!/usr/bin/env bash
# Format, room and clang-tidy checks: tools/lint.sh BUILD_DIR [FILE.cc ...]
# Without files, every source of the torch-free rooms is checked; the rooms
# that include torch take minutes, so they are checked with ALL=1.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: tools/lint.sh BUILD_DIR [FILE.cc ...]}
shift
rooms='common|weights|datasets|store|jobs|registry|server|experiments|client'
[ "${ALL:-0}" = 1 ] && rooms="$rooms|clip|learners|worker"

git ls-files '*.cc' '*.h' | xargs clang-format-14 --dry-run --Werror
tools/check_rooms.py
if [ $# -eq 0 ]; then
  mapfile -t files < <(git ls-files '*.cc' | grep -E "^($rooms)/")
else
  files=("$@")
fi
printf '%s\n' "${files[@]}" |
  xargs -P "$(nproc)" -n 4 clang-tidy-14 -p "$build" --quiet 2> >(grep -v 'warnings generated' >&2)
echo "lint: ${#files[@]} files clean"
