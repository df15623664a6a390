# What a user and CI run. `make help` lists the targets.
.PHONY: help deps build demo test image test-cluster ci fmt clippy deny generated bench
export EKS_PREFLIGHT_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
DENY_VERSION := 0.20.2

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Installs the distribution's packages that the lab and the tests need, or says which are missing.
	@scripts/deps

build: deps ## Builds the program and the lab.
	cargo build --locked --bins --workspace

demo: build ## Runs the program on a faulty lab and on a healthy one, and leaves nothing running.
	@scripts/demo

test: build ## Runs every test.
	cargo test --locked --workspace --no-fail-fast

image: ## Builds the container image into target/image (buildah, without network).
	cargo build --locked --release --package eks-preflight
	deploy/image/build $${CARGO_TARGET_DIR:-target}/release/eks-preflight $${CARGO_TARGET_DIR:-target}/image/eks-preflight.tar

test-cluster: ## Runs the tests that need a Kubernetes: on the cluster of KUBECONFIG, else on one made on this machine (root, Go).
	@scripts/test-cluster

fmt: ## Checks the format.
	cargo fmt --all --check

clippy: deps ## Checks with clippy, warnings denied.
	cargo clippy --locked --workspace --all-targets -- -D warnings

deny: ## Checks bans, licences and sources of the dependencies.
	@cargo deny --version 2>/dev/null | grep -qF ' $(DENY_VERSION)' || cargo install --locked --debug --quiet cargo-deny@$(DENY_VERSION)
	cargo deny check --hide-inclusion-graph bans licenses sources

generated: ## Rewrites the generated files: schemas and reference pages. `make test` fails where one is stale.
	UPDATE_GENERATED=1 cargo test --workspace --quiet generated

bench: deps ## Measures start-up, a large plan and the size of the program.
	cargo bench --locked --quiet -p eks-preflight --bench figures

ci: fmt deny clippy test test-cluster ## The gate.
