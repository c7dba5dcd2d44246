# What can be done here: `make help`. Each target says what is missing and installs it where that is apt's to do.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

UI := collector/ui
UI_SOURCES := $(shell find $(UI) -type f -not -path '*/node_modules/*' -not -path '*/dist/*')

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: deps-run ui ## a small cluster with real traffic on this machine, and the page on http://localhost:30007
	cargo build --workspace --bin podflow # the same dependencies, with the same features, as for the tests
	exec "$${CARGO_TARGET_DIR:-target}/debug/podflow" demo $(ARGS)

build: deps-run ui ## all programs, into target/debug
	cargo build --workspace

test: deps ui test-unit test-whole ## every test (TEST=name runs those whose name contains it)

test-unit: ## the fast tier: tests inside the crates
	cargo test --workspace --no-fail-fast --lib --bins $(TEST)

test-whole: browser ## the slow tiers: real kernel, real servers, other people's programs, a browser
	cargo test --workspace --no-fail-fast --test '*' $(TEST)
	npm --prefix e2e/browser test --if-present

test-cluster: ## a real Kubernetes of two Nodes, our images and manifests in it (first: 10 minutes of building)
	@build/deps.sh cluster
	e2e/cluster/cluster build
	PROFILE=dev VERSION= build/images.sh --archive "$${XDG_CACHE_HOME:-$$HOME/.cache}/podflow/images"
	e2e/cluster/elasticsearch-image.sh "$${XDG_CACHE_HOME:-$$HOME/.cache}/podflow/images/elasticsearch.tar" || [ -z "$${CI:-}" ]
	cargo test --workspace --test kubernetes -- --ignored --test-threads 1 $(TEST)

lint: ## formatting and clippy, warnings are errors
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings

fuzz: ## 10,000,000 executions of each fuzz target, hours (RUNS=number, TARGETS=names, SANITIZER=address)
	fuzz/run.sh $(TARGETS)

bench: ## measurements, on a release build; the collector beside nfcapd and nfacctd, its store beside DuckDB, SQLite and Elasticsearch
	cargo bench --workspace
	cargo build --release --workspace --bin podflow-collector --examples
	collector/benches/compare.py $(ARGS)
	collector/benches/engines.py

deps: ## installs what building and testing need (apt)
	@build/deps.sh test

deps-run: ## installs what `make run` needs (apt)
	@build/deps.sh run

real-servers: deps ## downloads OpenSearch and Elasticsearch for tests, into the cache, about 1 GB
	e2e/servers/fetch.sh opensearch-2.19.1 opensearch-3.6.0 elasticsearch-7.10.2 elasticsearch-8.19.21 elasticsearch-9.4.3

# The page is built again when one of its sources is newer than what was built.
ui: $(UI)/dist/index.html ## the web page, embedded into the programs

$(UI)/dist/index.html: $(UI_SOURCES) $(UI)/node_modules/.package-lock.json
	npm --prefix $(UI) run build
	@touch $@

browser: e2e/browser/node_modules/.package-lock.json ## what drives the browser in tests

%/node_modules/.package-lock.json: %/package-lock.json
	npm --prefix $* ci --no-audit --no-fund
	@touch $@

clean: ## removes what was built; downloads stay in the cache
	cargo clean
	rm -rf $(UI)/dist $(UI)/node_modules e2e/browser/node_modules

.NOTPARALLEL:
.PHONY: help run build test test-unit test-whole test-cluster lint fuzz bench deps deps-run real-servers ui browser clean
