//! What the API server's audit log has of a user, held against the rules of Roles.

use serde_json::Value;
use std::path::Path;

/// One request about an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With its subresource.
    pub(crate) resource: String,
    /// Empty for what belongs to no namespace, and for all of them together.
    pub(crate) namespace: String,
    /// Empty for a list, and for something new.
    pub(crate) name: String,
}

/// Every entry of a user in the log, in order.
pub(crate) fn entries(log: &Path, user: &str) -> Vec<Value> {
    let log = std::fs::read_to_string(log).unwrap();
    // The server may be in the middle of the last line.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["user"]["username"] == user).collect()
}

/// The request of an entry; nothing if it asks about no object, such as the server's version.
pub(crate) fn asked(entry: &Value) -> Option<Asked> {
    let object = entry.get("objectRef")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let subresource = text(&object["subresource"]);
    let slash = if subresource.is_empty() { "" } else { "/" };
    Some(Asked {
        verb: text(&entry["verb"]),
        group: text(&object["apiGroup"]),
        resource: text(&object["resource"]) + slash + &subresource,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
    })
}

impl Asked {
    /// Anybody may ask what he may do.
    pub(crate) fn is_review(&self) -> bool {
        self.verb == "create"
            && (self.group.as_str(), self.resource.as_str()) == ("authorization.k8s.io", "selfsubjectaccessreviews")
    }

    pub(crate) fn is_written(&self) -> bool {
        !["get", "list", "watch"].contains(&self.verb.as_str())
    }

    /// Whether one of these Roles and ClusterRoles allows it, each where its own binding to an account is.
    pub(crate) fn is_granted(&self, documents: &[Value], (namespace, account): (&str, &str)) -> bool {
        let roles = documents.iter().filter(|one| matches!(one["kind"].as_str(), Some("Role" | "ClusterRole")));
        roles.filter(|role| is_bound(role, documents, (namespace, account))).any(|role| {
            let is_here = role["kind"] == "ClusterRole" || role["metadata"]["namespace"] == self.namespace.as_str();
            is_here && role["rules"].as_array().unwrap().iter().any(|rule| self.is_within(rule))
        })
    }

    fn is_within(&self, rule: &Value) -> bool {
        let has = |field: &str, wanted: &str| rule[field].as_array().unwrap().iter().any(|one| one == wanted);
        has("verbs", &self.verb)
            && has("apiGroups", &self.group)
            && has("resources", &self.resource)
            && (rule["resourceNames"].is_null() || has("resourceNames", &self.name))
    }
}

/// Whether a binding of a Role's own kind, and for a Role in its own namespace, names it and the account.
fn is_bound(role: &Value, documents: &[Value], (namespace, account): (&str, &str)) -> bool {
    let binding = format!("{}Binding", role["kind"].as_str().unwrap());
    documents.iter().any(|one| {
        let names_account = |subject: &Value| {
            subject["kind"] == "ServiceAccount" && subject["name"] == account && subject["namespace"] == namespace
        };
        one["kind"] == binding.as_str()
            && one["metadata"]["namespace"] == role["metadata"]["namespace"]
            && one["roleRef"]["kind"] == role["kind"]
            && one["roleRef"]["name"] == role["metadata"]["name"]
            && one["subjects"].as_array().unwrap().iter().any(names_account)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ACCOUNT: (&str, &str) = ("ops", "preflight");

    fn documents() -> Vec<Value> {
        let role = |kind: &str, namespace: Option<&str>, rules: Value| {
            let metadata = json!({"name": "preflight", "namespace": namespace});
            let subjects = json!([{"kind": "ServiceAccount", "name": "preflight", "namespace": "ops"}]);
            let role_ref = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "preflight"});
            [
                json!({"kind": kind, "metadata": metadata, "rules": rules}),
                json!({"kind": format!("{kind}Binding"), "metadata": metadata, "roleRef": role_ref, "subjects": subjects}),
            ]
        };
        let named = json!([
            {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["a"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["a"], "verbs": ["create"]},
        ]);
        let nodes = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]);
        [role("Role", Some("shop"), named), role("ClusterRole", None, nodes)].concat()
    }

    fn request(verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> Asked {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let object = json!({"apiGroup": group, "resource": resource, "subresource": subresource, "namespace": namespace, "name": name});
        asked(&json!({"verb": verb, "objectRef": object})).unwrap()
    }

    #[test]
    fn what_a_rule_names_is_granted() {
        for (verb, group, resource, namespace, name) in [
            ("get", "apps", "deployments", "shop", "a"),
            ("list", "", "pods", "shop", ""),
            ("create", "", "serviceaccounts/token", "shop", "a"),
            ("list", "", "nodes", "", ""),
        ] {
            let one = request(verb, group, resource, namespace, name);
            assert!(one.is_granted(&documents(), ACCOUNT), "{one:?}");
        }
    }

    #[test]
    fn what_differs_from_its_rule_in_one_thing_alone_is_not() {
        for (verb, group, resource, namespace, name) in [
            ("list", "apps", "deployments", "shop", "a"),
            ("get", "", "deployments", "shop", "a"),
            ("get", "apps", "deployments/scale", "shop", "a"),
            ("get", "apps", "replicasets", "shop", "a"),
            ("get", "apps", "deployments", "billing", "a"),
            ("get", "apps", "deployments", "shop", "b"),
            ("get", "apps", "deployments", "shop", ""),
            ("list", "", "pods", "", ""),
            ("create", "", "serviceaccounts", "shop", "a"),
        ] {
            let one = request(verb, group, resource, namespace, name);
            assert!(!one.is_granted(&documents(), ACCOUNT), "{one:?}");
        }
    }

    #[test]
    fn a_role_that_is_bound_to_somebody_else_or_elsewhere_grants_nothing() {
        let one = request("list", "", "pods", "shop", "");
        assert!(
            !one.is_granted(&documents(), ("other", "preflight")) && !one.is_granted(&documents(), ("ops", "other"))
        );
        let mut elsewhere = documents();
        elsewhere[1]["metadata"]["namespace"] = json!("billing");
        assert!(!one.is_granted(&elsewhere, ACCOUNT));
    }

    #[test]
    fn anybody_may_ask_what_he_may_and_nothing_else() {
        let review = |verb, group| request(verb, group, "selfsubjectaccessreviews", "", "");
        assert!(review("create", "authorization.k8s.io").is_review());
        assert!(!review("get", "authorization.k8s.io").is_review() && !review("create", "").is_review());
    }

    #[test]
    fn a_request_that_names_no_object_is_none_of_a_rule() {
        assert_eq!(asked(&json!({"verb": "get", "requestURI": "/version"})), None);
    }
}
