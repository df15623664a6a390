//! How many pods there may be, where that is easily misread.

use super::{Folder, manifests};
use preflight_cluster::{Controller, EksWorkload, Inventory, load};

const POD: &str = "template: {spec: {containers: [{name: c, image: i}]}}";

fn object(version: &str, kind: &str, metadata: &str, spec: &str) -> String {
    format!("---\napiVersion: {version}\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {{{spec}}}\n")
}

fn deployment(metadata: &str, spec: &str) -> String {
    object("apps/v1", "Deployment", metadata, &format!("{spec}, {POD}"))
}

fn scaler(metadata: &str, kind: &str, max: u64) -> String {
    let spec = format!("scaleTargetRef: {{kind: {kind}, name: orders}}, maxReplicas: {max}");
    object("autoscaling/v2", "HorizontalPodAutoscaler", metadata, &spec)
}

fn eks(inventory: &Inventory) -> Vec<&EksWorkload> {
    inventory.workloads.iter().filter_map(|one| one.eks.as_ref()).collect()
}

/// `replicas` and the maximum of the autoscaler of the only workload.
fn numbers(text: &str) -> (Option<u64>, Option<u64>) {
    let inventory = manifests(text).unwrap();
    let [only] = eks(&inventory)[..] else { panic!("{:#?}", inventory.workloads) };
    let replicas = match &only.controller {
        Controller::Deployment { replicas, .. } | Controller::StatefulSet { replicas } => replicas.as_ref(),
        other => panic!("{other:?}"),
    };
    (replicas.map(|replicas| replicas.value), only.autoscaler.as_ref().map(|scaler| scaler.max.as_ref().unwrap().value))
}

#[test]
fn replicas_that_are_absent_are_not_taken_for_a_number() {
    assert_eq!(numbers(&deployment("name: orders", "paused: true")), (None, None));
    assert_eq!(numbers(&deployment("name: orders", "replicas: null")), (None, None));
    assert_eq!(numbers(&deployment("name: orders", "replicas: 0")), (Some(0), None));
    assert_eq!(numbers(&object("apps/v1", "StatefulSet", "name: orders", POD)), (None, None));
}

#[test]
fn replicas_that_come_from_a_merge_are_read() {
    let text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: orders}}\nx-common: &common {{replicas: 8}}\n\
         spec:\n  <<: *common\n  {POD}\n"
    );
    assert_eq!(numbers(&text), (Some(8), None));
}

#[test]
fn numbers_in_other_spellings_are_those_that_kubernetes_reads_or_an_error() {
    for (text, expected) in [("8.0", 8), ("0x10", 16), ("+8", 8), ("1e1", 10)] {
        match manifests(&deployment("name: orders", &format!("replicas: {text}"))) {
            Ok(_) => assert_eq!(
                numbers(&deployment("name: orders", &format!("replicas: {text}"))),
                (Some(expected), None),
                "{text}"
            ),
            Err(error) => assert!(error.to_string().contains("whole number"), "{error}"),
        }
    }
    for text in ["'8'", "8.5", "eight", "-1", "true", "99999999999999999999"] {
        assert!(manifests(&deployment("name: orders", &format!("replicas: {text}"))).is_err(), "{text}");
    }
}

#[test]
fn an_autoscaler_without_a_namespace_is_that_of_the_chart() {
    let orders = deployment("name: orders, namespace: shop", "replicas: 2");
    let bare = deployment("name: orders", "replicas: 2");
    assert_eq!(numbers(&format!("{orders}{}", scaler("name: a", "Deployment", 9))), (Some(2), Some(9)));
    assert_eq!(numbers(&format!("{bare}{}", scaler("name: a, namespace: shop", "Deployment", 9))), (Some(2), Some(9)));
    // Two namespaces that are both written down are two.
    let other = scaler("name: a, namespace: other", "Deployment", 9);
    assert_eq!(numbers(&format!("{orders}{other}")), (Some(2), None));
    // Which of two workloads is meant cannot be told.
    let second = deployment("name: orders, namespace: second", "replicas: 2");
    let inventory = manifests(&format!("{orders}{second}{}", scaler("name: a", "Deployment", 9))).unwrap();
    assert!(eks(&inventory).iter().all(|one| one.autoscaler.is_none()));
    assert_eq!(inventory.notes.len(), 1);
}

#[test]
fn of_two_autoscalers_the_larger_maximum_counts_and_keda_has_one_of_its_own() {
    let orders = deployment("name: orders", "replicas: 2");
    let keda = |spec: &str| {
        let spec = format!("scaleTargetRef: {{name: orders}}{spec}");
        object("keda.sh/v1alpha1", "ScaledObject", "name: k", &spec)
    };
    assert_eq!(numbers(&format!("{orders}{}", keda(""))), (Some(2), Some(100)));
    assert_eq!(numbers(&format!("{orders}{}", keda(", maxReplicaCount: 7"))), (Some(2), Some(7)));
    let both = format!("{orders}{}{}", keda(", maxReplicaCount: 7"), scaler("name: h", "Deployment", 11));
    assert_eq!(numbers(&both), (Some(2), Some(11)));
}

#[test]
fn a_rollout_that_runs_the_pods_of_a_deployment_governs_their_number() {
    let rollout = |spec: &str| {
        let reference = "workloadRef: {apiVersion: apps/v1, kind: Deployment, name: orders}";
        object("argoproj.io/v1alpha1", "Rollout", "name: orders", &format!("{spec}{reference}"))
    };
    let idle = deployment("name: orders", "replicas: 0");
    assert_eq!(numbers(&format!("{idle}{}", rollout("replicas: 6, "))), (Some(6), None));
    let scaled = format!("{idle}{}{}", rollout(""), scaler("name: a", "Rollout", 12));
    assert_eq!(numbers(&scaled), (None, Some(12)));
    let larger = deployment("name: orders", "replicas: 9");
    assert_eq!(numbers(&format!("{larger}{}", rollout("replicas: 6, "))), (Some(9), None));
    let alone = manifests(&rollout("replicas: 6, ")).unwrap();
    assert!(alone.workloads.is_empty() && alone.notes[0].contains("takes its pods from default/Deployment/orders"));
}

#[test]
fn lists_of_lists_and_items_without_a_kind_are_read() {
    let item = "metadata: {name: orders}, spec: {replicas: 4, template: {spec: {containers: [{name: c}]}}}";
    let list = format!("apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- {{{item}}}\n");
    assert_eq!(numbers(&list), (Some(4), None));
    let nested = format!(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - {{apiVersion: apps/v1, kind: \
         Deployment, {item}}}\n"
    );
    assert_eq!(numbers(&nested), (Some(4), None));
}

/// `kind` and `replicas` of the only workload, whose kind is not known.
fn unknown(text: &str) -> (String, Option<u64>) {
    let inventory = manifests(text).unwrap();
    let [only] = eks(&inventory)[..] else { panic!("{:#?}", inventory.workloads) };
    assert!(inventory.notes[0].contains("of a kind that this tool does not know"), "{:?}", inventory.notes);
    assert_eq!(only.pod.containers[0].name, "c");
    let Controller::Unknown { replicas } = &only.controller else { panic!("{:?}", only.controller) };
    (only.kind.clone(), replicas.as_ref().map(|replicas| replicas.value))
}

#[test]
fn kinds_that_are_not_known_have_pods_too() {
    let set = object("apps.kruise.io/v1alpha1", "CloneSet", "name: orders", &format!("replicas: 3, {POD}"));
    assert_eq!(unknown(&set), ("CloneSet".to_owned(), Some(3)));
    let serving = object("serving.knative.dev/v1", "Service", "name: orders", POD);
    assert_eq!(unknown(&serving), ("Service.serving.knative.dev".to_owned(), None));
    let jobs = object("keda.sh/v1alpha1", "ScaledJob", "name: orders", &format!("jobTargetRef: {{{POD}}}"));
    assert_eq!(unknown(&jobs), ("ScaledJob".to_owned(), Some(100)));
    let spec = format!("maxReplicaCount: 8, jobTargetRef: {{parallelism: 5, {POD}}}");
    assert_eq!(unknown(&object("keda.sh/v1alpha1", "ScaledJob", "name: orders", &spec)).1, Some(40));
    // What such an object made is not counted beside it.
    let owner = |version: &str, kind: &str| {
        let owner = format!("{{apiVersion: {version}, kind: {kind}, name: orders, controller: true}}");
        format!("name: orders-1, ownerReferences: [{owner}]")
    };
    let pod = object("v1", "Pod", &owner("apps.kruise.io/v1alpha1", "CloneSet"), "containers: [{name: c, image: i}]");
    assert_eq!(unknown(&format!("{set}{pod}")).1, Some(3));
    let thing = object("example.com/v1", "Thing", "name: orders", &format!("replicas: 3, {POD}"));
    let made = object("apps/v1", "ReplicaSet", &owner("example.com/v1", "Thing"), &format!("replicas: 3, {POD}"));
    assert_eq!(unknown(&format!("{thing}{made}")).1, Some(3));
}

#[test]
fn a_kind_that_is_not_known_may_look_like_nothing_that_is() {
    let odd = object("example.com/v1", "Thing", "name: a", "replicas: many, template: {spec: {containers: {a: 1}}}");
    let nameless = object("example.com/v1", "Thing", "labels: {}", POD);
    let twice = object("example.com/v1", "Set", "name: a", POD)
        + &object("example.org/v1", "Set", "name: a", &format!("replicas: 2, {POD}"));
    let inventory = manifests(&format!("{odd}{nameless}{twice}")).unwrap();
    assert_eq!(eks(&inventory).len(), 1);
    let unread = inventory.notes.iter().filter(|note| note.contains("nothing of it is checked"));
    assert_eq!(unread.count(), 3, "{:?}", inventory.notes);
}

#[test]
fn a_kind_of_the_same_name_in_another_group_is_another_kind() {
    let text = object("example.com/v1", "Deployment", "name: orders", &format!("replicas: 3, {POD}"));
    assert_eq!(unknown(&text), ("Deployment.example.com".to_owned(), Some(3)));
    let both = format!("{text}{}", deployment("name: orders", "replicas: 5"));
    assert_eq!(eks(&manifests(&both).unwrap()).len(), 2);
}

#[test]
fn pods_of_one_maker_that_run_different_things_are_several_workloads() {
    let pod = |name: &str, variable: &str| {
        let owner = "[{apiVersion: example.com/v1, kind: Thing, name: t, controller: true}]";
        let spec = format!("containers: [{{name: c, image: i, env: [{{name: {variable}, value: x}}]}}]");
        object("v1", "Pod", &format!("name: {name}, ownerReferences: {owner}"), &spec)
    };
    let text = pod("t-1", "HEAD_URL") + &pod("t-2", "WORKER_URL") + &pod("t-3", "WORKER_URL");
    let inventory = manifests(&text).unwrap();
    let found: Vec<_> = eks(&inventory)
        .iter()
        .map(|one| {
            let Controller::Unknown { replicas: Some(replicas) } = &one.controller else { panic!("{one:?}") };
            (one.reference(), one.pod.containers[0].env[0].name.clone(), replicas.value)
        })
        .collect();
    let one = |reference: &str, variable: &str, pods| (reference.to_owned(), variable.to_owned(), pods);
    assert_eq!(found, [one("default/Thing/t", "HEAD_URL", 1), one("default/Pod/t-2", "WORKER_URL", 2)]);
    assert_eq!(inventory.notes.iter().filter(|note| note.contains("belongs to default/Thing/t")).count(), 2);
}

#[test]
fn former_replica_sets_of_a_maker_that_is_not_here_are_no_workloads() {
    let set = |name: &str, image: &str, replicas: u32| {
        let owner = "[{apiVersion: example.com/v1, kind: Thing, name: t, controller: true}]";
        let spec = format!("replicas: {replicas}, template: {{spec: {{containers: [{{name: c, image: {image}}}]}}}}");
        object("apps/v1", "ReplicaSet", &format!("name: {name}, ownerReferences: {owner}"), &spec)
    };
    let images = |text: &str| {
        let inventory = manifests(text).unwrap();
        eks(&inventory).iter().map(|one| one.pod.containers[0].image.clone()).collect::<Vec<_>>()
    };
    assert_eq!(images(&(set("t-1", "old", 0) + &set("t-2", "new", 3))), ["new"]);
    assert_eq!(images(&(set("t-1", "old", 0) + &set("t-2", "new", 0))), ["old"]);
}

#[test]
fn what_is_owned_and_not_controlled_counts_by_itself() {
    let owned = |owner: &str| {
        let metadata = format!("name: a, ownerReferences: [{owner}]");
        let text = deployment("name: orders", "replicas: 2")
            + &object("v1", "Pod", &metadata, "containers: [{name: c, image: i}]");
        let inventory = manifests(&text).unwrap();
        eks(&inventory).iter().map(|one| one.reference()).collect::<Vec<_>>()
    };
    let apart = ["default/Pod/a", "default/Deployment/orders"];
    for owner in [
        "{apiVersion: apps/v1, kind: Deployment, name: orders}",
        "{apiVersion: apps/v1, kind: Deployment, name: orders, controller: false}",
        "{apiVersion: v1, kind: Node, name: n, controller: true}",
        "{apiVersion: v1, kind: Pod, name: driver, controller: true}",
    ] {
        assert_eq!(owned(owner), apart, "{owner}");
    }
    // Whoever made it: a Deployment makes no pods, but ReplicaSets.
    assert_eq!(owned("{apiVersion: apps/v1, kind: Deployment, name: orders, controller: true}"), apart);
    let no_workload = object("v1", "ConfigMap", "name: m", "");
    let of_it = object(
        "v1",
        "Pod",
        "name: a, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: m, controller: true}]",
        "containers: [{name: c, image: i}]",
    );
    assert_eq!(eks(&manifests(&(no_workload + &of_it)).unwrap())[0].reference(), "default/ConfigMap/m");
    let namesake = owned("{apiVersion: example.com/v1, kind: Deployment, name: orders, controller: true}");
    assert_eq!(namesake, ["default/Deployment.example.com/orders", "default/Deployment/orders"]);
}

#[test]
fn jobs_and_cron_jobs_have_their_parallelism_wherever_they_are_suspended() {
    let job = object("batch/v1", "Job", "name: a", &format!("suspend: true, parallelism: 3, {POD}"));
    let cron = format!("schedule: '* * * * *', jobTemplate: {{spec: {{parallelism: 2, {POD}}}}}");
    let cron = object("batch/v1", "CronJob", "name: b", &cron);
    let inventory = manifests(&format!("{job}{cron}")).unwrap();
    let counts: Vec<u64> = eks(&inventory)
        .iter()
        .map(|one| match &one.controller {
            Controller::Job { parallelism } | Controller::CronJob { parallelism, .. } => parallelism.value,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [3, 2]);
}

#[test]
fn as_many_runs_of_a_cron_job_overlap_as_begin_before_the_first_is_ended() {
    let runs = |schedule: &str, deadline: &str| {
        let spec = format!("schedule: '{schedule}', jobTemplate: {{spec: {{{deadline}{POD}}}}}");
        let inventory = manifests(&object("batch/v1", "CronJob", "name: b", &spec)).unwrap();
        match eks(&inventory)[0].controller {
            Controller::CronJob { runs, .. } => runs,
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(runs("* * * * *", ""), None);
    for (schedule, expected) in [
        ("* * * * *", 10),
        ("TZ=UTC */5 * * * *", 2),
        ("*/7 * * * *", 3),
        ("0,1 * * * *", 10),
        ("30 * * * *", 1),
        ("@hourly", 1),
        ("@daily", 1),
        ("", 10),
    ] {
        assert_eq!(runs(schedule, "activeDeadlineSeconds: 600, "), Some(expected), "{schedule}");
    }
}

#[test]
fn a_service_of_ecs_without_a_count_has_none() {
    let folder = Folder::new(&[("a.json", "{\"serviceName\": \"a\", \"schedulingStrategy\": \"DAEMON\"}")]);
    let inventory = load(&[], &[folder.root()], &[]).unwrap();
    let task = inventory.workloads[0].ecs.as_ref().unwrap();
    assert_eq!((task.desired.is_none(), task.maximum_percent.value), (true, 100));
}
