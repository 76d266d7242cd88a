# The README's two commands, and what developers want besides.
# All of them set up what they need, in a virtual environment of their own:
#   make test PYTHON=python3.13 VENV=.venv-3.13
#   make suite PYTEST='-k overwrite'

PYTHON ?= python3
VENV ?= .venv
PYTEST ?=
# Names of peers; those that CI runs if empty, everything that there is if "all".
PEERS ?=
# Folder for the pictures that `make test-notebooks` takes.
SCREENSHOTS ?= screenshots
# How often it interrupts, restarts and kills kernels at random moments: 50 and 10 times.
ROUNDS ?= 5
# Which tests `make suite` runs; `make test-long` runs the others.
MARKS ?= not torture and not slow
# One more than there are cores: much of the tests' time is waiting for processes.
WORKERS ?= $(shell expr $$(nproc) + 1)
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check suite test-long test-peers test-notebooks bench notebooks docs \
	dist test-dist format clean

help:  ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/demo  ## Run the main job on real elevation data
	$(BIN)/sharray demo --save hillshade.png

test: check suite  ## Run all checks and the suite

check: $(VENV)/test  ## Lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

suite: $(VENV)/test  ## Run the tests and the doctests, apart from long ones
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile \
		--no-loadscope-reorder -m "$(MARKS)" $(PYTEST)

test-long:  ## Run the long ones: kills, interrupts and restarts by the thousand
	$(MAKE) suite MARKS="torture or slow"

test-peers: $(VENV)/test-peers  ## Run peers' own tests with sharray installed
	cd tests && $(abspath $(BIN))/python -m peers $(PEERS)

test-notebooks: $(VENV)/test-notebooks  ## Test kernels of notebooks, and pages in a browser
	NOTEBOOK_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest --override-ini addopts= \
		--strict-markers -ra --screenshots $(SCREENSHOTS) \
		tests/notebooks tests/notebooks/pages $(PYTEST)

bench: $(VENV)/bench  ## Measure against the bare system calls and the peers
	$(BIN)/python -m benchmarks

notebooks: $(VENV)/test  ## Execute the notebooks and keep their outputs
	$(BIN)/python notebooks/execute.py

docs: $(VENV)/docs  ## Build the documentation in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

dist: $(VENV)/dist  ## Build the sdist and the wheel in dist/
	rm -rf dist
	$(BIN)/python -m build

test-dist: dist  ## Run the suite against the wheel, outside of the checkout
	.ci/test-dist $(PYTHON) $(PYTEST)

format: $(VENV)/test  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove what these commands made
	rm -rf dist site screenshots hillshade.png .venv* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp for each extra, so that set-up runs once, and anew when
# pyproject.toml changes.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/%: pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[$*]'
	touch $@
