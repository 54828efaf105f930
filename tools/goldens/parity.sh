#!/usr/bin/env bash
# Live parity: the answers of open_clip, transformers, ftfy and Pillow are
# computed now, with a random seed, and the C++ tests run against them.
# usage: tools/goldens/parity.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "$1")
python=${PROMPTD_PYTHON:-.venv/bin/python}
seed=${PROMPTD_PARITY_SEED:-$((RANDOM + 1))}
out=$build/parity
mkdir -p "$out"
echo "parity: asking open_clip, seed $seed"
export PYTHONDONTWRITEBYTECODE=1
"$python" tools/goldens/make_random_goldens.py "$out" "$seed"
"$python" tools/goldens/make_embedded_goldens.py models "$out" "$seed"
"$python" tools/goldens/make_tokenizer_goldens.py \
  models/embedded/merges.txt "$out" "$seed" "${PROMPTD_PARITY_TEXTS:-125000}"
"$python" -W ignore tools/goldens/datasets_images.py \
  "$out/images" "$seed" "${PROMPTD_PARITY_IMAGES:-780}"
PROMPTD_GOLDEN_DIR=$out PROMPTD_SOURCE_DIR=$PWD \
  "$build/tests/clip/clip_test" \
  --gtest_filter='*Parity*:TokenizerTest.*:TextRepairTest.*:*Mutation*'
PROMPTD_GOLDEN_DIR=$out PROMPTD_SOURCE_DIR=$PWD \
  "$build/tests/datasets/datasets_test" --gtest_filter='*Pillow*'
# The paper's sizes one after the other: up to 2 GB of random weights each.
for name in ${PROMPTD_PARITY_SIZES-RN50 RN101 ViT-B-32 ViT-B-16 ViT-L-14}; do
  "$python" tools/goldens/make_random_goldens.py "$out" "$seed" "$name"
  PROMPTD_GOLDEN_DIR=$out PROMPTD_SOURCE_DIR=$PWD \
    PROMPTD_PARITY_ENCODERS=${name,,} \
    "$build/tests/clip/clip_test" --gtest_filter='*Parity*'
  rm -r "${out:?}/${name,,}" "$out/${name,,}.safetensors"
done
echo "parity: OK seed $seed"
