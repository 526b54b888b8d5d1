# `make up` runs the shop; `make test` proves it. The rest: bench, load, peak, lock, clean.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Ray would start its workers through `uv run` too, which resolves the environment again for each.
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Installing must not depend on the rights that a user has on a shared package cache.
export UV_LINK_MODE := copy
# Trust what the machine trusts, as pip does.
export UV_SYSTEM_CERTS := 1

VENV := .venv
BIN := $(VENV)/bin
PACKAGES = $(sort $(foreach package,actors loadtests pipelines schemas serve,$(shell find $(package) -name '*.py' 2>/dev/null | head -n 1 | cut -d/ -f1)))
PYTEST_ARGS ?=

IN_RANGE := import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	"$$name" -c '$(IN_RANGE)' >/dev/null 2>&1 && { command -v "$$name"; break; }; done)

.PHONY: help up test check browser bench bench-events bench-goods bench-import bench-logins bench-pages bench-search bench-watch load peak lock clean

help:
	@echo 'make up     start the shop with real embedded servers, and print its addresses (Ctrl-C ends it)'
	@echo 'make test   lint, types and every test (installs a browser for one of them, where it may)'
	@echo 'make bench  durable orders a second against the baselines, with ratios and CPU an order'
	@echo 'make bench-events  behaviour events a second, their CPU, and whether pages and orders feel them'
	@echo 'make bench-import  50,000 SKUs from a file into the tables and back, by phase'
	@echo 'make bench-goods  documents of 50,000 products written, written again and changed, and single edits'
	@echo 'make bench-logins  browsing and honest logins beside a credential-stuffing attack'
	@echo 'make bench-search  how good the search is by judged queries, how quick, and how late it follows'
	@echo 'make bench-pages  public pages a second beside an empty 200'
	@echo 'make bench-watch  what the watch over goods costs, over 50,000 products'
	@echo 'make load   the Locust scenarios, ended by the audit of the books'
	@echo 'make peak   the highest rate that one machine gives, with a C load generator'
	@echo 'make lock   resolve the dependencies again and write deploy/*.lock'
	@echo 'make clean  remove what can be made again (never the data in .stampede)'

up: $(VENV)/.runtime
	@exec $(BIN)/stampede up

# What shares nothing runs side by side; what measures, or starts a whole shop, runs alone (tests/conftest.py says which).
test: check browser
	@$(BIN)/python -m pytest -m 'not alone' --numprocesses 3 --dist loadfile $(PYTEST_ARGS)
	@$(BIN)/python -m pytest -m alone $(PYTEST_ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo 'Run: $(BIN)/ruff format .'; exit 1; }
	@$(BIN)/python -m mypy --strict $(PACKAGES)

# Passkeys are tested in a real browser. It comes from the system, whose package manager keeps it safe.
browser:
	@for name in chromium-headless-shell chromium chromium-browser google-chrome-stable google-chrome; do \
		command -v "$$name" >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'Installing chromium-headless-shell for the test of passkeys'; \
		apt-get install -qq -y --no-install-recommends chromium-headless-shell >/dev/null 2>&1 \
			|| { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium-headless-shell >/dev/null; } && exit 0; \
	fi; \
	echo 'One test needs a browser: install the Debian package chromium-headless-shell, or any Chromium.'

bench: $(VENV)/.dev
	@exec $(BIN)/python -m loadtests.bench

bench-events: $(VENV)/.dev
	@exec $(BIN)/python -m loadtests.bench_events

bench-search: $(VENV)/.dev
	@exec $(BIN)/python -m loadtests.bench_search

bench-import: $(VENV)/.dev
	@exec $(BIN)/python -m loadtests.bench_import

bench-goods: $(VENV)/.dev
	@exec $(BIN)/python -m loadtests.bench_goods

bench-watch: $(VENV)/.dev
	@exec $(BIN)/python -m loadtests.goods_watch

bench-logins: $(VENV)/.dev
	@exec $(BIN)/python -m loadtests.stuffing

bench-pages: $(VENV)/.dev
	@exec $(BIN)/python -m loadtests.bench_pages

load: $(VENV)/.dev
	@exec $(BIN)/python -m loadtests.load

peak: $(VENV)/.dev
	@exec $(BIN)/python -m loadtests.peak

# One step after the other, each with its stamp: a second run starts at once, an interrupted one goes on.
# What is installed is what the locks hash: uv because it is fast, plain pip where uv finds no index.

$(VENV)/.bootstrap: deploy/bootstrap.lock
	@test -n '$(PYTHON)' || { echo 'Stampede needs Python 3.11, 3.12 or 3.13. Install one, or say where it is: make PYTHON=/path/to/python3.11'; exit 1; }
	@$(BIN)/python -c '$(IN_RANGE)' 2>/dev/null || { echo 'Making $(VENV) with $(PYTHON)'; $(PYTHON) -m venv --clear $(VENV); } \
		|| { echo 'The virtual environment could not be made. On Debian and Ubuntu install python3-venv (or python3.11-venv) first.'; exit 1; }
	@$(BIN)/python -m pip install --quiet --require-hashes -r deploy/bootstrap.lock
	@touch $@

$(VENV)/.runtime: $(VENV)/.bootstrap deploy/requirements.lock pyproject.toml
	@echo 'Installing the locked dependencies'
	@$(call install,deploy/requirements.lock)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime deploy/requirements-dev.lock
	@echo 'Installing the locked development tools'
	@$(call install,deploy/requirements-dev.lock)
	@touch $@

define install
$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1) 2>$(VENV)/uv.log \
	|| { echo 'uv did not do it ($(VENV)/uv.log); with pip, which takes longer'; $(BIN)/python -m pip install --quiet --require-hashes -r $(1); }
endef

# Versions and hashes alone: no index address is written, so that any mirror serves them.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --custom-compile-command 'make lock'

lock: $(VENV)/.bootstrap
	@$(COMPILE) deploy/bootstrap.in -o deploy/bootstrap.lock
	@$(COMPILE) pyproject.toml -o deploy/requirements.lock
	@$(COMPILE) pyproject.toml --extra dev --constraint deploy/requirements.lock -o deploy/requirements-dev.lock

clean:
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .bench build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
