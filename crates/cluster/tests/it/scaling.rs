//! Who scales what, and what is missing then.

use super::{Folder, manifests};
use preflight_cluster::{Inventory, load};

const POD: &str = "template: {spec: {containers: [{name: c, image: i}]}}";

fn object(version: &str, kind: &str, metadata: &str, spec: &str) -> String {
    format!("---\napiVersion: {version}\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {{{spec}}}\n")
}

fn scaler(target: &str) -> String {
    let spec = format!("scaleTargetRef: {{{target}}}, maxReplicas: 9");
    object("autoscaling/v2", "HorizontalPodAutoscaler", "name: a, namespace: shop", &spec)
}

fn orders(namespace: &str) -> String {
    object("apps/v1", "Deployment", &format!("name: orders, namespace: {namespace}"), &format!("replicas: 2, {POD}"))
}

/// The strays, every one of which is a note.
fn strays(inventory: &Inventory) -> Vec<String> {
    assert!(inventory.strays.iter().all(|stray| inventory.notes.contains(&stray.text)), "{:?}", inventory.notes);
    inventory.strays.iter().map(|stray| stray.text.clone()).collect()
}

fn ecs(documents: &[&str]) -> Inventory {
    let folder = Folder::new(&[("a.json", &format!("[{}]", documents.join(",")))]);
    load(&[], &[folder.root()], &[]).unwrap()
}

const SERVICE: &str =
    r#"{"serviceName": "orders", "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/shop", "desiredCount": 1}"#;

fn target(cluster: &str, service: &str) -> String {
    format!(r#"{{"ScalableTargets": [{{"ResourceId": "service/{cluster}/{service}", "MaxCapacity": 8}}]}}"#)
}

#[test]
fn an_autoscaler_of_a_workload_that_is_not_here_is_a_stray() {
    let found = |text: &str| strays(&manifests(text).unwrap());
    assert_eq!(found(&(orders("shop") + &scaler("kind: Deployment, name: orders"))), Vec::<String>::new());
    let gone = found(&(orders("shop") + &scaler("kind: Deployment, name: gone")));
    let said = "shop/HorizontalPodAutoscaler/a scales shop/Deployment/gone, which is not in the manifests or not known, so \
                nobody knows what its pods connect to; add it, or take the HorizontalPodAutoscaler out";
    assert!(gone.len() == 1 && gone[0].ends_with(said), "{gone:?}");
    let keda = "scaleTargetRef: {name: gone}";
    let keda = found(&object("keda.sh/v1alpha1", "ScaledObject", "name: k", keda));
    assert!(keda[0].contains("default/ScaledObject/k scales default/Deployment/gone"), "{keda:?}");
}

#[test]
fn an_autoscaler_of_an_unknown_kind_has_no_maximum_that_is_known() {
    let custom = |target: &str| {
        let spec = format!("scaleTargetRef: {target}, maxReplicas: 40");
        object("datadoghq.com/v1alpha1", "WatermarkPodAutoscaler", "name: w, namespace: shop", &spec)
    };
    let own = custom("{kind: Deployment, name: orders}");
    let most = |text: &str| {
        let inventory = manifests(text).unwrap();
        let found = inventory.workload("orders").unwrap().eks.as_ref().unwrap().autoscaler.clone();
        found.map(|one| (one.name, one.max.map(|max| max.value)))
    };
    let expected = Some(("shop/WatermarkPodAutoscaler/w".to_owned(), None));
    assert_eq!(most(&(orders("shop") + &own)), expected);
    let known = scaler("kind: Deployment, name: orders");
    assert_eq!(most(&(orders("shop") + &known + &own)), expected, "whatever another one says");
    assert_eq!(most(&(orders("shop") + &known)), Some(("shop/HorizontalPodAutoscaler/a".to_owned(), Some(9))));
    let found = |target: &str| strays(&manifests(&(orders("shop") + &custom(target))).unwrap());
    assert_eq!(found("{kind: Deployment, name: orders}"), Vec::<String>::new());
    assert!(
        found("{kind: Deployment, name: gone}")[0].contains("WatermarkPodAutoscaler/w scales shop/Deployment/gone")
    );
    assert!(found("[odd]")[0].ends_with("nothing of it is checked"), "odd, and no error");
}

#[test]
fn who_was_seen_to_scale_a_workload_is_an_autoscaler_of_an_unknown_kind() {
    let by = |manager: &str, subresource: &str| {
        let entry = format!("managedFields: [{{manager: {manager}{subresource}}}]");
        let text = orders("shop").replace("name: orders,", &format!("name: orders, {entry},"));
        manifests(&text).unwrap().workloads[0].eks.as_ref().unwrap().autoscaler.clone().map(|one| one.name)
    };
    assert_eq!(by("watermark", ", subresource: scale").as_deref(), Some("watermark"));
    for (manager, subresource) in
        [("watermark", ""), ("kube-controller-manager", ", subresource: scale"), ("kubectl", ", subresource: scale")]
    {
        assert_eq!(by(manager, subresource), None, "{manager}");
    }
}

#[test]
fn another_kind_or_namespace_of_the_name_is_asked_about() {
    let found = |text: String| strays(&manifests(&text).unwrap()).remove(0);
    assert!(
        found(orders("shop") + &scaler("kind: StatefulSet, name: orders"))
            .contains("(is shop/Deployment/orders meant?)")
    );
    assert!(found(orders("b") + &scaler("kind: Deployment, name: orders")).contains("(is b/Deployment/orders meant?)"));
    let both = found(orders("b") + &orders("c") + &scaler("kind: Deployment, name: orders"));
    assert!(both.contains("(is b/Deployment/orders or c/Deployment/orders meant?)"), "{both}");
}

#[test]
fn a_rollout_of_pods_that_are_not_here_is_a_stray() {
    let spec = "replicas: 6, workloadRef: {kind: Deployment, name: gone}";
    let found = strays(&manifests(&object("argoproj.io/v1alpha1", "Rollout", "name: r", spec)).unwrap());
    assert!(found[0].contains("default/Rollout/r takes its pods from default/Deployment/gone"), "{found:?}");
}

#[test]
fn a_list_of_scalable_targets_is_known_to_have_been_read() {
    let has = |documents: &[&str]| ecs(documents).has_scalable_targets;
    assert!(!has(&[SERVICE]));
    assert!(has(&[SERVICE, r#"{"ScalableTargets": []}"#]));
    assert!(has(&[SERVICE, &target("shop", "orders")]));
    let of_tables = r#"{"ScalableTargets": [{"ResourceId": "table/orders", "MaxCapacity": 5,
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits"}]}"#;
    assert!(!has(&[SERVICE, of_tables]), "it is one of another service of AWS");
    let part = target("shop", "orders").replacen('{', r#"{"NextToken": "x", "#, 1);
    assert!(!has(&[SERVICE, &part]), "it goes on");
}

#[test]
fn services_without_any_list_of_scalable_targets_are_noted() {
    let noted = |documents: &[&str]| ecs(documents).notes.iter().any(|note| note.contains("describe-scalable-targets"));
    assert!(noted(&[SERVICE]) && !noted(&[SERVICE, r#"{"ScalableTargets": []}"#]));
    assert!(
        !noted(&[r#"{"family": "orders", "containerDefinitions": [{"name": "c"}]}"#]),
        "no service, nothing to scale"
    );
}

#[test]
fn tasks_of_a_former_definition_are_a_stray_while_they_run() {
    let service = |former: u64, own: &str| {
        let primary = r#"{"status": "PRIMARY", "taskDefinition": "orders:2", "runningCount": 1}"#;
        let active = format!(r#"{{"status": "ACTIVE", "taskDefinition": "orders:1", "runningCount": {former}}}"#);
        strays(&ecs(&[&format!(r#"{{"serviceName": "orders", {own} "deployments": [{primary}, {active}]}}"#)]))
    };
    let own = r#""taskDefinition": "orders:2","#;
    let found = service(4, own);
    assert!(
        found.len() == 1 && found[0].contains("service orders runs 4 tasks of another task definition"),
        "{found:?}"
    );
    assert_eq!(service(0, own), Vec::<String>::new());
    let same = r#"{"serviceName": "orders", "taskDefinition": "orders:2", "deployments": [{"taskDefinition": "orders:2", "runningCount": 2}]}"#;
    assert_eq!(strays(&ecs(&[same])), Vec::<String>::new());
}

#[test]
fn a_target_of_a_service_that_is_not_here_is_a_stray_unless_its_cluster_is_somebody_elses() {
    let found = |documents: &[&str]| strays(&ecs(documents));
    assert_eq!(found(&[SERVICE, &target("shop", "orders")]), Vec::<String>::new());
    let gone = found(&[SERVICE, &target("shop", "gone")]);
    assert!(gone[0].contains("a target for service shop/gone, up to 8 tasks, and the service is not in the files"));
    assert!(gone[0].contains("`aws ecs describe-services --cluster shop --services gone`"), "{gone:?}");
    // AWS lists a whole region, staging and its namesakes included.
    let elsewhere = ecs(&[SERVICE, &target("staging", "orders")]);
    assert_eq!(strays(&elsewhere), Vec::<String>::new());
    assert!(elsewhere.notes.iter().any(|note| note.contains("staging/orders is left out")), "{:?}", elsewhere.notes);
    assert!(elsewhere.workloads[0].ecs.as_ref().unwrap().autoscaled_max.is_none());
    // Which cluster is somebody else's cannot be told.
    assert_eq!(found(&[r#"{"serviceName": "orders"}"#, &target("shop", "gone")]).len(), 1);
    assert_eq!(found(&[&target("shop", "gone")]).len(), 1);
    // A service that has ended is known.
    let ended = SERVICE.replacen('{', r#"{"status": "INACTIVE", "#, 1);
    assert_eq!(found(&[&ended, &target("shop", "orders")]), Vec::<String>::new());
}

#[test]
fn what_makes_pods_in_a_way_that_is_not_known_is_a_stray_until_it_has_ended() {
    let found = |text: &str| {
        let inventory = manifests(text).unwrap();
        (strays(&inventory).len(), inventory.notes.iter().filter(|note| note.contains("it has ended")).count())
    };
    for (version, kind) in [
        ("argoproj.io/v1alpha1", "CronWorkflow"),
        ("argoproj.io/v1alpha1", "Workflow"),
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication"),
        ("kafka.strimzi.io/v1beta2", "KafkaConnect"),
        ("batch.volcano.sh/v1alpha1", "Job"),
        ("tekton.dev/v1", "TaskRun"),
    ] {
        assert_eq!(found(&object(version, kind, "name: a", "replicas: 3")), (1, 0), "{kind}");
    }
    // Its containers need no name.
    let knative = "template: {spec: {containers: [{image: i}]}}";
    assert_eq!(found(&object("serving.knative.dev/v1", "Service", "name: a", knative)), (1, 0));
    assert_eq!(found(&object("example.com/v1", "Workflow", "name: a", "")), (0, 0));
    let over =
        |version, kind, status: &str| found(&(object(version, kind, "name: a", "") + &format!("status: {status}\n")));
    for phase in ["Succeeded", "Failed", "Error"] {
        assert_eq!(over("argoproj.io/v1alpha1", "Workflow", &format!("{{phase: {phase}}}")), (0, 1), "{phase}");
    }
    assert_eq!(over("argoproj.io/v1alpha1", "Workflow", "{phase: Running}"), (1, 0));
    for (status, expected) in [("'True'", (0, 1)), ("'False'", (0, 1)), ("Unknown", (1, 0))] {
        let status = format!("{{conditions: [{{type: Succeeded, status: {status}}}]}}");
        assert_eq!(over("tekton.dev/v1", "TaskRun", &status), expected, "{status}");
    }
    assert_eq!(over("argoproj.io/v1alpha1", "CronWorkflow", "{phase: Succeeded}"), (1, 0), "it begins again");
}
