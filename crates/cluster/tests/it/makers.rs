//! Kinds that make pods, in a cluster that has none of their pods.

use super::live::{Api, object, owned, said, template};
use super::{Folder, data};
use preflight_cluster::{EksWorkload, load};
use serde_json::json;

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
