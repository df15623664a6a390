//! What `manifest` prints is what a real API server takes, and enough, and not more.

use crate::live::{Place, live};
use crate::tool::World;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::111122223333:role/orders";

const CONFIG: &str = r#"
environment: test
aws: {accountId: "111122223333", region: eu-west-1}
cluster: {name: shop, kubeconfig: kubeconfig, inCluster: true}
manifests: [orders.yaml]
workloads:
  - {name: orders, role: "arn:aws:iam::111122223333:role/orders"}
"#;

const CHOICE: [&str; 3] = ["--to=deployed", "--only=irsa.service-account-annotated", "--name=preflight"];

/// A Deployment whose ServiceAccount is in the cluster alone.
fn with_orders(place: &Place, world: World) -> World {
    let pod = json!({"serviceAccountName": "orders", "containers": [{"name": "app", "image": "orders:1"}]});
    let template = json!({"metadata": {"labels": {"app": "orders"}}, "spec": pod});
    let spec = json!({"selector": {"matchLabels": {"app": "orders"}}, "template": template});
    let metadata = json!({"name": "orders", "namespace": place.namespace});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec});
    world.write("orders.yaml", &deployment.to_string());
    world
}

fn manifest(place: &Place, of: &str) -> Vec<Value> {
    let world = with_orders(place, place.world(CONFIG));
    let namespace = ["--namespace", &place.namespace, "--output", "json"];
    let ran = world.tool(&[&["manifest", of], CHOICE.as_slice(), &namespace].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()["items"].as_array().unwrap().clone()
}

async fn apply_rbac(place: &Place) {
    for document in manifest(place, "rbac") {
        match document["kind"].as_str().unwrap() {
            "ServiceAccount" => drop(place.create::<ServiceAccount>(document).await),
            "ConfigMap" => drop(place.create::<ConfigMap>(document).await),
            "Role" => drop(place.create::<Role>(document).await),
            "RoleBinding" => drop(place.create::<RoleBinding>(document).await),
            other => panic!("a {other}, which is no part of it"),
        }
    }
}

#[test]
fn the_generated_rights_are_enough_for_the_checks_and_the_result_and_for_no_other_config_map() {
    live(|place| async move {
        place.account("orders", Some(ROLE)).await;
        place.create::<ConfigMap>(json!({"metadata": {"name": "other"}})).await;
        apply_rbac(&place).await;
        let world = with_orders(&place, place.world_as("preflight", CONFIG).await);
        let run = |route: &str| {
            let map = format!("--deliver=configmap={}/{route}", place.namespace);
            world.tool(&["run", CHOICE[0], CHOICE[1], &map])
        };
        let ran = run("preflight-result");
        let passed = |one: &Value| one["check"] == "irsa.service-account-annotated" && one["outcome"] == "pass";
        assert!(ran.code != 22 && world.report()["results"].as_array().unwrap().iter().any(passed), "{ran:?}");
        let refused = run("other");
        assert!(refused.code == 22 && refused.err.contains("403"), "{refused:?}");

        assert_eq!(run("preflight-result").code, ran.code);
        let admin = place.world(CONFIG);
        let fetch = ["report", "fetch", "configmap/preflight-result", "--kubeconfig", "kubeconfig"];
        let got = admin.tool(&[fetch.as_slice(), &["--namespace", &place.namespace]].concat());
        assert_eq!((got.code, admin.report()), (0, world.report()), "{got:?}");
    });
}

#[test]
fn without_its_role_the_check_is_forbidden_by_name() {
    live(|place| async move {
        place.account("orders", Some(ROLE)).await;
        place.account("preflight", None).await;
        let world = with_orders(&place, place.world_as("preflight", CONFIG).await);
        let ran = world.tool(&["run", CHOICE[0], CHOICE[1]]);
        let report = world.report();
        let found =
            report["results"].as_array().unwrap().iter().find(|one| one["check"] == "irsa.service-account-annotated");
        let result = found.unwrap();
        assert_eq!((&result["outcome"], &result["reason"]), (&json!("unknown"), &json!("forbidden")), "{ran:?}");
        let named = format!("get serviceaccounts orders in the namespace {}", place.namespace);
        assert!(result["observed"].as_str().unwrap().contains(&named), "{result:#}");
    });
}

#[test]
fn the_job_and_its_pod_are_admitted_under_restricted_pod_security() {
    live(|place| async move {
        let namespaces: Api<Namespace> = Api::all(place.client.clone());
        let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        namespaces.patch(&place.namespace, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
        apply_rbac(&place).await;
        let documents = manifest(&place, "job");
        let job = documents.iter().find(|one| one["kind"] == "Job").unwrap();
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let made = place.api::<Job>().create(&dry, &serde_json::from_value(job.clone()).unwrap()).await.unwrap();
        assert_eq!(made.spec.unwrap().pod_failure_policy.unwrap().rules.len(), 2);
        // A Job is not refused for its pods, so one of them is asked for.
        let mut pod = json!({"metadata": {"name": "pod"}, "spec": job["spec"]["template"]["spec"]});
        place.api::<Pod>().create(&dry, &serde_json::from_value(pod.clone()).unwrap()).await.unwrap();
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        let refused = place.api::<Pod>().create(&dry, &serde_json::from_value(pod).unwrap()).await;
        assert!(refused.unwrap_err().to_string().contains("restricted"), "or nothing was enforced");
    });
}
