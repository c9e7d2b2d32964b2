# `make demo` and `make test` do everything on a fresh machine with Python 3.11, git and make.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help demo run test test-sqlite test-postgresql check fmt bench

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.venv/installed: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; PYTHON=python3.12 names another."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: .venv/installed ## three demo projects through the whole path, then the site (NO_SERVE=1 ends after the job)
	@$(BIN)/python manage.py demo $(if $(NO_SERVE),--no-serve)

run: .venv/installed ## the site and a supervised worker, on the data in var/
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py run_worker & worker=$$!; trap "kill $$worker" EXIT INT TERM; $(BIN)/python manage.py runserver 8000

test: .venv/installed ## the test suite on SQLite, and on PostgreSQL, where one can be started, what depends on the database
	@$(BIN)/python -m tests.run

check: .venv/installed ## style, types, import contracts, templates, spelling, migrations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy agentopt projects ingestion evaluation recommendations benchmarks tests manage.py
	@PATH=$(BIN):$$PATH lint-imports
	@$(BIN)/djade --target-version 5.2 --check $$(git ls-files 'templates/*.html')
	@$(BIN)/djlint --lint --quiet templates
	@$(BIN)/typos
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py check

fmt: .venv/installed ## write what `check` would complain about, where a tool can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/djade --target-version 5.2 $$(git ls-files 'templates/*.html')

bench: .venv/installed ## every figure we claim, with machine and versions
	@$(BIN)/python -m benchmarks.decide --json
	@$(BIN)/python -m benchmarks.decision --json
	@$(BIN)/python -m benchmarks.wire --json
	@$(BIN)/python -m benchmarks.replay --json
	@ALLOW_PRIVATE_ADDRESSES=true $(BIN)/python -m benchmarks.injections --json
	@$(BIN)/python -m benchmarks.analytics --rows 1000000 --json
	@$(BIN)/python -m benchmarks.drift --json
	@$(BIN)/python -m benchmarks.recorded --recordings tests/data/recordings --set qa --baseline dim-0 --json
