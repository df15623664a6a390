//! What leads to pods and what protects them, asked of a cluster's API: whole, or the reason why not.

use super::Folder;
use preflight_cluster::{BudgetCounts, Client, ClusterAccess, EndpointTarget, budgets, connect, endpoints, pods};
use preflight_core::Reason;
use preflight_fixtures::aws::{AccessRule, ApiUser, Cluster, Config, IdentityDouble};
use serde_json::{Value, json};
use std::time::Duration;

const BEARER: &str = "bearer-canary";
const LIMIT: Duration = Duration::from_secs(5);

/// A cluster's API with objects in it, of which somebody may do all but this.
async fn api(objects: Vec<Value>, denied: Option<AccessRule>) -> (IdentityDouble, Client, Folder) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let user = denied.into_iter().fold(ApiUser::new("preflight", BEARER), ApiUser::deny);
    let cluster = Cluster::new("lab", "111122223333", "eu-west-1").user(user);
    let cluster = objects.into_iter().fold(cluster, Cluster::object);
    let double = IdentityDouble::start(Config::new("eu-west-1").cluster(cluster)).await.unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\nclusters: [{{name: lab, cluster: {{server: '{}'}}}}]\n\
         users: [{{name: me, user: {{token: {BEARER}}}}}]\ncontexts: [{{name: lab, context: {{cluster: lab, user: me}}}}]\n",
        double.urls().kubernetes
    );
    let folder = Folder::new(&[("kubeconfig", &kubeconfig)]);
    let access = ClusterAccess { kubeconfig: Some(folder.path("kubeconfig")), ..ClusterAccess::default() };
    let client = connect(&access).await.unwrap();
    (double, client, folder)
}

fn slice(number: usize) -> Value {
    let metadata = json!({"namespace": "shop", "name": format!("orders-{number}"),
        "labels": {"kubernetes.io/service-name": "orders"}});
    let endpoint = json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "uid": format!("u{number}")}});
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4",
        "endpoints": [endpoint]})
}

#[tokio::test]
async fn the_endpoints_of_every_page_are_read_and_those_of_other_namespaces_are_not() {
    let mut objects: Vec<Value> = (0..501).map(slice).collect();
    objects.push(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "blue", "name": "x", "labels": {"kubernetes.io/service-name": "x"}},
        "endpoints": [{"addresses": ["10.0.0.9"]}]}));
    let (_double, client, _folder) = api(objects, None).await;
    let found = endpoints(&client, "shop", LIMIT).await.unwrap();
    assert_eq!(found.len(), 501);
    assert_eq!(found[500].target, EndpointTarget::Uid("u500".to_owned()));
    assert!(found.iter().all(|one| one.is_ready && one.service == "shop/orders"));
}

#[tokio::test]
async fn budgets_are_read_with_their_counts() {
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"namespace": "shop", "name": "orders"}, "spec": {"selector": {"matchLabels": {"app": "orders"}}},
        "status": {"currentHealthy": 3, "desiredHealthy": 2, "disruptionsAllowed": 1, "expectedPods": 3}});
    let (_double, client, _folder) = api(vec![budget], None).await;
    let found = budgets(&client, "shop", LIMIT).await.unwrap();
    assert_eq!(found[0].counts, Some(BudgetCounts { healthy: 3, desired: 2, allowed: 1 }));
    assert!(found[0].covers("shop", &[("app".to_owned(), "orders".to_owned())].into()));
}

#[tokio::test]
async fn what_is_refused_is_named_and_what_is_not_there_is_empty() {
    let all = AccessRule::new("list", "*", "*");
    let (_double, client, _folder) = api(vec![], Some(all)).await;
    let refused = [
        (endpoints(&client, "shop", LIMIT).await.unwrap_err(), "listing the EndpointSlices of the namespace shop"),
        (budgets(&client, "shop", LIMIT).await.unwrap_err(), "listing the PodDisruptionBudgets of the namespace shop"),
        (pods(&client, "shop", LIMIT).await.unwrap_err(), "listing the pods of the namespace shop"),
    ];
    for (why, text) in refused {
        assert!(why.reason == Reason::Forbidden && why.detail.starts_with(text), "{why}");
    }
    let (_double, client, _folder) = api(vec![], None).await;
    assert_eq!(endpoints(&client, "shop", LIMIT).await, Ok(vec![]));
    assert_eq!(budgets(&client, "shop", LIMIT).await, Ok(vec![]));
}

#[tokio::test]
async fn more_slices_than_can_be_read_are_no_answer() {
    let (_double, client, _folder) = api((0..5_001).map(slice).collect(), None).await;
    let why = endpoints(&client, "shop", LIMIT).await.unwrap_err();
    assert!(why.reason == Reason::InsufficientData && why.detail.ends_with("there are more than 5000"), "{why}");
}
