# The commands of Plantroom's developers and of anybody who tries it. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := rules drivers edge_agent hub web simulators deploy

.DEFAULT_GOAL := help
.PHONY: help demo install test check lint bench audit clean requirements

help: ## list these commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 22

demo: $(VENV)/.run ## one building, live: database, broker, simulators, edge, hub and web; prints the address and log-ins
	@$(BIN)/plantroom demo $(DEMO)

install: $(VENV)/.dev ## .venv with everything, tests and checks included

test: $(VENV)/.dev ## every test: unit, property, contract, integration, fault, browser
	@deploy/install-browser
	$(BIN)/python -m pytest -n auto --dist worksteal $(TESTS)

check: lint test ## all of CI

lint: $(VENV)/.dev ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev ## all benchmarks, each as a ratio to its limit
	$(BIN)/python -m tests.bench

audit: $(VENV)/.dev ## known weaknesses of the pinned dependencies; needs a way to the list of them
	$(BIN)/python -m tests.dependencies

clean: ## remove what was built; data of the demo stays where `plantroom doctor` says
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  web/node_modules web/static/vendor
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

requirements: ## pin the newest allowed versions again (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade \
	  pyproject.toml requirements/build.in -o requirements/runtime.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade \
	  pyproject.toml requirements/build.in --group dev -c requirements/runtime.txt -o requirements/dev.txt

$(VENV)/bin/python:
	@deploy/make-venv $(PYTHON) $(VENV)

$(VENV)/.run: requirements/runtime.txt pyproject.toml hatch_build.py web/package-lock.json $(wildcard web/locale/*/LC_MESSAGES/*.po) | $(VENV)/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml hatch_build.py web/package-lock.json $(wildcard web/locale/*/LC_MESSAGES/*.po) | $(VENV)/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run
