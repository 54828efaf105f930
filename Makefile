# The daily commands. `make demo` and `make test` do all set-up themselves.
#
#   make demo     build promptd and run its main job end to end
#   make test     build and run every test
#   make build    build only (build/release)
#   make soak     half an hour of mixed load: does promptd grow? Then the long
#                 forms of tests/chaos
#   make bench    build and run the benchmarks
#   make planted  plant each bug of tests/planted: is it caught?
#   make parity   compare with open_clip, live, on random and real weights
#   make format   format the C++ sources        make lint   check them
#   make clean    remove the build folder
#   make report-tasks             zero-shot, probe and CoOp on bundled tasks
#   make train-embedded-encoder   the embedded encoder, from its sources
#
# PROMPTD_TORCH=cuda chooses the CUDA build of LibTorch.

PRESET ?= release
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)
CTEST_ARGS ?=
SOURCES := $(shell git ls-files '*.cc' '*.h' 2>/dev/null)

.DEFAULT_GOAL := build
.PHONY: setup setup-test build demo test soak planted bench parity format lint clean \
        report-tasks train-embedded-encoder

setup:
	@scripts/setup build

setup-test:
	@scripts/setup test

$(BUILD)/build.ninja: | setup
	cmake --preset $(PRESET)

build: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS)

demo: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target promptd promptctl
	$(BUILD)/client/promptctl demo

test: setup-test $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS)
	ctest --test-dir $(BUILD) --output-on-failure $(CTEST_ARGS)

soak: setup-test $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target promptd promptctl promptd-worker \
	    load_generator
	.venv/bin/python tests/soak/soak.py $(BUILD)
	tests/chaos/long_forms.sh $(BUILD)

planted: setup-test
	tools/planted_bugs.py --jobs $(JOBS)

bench: $(BUILD)/build.ninja
	scripts/setup parity
	cmake --build $(BUILD) -j $(JOBS)
	bench/run.sh $(BUILD)

parity: $(BUILD)/build.ninja
	scripts/setup parity
	cmake --build $(BUILD) -j $(JOBS) --target clip_test datasets_test
	tools/goldens/parity.sh $(BUILD)

format:
	clang-format-14 -i $(SOURCES)

lint: setup-test $(BUILD)/build.ninja
	tools/lint.sh $(BUILD)

report-tasks:
	scripts/setup models
	VENV=.venv tools/models/train_embedded_encoder.sh report

train-embedded-encoder:
	scripts/setup models
	VENV=.venv tools/models/train_embedded_encoder.sh

clean:
	rm -rf build
