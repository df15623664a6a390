# What a user and CI run. `make help` lists the targets.
.PHONY: help deps test ci fmt clippy generated

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Installs the distribution's packages that the lab needs, or says which are missing.
	@scripts/deps

test: deps ## Runs every test.
	cargo test --workspace --no-fail-fast

fmt: ## Checks the format.
	cargo fmt --all --check

clippy: ## Checks with clippy, warnings denied.
	cargo clippy --workspace --all-targets -- -D warnings

generated: ## Rewrites the generated files.
	UPDATE_GENERATED=1 cargo test --workspace --quiet generated

ci: fmt clippy test ## The gate.
