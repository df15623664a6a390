//! `manifest` prints what a run in the cluster needs.

use crate::tool::{Ran, World, command};
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

/// A configuration whose files are these, and what `manifest job` says about it.
fn job(config: &str, files: &[(&str, &str)]) -> Ran {
    let world = World::new(&format!("environment: test\n{config}"));
    for (path, text) in files {
        world.write(path, text);
    }
    world.tool(&["manifest", "job", "--to", "traffic-1"])
}

const FILES: &str = "manifests: [eks]\necs: [ecs]\n";

fn deployment(value: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: orders, namespace: shop}}\nspec:\n  selector: {{matchLabels: \
         {{app: a}}}}\n  template:\n    metadata: {{labels: {{app: a}}}}\n    spec:\n      containers:\n        - name: app\n          \
         image: i\n          env: [{{name: DB_PASSWORD, value: '{value}'}}, {{name: DB_URL, value: 'mysql://app:{value}@db/a'}}]\n"
    )
}

fn task(value: &str) -> String {
    format!(
        r#"{{"taskDefinition":{{"family":"orders","revision":1,"containerDefinitions":[{{"name":"app","image":"i","environment":[{{"name":"API_KEY","value":"{value}"}}]}}]}}}}"#
    )
}

#[test]
fn a_job_is_refused_where_a_file_has_a_secret_written_down_and_each_is_named() {
    let secret = "{kind: Secret, apiVersion: v1, metadata: {name: db, namespace: shop}, stringData: {PW: canary-7}}";
    let ran = job(
        FILES,
        &[("eks/a.yaml", &deployment("canary-7")), ("eks/s.yaml", secret), ("ecs/t.json", &task("canary-7"))],
    );
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.out.is_empty() && !ran.err.contains("canary-7"), "{ran:?}");
    for named in [
        "eks/a.yaml:12: `DB_PASSWORD` of Deployment shop/orders",
        "eks/a.yaml:12: the password in a URL in `DB_URL` of Deployment shop/orders",
        "eks/s.yaml:1: `PW` of Secret shop/db",
        "ecs/t.json:1: `API_KEY` of task definition orders",
        "in a URL mask the password alone",
    ] {
        assert!(ran.err.contains(named), "{named}: {ran:?}");
    }
}

#[test]
fn a_job_carries_files_whose_secrets_are_masked_as_they_are() {
    let secret = "{kind: Secret, apiVersion: v1, metadata: {name: db, namespace: shop}, stringData: {PW: ''}}\n";
    let (masked, task) = (deployment("***"), task("***"));
    let ran = job(FILES, &[("eks/a.yaml", &masked), ("eks/s.yaml", secret), ("ecs/t.json", &task)]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&ran.out).unwrap();
    let data = documents[0]["data"].as_object().unwrap();
    for text in [masked.as_str(), secret, task.as_str()] {
        assert!(data.values().any(|one| one == text), "{text} is not in {data:#?}");
    }
}

#[test]
fn a_job_is_refused_where_a_header_of_the_configuration_lets_somebody_in() {
    let target = "load: {targets: [{name: a, url: 'https://a.test', rate: 5, slo: {p50Ms: 5}, served: {header: h, eks: e, ecs: \
                  c}, requests: [{path: /, headers: {authorization: Bearer canary-7}}]}]}\n";
    let ran = job(target, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.out.is_empty() && !ran.err.contains("canary-7"), "{ran:?}");
    assert!(
        ran.err.contains("preflight.yaml:2:") && ran.err.contains("the header authorization is written down"),
        "{ran:?}"
    );
}
