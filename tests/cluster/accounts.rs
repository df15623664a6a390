//! `irsa.service-account-annotated` reads the ServiceAccount from the cluster's API.

use crate::live::{Place, audit, live};
use crate::tool::World;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde_json::{Value, json};
use std::path::Path;

const ROLE: &str = "arn:aws:iam::111122223333:role/orders";

const CONFIG: &str = r#"
environment: test
aws: {accountId: "111122223333", region: eu-west-1}
cluster: {name: shop, kubeconfig: kubeconfig}
manifests: [orders.yaml]
workloads:
  - {name: orders, role: "arn:aws:iam::111122223333:role/orders"}
"#;

/// A Deployment whose pods name the ServiceAccount `orders`, which the manifests do not hold.
fn with_orders(place: &Place, world: World) -> World {
    let pod = json!({"serviceAccountName": "orders", "containers": [{"name": "app", "image": "orders:1"}]});
    let spec = json!({"selector": {"matchLabels": {"app": "orders"}}, "template": {
        "metadata": {"labels": {"app": "orders"}}, "spec": pod}});
    let metadata = json!({"name": "orders", "namespace": place.namespace});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec});
    world.write("orders.yaml", &deployment.to_string());
    world
}

const CHECK: &str = "irsa.service-account-annotated";

/// Runs the one check; gives the exit code and the check's result. The others, left out, keep the verdict from `go`.
#[track_caller]
fn run(world: &World) -> (i32, Value) {
    let ran = world.tool(&["run", "--to", "deployed", "--only", CHECK]);
    let report = world.report();
    let mut results = report["results"].as_array().unwrap().iter();
    let result = results.find(|one| one["check"] == CHECK && one["subject"] == "orders");
    (ran.code, result.unwrap_or_else(|| panic!("no result: {ran:?}")).clone())
}

/// Lets the ServiceAccount `preflight` do what the check says that it needs.
async fn allow(place: &Place) {
    let rules = json!([{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"]}]);
    place.create::<Role>(json!({"metadata": {"name": "preflight"}, "rules": rules})).await;
    let subjects = json!([{"kind": "ServiceAccount", "name": "preflight", "namespace": place.namespace}]);
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "preflight"});
    let binding = json!({"metadata": {"name": "preflight"}, "subjects": subjects, "roleRef": role});
    place.create::<RoleBinding>(binding).await;
}

#[test]
fn an_account_with_the_expected_role_passes() {
    live(|place| async move {
        place.account("orders", Some(ROLE)).await;
        let (code, result) = run(&with_orders(&place, place.world(CONFIG)));
        assert_eq!((code, &result["outcome"]), (11, &json!("pass")), "{result:#}");
        let reference = result["evidence"][0]["ref"].as_str().unwrap();
        assert!(reference.starts_with(&format!("{}/ServiceAccount/orders@", place.namespace)), "{reference}");
    });
}

#[test]
fn an_account_that_the_cluster_lacks_fails() {
    live(|place| async move {
        let (code, result) = run(&with_orders(&place, place.world(CONFIG)));
        assert_eq!((code, &result["outcome"]), (10, &json!("fail")), "{result:#}");
        assert!(result["observed"].as_str().unwrap().contains("does not exist"), "{result:#}");
    });
}

#[test]
fn an_account_without_a_role_or_with_another_one_fails() {
    live(|place| async move {
        place.account("orders", None).await;
        let world = with_orders(&place, place.world(CONFIG));
        let (code, result) = run(&world);
        assert_eq!((code, &result["outcome"]), (10, &json!("fail")), "{result:#}");
        assert!(result["observed"].as_str().unwrap().contains("names no role"), "{result:#}");
        let other = json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": format!("{ROLE}-old")}}});
        let accounts = place.api::<k8s_openapi::api::core::v1::ServiceAccount>();
        accounts.patch("orders", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(other)).await.unwrap();
        let (code, result) = run(&world);
        assert_eq!((code, &result["outcome"]), (10, &json!("fail")), "{result:#}");
        assert!(result["observed"].as_str().unwrap().contains("another role than expected"), "{result:#}");
    });
}

#[test]
fn an_account_that_may_not_be_read_leaves_the_question_open() {
    live(|place| async move {
        place.account("orders", Some(ROLE)).await;
        place.account("preflight", None).await;
        let (code, result) = run(&with_orders(&place, place.world_as("preflight", CONFIG).await));
        assert_eq!((&result["outcome"], &result["reason"]), (&json!("unknown"), &json!("forbidden")), "{result:#}");
        assert_eq!(code, 20, "the only target authorised nothing: {result:#}");
        let observed = result["observed"].as_str().unwrap();
        let right = "get serviceaccounts orders in the namespace";
        assert!(observed.contains(right), "the missing right is not named: {observed}");
    });
}

#[test]
fn the_declared_right_is_enough_and_nothing_else_is_asked() {
    live(|place| async move {
        place.account("orders", Some(ROLE)).await;
        place.account("preflight", None).await;
        allow(&place).await;
        let (code, result) = run(&with_orders(&place, place.world_as("preflight", CONFIG).await));
        assert_eq!((code, &result["outcome"]), (11, &json!("pass")), "{result:#}");
        let Some(log) = audit() else { return };
        let get = format!("get /api/v1/namespaces/{}/serviceaccounts/orders", place.namespace);
        // Whether it has the right, which everybody may ask, and then what needs it.
        let review = "create /apis/authorization.k8s.io/v1/selfsubjectaccessreviews?".to_owned();
        assert_eq!(asked(&log, &format!("system:serviceaccount:{}:preflight", place.namespace)), [review, get]);
    });
}

/// What a user asked the API server, as `verb URI`.
fn asked(log: &Path, user: &str) -> Vec<String> {
    let log = std::fs::read_to_string(log).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own = lines.filter(|line| line["user"]["username"] == user);
    own.map(|line| format!("{} {}", line["verb"].as_str().unwrap(), line["requestURI"].as_str().unwrap())).collect()
}
