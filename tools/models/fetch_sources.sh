#!/bin/sh
# Installs the open emoji sets that the embedded encoder is trained on and that
# the bundled tasks are drawn from. Versions are pinned; a second run does
# nothing. The art stays outside the repository.
#
# usage: fetch_sources.sh WORK_DIR      (installs into WORK_DIR/npm)
set -eu
work=${1:?usage: fetch_sources.sh WORK_DIR}
mkdir -p "$work/npm"
cd "$work/npm"
if [ -f .complete-2 ]; then
  echo "sources: already in $work/npm"
  exit 0
fi
echo "sources: installing about 300 MB of emoji sets into $work/npm"
[ -f package.json ] || npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts \
  emoji-datasource-google@16.0.0 \
  emoji-datasource-twitter@16.0.0 \
  @iconify-json/noto-v1@1.2.5 \
  @iconify-json/fluent-emoji-flat@1.2.6 \
  @iconify-json/fluent-emoji@1.2.7 \
  @iconify-json/fluent-emoji-high-contrast@1.2.6 \
  @iconify-json/emojione@1.2.3 \
  @iconify-json/fxemoji@1.2.2 \
  @iconify-json/streamline-emojis@1.2.4 \
  @iconify-json/openmoji@1.2.29 \
  emojibase-data@17.0.0
touch .complete-2
