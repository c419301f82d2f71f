# Everything that a person or a machine does with this repository. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help install demo test check unit runbooks test-crash test-papermill bench-engine bench-migrations bench-records lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

install: .venv/installed ## the environment in .venv, pinned by hash

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12" >&2; exit 2; }
	@echo "installing into .venv (about a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input --require-hashes -r requirements.lock \
	  | awk '/^Collecting/ { n++; printf "\r  %d packages", n; fflush() } /^Installing/ { printf "\r  %d packages, unpacking", n; fflush() } END { print "" }'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: install ## a real PostgreSQL with a real fault, and its investigation
	@$(BIN)/runbook demo

test: check unit runbooks ## everything that CI runs

check: install ## lint, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/runbook lint --strict

unit: install ## unit, database, runbook and acceptance tests, on two processors
	$(PYTEST) -n 2 --dist loadfile

runbooks: install ## every read-only runbook, cell by cell, on a small demonstration of its own
	@state=$$(mktemp -d /tmp/ops-runbooks-XXXXXX); chmod 711 $$state
	export XDG_STATE_HOME=$$state RUNBOOK_ARCHIVE=$$state/outputs RUNBOOK_DEMO_SCALE=0.05
	trap "$(BIN)/runbook demo stop; rm -rf $$state" EXIT
	$(BIN)/runbook demo >/dev/null
	$(PYTEST) -o addopts= --nbval-lax $$(grep -l 'hazard: read-only' runbooks/*.ipynb)

test-crash: install ## every injected fault, power cut, changed bit and planted bug; killed steps and migrations; 500 random kills; 1,000 runs in a row
	RUNBOOK_CRASH=whole $(PYTEST) tests/crash tests/operations/test_migrations_audit.py
	RUNBOOK_KILLS=30 $(PYTEST) tests/acceptance/test_kills.py
	RUNBOOK_RANDOM_KILLS=500 $(PYTEST) tests/acceptance/test_random_kills.py
	RUNBOOK_RUNS_IN_A_ROW=1000 $(PYTEST) tests/acceptance/test_in_a_row.py

test-papermill: install ## papermill's own tests, with our engine in the place of its own
	$(BIN)/python scripts/papermill_suite.py

bench-engine: install ## how long a run takes besides its cells, against papermill, into docs/performance.md
	$(BIN)/python benchmarks/engine.py --write docs/performance.md

bench-migrations: install ## clients that wait behind migrations, and 1,000 of them, against alembic, dbmate and yoyo
	$(BIN)/python benchmarks/migrations.py --write docs/performance.md

bench-records: install ## how fast records are found, at 100,000 and 1,000,000, into docs/performance.md
	$(BIN)/python benchmarks/records.py --write docs/performance.md

lock: ## requirements.lock from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --all-extras pyproject.toml -o requirements.lock

clean: ## remove the environment and caches; records and the demonstration stay
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis
