# make demo   a search on brain phantoms: trials, best settings, their error, where all is kept
# make test   the whole test suite          (PYTEST="-m 'not slow and not long'" for the quick part,
#             PYTEST="-m long" for the tests that take minutes each, JOBS=4 for more processes)
# make lint   ruff and pyright
# make docs   the documentation site, with search, in docs/_build/index.html
# make clean  remove .venv, caches and runs/
#
# Needs Python 3.11 or newer and make; each target installs what it needs into .venv with pip.
# PyTorch is installed first, from its pin. Where the package index offers builds for CUDA only and
# they are not wanted, name a place that has the CPU build, for instance
#     make demo TORCH_FROM="--index-url https://download.pytorch.org/whl/cpu"

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV ?= .venv
CONSTRAINTS ?= constraints.txt
TORCH_FROM ?=
PYTEST ?=
JOBS ?= 2
DEMO_TRIALS ?= 12
DEMO_EPOCHS ?= 20

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint $(CONSTRAINTS)
SET_UP_BY := pyproject.toml $(CONSTRAINTS) Makefile

.PHONY: help demo test lint docs lowest clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed '/^$$/q'

# The oldest Python that will do comes first: the pins are tested with it.
$(BIN)/python:
	@for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	    if "$$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "making $(VENV) with $$($$python --version)"; \
	        exec "$$python" -m venv $(VENV); \
	    fi; \
	done; \
	echo "supremix needs Python 3.11 or newer with its venv module; none is on the PATH" >&2; exit 1

# The stamps: an installation is done once and again only when what it follows from has changed.
$(VENV)/.installed: $(SET_UP_BY) | $(BIN)/python
	@echo "installing PyTorch"
	$(INSTALL) $(TORCH_FROM) torch
	@echo "installing supremix and what it needs (some minutes the first time)"
	$(INSTALL) hatchling
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "installing what the tests need"
	$(INSTALL) --no-build-isolation --editable '.[test]'
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed-test
	@echo "installing ruff and pyright"
	$(INSTALL) --no-build-isolation --editable '.[lint]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/supremix search --dataset ukb-t1 --source phantom --method supremix \
	    --trials $(DEMO_TRIALS) --epochs $(DEMO_EPOCHS) --confirm-seeds 2 --seed 0 \
	    --out runs/demo-$$(date +%Y%m%d-%H%M%S)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses $(JOBS) $(PYTEST)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "installing Sphinx"
	$(INSTALL) --no-build-isolation --editable '.[docs]'
	@touch $@

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs docs/_build
	@echo "the site is in docs/_build/index.html"

# The suite with every dependency at its lower bound, in an environment of its own.
lowest: $(VENV)/.installed
	$(BIN)/python .ci/lower_bounds.py > $(VENV)/lowest.txt
	$(MAKE) test VENV=$(VENV)-lowest CONSTRAINTS=$(VENV)/lowest.txt

clean:
	rm -rf $(VENV) $(VENV)-lowest runs docs/_build .pytest_cache .ruff_cache
	find platform search_spaces datasets reports tests -name __pycache__ -prune -exec rm -rf {} +
