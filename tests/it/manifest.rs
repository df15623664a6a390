//! `manifest` prints what a run in the cluster needs.

use crate::tool::{Ran, command};
use std::path::Path;

/// Prints a manifest of the example in `deploy/`.
fn manifest(arguments: &[&str]) -> Ran {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/example");
    let mut command = command(&example);
    Ran::of(command.arg("manifest").args(arguments).output().unwrap())
}

#[test]
fn the_job_carries_the_configuration_and_no_secret_and_says_what_it_lacks() {
    let ran = manifest(&["job", "--to", "traffic-1", "--name", "gate", "-n", "ops", "--image", "x:1"]);
    assert_eq!(ran.code, 0, "without the secret: {ran:?}");
    assert!(ran.out.starts_with("apiVersion: v1\nkind: ConfigMap\n") && ran.out.contains("\n---\n"), "{ran:?}");
    assert!(ran.out.contains("name: gate-traffic-1\n") && ran.out.contains("image: x:1\n"), "{ran:?}");
    assert!(ran.out.contains("${ORDERS_DB_PASSWORD}"), "{ran:?}");
    assert!(ran.err.contains("Secret ops/gate-secrets with ORDERS_DB_PASSWORD"), "{ran:?}");
}

#[test]
fn json_is_a_list_that_kubectl_reads_and_a_policy_is_json_anyway() {
    let list = manifest(&["rbac", "--to", "traffic-1", "--output", "json"]).json();
    assert_eq!((&list["kind"], &list["items"][0]["kind"]), (&"List".into(), &"ServiceAccount".into()));
    let policy = manifest(&["iam", "--to", "traffic-1"]).json();
    assert_eq!(policy["Version"], "2012-10-17");
}

#[test]
fn a_phase_or_a_name_that_cannot_be_is_a_usage_error() {
    let ran = manifest(&["rbac", "--to", "traffic-2"]);
    assert!(ran.code == 2 && ran.out.is_empty() && ran.err.contains("traffic-2"), "{ran:?}");
    let ran = manifest(&["rbac", "--to", "traffic-1", "--name", "Gate"]);
    assert!(ran.code == 2 && ran.err.contains("--name Gate"), "{ran:?}");
}
