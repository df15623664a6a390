//! `load.pods-stay-healthy` on real pods: what happens to them while a server of this host is loaded stands in the report
//! with the time that the cluster itself tells.

use crate::live::{Place, audit, image, live, wait};
use crate::pods::restricted;
use crate::tool::{Ran, World};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ListParams, Patch, PatchParams};
use preflight_core::Timestamp;
use preflight_fixtures::servers::WebService;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const LOADS: &str = "load.slo-holds";
const JUDGES: &str = "load.pods-stay-healthy";

/// How far a time in the report may be from the cluster's own.
const NEAR: Duration = Duration::from_secs(2);

/// A Deployment whose pods run with these arguments and are started again whatever happens.
fn deployment(place: &Place, name: &str, replicas: u64, mut pod: Value) -> Value {
    pod["restartPolicy"] = json!("Always");
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": pod});
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template});
    let metadata = json!({"name": name, "namespace": place.namespace});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
}

async fn ready(place: &Place, name: &str, wanted: i32) {
    wait("the pods' being ready", || async {
        let status = place.api::<Deployment>().get(name).await.unwrap().status?;
        (status.ready_replicas == Some(wanted)).then_some(())
    })
    .await;
}

/// A Service of the pods of a Deployment.
async fn service(place: &Place, name: &str, of: &str) {
    let spec = json!({"selector": {"app": of}, "ports": [{"port": 80}]});
    place.create::<Service>(json!({"metadata": {"name": name}, "spec": spec})).await;
}

/// Makes a Service of the pods of a Deployment, and waits until it leads to so many of them.
async fn served(place: &Place, name: &str, wanted: usize) {
    service(place, name, name).await;
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
    wait("the Service's endpoints", || async {
        let slices = place.api::<EndpointSlice>().list(&of_service).await.unwrap().items;
        let endpoints = slices.into_iter().flat_map(|slice| slice.endpoints.unwrap_or_default());
        let ready = endpoints.filter(|one| one.conditions.as_ref().and_then(|all| all.ready) != Some(false)).count();
        (ready == wanted).then_some(())
    })
    .await;
}

/// A server of this host to load, and what the configuration says about it.
struct Target {
    server: WebService,
    config: String,
}

impl Target {
    /// One that is loaded for so many seconds.
    async fn start(duration_s: u64) -> Self {
        let server = WebService::start("eks").await.unwrap();
        let config = format!(
            "environment: test\ncluster: {{name: shop, kubeconfig: kubeconfig}}\nmanifests: [deployed.yaml]\nload:\n  \
             targets:\n    - {{name: web, url: 'http://{}', served: {{header: x-served-by, eks: eks, ecs: ecs}}, requests: \
             [{{path: /}}], rate: 20, durationS: {duration_s}, warmupS: 0, slo: {{maxErrorPercent: 1}}}}\n",
            server.address()
        );
        Self { server, config }
    }

    /// Loads it, and does something once the load is on its way.
    async fn load<T>(&self, world: World, meanwhile: impl Future<Output = T>) -> (Loaded, T) {
        let world = Arc::new(world);
        let running = Arc::clone(&world);
        // The server answers on this thread.
        let arguments = ["run", "--to=traffic-1", "--only", LOADS, "--only", JUDGES, "--consent=web"];
        let run = tokio::task::spawn_blocking(move || running.tool(&arguments));
        let change = async {
            wait("the load", || async { (self.server.requests() > 20).then_some(()) }).await;
            meanwhile.await
        };
        let (ran, changed) = tokio::join!(run, change);
        (Loaded { ran: ran.unwrap(), report: world.report() }, changed)
    }
}

/// A run that is over.
struct Loaded {
    ran: Ran,
    report: Value,
}

impl Loaded {
    #[track_caller]
    fn result(&self, check: &str) -> &Value {
        let mut results = self.report["results"].as_array().unwrap().iter();
        let found = results.find(|one| one["check"] == check && one["subject"] == "web");
        found.unwrap_or_else(|| panic!("{check} has no result: {:?}", self.ran))
    }

    #[track_caller]
    fn says(&self, outcome: &str, reason: Option<&str>) -> &str {
        // On a busy machine the generator rightly says that it was late itself.
        assert_ne!(self.result(LOADS)["outcome"], "fail", "{:#}", self.result(LOADS));
        let result = self.result(JUDGES);
        let seen = (result["outcome"].as_str(), result["reason"].as_str());
        assert_eq!(seen, (Some(outcome), reason), "{result:#}\n{:#}", self.pods());
        result["observed"].as_str().unwrap()
    }

    /// What happened to the pods.
    fn pods(&self) -> &Value {
        &self.report["measurements"]["load"]["web pods"]
    }

    /// The times at which something of a kind happened to pods.
    fn times(&self, what: &str) -> Vec<Timestamp> {
        let all = self.pods()["timeline"].as_array().unwrap().iter();
        all.filter(|one| one["what"] == what).map(|one| timestamp(&one["at"])).collect()
    }
}

fn timestamp(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_default().parse().unwrap()
}

fn of_cluster(time: &Time) -> Timestamp {
    time.0.to_string().parse().unwrap()
}

#[track_caller]
fn is_near(seen: Timestamp, time: Timestamp) {
    assert!(seen.since(time).max(time.since(seen)) <= NEAR, "{seen} is not the time of the cluster, {time}");
}

#[test]
fn an_autoscaler_that_scales_during_the_load_is_told_with_its_time() {
    live(|place| async move {
        let Some(image) = image() else { return };
        let mut pod = restricted(&image, &["burn"]);
        pod["containers"][0]["resources"] = json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}});
        let busy = deployment(&place, "busy", 1, pod);
        place.create::<Deployment>(busy.clone()).await;
        ready(&place, "busy", 1).await;
        served(&place, "busy", 1).await;
        let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "busy"}}});
        place.create::<PodDisruptionBudget>(json!({"metadata": {"name": "guard"}, "spec": spec})).await;
        let target = Target::start(75).await;
        let world = place.world(&target.config);
        world.write("deployed.yaml", &busy.to_string());
        let scale = async {
            let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"});
            let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 90}}});
            let spec = json!({"scaleTargetRef": reference, "maxReplicas": 2, "metrics": [metric]});
            let metadata = json!({"name": "busy"});
            place.create::<HorizontalPodAutoscaler>(json!({"metadata": metadata, "spec": spec})).await;
            wait("the scaling", || async {
                let status = place.api::<HorizontalPodAutoscaler>().get("busy").await.unwrap().status?;
                status.last_scale_time.map(|time| of_cluster(&time))
            })
            .await
        };
        let (loaded, scaled) = target.load(world, scale).await;
        let observed = loaded.says("pass", None);
        assert!(observed.contains("busy: 2 pods ready") && observed.contains("scaled 1 → 2 at "), "{observed}");
        assert!(observed.contains(&format!("behind {}/busy", place.namespace)), "{observed}");
        let detail = loaded.result(JUDGES)["evidence"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("PodDisruptionBudget guard covers 2 of 2 pods: currentHealthy "), "{detail}");
        let told = &loaded.pods()["workloads"][0]["scaled"];
        assert_eq!((&told[0]["from"], &told[0]["to"], told.as_array().unwrap().len()), (&json!(1), &json!(2), 1));
        is_near(timestamp(&told[0]["at"]), scaled);
        assert_eq!((loaded.times("appeared").len(), loaded.times("ready").len()), (1, 1), "{:#}", loaded.pods());
        is_near(loaded.times("appeared")[0], scaled);
    });
}

#[test]
fn a_rolling_update_during_the_load_is_told_with_its_time_and_leaves_the_question_open() {
    live(|place| async move {
        let Some(image) = image() else { return };
        let web = deployment(&place, "web", 2, restricted(&image, &[]));
        place.create::<Deployment>(web).await;
        ready(&place, "web", 2).await;
        served(&place, "web", 2).await;
        let target = Target::start(12).await;
        // What is deployed is read from the cluster itself.
        let namespaces = format!("kubeconfig: kubeconfig, namespaces: [{}]}}\n", place.namespace);
        let config = target.config.replace("kubeconfig: kubeconfig}\nmanifests: [deployed.yaml]\n", &namespaces);
        let world = place.world(&config);
        let update = async {
            let patch = json!({"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}});
            place.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
            wait("the second version", || async {
                let sets = place.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items;
                let made = sets.iter().filter_map(|set| set.metadata.creation_timestamp.as_ref()).map(of_cluster);
                (sets.len() == 2).then(|| made.max().unwrap())
            })
            .await
        };
        let (loaded, updated) = target.load(world, update).await;
        let observed = loaded.says("unknown", Some("control-failed"));
        let told = timestamp(&loaded.pods()["workloads"][0]["rollouts"][0]);
        assert!(observed.contains(&format!("Deployment/web since {told}")), "{observed}");
        is_near(told, updated);
        let count = |what| loaded.times(what).len();
        assert_eq!((count("appeared"), count("ready")), (2, 2), "{:#}", loaded.pods());
        assert_eq!(
            (count("lostReadiness"), count("died")),
            (0, 0),
            "an ordered end is no trouble: {:#}",
            loaded.pods()
        );
    });
}

#[test]
fn a_pod_that_crashes_and_one_that_cannot_start_fail_with_time_and_reason() {
    live(|place| async move {
        let Some(image) = image() else { return };
        let crash = deployment(&place, "crash", 1, restricted(&image, &["exit", "7"]));
        // It cannot even start, for no node has its image.
        let mut absent = restricted("localhost/absent:1", &[]);
        absent["containers"][0]["imagePullPolicy"] = json!("Never");
        let absent = deployment(&place, "absent", 1, absent);
        let target = Target::start(12).await;
        let world = place.world(&target.config);
        world.write("deployed.yaml", &format!("{crash}\n---\n{absent}\n"));
        let crashes = async {
            place.create::<Deployment>(absent.clone()).await;
            place.create::<Deployment>(crash.clone()).await;
            wait("the first death", || async {
                let of_crash = ListParams::default().labels("app=crash");
                let pod = place.api::<Pod>().list(&of_crash).await.unwrap().items.pop()?;
                let container = pod.status?.container_statuses?.pop()?;
                let ended = container.last_state?.terminated.or(container.state?.terminated)?;
                Some(of_cluster(&ended.finished_at?))
            })
            .await
        };
        let (loaded, died) = target.load(world, crashes).await;
        let observed = loaded.says("fail", None);
        assert!(observed.contains("container main: Error, exit code 7, at "), "{observed}");
        assert_eq!(loaded.ran.code, 10, "{:?}", loaded.ran);
        let told = loaded.times("died");
        assert!(told.len() >= 2, "{:#}", loaded.pods());
        is_near(told[0], died);
        assert!(observed.contains("after the load: container main waits: ErrImageNeverPull"), "{observed}");
        let text = loaded.result(JUDGES)["remediation"]["text"].as_str().unwrap();
        assert!(text.contains(&format!("kubectl describe pod -n {} absent-", place.namespace)), "{text}");
    });
}

#[test]
fn the_declared_rights_are_enough_and_nothing_else_is_asked_and_without_it_nobody_can_tell() {
    live(|place| async move {
        let Some(image) = image() else { return };
        let web = deployment(&place, "web", 1, restricted(&image, &[]));
        place.create::<Deployment>(web.clone()).await;
        place.account("preflight", None).await;
        ready(&place, "web", 1).await;
        served(&place, "web", 1).await;
        let target = Target::start(6).await;
        let run = async || {
            let world = place.world_as("preflight", &target.config).await;
            world.write("deployed.yaml", &web.to_string());
            target.load(world, async {}).await.0
        };
        let refused = run().await;
        let observed = refused.says("unknown", Some("forbidden"));
        let lists = "list pods, endpointslices.discovery.k8s.io, poddisruptionbudgets.policy";
        assert!(observed.ends_with(&format!("{lists} in the namespace {}", place.namespace)), "{observed}");

        let rule =
            |group: &str, resource: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": ["list"]});
        let (slices, budgets) = (rule("discovery.k8s.io", "endpointslices"), rule("policy", "poddisruptionbudgets"));
        let rules = json!([rule("", "pods"), slices, budgets]);
        place.create::<Role>(json!({"metadata": {"name": "preflight"}, "rules": rules})).await;
        let subjects = json!([{"kind": "ServiceAccount", "name": "preflight", "namespace": place.namespace}]);
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "preflight"});
        let binding = json!({"metadata": {"name": "preflight"}, "subjects": subjects, "roleRef": role});
        place.create::<RoleBinding>(binding).await;
        run().await.says("pass", None);

        let Some(log) = audit() else { return };
        let user = format!("system:serviceaccount:{}:preflight", place.namespace);
        let log = std::fs::read_to_string(log).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let own = lines.filter(|line| line["user"]["username"] == user.as_str());
        let asked: BTreeSet<String> = own
            .map(|line| {
                format!("{} {} {}", line["verb"], line["objectRef"]["resource"], line["objectRef"]["namespace"])
            })
            .collect();
        let here = json!(place.namespace);
        let lists =
            ["endpointslices", "poddisruptionbudgets", "pods"].map(|resource| format!(r#""list" "{resource}" {here}"#));
        let review = r#""create" "selfsubjectaccessreviews" null"#.to_owned();
        assert_eq!(asked, lists.into_iter().chain([review]).collect());
    });
}

#[test]
fn pods_that_no_service_leads_to_prove_nothing_and_one_made_by_hand_counts() {
    live(|place| async move {
        let Some(image) = image() else { return };
        let web = deployment(&place, "web", 1, restricted(&image, &[]));
        place.create::<Deployment>(web.clone()).await;
        ready(&place, "web", 1).await;
        service(&place, "web", "others").await;
        let target = Target::start(6).await;
        let run = async || {
            let world = place.world(&target.config);
            world.write("deployed.yaml", &web.to_string());
            target.load(world, async {}).await.0
        };
        let apart = run().await;
        let observed = apart.says("unknown", Some("control-failed"));
        let text = format!("no pod of {}/Deployment/web is a ready endpoint of a Service", place.namespace);
        assert!(observed.contains(&text), "{observed}");
        assert_eq!(apart.ran.code, 11, "{:?}", apart.ran);

        let of_web = ListParams::default().labels("app=web");
        let pod = place.api::<Pod>().list(&of_web).await.unwrap().items.pop().unwrap();
        let address = pod.status.unwrap().pod_ip.unwrap();
        let family = if address.contains(':') { "IPv6" } else { "IPv4" };
        let spec = json!({"ports": [{"port": 80}]});
        place.create::<Service>(json!({"metadata": {"name": "by-hand"}, "spec": spec})).await;
        let metadata = json!({"name": "by-hand", "labels": {"kubernetes.io/service-name": "by-hand"}});
        let slice = json!({"metadata": metadata, "addressType": family, "ports": [{"port": 80}],
            "endpoints": [{"addresses": [address]}]});
        place.create::<EndpointSlice>(slice).await;
        let reached = run().await;
        let observed = reached.says("pass", None);
        assert!(observed.contains(&format!("behind {}/by-hand", place.namespace)), "{observed}");
    });
}
