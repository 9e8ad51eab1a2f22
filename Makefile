# Everything runs in .venv, which the first target sets up; a second run finds it ready. BENCH is the folder of evaluation data.
PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3))
BENCH ?= ../shared/bench
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers/.ready
SHELL := /bin/bash

export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUTF8 := 1

.PHONY: help demo test faults lint types check bench measure clean constraints
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "contextkit needs Python 3.11 or later: make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(READY)  ## index the example library and answer five questions
	@$(BIN)/contextkit demo --library examples/library

test: $(READY)  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

faults: $(READY)  ## kill -9, torn writes and failing disks at many hundred points of an index's life
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/faults.py

lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	$(BIN)/mypy -p contextkit

check: lint types test  ## what a change has to pass

bench: $(READY)  ## the tables of the README, from the data in BENCH
	@if [ -d "$(BENCH)" ]; then $(MAKE) --no-print-directory measure; \
	else echo "no evaluation data in $(BENCH): skipped; name its folder: make bench BENCH=DIR"; fi

measure: $(READY) $(PEERS)
	@set -e; for script in evidence selection peers parsing filings speed memory; do \
		if [ -f benchmarks/$$script.py ]; then echo "== $$script"; $(BIN)/python benchmarks/$$script.py "$(BENCH)" --json $$script; fi; \
	done
	@for page in README.md docs/memory.md docs/retrieval.md; do $(BIN)/python benchmarks/tables.py --write $$page; done

$(PEERS): benchmarks/peers-requirements.txt
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	env -u PIP_CONSTRAINT .venv-peers/bin/python -m pip install --quiet -r $<
	@touch $@

constraints: $(READY)  ## pin what is installed now
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude contextkit | sed -E 's/\+cpu$$//'; } > constraints.new
	@mv constraints.new constraints.txt

clean:  ## remove what the other targets made
	rm -rf $(VENV) .venv-peers build dist *.egg-info .contextkit .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
