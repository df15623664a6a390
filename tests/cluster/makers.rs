//! Kinds of objects that make pods and that no cluster has by itself.

use crate::inventory::{KINDS, everywhere, from_cluster, object, owner};
use crate::live::{Place, alone, live, wait};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::DeleteParams;
use preflight_cluster::{ClusterAccess, Stray, connect, load, load_live, named};
use serde_json::{Value, json};

const CRON_WORKFLOWS: &str = "cronworkflows.argoproj.io";

/// Adds Argo's CronWorkflow to the cluster, as something that goes with the test's namespace.
async fn define(place: &Place) {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = json!({"name": "v1alpha1", "served": true, "storage": true, "schema": schema});
    let names = json!({"plural": "cronworkflows", "singular": "cronworkflow", "kind": "CronWorkflow"});
    let spec = json!({"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": [version]});
    let metadata = json!({"name": CRON_WORKFLOWS, "ownerReferences": [owner(place).await]});
    everywhere::<CustomResourceDefinition>(place, json!({"metadata": metadata, "spec": spec})).await;
}

#[test]
fn a_kind_that_makes_pods_is_seen_while_it_has_none_and_its_right_is_generated() {
    live(|place| async move {
        let _alone = KINDS.write().await;
        if !alone() {
            return;
        }
        define(&place).await;
        let spec = json!({"spec": {"schedule": "0 3 * * *"}});
        let mut nightly = object("argoproj.io/v1alpha1", "CronWorkflow", "nightly", spec);
        nightly["metadata"]["namespace"] = json!(place.namespace);
        let url = format!("/apis/argoproj.io/v1alpha1/namespaces/{}/cronworkflows", place.namespace);
        wait("the kind to be served", || async {
            let request = http::Request::post(&url).header("content-type", "application/json");
            let request = request.body(serde_json::to_vec(&nightly).unwrap()).unwrap();
            place.client.request::<Value>(request).await.ok().map(drop)
        })
        .await;
        let world = place.world(&from_cluster(&place));
        world.write("all.json", &nightly.to_string());
        let from_files = load(&[world.path("all.json")], &[], &[]).unwrap();
        let access = ClusterAccess {
            kubeconfig: Some(world.path("kubeconfig")),
            namespaces: vec![place.namespace.clone()],
            ..ClusterAccess::default()
        };
        let from_api = load_live(&connect(&access).await.unwrap(), &access, &[], &[]).await.unwrap();
        let said =
            |strays: &[Stray]| strays.iter().map(|stray| stray.text.split_once(": ").unwrap().1.to_owned()).collect();
        let strays: Vec<String> = said(&from_api.strays);
        assert_eq!((strays.len(), &strays), (1, &said(&from_files.strays)), "{:?}", from_api.strays);
        assert!(from_api.strays[0].text.contains("CronWorkflow/nightly@"), "{:?}", from_api.strays);
        let listed = format!("list {CRON_WORKFLOWS} in the namespace {}", place.namespace);
        assert!(from_api.rights.iter().any(|right| named(right) == listed), "{:?}", from_api.rights);
        let definitions: Api<CustomResourceDefinition> = Api::all(place.client.clone());
        definitions.delete(CRON_WORKFLOWS, &DeleteParams::default()).await.unwrap();
        wait("the kind's removal", || async {
            let groups = place.client.list_api_groups().await.unwrap().groups;
            let is_gone = definitions.get_opt(CRON_WORKFLOWS).await.unwrap().is_none();
            (is_gone && groups.iter().all(|group| group.name != "argoproj.io")).then_some(())
        })
        .await;
    });
}
