# `make help` lists the targets. The first call of any of them sets up .venv.
PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
LOCK_ARGS ?=
UV ?= uv
MODEL ?= smollm2-135m
PROMPT ?= Create a Python hello world function

BIN := $(VENV)/bin
STAMP := $(VENV)/.ymera-setup

.DEFAULT_GOAL := help
.PHONY: help setup run serve test test-full coverage check format lock clean node-servers

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## install the locked dependencies and this checkout into .venv

$(STAMP): locks/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Ymera needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1 || true)." >&2; \
	  echo "Name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes -r locks/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation -e .
	@touch $@

run: $(STAMP) ## answer a real prompt with the embedded model (PROMPT="..." for yours)
	@$(BIN)/ymera models pull $(MODEL)
	@$(BIN)/ymera ask --explain "$(PROMPT)"

serve: $(STAMP) ## the server on 127.0.0.1:8080
	@$(BIN)/ymera serve

test: $(STAMP) ## the quick tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-full: $(STAMP) ## the rest: chaos, slow ones, the larger model
	$(BIN)/python -m pytest -m "chaos or full" $(PYTEST_ARGS)

node-servers: ## real MCP servers for the integration tests; needs Node.js, `make test` does not
	cd tests/support/node && npm ci --ignore-scripts --silent

coverage: $(STAMP) ## run both with coverage; at least 85% of lines and branches
	$(MAKE) test PYTEST_ARGS="$(PYTEST_ARGS) --cov --cov-report="
	$(MAKE) test-full PYTEST_ARGS="$(PYTEST_ARGS) --cov --cov-append --cov-report="
	$(BIN)/coverage report --fail-under=85

check: $(STAMP) ## format, lint, types, import rules, sizes, locks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python scripts/check_sizes.py
	$(BIN)/python scripts/check_locks.py

format: $(STAMP) ## let ruff rewrite what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## maintainers, needs uv: resolve again (LOCK_ARGS=--upgrade for newer versions)
	$(UV) pip compile pyproject.toml --extra local $(UV_LOCK) -o locks/run.txt
	$(UV) pip compile pyproject.toml --extra local --group dev $(UV_LOCK) -o locks/dev.txt
	$(PYTHON) scripts/check_locks.py --write
	$(PYTHON) scripts/check_locks.py

# The header names this target; uv's own would hold the command line with its paths.
UV_LOCK = --quiet --no-config --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK_ARGS)

clean: ## remove what the other targets made, .venv and caches included
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf build dist htmlcov .coverage .coverage.* tests/support/node/node_modules
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
