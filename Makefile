# Each target does its own set-up: git, make, Python 3.11+ with venv and a package index are enough.

VENV   ?= .venv
CONFIG ?= config/gateway.yaml
# The first Python on the PATH that is new enough; `make PYTHON=/usr/bin/python3.12 ...` chooses another.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
  $(shell $(name) -c 'import sys, venv; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK   := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
          --no-emit-index-url --no-emit-find-links --quiet

.DEFAULT_GOAL := help
.PHONY: help run test torture check fix docs bench instructions lock wheel clean

help: ## This list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.installed ## Start the gateway on 127.0.0.1:8080; ARGS="--listen 127.0.0.1:9000" adds options
	@$(BIN)/gateway --config $(CONFIG) serve $(ARGS)

test: $(VENV)/.installed-dev ## Every test; ARGS="tests/contract -k hooks" narrows it down
	$(BIN)/python -m pytest $(or $(ARGS),-n auto tests)

torture: $(VENV)/.installed-dev ## Kill the gateway at every step, leave it by the thousand (half an hour); what was found
	$(BIN)/python -m pytest --whole --timeout 3600 $(or $(ARGS),-n auto tests/gateway/torture)

check: $(VENV)/.installed-dev ## Lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.installed-dev ## Let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev ## Write the generated tables of docs/, then check every page against the code
	$(BIN)/python -m tests.contract.reference
	$(BIN)/python -m pytest tests/contract

bench: $(VENV)/.installed-dev ## Measure, and print the table; ARGS="cases --seconds 1" measures less, --help says what
	@$(BIN)/python -m tests.bench $(ARGS)

instructions: $(VENV)/.installed-dev ## Count instructions a request and an event with valgrind, beside those recorded
	@$(BIN)/python -m tests.bench.instructions $(ARGS)

lock: $(VENV)/.installed-dev ## Resolve the dependencies anew; the files name no index and no path
	echo 'setuptools>=77' | $(LOCK) --upgrade pyproject.toml - -o config/requirements.lock
	echo 'setuptools>=77' | $(LOCK) --upgrade --extra dev -c config/requirements.lock pyproject.toml - \
	  -o config/requirements-dev.lock

# What setuptools leaves in the tree would be believed: an egg-info hides the entry points of the installed project, and
# modules that are gone would come into the next wheel from build/.
wheel: $(VENV)/.installed-dev ## Build dist/*.whl
	@rm -rf build *.egg-info; trap 'rm -rf build *.egg-info' EXIT; $(BIN)/python -m build --wheel --no-isolation

clean: ## Remove the environment and everything built; databases stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer with venv on the PATH; set PYTHON=..." >&2; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Everything by hash, the build back end included: the project itself is then built without touching the index.
# The locks are whole, so nothing is resolved: of `name[extra]` pip would ask for a newer release than is pinned.
$(VENV)/.installed: config/requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what config/requirements.lock pins"
	@$(PIP) install --no-deps --require-hashes -r config/requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: config/requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing what config/requirements-dev.lock pins"
	@$(PIP) install --no-deps --require-hashes -r config/requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.installed
