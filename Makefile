# make demo   set up the runtime in .venv and run the main job on what the project ships
# make test   set up the development tools in .venv, then lint, types and all tests
# The rest: venv, lint, types, docs, bench, clean.

PYTHON ?= python3
BENCH ?= engine
BIN := .venv/bin
SETUP := pyproject.toml constraints.txt

# torch is named on every pip line: left to itself, pip may swap it for a build of several GB.
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt torch==2.13.0

# These name torch or torchvision as dependencies in ways that would pull another torch.
OTHERS := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt --no-deps

.PHONY: demo test pytest venv lint types docs bench clean
.DEFAULT_GOAL := test
.DELETE_ON_ERROR:

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'netgraph needs Python 3.11 or newer; try: make PYTHON=python3.11' >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.torch: constraints.txt | $(BIN)/python
	$(PIP)
	@touch $@

.venv/.runtime: $(SETUP) .venv/.torch
	$(PIP) -e .
	@touch $@

.venv/.dev: $(SETUP) .venv/.torch
	$(PIP) -e ".[dev,dgl,onnx,others]"
	$(OTHERS) timm torchvision
	@touch $@ .venv/.runtime

.venv/.peers: .venv/.dev
	$(OTHERS) torch-pruning
	@touch $@

.venv/.docs: $(SETUP) .venv/.torch
	$(PIP) -e ".[docs]"
	@touch $@ .venv/.runtime

venv: .venv/.dev

demo: .venv/.runtime
	$(BIN)/python examples/demo.py

test: lint types pytest

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy

# Two workers with one thread each: more threads than cores make every test slower.
pytest: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/.peers
	$(BIN)/python -m benchmarks.$(BENCH) --quick

clean:
	rm -rf .venv build dist site runs .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
