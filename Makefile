# Everything runs in .venv; the only needs are Python 3.11 (with venv) and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -q -p no:cacheprovider

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow fuzz mutants conformance check lint docs bench samples bundle clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "tapwatch: $(PYTHON) not found or older than 3.11; say which: make PYTHON=python3.12 ..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/.installed-test: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

venv: .venv/.installed ## make .venv and install tapwatch into it

demo: venv ## replay the sample attack capture through the sample bundles
	@PYTHON=$(BIN)/python sh samples/demo.sh

test: .venv/.installed-test ## run the tests: with JIT, the kernels without it, the kernels with bounds checks
	$(PYTEST) -n 2 -m "not slow"
	NUMBA_DISABLE_JIT=1 $(PYTEST) -n 2 -m "kernel and not slow" tests
	NUMBA_BOUNDSCHECK=1 $(PYTEST) -n 2 -m "kernel and not slow" tests

test-slow: .venv/.installed-test ## run what takes minutes: the whole corpus, floods
	$(PYTEST) -n 2 -m slow

fuzz: .venv/.installed-test ## mutate frames and captures for MINUTES of the processor (default 5)
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),5) --seed $(or $(SEED),1)

mutants: .venv/.installed-test ## plant small faults and see the tests catch them (half an hour)
	$(BIN)/python -m tests.mutants

conformance: .venv/.installed-test ## write the golden captures and the figures of docs/conformance.md anew
	$(BIN)/python -m tests.conformance --figures

check: .venv/.installed-test ## lint, types, the laws of the house, docs drift
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(PYTEST) tests/test_house.py tests/test_docs.py

docs: .venv/.installed-test ## write the generated reference pages and docs/results.md again
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/results.py

bench: venv ## measure packets per CPU-second, start-up and memory
	$(BIN)/python benchmarks/run.py

samples: .venv/.installed-test ## record the sample captures anew in the network lab (root, 35 minutes)
	$(BIN)/python samples/lab/record.py --all --out samples

bundle: venv ## train the sample bundles from the sample captures
	PYTHON=$(BIN)/python sh samples/train.sh

clean: ## remove what make made
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
