//! By which labels a workload knows its pods.

use super::manifests;
use preflight_cluster::{Selector, SelectorExt};
use std::collections::BTreeMap;

/// The selector of the one workload of this kind, with this spec beside its template.
fn selector(version: &str, kind: &str, spec: &str) -> Option<Selector> {
    let template = "{metadata: {labels: {app: a}}, spec: {containers: [{name: app, image: i}]}}";
    let text = format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{template: {template}, selector: {spec}}}\n"
    );
    let inventory = manifests(&text).unwrap();
    inventory.workloads[0].eks.as_ref().unwrap().selector.clone()
}

fn labels(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn labels_and_expressions_select_as_they_do_in_kubernetes() {
    let expressions = "[{key: tier, operator: In, values: [web, api]}, {key: track, operator: NotIn, values: [canary]}, \
                       {key: release, operator: Exists}, {key: legacy, operator: DoesNotExist}]";
    let spec = format!("{{matchLabels: {{app: a}}, matchExpressions: {expressions}}}");
    let selector = selector("apps/v1", "Deployment", &spec).unwrap();
    let right = [("app", "a"), ("tier", "api"), ("release", "1")];
    assert!(selector.matches(&labels(&right)));
    for wrong in [("app", "b"), ("tier", "db"), ("track", "canary"), ("legacy", "")] {
        let mut other = labels(&right);
        other.insert(wrong.0.to_owned(), wrong.1.to_owned());
        assert!(!selector.matches(&other), "{wrong:?}");
    }
    assert!(!selector.matches(&labels(&right[..2])));
}

#[test]
fn the_selector_of_a_replica_set_holds_for_every_version_of_its_deployment() {
    let selector = selector("apps/v1", "ReplicaSet", "{matchLabels: {app: a, pod-template-hash: 7d4}}").unwrap();
    assert!(selector.matches(&labels(&[("app", "a"), ("pod-template-hash", "9f1")])));
}

#[test]
fn one_that_selects_everything_is_none_and_one_that_kubernetes_refuses_is_an_error() {
    assert_eq!(selector("apps/v1", "StatefulSet", "{}"), None);
    assert_eq!(selector("example.com/v1", "Widget", "{matchExpressions: wrong}"), None);
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {selector: {matchExpressions: [{key: a, \
                operator: Near}]}, template: {spec: {containers: [{name: app, image: i}]}}}\n";
    assert!(manifests(text).unwrap_err().to_string().contains("`DoesNotExist`"));
}
