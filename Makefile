# Everything needs Rust, Python 3.11 or later and make; the rest is installed under .local/.
PYTHON ?= python3
LOCAL := $(PYTHON) -m local
TOOLS := .local/venvs/tools/bin
# Crates with benchmarks; naming them keeps the AWS SDK out of the optimised build.
BENCHES := $(filter-out reconcile-engine,$(patsubst crates/%/benches,%,$(wildcard crates/*/benches)))
# Named one by one, in place of their package: a package by itself asks for fewer features of what it shares with the
# others, and the AWS SDK would be compiled a second time.
STACK_TESTS := $(basename $(notdir $(wildcard tests/e2e/tests/*.rs)))

.DEFAULT_GOAL := help
.PHONY: help build up down status invoke logs demo test test-fast test-local test-engine test-stack test-spark lint advisories bench bench-ledger bench-reconcile measure dist clean-local

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: ## build everything, in the profile that the local stack and the tests use
	cargo build --workspace --bins

up: ## start the local stack, and build and deploy what has changed; TIEOUT_PORT and TIEOUT_VALKEY_PORT choose ports
	@$(LOCAL) up

down: ## stop the local stack
	@$(LOCAL) down

status: ## say what of the local stack runs
	@$(LOCAL) status

invoke: up ## call one function on the local stack: make invoke FUNCTION=splitter [EVENT=file.json]
	@$(LOCAL) with-stack $(TOOLS)/python -m local.invoke $(FUNCTION) $(EVENT)

logs: ## print the log of one function on the local stack: make logs FUNCTION=splitter
	@$(LOCAL) with-stack $(TOOLS)/aws logs filter-log-events --log-group-name /aws/lambda/tieout-$(FUNCTION) \
		--query 'events[].[message]' --output text

demo: up ## send files and a ledger's batches through the local stack, and watch them
	@$(LOCAL) demo

test: test-local test-engine test-stack test-spark ## run all tests

test-fast: test-local ## run the tests that need no local stack and nothing that takes minutes to build
	cargo test

test-local:
	$(PYTHON) -m unittest discover --quiet --start-directory local/tests --top-level-directory .

# All packages but one ask for the same features as all of them: what is built here is what the local stack runs.
test-engine: ## run the tests that need no local stack, and those of the embedded engine
	cargo test --workspace --exclude e2e

test-stack: up ## run the tests on the local stack, end to end
	@$(LOCAL) with-stack cargo test --workspace $(addprefix --test ,$(STACK_TESTS))

test-spark: ## compare the distributed engine with the reference, on Spark; TIEOUT_SEED and TIEOUT_JOBS choose random jobs
	@$(LOCAL) test-spark

lint: ## check formatting, clippy, types, dependencies, template, state machines and documentation
	@$(LOCAL) tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --quiet
	PATH="$(CURDIR)/$(TOOLS):$$PATH" cargo deny check bans licenses sources
	$(TOOLS)/ruff format --check --quiet --cache-dir .local/ruff local spark
	$(TOOLS)/ruff check --quiet --cache-dir .local/ruff local spark
	$(TOOLS)/mypy --strict --ignore-missing-imports --cache-dir .local/mypy --package local
	MYPYPATH=spark $(TOOLS)/mypy --strict --ignore-missing-imports --cache-dir .local/mypy spark/run_task.py spark/upload.py spark/tieout_spark spark/tests
	$(TOOLS)/python -m local.states
	$(TOOLS)/cfn-lint template.yaml .local/lint/*.json
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 $(TOOLS)/sam validate --lint

advisories: ## ask the RustSec database for known vulnerabilities (needs the network)
	@$(LOCAL) tools
	PATH="$(CURDIR)/$(TOOLS):$$PATH" cargo deny check advisories

bench: ## measure the hot paths
	cargo bench $(addprefix --package ,$(BENCHES))

bench-ledger: ## time batches of 200 thousand to 20 million events on local files, beside DuckDB and Spark; EVENTS bounds them
	@$(LOCAL) bench-ledger $(or $(EVENTS),20000000)

bench-reconcile: ## time a lookup of 2 million rows and 48 further columns on local files, beside Polars, DuckDB and Spark; ROWS="10 1000" and MEMORY (in MiB) change that
	@$(LOCAL) bench-reconcile $(or $(MEMORY),3072) $(or $(ROWS),2000000)

measure: up ## time files (upload to mail), batches (submitted to indexed) and jobs on the local stack; ROWS is 10000 unless said otherwise
	@$(LOCAL) measure $(or $(ROWS),10000)

dist: ## build the functions for AWS into dist/; ARCHITECTURE is arm64 (unless said otherwise) or x86_64
	@$(LOCAL) dist $(or $(ARCHITECTURE),arm64)

clean-local: ## stop the local stack and remove .local/
	@$(LOCAL) clean
