//! Pods that run now and are not what the description of their workload says, as real controllers write it down.

use crate::inventory::{KINDS, from_cluster, object, selecting, template};
use crate::live::{Place, live, wait};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use preflight_cluster::{ClusterAccess, connect, load_live};
use serde_json::{Value, json};

/// The strays of the test's namespace, in order.
async fn strays(place: &Place) -> Vec<String> {
    let world = place.world(&from_cluster(place));
    let access = ClusterAccess {
        kubeconfig: Some(world.path("kubeconfig")),
        namespaces: vec![place.namespace.clone()],
        ..ClusterAccess::default()
    };
    let found = load_live(&connect(&access).await.unwrap(), &access, &[], &[]).await.unwrap();
    let mut strays: Vec<String> = found.strays.into_iter().map(|stray| stray.text).collect();
    strays.sort();
    strays
}

async fn pods(place: &Place) -> usize {
    place.api::<Pod>().list(&ListParams::default()).await.unwrap().items.len()
}

/// Waits until what is said of the namespace is this, each in part.
async fn said(place: &Place, expected: &[&str]) {
    wait(&format!("{expected:?}"), || async {
        let found = strays(place).await;
        let is_said = found.len() == expected.len() && found.iter().zip(expected).all(|(one, part)| one.contains(part));
        is_said.then_some(())
    })
    .await;
}

#[test]
fn what_runs_with_a_former_template_is_seen_while_it_runs_and_no_longer() {
    live(|place| async move {
        let _together = KINDS.read().await;
        let workload =
            |kind: &str, more: Value| object("apps/v1", kind, "web", selecting(&kind.to_lowercase(), json!({}), more));
        let two = || json!({"replicas": 2});
        place.create::<Deployment>(workload("Deployment", two())).await;
        let on_delete = json!({"replicas": 2, "serviceName": "web", "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"}});
        place.create::<StatefulSet>(workload("StatefulSet", on_delete)).await;
        place.create::<DaemonSet>(workload("DaemonSet", json!({"updateStrategy": {"type": "OnDelete"}}))).await;
        wait("five pods", || async { (pods(&place).await >= 5).then_some(()) }).await;
        said(&place, &[]).await;
        let merge = |body: Value| Patch::Merge(body);
        let deployments = place.api::<Deployment>();
        let params = PatchParams::default();
        deployments.patch("web", &params, &merge(json!({"spec": {"paused": true}}))).await.unwrap();
        wait("the pause to be seen", || async {
            let found = deployments.get("web").await.unwrap();
            (found.status?.observed_generation? >= found.metadata.generation?).then_some(())
        })
        .await;
        said(&place, &[]).await;
        let other = json!({"spec": {"template": {"metadata": {"annotations": {"pool": "5"}}}}});
        deployments.patch("web", &params, &merge(other.clone())).await.unwrap();
        place.api::<StatefulSet>().patch("web", &params, &merge(other.clone())).await.unwrap();
        place.api::<DaemonSet>().patch("web", &params, &merge(other)).await.unwrap();
        let of_another = ["DaemonSet/web has pods", "Deployment/web has pods", "StatefulSet/web has pods"];
        said(&place, &of_another).await;
        assert!(strays(&place).await[1].contains("2 of 2"));
        deployments.patch("web", &params, &merge(json!({"spec": {"paused": false}}))).await.unwrap();
        for pod in place.api::<Pod>().list(&ListParams::default()).await.unwrap().items {
            let name = pod.metadata.name.unwrap();
            let now = kube::api::DeleteParams::default().grace_period(0);
            // A rollout may have deleted it.
            drop(place.api::<Pod>().delete(&name, &now).await);
        }
        said(&place, &[]).await;
    });
}

#[test]
fn jobs_that_somebody_starts_from_a_cron_job_are_seen_beside_its_own() {
    live(|place| async move {
        let _together = KINDS.read().await;
        let job = json!({"parallelism": 2, "template": template("job", json!({"restartPolicy": "Never"}))});
        let spec = json!({"schedule": "0 3 1 1 *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job}});
        let made = place.create::<CronJob>(object("batch/v1", "CronJob", "nightly", json!({"spec": spec}))).await;
        // As `kubectl create job --from` does.
        let start = |name: &'static str| {
            let owner = json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "controller": true,
                "uid": made.metadata.uid});
            let mut started = serde_json::to_value(&made.spec.job_template).unwrap();
            started["metadata"] = json!({"name": name, "ownerReferences": [owner]});
            place.create::<Job>(started)
        };
        start("first").await;
        wait("its pods", || async { (pods(&place).await == 2).then_some(()) }).await;
        assert_eq!(strays(&place).await, Vec::<String>::new());
        start("second").await;
        start("third").await;
        let found = strays(&place).await;
        assert!(found.len() == 1 && found[0].contains("3 with 6 pods, and 2 pods are counted"), "{found:?}");
    });
}
