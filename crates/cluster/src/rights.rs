//! Rights on the cluster's API, in words.

use preflight_core::{Permission, Right};

/// `get serviceaccounts orders in the namespace shop`. Nothing of a right on AWS.
#[must_use]
pub fn named(right: &Right) -> String {
    parts(right).map_or_else(String::new, |(verb, object, place)| format!("{verb} {object} {place}"))
}

/// That the cluster does not grant these rights, those of one verb and place together.
#[must_use]
pub fn not_granted<'a>(rights: impl IntoIterator<Item = &'a Right>) -> String {
    let mut all: Vec<(&str, String, Vec<String>)> = vec![];
    for (verb, object, place) in rights.into_iter().filter_map(parts) {
        match all.iter_mut().find(|one| (one.0, &one.1) == (verb, &place)) {
            Some((.., objects)) => objects.push(object),
            None => all.push((verb, place, vec![object])),
        }
    }
    let text = |(verb, place, objects): &(&str, String, Vec<String>)| format!("{verb} {} {place}", objects.join(", "));
    let texts: Vec<String> = all.iter().map(text).collect();
    format!("the cluster does not allow this tool to {}", texts.join(", nor to "))
}

/// Its verb, its object and its place.
fn parts(right: &Right) -> Option<(&'static str, String, String)> {
    let Permission::Kubernetes { verb, group, resource } = right.permission else { return None };
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    let name = right.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let place =
        right.namespace.as_ref().map_or("in the whole cluster".to_owned(), |name| format!("in the namespace {name}"));
    Some((verb, format!("{resource}{group}{name}"), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_named_with_verb_resource_and_place() {
        let right = Right::kubernetes("create", "", "serviceaccounts/token", "shop", "orders");
        assert_eq!(named(&right), "create serviceaccounts/token orders in the namespace shop");
        let permission = Permission::Kubernetes { verb: "list", group: "metrics.k8s.io", resource: "nodes" };
        let right = Right { permission, namespace: None, name: None };
        assert_eq!(named(&right), "list nodes.metrics.k8s.io in the whole cluster");
    }

    #[test]
    fn rights_of_one_verb_and_place_are_named_together() {
        let list = |group, resource, namespace: &str| Right {
            permission: Permission::Kubernetes { verb: "list", group, resource },
            namespace: Some(namespace.to_owned()),
            name: None,
        };
        let get = Right::kubernetes("get", "", "configmaps", "shop", "common");
        let rights = [list("apps", "deployments", "shop"), get, list("", "pods", "shop"), list("", "pods", "billing")];
        assert_eq!(
            not_granted(&rights),
            "the cluster does not allow this tool to list deployments.apps, pods in the namespace shop, nor to get \
             configmaps common in the namespace shop, nor to list pods in the namespace billing"
        );
    }
}
