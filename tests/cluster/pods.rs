//! Pods run for real: what later tests of Jobs, probes and autoscalers stand on.

use crate::live::{Place, host, image, live, wait};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// The specification of a pod that restricted Pod Security admits.
pub(crate) fn restricted(image: &str, arguments: &[&str]) -> Value {
    let container = json!({"name": "main", "image": image, "args": arguments, "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}});
    let security = json!({"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}});
    json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "securityContext": security, "containers": [container]})
}

/// The type and the reason of the condition that a Job comes to.
async fn job_ends(place: &Place, image: &str, arguments: &[&str]) -> (String, Option<String>) {
    let policy = json!({"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [10, 11]}}]});
    let spec =
        json!({"backoffLimit": 3, "podFailurePolicy": policy, "template": {"spec": restricted(image, arguments)}});
    let job: Job = place.create(json!({"metadata": {"generateName": "ends-"}, "spec": spec})).await;
    let name = job.metadata.name.unwrap();
    wait("the Job's end", || async {
        let status = place.api::<Job>().get(&name).await.unwrap().status?;
        let mut conditions = status.conditions?.into_iter();
        let condition = conditions.find(|one| ["Complete", "Failed"].contains(&one.type_.as_str()))?;
        Some((condition.type_, condition.reason))
    })
    .await
}

#[test]
fn a_pod_with_a_projected_token_runs() {
    live(|place| async move {
        let Some(image) = image() else { return };
        let mut spec = restricted(&image, &[]);
        let source = json!({"serviceAccountToken": {"path": "token", "audience": "sts.amazonaws.com"}});
        spec["volumes"] = json!([{"name": "token", "projected": {"sources": [source]}}]);
        spec["containers"][0]["volumeMounts"] = json!([{"name": "token", "mountPath": "/token"}]);
        place.create::<Pod>(json!({"metadata": {"name": "waits"}, "spec": spec})).await;
        let ready = wait("the pod's being ready", || async {
            let conditions = place.api::<Pod>().get("waits").await.unwrap().status?.conditions?;
            conditions.into_iter().find(|one| one.type_ == "Ready" && one.status == "True")
        });
        ready.await;
    });
}

#[test]
fn a_job_ends_as_its_exit_code_and_its_failure_policy_say() {
    live(|place| async move {
        let Some(image) = image() else { return };
        assert_eq!(job_ends(&place, &image, &["exit", "0"]).await.0, "Complete");
        let failed = ("Failed".to_owned(), Some("PodFailurePolicy".to_owned()));
        assert_eq!(job_ends(&place, &image, &["exit", "10"]).await, failed);
    });
}

#[test]
fn a_pod_reaches_a_service() {
    live(|place| async move {
        let Some(image) = image() else { return };
        let address = "$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)";
        assert_eq!(job_ends(&place, &image, &["dial", address]).await.0, "Complete");
    });
}

#[test]
fn a_pod_reaches_a_server_of_this_host() {
    live(|place| async move {
        let (Some(image), Some(host)) = (image(), host()) else { return };
        let server = std::net::TcpListener::bind((host.as_str(), 0)).unwrap();
        let address = server.local_addr().unwrap().to_string();
        assert_eq!(job_ends(&place, &image, &["dial", &address]).await.0, "Complete");
    });
}

#[test]
fn an_autoscaler_scales_a_busy_deployment() {
    live(|place| async move {
        let Some(image) = image() else { return };
        let labels = json!({"app": "busy"});
        let mut pod = restricted(&image, &["burn"]);
        pod["restartPolicy"] = json!("Always");
        pod["containers"][0]["resources"] = json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}});
        let template = json!({"metadata": {"labels": labels}, "spec": pod});
        let spec = json!({"selector": {"matchLabels": labels}, "template": template});
        place.create::<Deployment>(json!({"metadata": {"name": "busy"}, "spec": spec})).await;
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}});
        let spec = json!({"scaleTargetRef": target, "maxReplicas": 2, "metrics": [metric]});
        place.create::<HorizontalPodAutoscaler>(json!({"metadata": {"name": "busy"}, "spec": spec})).await;
        let scaled = wait("the second replica", || async {
            let status = place.api::<Deployment>().get("busy").await.unwrap().status?;
            (status.ready_replicas? == 2).then_some(())
        });
        scaled.await;
    });
}
