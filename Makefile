# Two commands do everything on a clean clone: `make up` starts a node, `make test` builds and tests.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST_SOURCES := $(shell find engine -path engine/target -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print) engine/Cargo.lock

.PHONY: up build test lint types unit rust interop tools bench lock clean help check-prerequisites

help: ## What each target does
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

check-prerequisites:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "natsfleet needs Python 3.11 or newer as '$(PYTHON)'. Debian/Ubuntu: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "natsfleet needs Python's venv module. Debian/Ubuntu: apt-get install python3-venv"; exit 1; }
	@command -v cc >/dev/null || { echo "natsfleet needs a C compiler. Debian/Ubuntu: apt-get install build-essential"; exit 1; }
	@command -v cargo >/dev/null || { echo "natsfleet needs Rust's cargo. Install Rust with rustup (the toolchain named 'stable'), or on Debian/Ubuntu: apt-get install cargo"; exit 1; }

$(VENV)/.deps: requirements.lock | check-prerequisites
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

$(VENV)/.native: $(VENV)/.deps $(RUST_SOURCES) pyproject.toml
	. $(BIN)/activate && maturin develop --release --quiet --skip-install
	@touch $@

build: $(VENV)/.native ## Build the engine into .venv

up: build ## Build and start one node: clients on 4222, data in ./data
	@exec $(BIN)/python -m services.cli.main up

test: build tools ## Build and run every test
	.ci/stages

lint: $(VENV)/.deps ## Format, lint, import contracts
	.ci/stages lint

tools: $(VENV)/.deps ## The pinned real tools the tests use
	tests/interop/install

bench: build ## Ours beside nats-server, all cases
	bench/compare

lock: ## Refresh requirements.lock from what is installed in .venv
	(echo '# Pinned set of everything the project runs and tests with. Regenerate with: make lock'; $(BIN)/python -m pip freeze --exclude-editable) > requirements.lock

clean: ## Remove what was built
	rm -rf $(VENV) engine/target
