//! What is read from a cluster's API: the same as from manifests, whole, or nothing at all.

use super::{Folder, data, named};
use preflight_cluster::{
    Client, ClusterAccess, Controller, EksWorkload, Inventory, InventoryError, Pair, Stray, connect, load, load_live,
};
use preflight_core::{CannotTell, Reason};
use preflight_fixtures::aws::{AccessRule, ApiUser, Cluster, Config, IdentityDouble, ServiceAccount};
use serde_json::{Value, json};

const BEARER: &str = "bearer-canary";

/// A cluster's API with objects in it.
pub(crate) struct Api {
    double: IdentityDouble,
    client: Client,
    _folder: Folder,
}

impl Api {
    pub(crate) async fn with(objects: &[Value]) -> Self {
        Self::that_denies(objects, vec![]).await
    }

    pub(crate) async fn that_denies(objects: &[Value], rules: Vec<AccessRule>) -> Self {
        // Several crates of this binary bring rustls; kube needs to be told which provider is meant.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let user = rules.into_iter().fold(ApiUser::new("preflight", BEARER), ApiUser::deny);
        let mut cluster = Cluster::new("lab", "111122223333", "eu-west-1").user(user);
        for object in objects {
            cluster = match object["kind"].as_str() {
                Some("ServiceAccount") => cluster.service_account(account(object)),
                _ => cluster.object(object.clone()),
            };
        }
        let double = IdentityDouble::start(Config::new("eu-west-1").cluster(cluster)).await.unwrap();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
             clusters: [{{name: lab, cluster: {{server: '{}'}}}}]\nusers: [{{name: me, user: {{token: {BEARER}}}}}]\n\
             contexts: [{{name: lab, context: {{cluster: lab, user: me}}}}]\n",
            double.urls().kubernetes
        );
        let folder = Folder::new(&[("kubeconfig", &kubeconfig)]);
        let access = ClusterAccess { kubeconfig: Some(folder.path("kubeconfig")), ..ClusterAccess::default() };
        Self { double, client: connect(&access).await.unwrap(), _folder: folder }
    }

    pub(crate) async fn read(&self, namespaces: &[&str], pairs: &[Pair]) -> Result<Inventory, InventoryError> {
        self.read_of(None, namespaces, pairs).await
    }

    async fn read_of(
        &self,
        uid: Option<String>,
        namespaces: &[&str],
        pairs: &[Pair],
    ) -> Result<Inventory, InventoryError> {
        let namespaces: Vec<String> = namespaces.iter().map(|&name| name.to_owned()).collect();
        let access = ClusterAccess { namespaces, uid, ..ClusterAccess::default() };
        load_live(&self.client, &access, &[data("ecs")], pairs).await
    }

    /// Why the shop cannot be read.
    async fn unread(&self, namespaces: &[&str]) -> CannotTell {
        match self.read(namespaces, &[]).await {
            Err(InventoryError::Unread(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    /// What of the shop may not be read, and whether another part may.
    pub(crate) async fn forbidden(&self) -> (String, bool) {
        match self.read(&["shop"], &[]).await {
            Err(InventoryError::Forbidden { why, is_reached }) => {
                assert_eq!(why.reason, Reason::Forbidden);
                (why.detail, is_reached)
            }
            other => panic!("{other:?}"),
        }
    }

    /// What was asked for, each as `OPERATION RESOURCE`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let requests = self.double.handle().requests();
        requests.into_iter().map(|one| format!("{} {}", one.operation, one.resource)).collect()
    }
}

fn account(object: &Value) -> ServiceAccount {
    let text = |field: &str| object["metadata"][field].as_str().unwrap();
    let empty = serde_json::Map::new();
    let annotations = object["metadata"]["annotations"].as_object().unwrap_or(&empty);
    annotations.iter().fold(ServiceAccount::new(text("namespace"), text("name")), |account, (key, value)| {
        account.annotation(key, value.as_str().unwrap())
    })
}

pub(crate) fn object(kind: &str, name: &str, spec: Value) -> Value {
    let version = match kind {
        "Deployment" | "ReplicaSet" | "DaemonSet" => "apps/v1",
        "Job" => "batch/v1",
        "Rollout" | "Workflow" | "CronWorkflow" => "argoproj.io/v1alpha1",
        "CloneSet" => "apps.kruise.io/v1alpha1",
        "KafkaConnect" => "kafka.strimzi.io/v1beta2",
        "TaskRun" => "tekton.dev/v1",
        "ScaledJob" | "ScaledObject" => "keda.sh/v1alpha1",
        _ => "v1",
    };
    let metadata = json!({"name": name, "namespace": "shop", "resourceVersion": "7"});
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
}

pub(crate) fn template() -> Value {
    json!({"spec": {"containers": [{"name": "c", "image": "i"}]}})
}

pub(crate) fn owned(mut object: Value, version: &str, kind: &str, name: &str) -> Value {
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": version, "kind": kind, "name": name, "controller": true}]);
    object
}

fn workload<'a>(inventory: &'a Inventory, name: &str) -> &'a EksWorkload {
    inventory.workload(name).unwrap().eks.as_ref().unwrap()
}

/// The objects of the recorded manifests as a cluster would have them: those that it is asked for, each with a namespace
/// and a name.
fn recorded() -> Vec<Value> {
    let mut objects = vec![];
    for file in ["shop.yaml", "jobs.yml", "billing.json"] {
        let text = std::fs::read_to_string(data("manifests").join(file)).unwrap();
        for document in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let items = document["items"].as_array().cloned().unwrap_or_else(|| vec![document]);
            objects.extend(items);
        }
    }
    let is_unread = |object: &Value| {
        let version = object["apiVersion"].as_str().unwrap();
        object["kind"] == "Secret" || version.starts_with("apiextensions.")
    };
    objects.retain(|object| !object.is_null() && !is_unread(object));
    for object in &mut objects {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.entry("namespace").or_insert(json!("default"));
        let stem = metadata.remove("generateName");
        metadata.entry("name").or_insert(stem.unwrap_or_default());
    }
    objects.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ip-10-0-0-1"}}));
    objects
}

/// What an inventory says, without saying where it stands.
pub(crate) fn said(inventory: &Inventory) -> String {
    let unplaced = |line: &String| line.split_once(": ").unwrap().1.to_owned();
    let stray = |stray: &Stray| Stray { text: unplaced(&stray.text), ..stray.clone() };
    let comparable = Inventory {
        is_whole: false,
        sources: vec![],
        cluster: None,
        rights: vec![],
        notes: inventory.notes.iter().map(unplaced).collect(),
        strays: inventory.strays.iter().map(stray).collect(),
        ..inventory.clone()
    };
    let text = format!("{comparable:#?}").replace("in the manifests", "in the cluster");
    text.lines().filter(|line| !line.trim().starts_with("at: ")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_same_objects_give_the_same_inventory_as_manifests() {
    let mut objects = recorded();
    // The double's ServiceAccounts have nothing but annotations.
    for account in objects.iter_mut().filter(|object| object["kind"] == "ServiceAccount") {
        account.as_object_mut().unwrap().remove("automountServiceAccountToken");
    }
    let pairs = [named("invoices", Some("shop/StatefulSet/billing"), Some("billing-svc"))];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let folder = Folder::new(&[("all.json", &list)]);
    let from_files = load(&[folder.root()], &[data("ecs")], &pairs).unwrap();
    let api = Api::with(&objects).await;
    let live = api.read(&["shop", "default"], &pairs).await.unwrap();
    assert_eq!(said(&live), said(&from_files));
    assert_eq!((live.workloads.len(), live.nodes, live.is_whole), (9, Some(1), true));
    assert!(!api.asked().iter().any(|asked| asked.contains("secrets")), "{:?}", api.asked());
}

#[tokio::test]
async fn every_value_has_its_object_with_version_and_path() {
    let mut deployment = object("Deployment", "orders", json!({"replicas": 3, "template": template()}));
    let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    container["env"] = json!([{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]);
    container["envFrom"] = json!([{"configMapRef": {"name": "common"}}]);
    let mut map = object("ConfigMap", "common", Value::Null);
    map["data"] = json!({"LOG.level": "info"});
    let maps = json!([{"name": "a", "configMap": {"name": "files"}},
        {"name": "b", "projected": {"sources": [{"configMap": {"name": "more"}}, {"configMap": {"name": "gone"}}]}}]);
    deployment["spec"]["template"]["spec"]["volumes"] = maps;
    let file = |name: &str| {
        let mut map = object("ConfigMap", name, Value::Null);
        map["data"] = json!({"app.yaml": name});
        map
    };
    let api = Api::with(&[deployment, map, file("files"), file("more"), file("unused")]).await;
    let inventory = api.read(&["shop"], &[]).await.unwrap();
    let orders = workload(&inventory, "orders");
    assert!(matches!(&orders.controller, Controller::Deployment { replicas: Some(replicas), .. }
        if replicas.value == 3 && replicas.at == "shop/Deployment/orders@7 spec.replicas"));
    let places: Vec<&str> = orders.pod.containers[0].env.iter().map(|one| one.at.as_str()).collect();
    assert_eq!(
        places,
        [
            "shop/ConfigMap/common@7 data[LOG.level]",
            "shop/Deployment/orders@7 spec.template.spec.containers[0].env[0].value",
            "shop/Deployment/orders@7 spec.template.spec.containers[0].env[1].value",
        ]
    );
    let files: Vec<_> = orders.pod.volumes.iter().flat_map(|volume| &volume.files).collect();
    assert_eq!((files[0].at.as_str(), files[0].plain()), ("shop/ConfigMap/files@7 data[app.yaml]", Some("files")));
    assert_eq!((files[1].plain(), files[2].is_any()), (Some("more"), true));
    let mut asked = api.asked().into_iter().filter(|one| one.contains("configmaps")).collect::<Vec<_>>();
    asked.sort();
    assert_eq!(asked, ["common", "files", "gone", "more"].map(|name| format!("Get shop/configmaps/{name}")));
    let seen = inventory.cluster.unwrap();
    assert!(seen.uid.len() == 36 && seen.version == "v1.33.0-eks-0000000", "{seen:?}");
}

#[tokio::test]
async fn a_list_is_read_to_its_end_and_begun_again_when_it_expires() {
    let deployment = |n: u32| object("Deployment", &format!("d-{n:04}"), json!({"template": template()}));
    let objects: Vec<Value> = (0..1_201).map(deployment).collect();
    let api = Api::with(&objects).await;
    let pages = |api: &Api| api.asked().iter().filter(|asked| *asked == "List shop/deployments").count();
    let inventory = api.read(&["shop"], &[]).await.unwrap();
    let in_eks = |inventory: &Inventory| inventory.workloads.iter().filter(|one| one.eks.is_some()).count();
    assert_eq!((in_eks(&inventory), pages(&api)), (1_201, 3));
    api.double.handle().clear_requests();
    api.double.handle().change_faults(|faults| faults.expired_lists = 1);
    let again = api.read(&["shop"], &[]).await.unwrap();
    // The one that expired is not in the log under its name.
    assert_eq!((in_eks(&again), pages(&api)), (1_201, 4));
    api.double.handle().change_faults(|faults| faults.expired_lists = 1_000);
    let why = api.unread(&["shop"]).await;
    assert_eq!(why.reason, Reason::Unreachable);
    assert!(why.detail.contains("listing deployments.apps in the namespace shop: 3 times it expired"), "{why}");
}

#[tokio::test]
async fn who_scales_a_workload_and_which_service_is_a_host_is_read_from_the_cluster_too() {
    let mut orders = object("Deployment", "orders", json!({"replicas": 2, "template": template()}));
    orders["metadata"]["managedFields"] =
        json!([{"manager": "watermark", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    let service = object("Service", "mysql", json!({"type": "ExternalName", "externalName": "db.internal"}));
    let inventory = Api::with(&[orders, service]).await.read(&["shop"], &[]).await.unwrap();
    let autoscaler = workload(&inventory, "orders").autoscaler.as_ref().unwrap();
    assert_eq!((autoscaler.name.as_str(), &autoscaler.max), ("watermark", &None));
    assert_eq!(autoscaler.at, "shop/Deployment/orders@7 metadata.managedFields[0]");
    assert_eq!(inventory.external_names[0].host, "db.internal");
}

#[tokio::test]
async fn an_odd_object_of_the_api_is_no_mistake_in_a_file() {
    for spec in [json!({"replicas": "many", "template": template()}), json!({"replicas": 1})] {
        let why = Api::with(&[object("Deployment", "orders", spec)]).await.unread(&["shop"]).await;
        assert_eq!(why.reason, Reason::Unsupported);
        assert!(why.detail.starts_with("reading the cluster: shop/Deployment/orders@7"), "{why}");
    }
}

#[tokio::test]
async fn a_cluster_that_breaks_or_lacks_the_namespace_is_no_empty_one() {
    let api = Api::with(&[object("Deployment", "orders", json!({"template": template()}))]).await;
    let why = api.unread(&["shop", "shpo"]).await;
    assert_eq!(why.reason, Reason::PrerequisiteFailed);
    assert!(why.detail.contains("the namespace shpo: the cluster has none"), "{why}");
    api.double.handle().change_faults(|faults| faults.kubernetes.server_errors = 1);
    assert_eq!(api.unread(&["shop"]).await.reason, Reason::Unreachable);
    let other = api.read_of(Some("another".to_owned()), &["shop"], &[]).await.unwrap_err();
    assert!(matches!(other, InventoryError::Unread(why) if why.reason == Reason::ControlFailed));
    let uid = api.read(&["shop"], &[]).await.unwrap().cluster.unwrap().uid;
    assert!(api.read_of(Some(uid), &["shop"], &[]).await.is_ok());
    // One that is busy is asked again.
    api.double.handle().change_faults(|faults| faults.kubernetes.throttle = 1);
    assert!(api.read(&["shop"], &[]).await.is_ok());
}

#[tokio::test]
async fn pods_that_a_pod_has_made_count_beside_it() {
    let pod = |name: &str| object("Pod", name, template()["spec"].clone());
    let objects = [
        pod("driver"),
        owned(pod("executor-1"), "v1", "Pod", "driver"),
        owned(pod("executor-2"), "v1", "Pod", "driver"),
    ];
    let live = Api::with(&objects).await.read(&["shop"], &[]).await.unwrap();
    for name in ["driver", "executor-1", "executor-2"] {
        assert_eq!(workload(&live, name).kind, "Pod");
    }
}

#[tokio::test]
async fn a_bare_pod_takes_no_right_to_what_the_cluster_mounts_into_every_pod() {
    // As `kubectl run debug` leaves it, stored by Kubernetes 1.36.
    let access = json!({"name": "kube-api-access-9xk7p", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace",
            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}});
    let mount = json!({"name": "kube-api-access-9xk7p", "readOnly": true,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    let container = json!({"name": "debug", "image": "localhost/pause:1", "volumeMounts": [mount], "resources": {}});
    let spec = json!({"containers": [container], "volumes": [access], "serviceAccount": "default",
        "serviceAccountName": "default", "restartPolicy": "Always", "nodeName": "ip-10-0-0-1"});
    let mut debug = object("Pod", "debug", spec);
    debug["metadata"]["labels"] = json!({"run": "debug"});
    debug["status"] = json!({"phase": "Running", "qosClass": "BestEffort"});
    let api = Api::that_denies(&[debug], vec![AccessRule::new("get", "", "configmaps")]).await;
    let inventory = api.read(&["shop"], &[]).await.unwrap();
    let volume = &workload(&inventory, "debug").pod.volumes[0];
    assert_eq!((volume.tokens.len(), volume.files.len()), (1, 0));
    assert!(!api.asked().iter().any(|asked| asked.contains("configmaps")), "{:?}", api.asked());
}

#[tokio::test]
async fn pods_count_once_whoever_made_them() {
    let pod = |name: &str| object("Pod", name, template()["spec"].clone());
    let set =
        |name: &str, replicas: u64| object("ReplicaSet", name, json!({"replicas": replicas, "template": template()}));
    let job = |name: &str| object("Job", name, json!({"parallelism": 2, "template": template()}));
    let over = |mut object: Value, status: Value| {
        object["status"] = status;
        object
    };
    let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    let objects = [
        object("Deployment", "orders", json!({"replicas": 2, "template": template()})),
        owned(set("orders-1", 2), "apps/v1", "Deployment", "orders"),
        owned(pod("orders-1-a"), "apps/v1", "ReplicaSet", "orders-1"),
        // A kind that is not read, with a kind of the same name that is.
        owned(pod("clone-a"), "apps.kruise.io/v1", "CloneSet", "clone"),
        owned(pod("clone-b"), "apps.kruise.io/v1", "CloneSet", "clone"),
        owned(over(pod("clone-c"), json!({"phase": "Succeeded"})), "apps.kruise.io/v1", "CloneSet", "clone"),
        owned(set("canary-1", 3), "flagger.example/v1", "Canary", "canary"),
        owned(pod("canary-1-a"), "apps/v1", "ReplicaSet", "canary-1"),
        object("ScaledJob", "resize", json!({"maxReplicaCount": 8, "jobTargetRef": {"template": template()}})),
        owned(job("resize-1"), "keda.sh/v1alpha1", "ScaledJob", "resize"),
        over(job("done"), complete),
        job("import"),
        pod("debug"),
    ];
    let inventory = Api::with(&objects).await.read(&["shop"], &[]).await.unwrap();
    let number = |one: &EksWorkload| match &one.controller {
        Controller::Deployment { replicas, .. } | Controller::Unknown { replicas } => replicas.as_ref().unwrap().value,
        Controller::Job { parallelism } => parallelism.value,
        Controller::Bare { replicas } => replicas.value,
        other => panic!("{other:?}"),
    };
    let workloads = inventory.workloads.iter().filter_map(|one| one.eks.as_ref());
    let found: Vec<_> = workloads.map(|one| format!("{}: {}", one.reference(), number(one))).collect();
    assert_eq!(
        found,
        [
            "shop/Canary/canary: 3",
            "shop/CloneSet/clone: 2",
            "shop/Pod/debug: 1",
            "shop/Job/import: 2",
            "shop/Deployment/orders: 2",
            "shop/ScaledJob/resize: 8",
        ]
    );
    for text in [
        "it belongs to shop/CloneSet/clone, which is not in the cluster or not known; as many pods as there are now, 2,",
        "shop/Job/done is left out",
    ] {
        assert_eq!(inventory.notes.iter().filter(|note| note.contains(text)).count(), 1, "{:#?}", inventory.notes);
    }
}
