//! Kinds that make pods, in a cluster that has none of their pods.

use super::live::{Api, object, owned, said, template};
use super::{Folder, data};
use preflight_cluster::{Controller, EksWorkload, load};
use serde_json::{Value, json};

#[tokio::test]
async fn kinds_that_make_pods_say_the_same_without_any_pod_as_in_manifests() {
    let mut serving = object("Service", "web", json!({"template": {"spec": {"containers": [{"image": "i"}]}}}));
    serving["apiVersion"] = json!("serving.knative.dev/v1");
    let mut of_volcano = object("Job", "train", json!({"tasks": [{"replicas": 3, "template": template()}]}));
    of_volcano["apiVersion"] = json!("batch.volcano.sh/v1alpha1");
    let mut ended = object("Workflow", "ended", json!({}));
    ended["status"] = json!({"phase": "Failed"});
    let objects = [
        // Knative makes one of the same name.
        object("Service", "web", json!({"type": "ExternalName", "externalName": "gateway.internal"})),
        serving,
        ended,
        object("Workflow", "going", json!({"entrypoint": "main"})),
        object("CronWorkflow", "nightly", json!({"schedule": "0 3 * * *"})),
        of_volcano,
        object("KafkaConnect", "sink", json!({"replicas": 2, "template": {"pod": {}}})),
        object("TaskRun", "build", json!({})),
        object("CloneSet", "clone", json!({"replicas": 4, "template": template()})),
        object("ReplicationController", "old", json!({"replicas": 0, "template": template()})),
        object("ReplicationController", "older", json!({"replicas": 2, "template": template()})),
        owned(object("Pod", "sink-0", template()["spec"].clone()), "core.strimzi.io/v1beta2", "StrimziPodSet", "sink"),
    ];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let folder = Folder::new(&[("all.json", &list)]);
    let from_files = load(&[folder.root()], &[data("ecs")], &[]).unwrap();
    let live = Api::with(&objects).await.read(&["shop"], &[]).await.unwrap();
    assert_eq!(said(&live), said(&from_files));
    for text in
        ["Service/web", "Job/train", "Workflow/going", "CronWorkflow/nightly", "KafkaConnect/sink", "TaskRun/build"]
    {
        assert_eq!(
            live.strays.iter().filter(|stray| stray.text.contains(text)).count(),
            1,
            "{text}: {:#?}",
            live.strays
        );
    }
    let strays = live.strays.iter().filter(|stray| stray.text.contains("makes or scales pods"));
    assert_eq!(strays.count(), 6, "{:#?}", live.strays);
    let in_eks: Vec<_> = live.workloads.iter().filter_map(|one| one.eks.as_ref()).map(EksWorkload::reference).collect();
    let expected = [
        "shop/CloneSet/clone",
        "shop/ReplicationController/old",
        "shop/ReplicationController/older",
        "shop/StrimziPodSet/sink",
    ];
    assert_eq!(in_eks, expected);
    let served = live.rights.iter().filter(|right| format!("{right:?}").contains("ray.io")).count();
    assert_eq!(served, 0, "what the cluster does not have is not listed");
}

#[tokio::test]
async fn kinds_whose_objects_may_be_large_come_in_small_pages_and_to_the_end() {
    let objects: Vec<_> = (0..120).map(|n| object("CronWorkflow", &format!("c-{n:03}"), json!({}))).collect();
    let api = Api::with(&objects).await;
    let strays = api.read(&["shop"], &[]).await.unwrap().strays;
    assert_eq!(strays.iter().filter(|stray| stray.text.contains("CronWorkflow/c-")).count(), 120);
    assert_eq!(api.asked().iter().filter(|asked| *asked == "List shop/cronworkflows").count(), 3);
}

/// What counts of these objects, with its number of pods: the same from a cluster as from files.
async fn counted(objects: &[Value]) -> Vec<String> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let folder = Folder::new(&[("all.json", &list)]);
    let from_files = load(&[folder.root()], &[data("ecs")], &[]).unwrap();
    let live = Api::with(objects).await.read(&["shop"], &[]).await.unwrap();
    assert_eq!(said(&live), said(&from_files));
    let eks = live.workloads.iter().filter_map(|one| one.eks.as_ref());
    let number = |one: &EksWorkload| match &one.controller {
        Controller::Job { parallelism } => parallelism.value,
        Controller::Bare { replicas } => replicas.value,
        _ => 0,
    };
    eks.map(|one| format!("{} {}", one.reference(), number(one))).collect()
}

#[tokio::test]
async fn what_a_kind_that_makes_no_such_objects_is_said_to_control_counts_by_itself() {
    let job = || object("Job", "migrate", json!({"parallelism": 10, "template": template()}));
    let pod = || object("Pod", "helper", template()["spec"].clone());
    let set = || object("ReplicaSet", "web-1", json!({"replicas": 3, "template": template()}));
    let makers = || {
        let workload = |kind, version: &str| {
            let mut found = object(kind, "web", json!({"template": template()}));
            found["apiVersion"] = json!(version);
            found
        };
        vec![
            workload("Deployment", "apps/v1"),
            workload("StatefulSet", "apps/v1"),
            workload("Rollout", "argoproj.io/v1alpha1"),
            workload("ReplicaSet", "apps/v1"),
            workload("Job", "batch/v1"),
            workload("ReplicationController", "v1"),
            workload("CloneSet", "apps.kruise.io/v1alpha1"),
        ]
    };
    let usual = counted(&makers()).await;
    let more = |found: Vec<String>| found.into_iter().filter(|one| !usual.contains(one)).collect::<Vec<_>>();
    for (made, said, version, kind, is_made) in [
        // A service that starts a job sets itself as its controller.
        (job(), "shop/Job/migrate 10", "apps/v1", "Deployment", false),
        (job(), "shop/Job/migrate 10", "apps/v1", "StatefulSet", false),
        (job(), "shop/Job/migrate 10", "argoproj.io/v1alpha1", "Rollout", false),
        (job(), "shop/Job/migrate 10", "batch/v1", "Job", false),
        (job(), "shop/Job/migrate 10", "apps.kruise.io/v1alpha1", "CloneSet", false),
        (job(), "shop/Job/migrate 10", "v1", "ReplicationController", false),
        (pod(), "shop/Pod/helper 1", "apps/v1", "Deployment", false),
        (pod(), "shop/Pod/helper 1", "argoproj.io/v1alpha1", "Rollout", false),
        (pod(), "shop/Pod/helper 1", "apps/v1", "StatefulSet", true),
        (pod(), "shop/Pod/helper 1", "apps/v1", "ReplicaSet", true),
        (pod(), "shop/Pod/helper 1", "batch/v1", "Job", true),
        (pod(), "shop/Pod/helper 1", "v1", "ReplicationController", true),
        (pod(), "shop/Pod/helper 1", "apps.kruise.io/v1alpha1", "CloneSet", true),
        (set(), "shop/ReplicaSet/web-1 3", "apps/v1", "StatefulSet", false),
        (set(), "shop/ReplicaSet/web-1 3", "apps/v1", "Deployment", true),
        (set(), "shop/ReplicaSet/web-1 3", "argoproj.io/v1alpha1", "Rollout", true),
    ] {
        let objects = [makers(), vec![owned(made, version, kind, "web")]].concat();
        let expected: &[&str] = if is_made { &[] } else { &[said] };
        assert_eq!(more(counted(&objects).await), expected, "{said} of {kind}");
    }
}

#[tokio::test]
async fn a_job_of_an_unknown_kind_is_counted_with_it_where_it_runs_its_template() {
    let mut maker = object("Thing", "web", json!({"replicas": 2, "template": template()}));
    maker["apiVersion"] = json!("example.com/v1");
    let job = |more: Value| {
        let mut job = object("Job", "run", json!({"parallelism": 10, "template": template()}));
        let container = &mut job["spec"]["template"]["spec"]["containers"][0];
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        owned(job, "example.com/v1", "Thing", "web")
    };
    let found = |more: Value| {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [maker.clone(), job(more)]}).to_string();
        let folder = Folder::new(&[("all.json", &list)]);
        let found = load(&[folder.root()], &[], &[]).unwrap();
        found.workloads.iter().filter_map(|one| one.eks.as_ref()).map(EksWorkload::reference).collect::<Vec<_>>()
    };
    let own = "shop/Thing/web";
    assert_eq!(found(json!({})), [own]);
    assert_eq!(found(json!({"env": [{"name": "ADDED", "value": "x"}]})), [own]);
    for other in [json!({"image": "migrations"}), json!({"command": ["migrate"]}), json!({"args": ["--migrate"]})] {
        assert_eq!(found(other), ["shop/Job/run", own]);
    }
}
