//! The ServiceAccount of the Job, and Roles with the rights that the planned items name and no others.

use super::Basis;
use preflight_core::{Permission, Right};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The names that a right is limited to; nothing if it holds for every object.
type Limit = Option<BTreeSet<String>>;

/// ServiceAccount, result ConfigMap, Roles and RoleBindings.
pub(super) fn documents(basis: &Basis<'_>) -> Vec<Value> {
    let names = &basis.names;
    let mut metadata = names.metadata(&names.name, &names.namespace);
    if let Some(role) = &names.role {
        metadata["annotations"] = json!({ "eks.amazonaws.com/role-arn": role });
    }
    let mut documents = vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": false }),
        // Made beforehand: the right to create one could not be limited to its name.
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": names.metadata(&names.result(), &names.namespace) }),
    ];
    let rule = json!({
        "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [names.result()], "verbs": ["patch"],
    });
    documents.extend(granted(basis, &names.result(), Some(&names.namespace), vec![rule]));
    for (namespace, rules) in rules(&basis.planned.rights()) {
        let name = names.role_in(namespace.as_deref());
        documents.extend(granted(basis, &name, namespace.as_deref(), rules));
    }
    documents
}

/// A role with these rules, bound to the Job's ServiceAccount.
fn granted(basis: &Basis<'_>, name: &str, namespace: Option<&str>, rules: Vec<Value>) -> [Value; 2] {
    let names = &basis.names;
    let (kind, metadata) = match namespace {
        Some(namespace) => ("Role", names.metadata(name, namespace)),
        None => ("ClusterRole", json!({ "name": name, "labels": names.labels() })),
    };
    let api = "rbac.authorization.k8s.io";
    let version = format!("{api}/v1");
    [
        json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules }),
        json!({
            "apiVersion": version,
            "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": { "apiGroup": api, "kind": kind, "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": names.name, "namespace": names.namespace }],
        }),
    ]
}

/// The rules of each namespace; those of no namespace are for the whole cluster.
pub(super) fn rules(rights: &BTreeSet<&Right>) -> BTreeMap<Option<String>, Vec<Value>> {
    let mut limits: BTreeMap<(Option<String>, &str, &str, &str), Limit> = BTreeMap::new();
    for right in rights {
        let Permission::Kubernetes { verb, group, resource } = right.permission else { continue };
        let name = right.name.clone().filter(|_| takes_names(verb, resource));
        let limit = limits.entry((right.namespace.clone(), group, resource, verb)).or_insert(Some(BTreeSet::new()));
        match (limit.as_mut(), name) {
            (Some(names), Some(name)) => drop(names.insert(name)),
            _ => *limit = None,
        }
    }
    let mut verbs: BTreeMap<(Option<String>, &str, &str, Limit), Vec<&str>> = BTreeMap::new();
    for ((namespace, group, resource, verb), limit) in limits {
        verbs.entry((namespace, group, resource, limit)).or_default().push(verb);
    }
    let mut rules: BTreeMap<Option<String>, Vec<Value>> = BTreeMap::new();
    for ((namespace, group, resource, limit), verbs) in verbs {
        let mut rule = json!({ "apiGroups": [group], "resources": [resource] });
        if let Some(names) = limit {
            rule["resourceNames"] = json!(names);
        }
        rule["verbs"] = json!(verbs);
        rules.entry(namespace).or_default().push(rule);
    }
    rules
}

/// Whether a request with this verb carries the name of its object. That of a list does not, and neither does that of
/// something new, unless it is made below something that is there.
fn takes_names(verb: &str, resource: &str) -> bool {
    match verb {
        "create" => resource.contains('/'),
        "list" | "watch" | "deletecollection" => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_of(rights: &[Right]) -> Value {
        let rules = rules(&rights.iter().collect());
        rules.into_iter().map(|(namespace, rules)| json!([namespace, rules])).collect()
    }

    #[test]
    fn a_right_is_limited_to_the_names_of_the_plan_where_its_verb_carries_one() {
        let on = |verb, name: &str| Right::kubernetes(verb, "", "pods", "shop", name);
        let new = Right::kubernetes("create", "", "serviceaccounts/token", "shop", "a");
        let seen = rules_of(&[on("get", "a"), on("get", "b"), on("list", "a"), on("create", "a"), new]);
        assert_eq!(
            seen,
            json!([["shop", [
                { "apiGroups": [""], "resources": ["pods"], "verbs": ["create", "list"] },
                { "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a", "b"], "verbs": ["get"] },
                { "apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["a"], "verbs": ["create"] },
            ]]])
        );
    }

    #[test]
    fn one_right_without_a_name_lifts_the_limit_of_its_verb_alone() {
        let named = Right::kubernetes("get", "apps", "deployments", "shop", "a");
        let patch = Right::kubernetes("patch", "apps", "deployments", "shop", "a");
        let seen = rules_of(&[named.clone(), Right { name: None, ..named.clone() }, patch]);
        assert_eq!(seen[0][1][0], json!({ "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"] }));
        assert_eq!(seen[0][1][1]["resourceNames"], json!(["a"]));
    }

    #[test]
    fn what_belongs_to_no_namespace_is_apart() {
        let permission = Permission::Kubernetes { verb: "list", group: "", resource: "nodes" };
        let nodes = Right { permission, namespace: None, name: None };
        let seen = rules_of(&[nodes, Right::kubernetes("get", "", "pods", "shop", "a")]);
        assert_eq!((&seen[0][0], &seen[1][0]), (&Value::Null, &json!("shop")));
    }
}
