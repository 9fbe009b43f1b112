# OneDoor 一门. `make` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SCALE ?= 1
ONEDOOR_HOME ?= $(if $(filter kafka,$(BUS)),.onedoor-kafka,.onedoor)
export ONEDOOR_HOME

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

.PHONY: install
install: $(STAMP) ## make .venv and install the pinned requirements into it (with uv where it is there, else pip)

$(STAMP): requirements.txt pyproject.toml
	@python=; for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	  if "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then python=$$p; break; fi; done; \
	if [ -z "$$python" ]; then echo "OneDoor needs Python 3.11 to 3.14, found none" >&2; exit 1; fi; \
	if uv --version >/dev/null 2>&1; then \
	  [ -x $(BIN)/python ] || uv venv -q --python "$$("$$python" -c "import sys; print(sys.executable)")" $(VENV); \
	  uv pip install -q --python $(BIN)/python --require-hashes -r requirements.txt; \
	  uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  [ -x $(BIN)/pip ] || "$$python" -m venv --clear $(VENV); \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt; \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $(STAMP)

.PHONY: run
run: install ## start everything with the demo district; ONCE=1 checks it and stops, BUS=kafka, SCALE=2
	@exec $(BIN)/onedoor up --demo --scale $(SCALE) $(if $(ONCE),--once) $(if $(BUS),--bus $(BUS))

.PHONY: test
test: install ## run all tests; ONLY=path runs some, ONEDOOR_REQUIRE=kafka,airflow fails where those are missing
	@unset ONEDOOR_HOME; $(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder $(ONLY)

.PHONY: lint
lint: install ## look for faults of form
	@$(BIN)/ruff check .

.PHONY: types
types: install ## check types
	@$(BIN)/mypy

.PHONY: arch
arch: install ## check that imports go down only
	@PYTHONPATH=. $(BIN)/lint-imports --no-cache

.PHONY: promises
promises: install ## check that every promise has its tests, and render the page of promises
	@$(BIN)/python -m tests.architecture.promises

.PHONY: bench
bench: install ## measure beside the peers; ONLY=name for one line
	@unset ONEDOOR_HOME; $(BIN)/python -m benchmarks $(ONLY)

.PHONY: docs
docs: install ## render the generated reference
	@$(BIN)/python -m tests.architecture.reference

.PHONY: lock
lock: ## compile requirements.txt from pyproject.toml; UPGRADE=1 takes newer versions
	@UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --extra dev $(if $(UPGRADE),--upgrade) -o requirements.txt pyproject.toml

.PHONY: clean
clean: ## remove what was made, except data folders
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis benchmarks/.work
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
