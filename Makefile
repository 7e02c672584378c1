# Two commands do everything on a clean clone: `make up` starts a node, `make test` builds and tests.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTHON_SOURCES := $(shell find services -name '*.py')
RUST_SOURCES := $(shell find engine -path engine/target -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print) engine/Cargo.lock

.PHONY: up build test lint tools bench lock clean help check-prerequisites check-test-prerequisites

help: ## What each target does
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

check-prerequisites:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "natsfleet needs Python 3.11 or newer as '$(PYTHON)'. Debian/Ubuntu: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "natsfleet needs Python's venv module. Debian/Ubuntu: apt-get install python3-venv"; exit 1; }
	@command -v cc >/dev/null || { echo "natsfleet needs a C compiler. Debian/Ubuntu: apt-get install build-essential"; exit 1; }
	@command -v cargo >/dev/null || { echo "natsfleet needs Rust's cargo. Install Rust with rustup (the toolchain named 'stable'), or on Debian/Ubuntu: apt-get install cargo"; exit 1; }

check-test-prerequisites: check-prerequisites
	@test -x .tools/bin/nats -a -x .tools/bin/nk || command -v go >/dev/null || { echo "the tests need Go to build the tools nats and nk. Install it from https://go.dev/dl, or on Debian/Ubuntu: apt-get install golang"; exit 1; }
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || { echo "the tests need rustfmt and clippy: rustup component add rustfmt clippy, or on Debian/Ubuntu: apt-get install rustfmt rust-clippy"; exit 1; }

$(VENV)/.deps: requirements.lock | check-prerequisites
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

$(VENV)/.native: $(VENV)/.deps $(RUST_SOURCES) pyproject.toml
	. $(BIN)/activate && maturin develop --release --quiet --skip-install
	@touch $@

# The command. Python looks for nothing on its own (-IS): a millisecond and a half less at each start, and an interrupt
# hardly ever finds it in between. Until a server takes signals over, an interrupt ends the process without a traceback.
$(BIN)/natsfleet: $(VENV)/.native Makefile
	@printf '#!%s -IS\nimport _signal\n_signal.signal(_signal.SIGINT, _signal.SIG_DFL)\nimport sys\nsys.path[:0] = ["%s"]\nsys.path += ["%s"]\nfrom services.cli.main import main\n\nsys.exit(main())\n' \
	    '$(CURDIR)/$(BIN)/python' '$(CURDIR)' "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')" >$@
	@chmod +x $@

# Compiled beforehand: a start that compiles, since it must not write here or is told not to, takes 45 ms more CPU.
$(VENV)/.bytecode: $(VENV)/.deps $(PYTHON_SOURCES)
	@$(BIN)/python -m compileall -q services
	@touch $@

build: $(VENV)/.native $(BIN)/natsfleet $(VENV)/.bytecode ## Build the engine into .venv

up: build ## Build and start one node: clients on 4222, monitoring on 8222, data in ./data. ARGS="-p 4333" adds flags
	@exec $(BIN)/natsfleet up $(ARGS)

test: check-test-prerequisites build tools ## Build and run every test
	.ci/stages

lint: check-test-prerequisites build ## Format, lint, import contracts, rules of the repository
	.ci/stages lint

tools: $(VENV)/.deps ## The pinned real tools the tests use
	tests/interop/install

bench: build ## Ours beside nats-server, all cases
	bench/compare

lock: ## Refresh requirements.lock from what is installed in .venv
	(echo '# Pinned set of everything the project runs and tests with. Regenerate with: make lock'; $(BIN)/python -m pip freeze --exclude-editable) > requirements.lock

clean: ## Remove what was built
	rm -rf $(VENV) engine/target
