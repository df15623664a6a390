//! Every generated right on what the EKS side is read from, taken away once.

use crate::inventory::{KINDS, apply, deployed, from_cluster};
use crate::live::{Place, live, wait};
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

/// One rule less in a generated Role, and the whole of it.
struct Without {
    whole: Value,
    left: Value,
    /// What the rule grants, as the tool names it.
    named: String,
}

/// Each rule of the generated Roles, except that for the result, taken out of its Role.
fn each_without_one(documents: &[Value]) -> Vec<Without> {
    let roles = documents.iter().filter(|one| ["Role", "ClusterRole"].contains(&one["kind"].as_str().unwrap()));
    let mut all = vec![];
    for whole in roles.filter(|one| !one["metadata"]["name"].as_str().unwrap().ends_with("-result")) {
        for index in 0..whole["rules"].as_array().unwrap().len() {
            let mut left = whole.clone();
            let rule = left["rules"].as_array_mut().unwrap().remove(index);
            let text = |field: &str| rule[field][0].as_str().unwrap_or_default().to_owned();
            let group = if text("apiGroups").is_empty() { String::new() } else { format!(".{}", text("apiGroups")) };
            let named = format!("{} {}{group} {}", text("verbs"), text("resources"), text("resourceNames"));
            all.push(Without { whole: whole.clone(), left, named: named.trim_end().to_owned() });
        }
    }
    all
}

async fn put(place: &Place, role: &Value) {
    let (name, params) = (role["metadata"]["name"].as_str().unwrap(), PostParams::default());
    if role["kind"] == "Role" {
        let role: Role = serde_json::from_value(role.clone()).unwrap();
        place.api().replace(name, &params, &role).await.unwrap();
    } else {
        let roles: Api<ClusterRole> = Api::all(place.client.clone());
        let mut role: ClusterRole = serde_json::from_value(role.clone()).unwrap();
        // Or it would not go with the test's namespace.
        role.metadata.owner_references = roles.get(name).await.unwrap().metadata.owner_references;
        roles.replace(name, &params, &role).await.unwrap();
    }
}

#[test]
fn each_right_that_reading_lacks_is_named_and_the_verdict_is_open() {
    live(|place| async move {
        let _together = KINDS.read().await;
        deployed(&place).await;
        let (name, only) = (place.namespace.as_str(), "--only=irsa.service-account-annotated");
        let own = ["--namespace", name, "--name", name, "--output", "json"];
        let ran = place
            .world(&from_cluster(&place))
            .tool(&[&["manifest", "rbac", "--to", "traffic-1", only], own.as_slice()].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        let documents = ran.json()["items"].as_array().unwrap().clone();
        apply(&place, documents.clone()).await;
        let world = place.world_as(name, &from_cluster(&place)).await;
        let all = each_without_one(&documents);
        assert!(all.len() > 10, "{documents:#?}");
        for Without { whole, left, named } in all {
            put(&place, &left).await;
            // The API server hears of a changed Role a moment later.
            let (ran, report) = wait("the right's being gone", || async {
                let ran = world.tool(&["run", "--to", "traffic-1", only]);
                let report = world.report();
                let is_forbidden = |one: &Value| one["reason"] == "forbidden";
                report["results"].as_array().unwrap().iter().any(is_forbidden).then_some((ran, report))
            })
            .await;
            assert_eq!((ran.code, &report["summary"]["verdict"]), (11, &json!("inconclusive")), "{named}: {ran:?}");
            let forbidden = report["results"].as_array().unwrap().iter().find(|one| one["reason"] == "forbidden");
            let observed = forbidden.unwrap()["observed"].as_str().unwrap();
            assert!(observed.contains(&format!("does not allow this tool to {named}")), "{named}: {observed}");
            assert!(!observed.contains("nor to"), "one right alone is missing, {named}: {observed}");
            put(&place, &whole).await;
            wait("the right's being there", || async {
                world.tool(&["run", "--to", "traffic-1", only]);
                let report = world.report();
                let is_forbidden = |one: &Value| one["reason"] == "forbidden";
                (!report["results"].as_array().unwrap().iter().any(is_forbidden)).then_some(())
            })
            .await;
        }
    });
}
