//! The EKS side read from a real API server: the findings of its manifests, whole or nothing, with the generated rights and
//! no others, fast and in little memory.

use crate::audit::{Asked, asked, entries};
use crate::build::{Build, build};
use crate::live::{Place, audit, image, live, wait};
use crate::measure::measured;
use crate::tool::{World, command_of};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{ListParams, PostParams};
use kube::{Api, Resource};
use preflight_cluster::{ClusterAccess, Inventory, connect, load, load_live};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::sync::RwLock;

const ROLE: &str = "arn:aws:iam::111122223333:role/orders";

/// Deployments that are read in the measurement, with their ServiceAccounts not counted.
const MANY: usize = 1_000;

fn config(source: &str) -> String {
    format!(
        "environment: test\naws: {{accountId: \"111122223333\", region: eu-west-1}}\n{source}\n\
         workloads: [{{name: orders, role: \"{ROLE}\"}}]\n"
    )
}

pub(crate) fn from_cluster(place: &Place) -> String {
    config(&format!("cluster: {{name: shop, kubeconfig: kubeconfig, namespaces: [{}]}}", place.namespace))
}

pub(crate) fn template(name: &str, pod: Value) -> Value {
    let mut spec = json!({"containers": [{"name": "app", "image": image_or_any(), "imagePullPolicy": "Never"}]});
    for (key, value) in pod.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({"metadata": {"labels": {"app": name}}, "spec": spec})
}

fn image_or_any() -> String {
    image().unwrap_or_else(|| "localhost/pause:1".to_owned())
}

pub(crate) fn object(version: &str, kind: &str, name: &str, body: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
    for (key, value) in body.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

pub(crate) fn selecting(name: &str, pod: Value, more: Value) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"app": name}}, "template": template(name, pod)});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({"spec": spec})
}

/// One object of each kind, as a chart would have them. Their pods take next to nothing.
fn shop() -> Vec<Value> {
    let env = json!([
        {"name": "SPRING_DATASOURCE_URL", "value": "jdbc:mysql://db.internal:3306/shop"},
        {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "common", "key": "LEVEL"}}},
        {"name": "TUNING", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "x", "optional": true}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password", "optional": true}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]);
    let app = json!({"name": "app", "image": image_or_any(), "imagePullPolicy": "Never", "env": env,
        "envFrom": [{"configMapRef": {"name": "common"}}, {"secretRef": {"name": "keys", "optional": true}, "prefix": "K_"}]});
    let orders = json!({"serviceAccountName": "orders", "containers": [app], "securityContext": {"fsGroup": 2000}});
    let surge = json!({"replicas": 2, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}}});
    let none = || json!({});
    let job = |more: Value| {
        let mut spec = json!({"template": template("job", json!({"restartPolicy": "Never"})), "parallelism": 3});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        spec
    };
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders"});
    vec![
        object("v1", "ServiceAccount", "orders", json!({"automountServiceAccountToken": true})),
        object(
            "v1",
            "ConfigMap",
            "common",
            json!({"data": {"LEVEL": "info", "redis.url": "redis://cache.internal/0"}}),
        ),
        object("apps/v1", "Deployment", "orders", selecting("orders", orders, surge)),
        object(
            "apps/v1",
            "StatefulSet",
            "store",
            selecting("store", none(), json!({"replicas": 1, "serviceName": "store"})),
        ),
        object("apps/v1", "DaemonSet", "agent", selecting("agent", none(), none())),
        object("batch/v1", "Job", "import", json!({"spec": job(json!({"suspend": true}))})),
        object(
            "batch/v1",
            "CronJob",
            "nightly",
            json!({"spec": {"schedule": "0 3 * * *", "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": job(none())}}}),
        ),
        object(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "orders",
            json!({"spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 7}}),
        ),
    ]
}

/// The kinds that the cluster has: whoever adds one for a while is alone.
pub(crate) static KINDS: RwLock<()> = RwLock::const_new(());

/// Puts the shop into the test's namespace, waits until its controllers have made pods, and gives it as manifests.
pub(crate) async fn deployed(place: &Place) -> Value {
    let mut objects = shop();
    objects[0]["metadata"]["annotations"] = json!({"eks.amazonaws.com/role-arn": ROLE});
    for object in &mut objects {
        object["metadata"]["namespace"] = json!(place.namespace);
        let object = object.clone();
        match object["kind"].as_str().unwrap() {
            "ServiceAccount" => drop(place.create::<ServiceAccount>(object).await),
            "ConfigMap" => drop(place.create::<ConfigMap>(object).await),
            "Deployment" => drop(place.create::<Deployment>(object).await),
            "StatefulSet" => drop(place.create::<StatefulSet>(object).await),
            "DaemonSet" => drop(place.create::<DaemonSet>(object).await),
            "Job" => drop(place.create::<Job>(object).await),
            "CronJob" => drop(place.create::<CronJob>(object).await),
            _ => drop(place.create::<HorizontalPodAutoscaler>(object).await),
        }
    }
    wait("pods of three controllers", || async {
        let pods = place.api::<Pod>().list(&ListParams::default()).await.unwrap();
        let made = pods.items.iter().filter_map(|pod| pod.metadata.labels.as_ref()?.get("app").cloned());
        (made.collect::<BTreeSet<_>>().len() == 3).then_some(())
    })
    .await;
    let nodes = Api::<Node>::all(place.client.clone()).list(&ListParams::default()).await.unwrap();
    let named = nodes.items.iter().map(|node| object("v1", "Node", node.metadata.name.as_ref().unwrap(), json!({})));
    objects.extend(named);
    json!({"apiVersion": "v1", "kind": "List", "items": objects})
}

/// What an inventory says, without where it stands and how it was read.
fn said(inventory: Inventory) -> String {
    let mut accounts = inventory.service_accounts;
    // Every namespace has one, and manifests do not name it.
    accounts.retain(|account| account.name != "default");
    let mut workloads = inventory.workloads;
    // The API server selects and labels the pods of a Job by its uid.
    for eks in workloads.iter_mut().filter_map(|workload| workload.eks.as_mut()).filter(|eks| eks.kind == "Job") {
        eks.selector = None;
    }
    let comparable = Inventory {
        workloads,
        service_accounts: accounts,
        is_whole: false,
        sources: vec![],
        cluster: None,
        rights: vec![],
        ..inventory
    };
    let text = format!("{comparable:#?}").replace("in the manifests", "in the cluster");
    let is_own =
        |line: &&str| !line.starts_with("at: ") && !line.contains("controller-uid\":") && !line.contains("job-name\":");
    text.lines().map(str::trim).filter(is_own).collect::<Vec<_>>().join("\n")
}

/// The results of a report that say something, without times and places.
fn results(world: &World) -> Value {
    let mut report = world.report();
    let results = report["results"].as_array_mut().unwrap();
    for result in results.iter_mut() {
        let fields = result.as_object_mut().unwrap();
        for field in ["startedAt", "durationMs", "evidence"] {
            fields.remove(field);
        }
    }
    json!([report["results"], report["plan"]["excluded"], report["subject"]["workloads"], report["summary"]["verdict"]])
}

#[test]
fn the_same_objects_give_the_same_findings_as_their_manifests() {
    live(|place| async move {
        let _together = KINDS.read().await;
        let list = deployed(&place).await;
        let files = place.world(&config("cluster: {name: shop}\nmanifests: [all.json]"));
        files.write("all.json", &list.to_string());
        let cluster = place.world(&from_cluster(&place));
        let from_files = load(&[files.path("all.json")], &[], &[]).unwrap();
        let access = ClusterAccess {
            kubeconfig: Some(cluster.path("kubeconfig")),
            namespaces: vec![place.namespace.clone()],
            ..ClusterAccess::default()
        };
        let from_api = load_live(&connect(&access).await.unwrap(), &access, &[], &[]).await.unwrap();
        assert_eq!(from_api.workloads.len(), 5);
        assert_eq!(said(from_api), said(from_files));
        let plan = |world: &World| {
            let plan = world.tool(&["plan", "--to", "traffic-1", "--output", "json"]).json();
            json!([plan["items"], plan["excluded"]])
        };
        assert_eq!(plan(&cluster), plan(&files));
        let run =
            |world: &World| world.tool(&["run", "--to", "traffic-1", "--only", "irsa.service-account-annotated"]).code;
        assert_eq!((run(&cluster), run(&files)), (11, 11));
        assert_eq!(results(&cluster), results(&files));
        let passed = results(&cluster)[0].as_array().unwrap().iter().filter(|one| one["outcome"] == "pass").count();
        assert_eq!(passed, 1);
        let subject = cluster.report()["subject"]["cluster"].clone();
        let system = Api::<Namespace>::all(place.client.clone()).get("kube-system").await.unwrap();
        let version = place.client.apiserver_version().await.unwrap().git_version;
        assert_eq!((&subject["uid"], &subject["version"]), (&json!(system.metadata.uid), &json!(version)));
    });
}

#[test]
fn what_init_finds_in_the_cluster_is_what_it_finds_in_the_manifests_and_lints() {
    live(|place| async move {
        let _together = KINDS.read().await;
        let list = deployed(&place).await;
        let world = place.world("");
        world.write("all.json", &list.to_string());
        let of_files = world.tool(&["init", "--manifests", "all.json", "--config", "-"]);
        let of_cluster = world.tool(&[
            "init",
            "--cluster",
            "-n",
            &place.namespace,
            "--kubeconfig",
            "kubeconfig",
            "--config",
            "live.yaml",
        ]);
        assert_eq!((of_files.code, of_cluster.code), (0, 0), "{of_files:?} {of_cluster:?}");
        let text = std::fs::read_to_string(world.path("live.yaml")).unwrap();
        let same = |text: &str| {
            let source = ["# What runs in EKS is read", "cluster: ", "# cluster: ", "manifests: ", "  # seen at "];
            let is_same = |line: &&str| !line.is_empty() && !source.iter().any(|start| line.starts_with(start));
            // A comment says where: `what at PLACE: why`.
            let without_place = |line: &str| match line.split_once(" at ").filter(|_| line.starts_with("#   ")) {
                Some((what, rest)) => format!("{what}: {}", rest.split_once(": ").map_or("", |(_, why)| why)),
                None => line.to_owned(),
            };
            text.lines().filter(is_same).map(without_place).collect::<Vec<_>>()
        };
        assert_eq!(same(&text), same(&of_files.out));
        assert!(text.contains("\"db.internal:3306\"") && text.contains(ROLE), "{text}");
        let lint = world.tool(&["lint", "--config", "live.yaml"]);
        assert_eq!(lint.code, 0, "{lint:?}");
    });
}

#[test]
fn a_kind_that_may_not_be_listed_leaves_every_check_open() {
    live(|place| async move {
        let _together = KINDS.read().await;
        place.account("preflight", None).await;
        let world = place.world_as("preflight", &from_cluster(&place)).await;
        let ran = world.tool(&["run", "--to", "traffic-1"]);
        assert_eq!(ran.code, 20, "{ran:?}");
        let report = world.report();
        let results = report["results"].as_array().unwrap();
        let is_open = |one: &&Value| one["outcome"] == "unknown" && one["reason"] == "forbidden";
        assert!(!results.is_empty() && results.iter().all(|one| is_open(&one)), "{report:#}");
        let observed = results[0]["observed"].as_str().unwrap();
        assert!(observed.contains("to get namespaces kube-system in the whole cluster"), "{observed}");
        assert!(observed.contains("list deployments.apps, statefulsets.apps"), "{observed}");
    });
}

/// Binds generated Roles. Those for the whole cluster go with the test's namespace, as what it owns.
pub(crate) async fn apply(place: &Place, documents: Vec<Value>) {
    for mut document in documents {
        let kind = document["kind"].as_str().unwrap().to_owned();
        if kind.starts_with("Cluster") {
            document["metadata"]["ownerReferences"] = json!([owner(place).await]);
        }
        match kind.as_str() {
            "ServiceAccount" => drop(place.create::<ServiceAccount>(document).await),
            "ConfigMap" => drop(place.create::<ConfigMap>(document).await),
            "Role" => drop(place.create::<Role>(document).await),
            "RoleBinding" => drop(place.create::<RoleBinding>(document).await),
            "ClusterRole" => everywhere::<ClusterRole>(place, document).await,
            _ => everywhere::<ClusterRoleBinding>(place, document).await,
        }
    }
}

/// The test's namespace, as the owner of something that is in none.
pub(crate) async fn owner(place: &Place) -> Value {
    let namespaces: Api<Namespace> = Api::all(place.client.clone());
    let uid = namespaces.get(&place.namespace).await.unwrap().metadata.uid.unwrap();
    json!({"apiVersion": "v1", "kind": "Namespace", "name": place.namespace, "uid": uid})
}

pub(crate) async fn everywhere<K>(place: &Place, document: Value)
where
    K: Resource<DynamicType = ()> + serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    let document = serde_json::from_value(document).unwrap();
    Api::<K>::all(place.client.clone()).create(&PostParams::default(), &document).await.unwrap();
}

/// What rules allow, as `verb group/resource name`.
fn allowed(documents: &[Value]) -> BTreeSet<String> {
    let texts =
        |value: &Value| value.as_array().into_iter().flatten().map(|one| one.as_str().unwrap().to_owned()).collect();
    let mut found = BTreeSet::new();
    let bound = documents.iter().filter(|one| one["kind"].as_str().unwrap().ends_with("Role"));
    for rule in bound.flat_map(|one| one["rules"].as_array().unwrap()) {
        let (verbs, names): (Vec<String>, Vec<String>) = (texts(&rule["verbs"]), texts(&rule["resourceNames"]));
        let (group, resource) = (rule["apiGroups"][0].as_str().unwrap(), rule["resources"][0].as_str().unwrap());
        for verb in verbs {
            let names = if names.is_empty() { vec![String::new()] } else { names.clone() };
            found.extend(names.into_iter().map(|name| format!("{verb} {group}/{resource} {name}")));
        }
    }
    found
}

#[test]
fn the_generated_rights_are_enough_to_read_and_none_of_them_is_spare() {
    live(|place| async move {
        let _together = KINDS.read().await;
        deployed(&place).await;
        let (name, only) = (place.namespace.as_str(), "--only=irsa.service-account-annotated");
        let own = ["--namespace", name, "--name", name, "--output", "json"];
        let admin = place.world(&from_cluster(&place));
        let ran = admin.tool(&[&["manifest", "rbac", "--to", "traffic-1", only], own.as_slice()].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        let documents = ran.json()["items"].as_array().unwrap().clone();
        apply(&place, documents.clone()).await;
        // The cluster mounts a ConfigMap into it by itself.
        let container = json!({"name": "debug", "image": image_or_any(), "imagePullPolicy": "Never"});
        place.create::<Pod>(json!({"metadata": {"name": "debug"}, "spec": {"containers": [container]}})).await;
        let world = place.world_as(name, &from_cluster(&place)).await;
        let ran = world.tool(&["run", "--to", "traffic-1", only]);
        let passed =
            world.report()["results"].as_array().unwrap().iter().filter(|one| one["outcome"] == "pass").count();
        assert_eq!((ran.code, passed), (11, 1), "{ran:?}");
        let Some(log) = audit() else { return };
        let entries = entries(&log, &format!("system:serviceaccount:{name}:{name}"));
        let requests: Vec<Asked> = entries.iter().filter_map(asked).collect();
        for one in &requests {
            assert!(one.is_granted(&documents, (name, name)), "outside of its rights: {one:?}");
        }
        let asked = requests.iter().map(|one| format!("{} {}/{} {}", one.verb, one.group, one.resource, one.name));
        let mut allowed = allowed(&documents);
        // For the result, which this run does not deliver.
        assert!(allowed.remove(&format!("patch /configmaps {name}-result")));
        assert_eq!(asked.collect::<BTreeSet<_>>(), allowed);
    });
}

#[test]
fn a_thousand_workloads_are_read_in_little_time_and_memory() {
    live(|place| async move {
        let _together = KINDS.read().await;
        let env: Vec<Value> =
            (0..20).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "x".repeat(40)})).collect();
        let create = |n: usize| {
            let name = format!("service-{n:04}");
            let container = json!({"name": "app", "image": "localhost/pause:1", "env": env,
                "envFrom": [{"configMapRef": {"name": "common"}}]});
            // Paused: the measurement is of what is read, not of what this machine can run.
            let more = json!({"replicas": 2, "paused": true});
            let body = selecting(&name, json!({"containers": [container]}), more);
            let place = &place;
            async move {
                let deployment = serde_json::from_value(object("apps/v1", "Deployment", &name, body)).unwrap();
                place.api::<Deployment>().create(&PostParams::default(), &deployment).await.map(drop)
            }
        };
        place.create::<ConfigMap>(json!({"metadata": {"name": "common"}, "data": {"LEVEL": "info"}})).await;
        stream::iter((0..MANY).map(create)).buffer_unordered(16).try_collect::<()>().await.unwrap();
        let world = place.world(&from_cluster(&place).replace("name: orders", "name: service-0000"));
        let Build { program, slowest, largest } = build();
        let (ran, took, peak) =
            measured(command_of(&program, &world.path(".")).args(["plan", "--to", "traffic-1", "--output", "json"]));
        assert_eq!(ran.code, 0, "{}", ran.err);
        let excluded = ran.json()["excluded"].as_array().unwrap().len();
        assert!(excluded >= MANY - 1, "{excluded}");
        eprintln!("{MANY} workloads: {:.2} s, {:.1} MiB", took.as_secs_f64(), peak as f64 / f64::from(1 << 20));
        assert!(took < slowest && peak < largest && peak > 0, "{took:?}, {peak} bytes");
    });
}
