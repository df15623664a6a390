//! Which workloads become one.

use super::{Folder, named};
use preflight_cluster::{Inventory, InventoryError, Pair, load};

fn deployment(namespace: &str, kind: &str, name: &str) -> String {
    let containers = "spec: {template: {spec: {containers: [{name: c, image: i}]}}}";
    format!(
        "---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n{containers}\n"
    )
}

fn service(cluster: &str, name: &str, definition: &str) -> String {
    format!(
        r#"{{"serviceName": "{name}", "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/{cluster}", "desiredCount": 1,
            "taskDefinition": "{definition}"}}"#
    )
}

fn definition(family: &str) -> String {
    format!(r#"{{"family": "{family}", "revision": 1, "containerDefinitions": [{{"name": "c", "image": "i"}}]}}"#)
}

fn load_both(eks: &[String], ecs: &[String], pairs: &[Pair]) -> Result<Inventory, InventoryError> {
    let services = format!("[{}]", ecs.join(","));
    let folder = Folder::new(&[("eks/a.yaml", &eks.concat()), ("ecs/a.json", &services)]);
    load(&[folder.path("eks")], &[folder.path("ecs")], pairs)
}

fn pairs_of(inventory: &Inventory) -> Vec<String> {
    let text = |one: Option<String>| one.unwrap_or_else(|| "-".to_owned());
    let line = |one: &preflight_cluster::Workload| {
        let eks = text(one.eks.as_ref().map(preflight_cluster::EksWorkload::reference));
        format!("{} = {eks} + {}", one.name, text(one.ecs.as_ref().map(|ecs| ecs.service.clone())))
    };
    inventory.workloads.iter().map(line).collect()
}

#[test]
fn one_name_on_both_sides_is_one_workload_by_service_or_by_family() {
    let eks = [deployment("shop", "Deployment", "orders"), deployment("shop", "Deployment", "billing")];
    let ecs = [service("c", "orders", "x:1"), service("c", "billing-svc", "billing:1"), definition("billing")];
    let inventory = load_both(&eks, &ecs, &[]).unwrap();
    assert_eq!(
        pairs_of(&inventory),
        ["billing = shop/Deployment/billing + billing-svc", "orders = shop/Deployment/orders + orders"]
    );
}

#[test]
fn a_name_that_several_have_pairs_nothing_and_is_noted() {
    let eks = [deployment("a", "Deployment", "orders"), deployment("b", "Deployment", "orders")];
    let inventory = load_both(&eks, &[service("c", "orders", "x:1")], &[]).unwrap();
    assert_eq!(
        pairs_of(&inventory),
        ["b/Deployment/orders = b/Deployment/orders + -", "c/orders = - + orders", "orders = a/Deployment/orders + -"]
    );
    assert_eq!(inventory.notes.iter().filter(|note| note.contains("not paired")).count(), 2);
}

#[test]
fn a_configured_pair_comes_first_and_its_missing_side_is_found_by_name() {
    let eks = [deployment("shop", "Deployment", "orders"), deployment("shop", "StatefulSet", "cache")];
    let ecs = [service("c", "orders", "x:1"), service("c", "cache-svc", "y:1")];
    let pairs = [named("one", Some("shop/Deployment/orders"), None), named("two", None, Some("c/cache-svc"))];
    let inventory = load_both(&eks, &ecs, &pairs).unwrap();
    assert_eq!(
        pairs_of(&inventory),
        ["cache = shop/StatefulSet/cache + -", "one = shop/Deployment/orders + orders", "two = - + cache-svc"]
    );
    let inventory = load_both(&eks, &ecs, &[named("orders", None, None)]).unwrap();
    assert!(pairs_of(&inventory).contains(&"orders = shop/Deployment/orders + orders".to_owned()));
}

#[test]
fn a_configured_name_that_is_not_there_is_an_error_that_names_the_nearest() {
    let eks = [deployment("shop", "Deployment", "orders"), deployment("shop", "Deployment", "billing")];
    let ecs = [service("c", "orders", "x:1"), service("c", "invoices", "y:1")];
    let failed = |pair: Pair| load_both(&eks, &ecs, &[pair]).unwrap_err().to_string();
    let text = failed(named("orders", Some("shop/Deployment/order"), None));
    assert_eq!(
        text,
        "workload orders: there is no `shop/Deployment/order` of EKS; the nearest is `shop/Deployment/orders`"
    );
    assert!(failed(named("orders", None, Some("invoice"))).ends_with("the nearest is `invoices`"));
    assert!(failed(named("bilding", None, None)).contains("`shop/Deployment/billing`"));
    for (pair, wrong) in [
        (named("orders", Some("shop/Deployment/order"), None), "eks"),
        (named("orders", None, Some("invoice")), "ecs"),
        (named("bilding", None, None), "name"),
    ] {
        let error = load_both(&eks, &ecs, &[pair]).unwrap_err();
        assert!(matches!(&error, InventoryError::NotFound { key, .. } if *key == wrong), "{wrong}: {error:?}");
    }
}

#[test]
fn what_one_pair_has_no_other_may_have() {
    let eks = [deployment("shop", "Deployment", "orders")];
    let ecs = [service("one", "orders", "x:1"), service("two", "orders", "x:1")];
    let failed = |pairs: &[Pair]| load_both(&eks, &ecs, pairs).unwrap_err();
    let orders = Some("shop/Deployment/orders");
    let twice = [named("a", orders, None), named("b", orders, None)];
    assert!(matches!(failed(&twice), InventoryError::Taken { workload, .. } if workload == "b"));
    let names = [named("a", orders, None), named("a", None, Some("one/orders"))];
    assert!(matches!(failed(&names), InventoryError::Taken { .. }));
    let ambiguous = failed(&[named("a", orders, Some("orders"))]);
    assert_eq!(ambiguous.to_string(), "workload a: `orders` of ECS may be any of one/orders, two/orders");
    assert!(load_both(&eks, &ecs, &[named("a", orders, Some("two/orders"))]).is_ok());
}
