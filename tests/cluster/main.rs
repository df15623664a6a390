//! The real binary against a real Kubernetes: the one of `fixtures/cluster`, or any that a kubeconfig names.
//! `make test-cluster` runs these tests; without a cluster each says that it is skipped.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests start programs, wait for them, and say what they skip"
)]

mod accounts;
mod audit;
mod build;
mod deployed;
mod health;
mod inventory;
mod jobs;
mod live;
mod makers;
mod manifests;
mod measure;
mod pods;
mod results;
mod rights;
mod running;
mod shop;
#[allow(dead_code, reason = "the other tests of the program use the rest of it")]
#[path = "../it/store.rs"]
mod store;
mod tokens;
#[allow(dead_code, reason = "the other tests of the program use the rest of it")]
#[path = "../it/tool.rs"]
mod tool;
mod webhook;
