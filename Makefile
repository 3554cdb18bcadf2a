# `make demo` and `make test` do all set-up themselves: Python 3.11+ and a C++ compiler are enough.

PYTHON ?= python3
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n > 8 ? 8 : n)))
SEEDS ?= 3
OUT ?= results/demo
TEST_WORKERS ?= 2

VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin
# The name carries the content, so a touched file that did not change installs nothing.
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)

export TOKENIZERS_PARALLELISM := false
# Parallelism comes from test workers and jobs; threads on top of them only get in the way.
test test-fast test-full test-lowest bench-smoke: export OMP_NUM_THREADS := 1
test test-fast test-full test-lowest bench-smoke: export HF_HUB_OFFLINE := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test test-fast test-full test-lowest lint types bench-smoke clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(STAMP):
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"Python 3.11 or newer is needed, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	# First and alone: pip then takes the CPU wheel where one lies on disk, and nothing replaces it.
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all]' --group dev
	@rm -f $(VENV)/.installed-*
	@touch $@

setup: $(STAMP) ## make .venv and install everything

demo: setup ## AnchorAL against its baselines on real text: tables and plots
	@command -v apt-cache >/dev/null || echo 'There is no apt-cache here: the demo runs without the data set debian-sections.'
	$(BIN)/python -m benchmarks run demo --seeds $(SEEDS) --jobs $(JOBS) --out $(OUT); code=$$?; \
	$(BIN)/python -m benchmarks report $(OUT) && cat $(OUT)/report/report.md && exit $$code

test: lint types test-fast bench-smoke ## everything CI runs

test-fast: setup ## the tests that take seconds
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup -m 'not slow'

test-full: setup test-lowest ## every test, the slow ones too, and the oldest versions
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup

# Of checkpoints that tests make themselves BERT's alone: the other tokenizers need transformers 5.
test-lowest: ## the oldest versions that pyproject.toml allows
	@$(LOWEST)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(LOWEST)/bin/python -m pip install --quiet -c constraints-lowest.txt torch
	$(LOWEST)/bin/python -m pip install --quiet -c constraints-lowest.txt -e '.[all]' --group test
	$(LOWEST)/bin/python -m pytest -n $(TEST_WORKERS) --dist loadgroup -p no:cacheprovider -m 'not slow' \
		tests/pool tests/query_strategies tests/training/test_head_trainer.py tests/training/test_seams.py \
		tests/training/test_dynamics_metrics.py tests/training/test_dynamics_files.py tests/training/test_label_noise.py \
		tests/training/test_batch_selection.py \
		tests/classifiers/test_base.py tests/classifiers/test_mlp.py
	$(LOWEST)/bin/python -m pytest -p no:cacheprovider tests/classifiers/test_transformer_host.py -k minilm

lint: setup ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy and import-linter
	$(BIN)/mypy
	$(BIN)/lint-imports

bench-smoke: setup ## the smallest suite, from start to report, in a folder of its own
	out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && \
	$(BIN)/python -m benchmarks run smoke --jobs $(TEST_WORKERS) --out "$$out" && \
	$(BIN)/python -m benchmarks report "$$out"

clean: ## remove the environment, caches and results
	rm -rf $(VENV) $(LOWEST) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
