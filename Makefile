# Each target sets up .venv by itself, once per change of pyproject.toml or constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test slow check format clean

help:
	@echo "make demo    train a tiny model on phantom images, evaluate it, show a report (minutes)"
	@echo "make test    the default tests"
	@echo "make check   lint, format, types, import rules"
	@echo "make slow    the slow tests"
	@echo "make format  format the code and fix what ruff can fix"
	@echo "make clean   remove .venv and caches"

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

demo: $(STAMP)
	$(BIN)/kia demo

# Two processes of one thread each: torch would otherwise start a thread per core in both.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
