# Everything that is done here, by name. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build failpoints test test-offline test-systemd test-long lint bench bench-scale bench-refresh demo deps man

# Where scripts/ puts tools that the system does not have.
export PATH := $(abspath $(or $(CARGO_TARGET_DIR),target))/tools/bin:$(PATH):$(HOME)/.cargo/bin

# Tests that act as other users need root.
ifneq ($(shell id -u),0)
LEFT_OUT := --skip as_root::
ONLY := and not test(/(^|::)as_root::/)
endif

NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)
# Succeeds if there is a browser that tests can drive.
BROWSER := command -v chromedriver >/dev/null
PROVIDER := tests/provider/node_modules/.package-lock.json

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name does; do \
	    printf 'make %-14s %s\n' "$$name" "$$does"; done

deps: ## install what is missing to build and test (apt, npm)
	@scripts/prerequisites build backup clock provider
	@$(MAKE) --no-print-directory $(PROVIDER)

build: ## build daemon and command line, for development
	@scripts/prerequisites build
	cargo build --workspace

# The daemon that tests kill at chosen points. With the features of the tests, so that no dependency is built twice.
failpoints:
	cargo build --workspace --example tokenkeeperd-failpoints --features tokenkeeperd/failpoints

test: deps ## run all tests: unit, black box, with real OpenID providers and a real browser
	@scripts/prerequisites browser django long
	cargo build --workspace --bins --tests
	@$(MAKE) --no-print-directory failpoints
ifdef NEXTEST
	cargo nextest run --workspace -E "all() $(ONLY) $$($(BROWSER) || echo 'and not test(/^web_backend::/)')"
else
	cargo test --workspace --bins --lib --tests -- $(LEFT_OUT) $$($(BROWSER) || echo '--skip web_backend::')
endif
	cargo test --workspace --doc --quiet
	@$(if $(ONLY),echo 'NOT RUN: the tests that act as other users. They need root.')
	@$(BROWSER) || echo 'NOT RUN: the tests with a real browser. They need chromedriver.'

test-offline: ## run the tests that need neither npm nor pip
	@scripts/prerequisites build backup clock
	cargo build --workspace --bins --tests
	@$(MAKE) --no-print-directory failpoints
ifdef NEXTEST
	cargo nextest run --workspace -E 'not binary(real) and not binary(long) $(ONLY)'
else
	cargo test --workspace --exclude tokenkeeperd --bins --lib --tests
	cargo test --package tokenkeeperd --bins --lib --test architecture --test documentation --test offline -- $(LEFT_OUT)
endif
	@$(if $(ONLY),echo 'NOT RUN: the tests that act as other users. They need root.')

test-systemd: deps ## try the systemd units with the real daemon, in a Debian booted for it (needs root)
	cargo build --workspace --bins
	tests/systemd/run

test-long: ## prove at length what the store promises: PART=kills for one proof, TOKENKEEPER_SEED=N for one course of it, TOKENKEEPER_FROM=N from a round on
	@scripts/prerequisites build long
	cargo build --workspace --bins --tests
	@$(MAKE) --no-print-directory failpoints
	TOKENKEEPER_LONG=1 cargo test --workspace --test long -- $(PART) --nocapture --test-threads=1 $(LEFT_OUT)
	$(if $(PART),,TOKENKEEPER_LONG=1 cargo test --workspace --lib keeper::flight::explore -- --nocapture)
	@$(if $(ONLY),echo 'NOT RUN: power cuts and injected faults and the core dump (they need root).')

lint: ## check format, lints, dependencies and documentation
	@scripts/prerequisites build
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --workspace --example tokenkeeperd-failpoints --features tokenkeeperd/failpoints -- -D warnings
	scripts/deny
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --workspace

bench: ## measure, with a release build
	@scripts/prerequisites build
	cargo build --release --workspace
	cargo bench --package tokenkeeperd --bench bench

bench-scale: ## measure stores of 10,000, 100,000 and 1,000,000 sessions, with a release build (takes some 4 GB of disk)
	@scripts/prerequisites build
	cargo build --release --workspace
	cargo bench --package tokenkeeperd --bench bench -- scale

bench-refresh: ## measure refreshes against a bare HTTP client, and tokens meanwhile, with a release build
	@scripts/prerequisites build
	cargo build --release --workspace
	cargo bench --package tokenkeeperd --bench bench -- refresh

man: ## write the manual pages and completion scripts anew, after a change of the command line or its guide
	@scripts/prerequisites build
	TOKENKEEPER_WRITE_MAN=1 cargo test --quiet --package tokenkeeper --bins manual::
	TOKENKEEPER_WRITE_MAN=1 cargo test --quiet --package tokenkeeperd --test manual

demo: ## show the whole way once, told line by line
	@demo/run

# What npm has installed is as new as what the lock file wants.
$(PROVIDER): tests/provider/package-lock.json
	npm ci --prefix tests/provider --no-audit --no-fund
	@touch $@
