//! Pods that run now and are not what the description of their workload says.

use super::live::{Api, object, owned, said, template};
use super::{Folder, data, manifests};
use preflight_cluster::{EksWorkload, load};
use serde_json::{Value, json};

fn with_status(mut object: Value, generation: u64, status: Value) -> Value {
    object["metadata"]["generation"] = json!(generation);
    object["status"] = status;
    object
}

/// What is said of objects in a file, and of the same ones in a cluster: strays, and what counts.
async fn strays(objects: &[Value]) -> (Vec<String>, Vec<String>) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let folder = Folder::new(&[("all.json", &list)]);
    let from_files = load(&[folder.root()], &[data("ecs")], &[]).unwrap();
    let live = Api::with(objects).await.read(&["shop"], &[]).await.unwrap();
    assert_eq!(said(&live), said(&from_files));
    assert!(live.strays.iter().all(|stray| live.notes.contains(&stray.text)), "{:?}", live.notes);
    let eks = live.workloads.iter().filter_map(|one| one.eks.as_ref()).map(EksWorkload::reference);
    // The files of ECS have one of their own.
    let own = live.strays.into_iter().filter(|stray| stray.reference.is_some());
    (own.map(|stray| stray.text).collect(), eks.collect())
}

/// The only stray of an object with a status, if there is one.
fn of(version: &str, kind: &str, generation: u64, status: &str) -> Option<String> {
    let text = format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web, namespace: shop, generation: {generation}}}\n\
         spec: {{replicas: 2, template: {{spec: {{containers: [{{name: c, image: i}}]}}}}}}\nstatus: {{{status}}}\n"
    );
    let mut strays = manifests(&text).unwrap().strays;
    assert!(strays.len() < 2 && strays.iter().all(|one| one.reference == Some(format!("shop/{kind}/web"))));
    strays.pop().map(|stray| stray.text)
}

#[test]
fn pods_of_another_template_than_the_workloads_own_are_a_stray_until_they_are_replaced() {
    for (version, kind, status, expected) in [
        // `kubectl rollout pause`, then another template: the controller counts no pod of it.
        ("apps/v1", "Deployment", "observedGeneration: 3, replicas: 2, readyReplicas: 2", "2 of 2"),
        ("apps/v1", "Deployment", "observedGeneration: 3, replicas: 3, updatedReplicas: 1", "2 of 3"),
        // `OnDelete`: the pods that nobody has deleted.
        (
            "apps/v1",
            "StatefulSet",
            "observedGeneration: 3, replicas: 3, currentReplicas: 3, currentRevision: a, updateRevision: b",
            "3 of 3",
        ),
        // Back to the revision that it came from, when some had been deleted.
        (
            "apps/v1",
            "StatefulSet",
            "observedGeneration: 3, replicas: 3, updatedReplicas: 1, currentRevision: a, updateRevision: a",
            "2 of 3",
        ),
        (
            "apps/v1",
            "DaemonSet",
            "observedGeneration: 3, currentNumberScheduled: 4, updatedNumberScheduled: 1",
            "3 of 4",
        ),
        ("apps/v1", "DaemonSet", "observedGeneration: 3, currentNumberScheduled: 4", "4 of 4"),
        ("argoproj.io/v1alpha1", "Rollout", "observedGeneration: '3', replicas: 5, updatedReplicas: 1", "4 of 5"),
        ("apps.kruise.io/v1alpha1", "CloneSet", "replicas: 2, updatedReplicas: 0", "2 of 2"),
    ] {
        let text = of(version, kind, 3, status).unwrap_or_default();
        let said =
            format!("shop/{kind}/web has pods that are of another template than its own, {expected}, and may hold");
        assert!(text.contains(&said), "{kind} {status}: {text}");
    }
}

#[test]
fn a_workload_whose_pods_are_all_of_its_template_is_no_stray_whether_paused_or_fresh() {
    for (version, kind, status) in [
        ("apps/v1", "Deployment", ""),
        ("apps/v1", "Deployment", "observedGeneration: 3, replicas: 2, updatedReplicas: 2"),
        ("apps/v1", "Deployment", "observedGeneration: 3"),
        ("apps/v1", "Deployment", "observedGeneration: 1"),
        ("apps/v1", "Deployment", "replicas: 0"),
        ("apps/v1", "StatefulSet", "replicas: 0, availableReplicas: 0"),
        // With `OnDelete` the current revision stays what it was when every pod has long been replaced.
        ("apps/v1", "StatefulSet", "replicas: 3, updatedReplicas: 3, currentRevision: a, updateRevision: b"),
        ("apps/v1", "DaemonSet", "currentNumberScheduled: 0, desiredNumberScheduled: 4"),
        ("apps/v1", "DaemonSet", "currentNumberScheduled: 4, updatedNumberScheduled: 4, numberReady: 1"),
        ("argoproj.io/v1alpha1", "Rollout", "observedGeneration: 5d4f8c, replicas: 5, updatedReplicas: 5"),
        // Its controller does not count so.
        ("apps/v1", "ReplicaSet", "replicas: 2, observedGeneration: 1"),
        ("example.com/v1", "Thing", "replicas: 2, observedGeneration: 1"),
        ("example.com/v1", "Thing", "replicas: many, updatedReplicas: [odd]"),
    ] {
        assert_eq!(of(version, kind, 3, status), None, "{kind} {status}");
    }
}

#[test]
fn numbers_of_a_version_before_the_newest_say_nothing_about_it() {
    for (version, kind, status) in [
        ("apps/v1", "Deployment", "observedGeneration: 2, replicas: 2, updatedReplicas: 2"),
        ("apps/v1", "StatefulSet", "observedGeneration: 2, replicas: 2, updatedReplicas: 2"),
        ("apps/v1", "DaemonSet", "observedGeneration: 2, currentNumberScheduled: 2, updatedNumberScheduled: 2"),
        ("argoproj.io/v1alpha1", "Rollout", "observedGeneration: '2', replicas: 2, updatedReplicas: 2"),
    ] {
        let text = of(version, kind, 3, status).unwrap_or_default();
        assert!(text.contains(&format!("shop/{kind}/web has not seen its newest version, and its 2 pods")), "{text}");
    }
}

#[tokio::test]
async fn a_paused_deployment_says_the_same_in_a_cluster_as_in_its_file() {
    let web = object("Deployment", "web", json!({"replicas": 2, "paused": true, "template": template()}));
    let status = json!({"observedGeneration": 4, "replicas": 2, "readyReplicas": 2, "unavailableReplicas": 0});
    let set = object("ReplicaSet", "web-1", json!({"replicas": 2, "template": template()}));
    let objects = [with_status(web, 4, status), owned(set, "apps/v1", "Deployment", "web")];
    let (found, counted) = strays(&objects).await;
    assert!(
        found.len() == 1 && found[0].starts_with("shop/Deployment/web@7 status: shop/Deployment/web has"),
        "{found:?}"
    );
    assert_eq!(counted, ["shop/Deployment/web"]);
}

fn cron_job(policy: &str, more: Value) -> Value {
    let mut job = json!({"parallelism": 2, "template": template()});
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut found = object(
        "CronJob",
        "cj",
        json!({"schedule": "0 * * * *", "concurrencyPolicy": policy, "jobTemplate": {"spec": job}}),
    );
    found["apiVersion"] = json!("batch/v1");
    found
}

fn run(name: &str, spec: Value, status: Value) -> Value {
    let job = with_status(object("Job", name, spec), 1, status);
    owned(job, "batch/v1", "CronJob", "cj")
}

#[tokio::test]
async fn jobs_of_a_cron_job_that_run_more_pods_than_it_describes_are_a_stray() {
    let spec = || json!({"parallelism": 2, "template": template()});
    let going = |name: &str| run(name, spec(), json!({"active": 2}));
    let over = |name: &str| run(name, spec(), json!({"conditions": [{"type": "Complete", "status": "True"}]}));
    let objects = [cron_job("Forbid", json!({})), going("a"), going("b"), going("c"), over("d")];
    let (found, counted) = strays(&objects).await;
    let text = "shop/CronJob/cj has jobs that have not ended, 3 with 6 pods, and 2 pods are counted; run again";
    assert!(found.len() == 1 && found[0].contains(text), "{found:?}");
    assert_eq!(counted, ["shop/CronJob/cj"]);
    // What it makes by itself, and one that waits to begin.
    let waiting = run("e", json!({"parallelism": 2, "suspend": true, "template": template()}), json!({}));
    let usual = [cron_job("Forbid", json!({})), going("a"), over("b"), over("c"), waiting];
    assert_eq!(strays(&usual).await.0, Vec::<String>::new());
    // Three that may run at the same time, and four that do.
    let bounded = || cron_job("Allow", json!({"activeDeadlineSeconds": 3 * 3_600}));
    let mut objects = vec![bounded(), going("a"), going("b"), going("c")];
    assert_eq!(strays(&objects).await.0, Vec::<String>::new());
    objects.push(going("d"));
    assert!(strays(&objects).await.0[0].contains("4 with 8 pods, and 6 pods are counted"));
}

#[tokio::test]
async fn a_job_of_what_a_cron_job_described_formerly_is_a_stray_and_needs_no_further_right() {
    let mut former = template();
    former["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "former"}}]);
    let objects =
        [cron_job("Forbid", json!({})), run("a", json!({"parallelism": 2, "template": former}), json!({"active": 2}))];
    let (found, _) = strays(&objects).await;
    assert!(found.len() == 1 && found[0].contains("run something else than it describes now, 1;"), "{found:?}");
    let api = Api::with(&objects).await;
    api.read(&["shop"], &[]).await.unwrap();
    assert!(!api.asked().iter().any(|asked| asked.contains("configmaps")), "{:?}", api.asked());
}

#[tokio::test]
async fn a_run_of_this_tool_is_no_workload_of_its_own_plan() {
    let annotated = |kind: &str, name: &str| {
        let mut object = object(kind, name, json!({"template": template(), "selector": {}}));
        object["metadata"]["annotations"] = json!({"eks-preflight/transition": "the start to deployed"});
        object
    };
    let own = annotated("Job", "preflight");
    let pod = owned(object("Pod", "preflight-abcde", template()["spec"].clone()), "batch/v1", "Job", "preflight");
    let other = annotated("Deployment", "web");
    assert_eq!(strays(&[own, pod, other]).await, (vec![], vec!["shop/Deployment/web".to_owned()]));
}
