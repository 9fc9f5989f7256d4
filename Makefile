# Each target sets up .venv by itself, once per change of pyproject.toml or constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test slow guides check bench docs format clean

help:
	@echo "make demo    a real X-ray to a report; then train and score a tiny model on phantoms (minutes)"
	@echo "make test    the default tests"
	@echo "make check   lint, format, types, import rules"
	@echo "make slow    the slow tests"
	@echo "make guides  run the commands of all documents (minutes)"
	@echo "make bench   measure speed on this machine, write docs/performance.md (minutes)"
	@echo "make docs    the API reference, from the docstrings, in build/api"
	@echo "make format  format the code and fix what ruff can fix"
	@echo "make clean   remove .venv and caches"

$(STAMP): pyproject.toml constraints.txt models/kia-small-iu-xray/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]" ./models/kia-small-iu-xray
	touch $@

demo: $(STAMP)
	$(BIN)/kia demo

# Two processes of one thread each: torch would otherwise start a thread per core in both.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m "slow and not guides"

guides: $(STAMP)
	$(BIN)/python -m pytest -q -m guides

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(STAMP)
	$(BIN)/python benchmarks/performance.py

docs: $(STAMP)
	$(BIN)/python docs/api.py build/api

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
