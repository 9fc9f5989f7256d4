# Each target sets up .venv by itself, once per change of what is to be installed.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
MODELS := $(patsubst %/pyproject.toml,./%,$(wildcard models/*/pyproject.toml))
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test slow guides check bench docs format lock release clean

help:
	@echo "make demo    a real X-ray to a report; then train and score a tiny model on phantoms (minutes)"
	@echo "make test    the default tests"
	@echo "make check   lint, format, types, import rules"
	@echo "make slow    the slow tests"
	@echo "make guides  run the commands of all documents (minutes)"
	@echo "make bench   measure speed on this machine, write docs/performance.md (minutes)"
	@echo "make docs    the API reference, from the docstrings, in build/api"
	@echo "make format  format the code and fix what ruff can fix"
	@echo "make lock    write requirements.lock, the hashes of what constraints.txt names (asks PyPI)"
	@echo "make release build the wheels, install them in an empty environment and try them (minutes)"
	@echo "make clean   remove .venv and caches"

# Wheels with a known hash, also of pip and of what builds kia; torch by its version, for its build
# differs by machine (CONTRIBUTING.md); then kia and its models, which may bring nothing more.
$(STAMP): pyproject.toml constraints.txt requirements.lock $(MODELS:%=%/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --only-binary :all: \
	  -r requirements.lock
	$(BIN)/python -m pip install --quiet --only-binary :all: -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . $(MODELS)
	$(BIN)/python -m pip check
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

lock: $(STAMP)
	$(BIN)/python release/lock.py

release: $(STAMP)
	$(BIN)/python release/build.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
