# Everything a developer or a build does here. `make` alone explains itself.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-from-lock
PEERS_STAMP := $(VENV)/.installed-peers
PYTEST := $(BIN)/python -m pytest
# Two workers: the suite is made for two cores, and shares one PostgreSQL server between them.
WORKERS ?= 2
# Arguments passed on to pytest: make test ARGS="-k witness"
ARGS ?=

# The first Python on the PATH that really runs and is new enough; override with PYTHON=...
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

VAR := var
DEMO_STORE := sqlite:///$(VAR)/motions.db

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List what can be done
	@echo "Governance Flow: make TARGET"
	@echo
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-11s %s\n", $$1, $$2}'

$(STAMP): requirements-dev.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer was not found; install it, or say make setup PYTHON=/path/to/python" >&2; \
		exit 1; fi
	@$(BIN)/python -c '' >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.PHONY: setup
setup: $(STAMP) ## Make the virtual environment (at once if nothing changed)

.PHONY: run
run: $(STAMP) ## Take two dozen example motions through the pipeline, on SQLite
	@mkdir -p $(VAR)
	$(BIN)/governance-flow run examples/motions.jsonl --store $(DEMO_STORE)

.PHONY: serve
serve: $(STAMP) ## Serve the API and the dashboard of the same store; prints tokens to sign in with
	@mkdir -p $(VAR)
	@echo "To look and decide, sign in with:" && $(BIN)/governance-flow token create "$${USER:-me}" --role operator --expires 12h --store $(DEMO_STORE)
	@echo "To introduce motions (who introduces one may not decide about it):" && \
		$(BIN)/governance-flow token create a-member --role member --expires 12h --store $(DEMO_STORE)
	$(BIN)/governance-flow serve --store $(DEMO_STORE)

.PHONY: test
test: $(STAMP) ## Run all tests
	$(PYTEST) -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: test-fast
test-fast: $(STAMP) ## Run the tests that need no PostgreSQL and little time
	$(PYTEST) -n $(WORKERS) -m "not slow and not postgres" $(ARGS)

.PHONY: coverage
coverage: $(STAMP) ## Run all tests and report branch coverage
	$(BIN)/coverage erase
	$(PYTEST) -n $(WORKERS) --dist worksteal --cov --cov-report= $(ARGS)
	$(BIN)/coverage report --include='governance_flow/domain/*' --fail-under=100
	$(BIN)/coverage report --omit='governance_flow/domain/*' --fail-under=90

.PHONY: test-faults
test-faults: $(STAMP) ## Kill workers, stop servers, cut connections, and print what it came to (10 min)
	$(BIN)/python -m tests.faults $(ARGS)

.PHONY: soak
soak: $(STAMP) ## Simulate 20,000 runs of the pipeline, each with its own faults (ARGS="--seed 7": one)
	$(BIN)/python -m tests.simulation $(if $(ARGS),$(ARGS),--seeds 20000 --jobs $(WORKERS))

.PHONY: bench
bench: $(STAMP) ## Measure speed, latency, growth and replay; print a table, write var/bench.json (5 min)
	@mkdir -p $(VAR)
	$(BIN)/python -m scripts.bench --json $(VAR)/bench.json $(ARGS)

$(PEERS_STAMP): $(STAMP) requirements-peers.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-peers.txt
	@touch $@

.PHONY: bench-peers
bench-peers: $(PEERS_STAMP) ## The same, and what a user would pick instead, in the same run (7 min)
	@mkdir -p $(VAR)
	$(BIN)/python -m scripts.bench --peers --json $(VAR)/bench.json $(ARGS)

.PHONY: screenshots
screenshots: $(STAMP) ## Take a picture of every page, light and dark, wide and narrow
	$(BIN)/python -m scripts.screenshots $(VAR)/screenshots

.PHONY: load
load: $(STAMP) ## 200 branch workers over HTTP for a minute, with 100,000 motions stored (3 min)
	$(BIN)/python -m scripts.load $(ARGS)

.PHONY: check
check: $(STAMP) ## Check format, lint, types, import boundaries and house style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/tidy.py

.PHONY: format
format: $(STAMP) ## Format the code and apply the fixes that are safe
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

.PHONY: lock
lock: $(STAMP) ## Resolve the dependencies anew and pin them
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --no-emit-index-url --no-emit-find-links --no-header \
		--python-version 3.11 --group dev --extra postgres \
		--output-file requirements-dev.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --upgrade --no-emit-index-url --no-emit-find-links --no-header \
		--python-version 3.11 --constraint requirements-dev.txt --extra postgres \
		--output-file requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --upgrade --no-emit-index-url --no-emit-find-links --no-header \
		--python-version 3.11 --constraint requirements-dev.txt --extra postgres --extra bench-peers \
		--output-file requirements-peers.txt pyproject.toml

.PHONY: clean
clean: ## Remove what was built, the virtual environment and the example's store included
	rm -rf $(VENV) $(VAR) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	rm -rf .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
