//! What a load does to pods, with an API server that says what a test wants.

use crate::bench::{Bench, answer, routed, until};
use preflight_cluster::{ClusterAccess, Controller, EksWorkload, Inventory, Pod, Workload};
use preflight_core::{Event, Item, ItemKind, Journal, Outcome, Permission, Reason, Scope};
use preflight_fixtures::servers::WebBehaviour;
use preflight_load::{CATALOGUE, Env, Settings};
use preflight_report::CheckResult;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LOADS: &str = "load.slo-holds";
const JUDGES: &str = "load.pods-stay-healthy";

/// The target, its workload, and the API server of its cluster.
struct Shop {
    bench: Bench,
    env: Env,
    asked: Arc<AtomicUsize>,
    scope: Scope,
    told: Arc<Mutex<Vec<Event>>>,
    folder: tempfile::TempDir,
}

/// The Deployment `shop/orders`.
fn inventory() -> Inventory {
    let eks = EksWorkload {
        namespace: "shop".to_owned(),
        kind: "Deployment".to_owned(),
        name: "orders".to_owned(),
        at: "orders.yaml:1".to_owned(),
        controller: Controller::Unknown { replicas: None },
        autoscaler: None,
        selector: Some([("app", "orders")].into_iter().collect()),
        pod: Pod::default(),
    };
    let workload = Workload { name: "orders".to_owned(), ecs: None, eks: Some(eks) };
    Inventory { workloads: vec![workload], ..Inventory::default() }
}

/// A pod of it whose container has been started again so many times.
fn pod(name: &str, restarts: u32) -> Value {
    let exit = json!({"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-24T09:00:07Z"}});
    let container = json!({"name": "app", "image": "i", "imageID": "", "ready": true, "restartCount": restarts,
        "state": {"running": {}}, "lastState": if restarts > 0 { exit } else { json!({}) }});
    let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-24T08:00:05Z"});
    let owner =
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-7d", "uid": "r", "controller": true});
    json!({"metadata": {"uid": name, "name": name, "namespace": "shop", "creationTimestamp": "2026-11-24T08:00:00Z",
            "labels": {"app": "orders", "pod-template-hash": "7d"}, "ownerReferences": [owner]},
        "status": {"phase": "Running", "conditions": [ready], "containerStatuses": [container]}})
}

fn http(status: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The answer to a request for all pods.
fn list(pods: &[Value]) -> String {
    http("200 OK", &json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": pods}))
}

/// The answer to a request for all EndpointSlices: the Service `shop/orders` with endpoints.
fn slices(endpoints: &[Value]) -> String {
    let metadata = json!({"name": "orders-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "orders"}});
    let slice = json!({"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": []});
    let list = json!({"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"resourceVersion": "1"}, "items": [slice]});
    http("200 OK", &list)
}

/// The pod of a name as an endpoint.
fn endpoint(name: &str) -> Value {
    let reference = json!({"kind": "Pod", "namespace": "shop", "name": name, "uid": name});
    json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": reference})
}

/// The answer to a request for all PodDisruptionBudgets: one for all pods.
fn budgets() -> String {
    let status = json!({"currentHealthy": 2, "desiredHealthy": 1, "disruptionsAllowed": 1, "expectedPods": 2});
    let budget = json!({"metadata": {"name": "guard", "namespace": "shop"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "orders"}}}, "status": status});
    let list = json!({"kind": "PodDisruptionBudgetList", "apiVersion": "policy/v1",
        "metadata": {"resourceVersion": "1"}, "items": [budget]});
    http("200 OK", &list)
}

fn refusal() -> String {
    let message = "User \"preflight\" cannot list it in the namespace \"shop\"";
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": "Forbidden", "code": 403});
    http("403 Forbidden", &status)
}

impl Shop {
    /// With what the API server answers when it is asked for pods, one after the other, and the last for ever. A Service
    /// leads to the pods `a` and `b`, and a budget covers them.
    async fn start(pods: Vec<String>) -> Self {
        Self::behind(pods, vec![slices(&[endpoint("a"), endpoint("b")])], budgets()).await
    }

    /// The same for EndpointSlices, and for budgets.
    async fn behind(pods: Vec<String>, slices: Vec<String>, budgets: String) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let bench = Bench::start().await;
        let lists = vec![("/pods?", pods), ("/endpointslices?", slices), ("/poddisruptionbudgets?", vec![budgets])];
        let (address, asked) = routed(lists).await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: 'http://{address}'}}}}]\n\
             users: [{{name: a, user: {{token: t}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n"
        );
        std::fs::write(&kubeconfig, text).unwrap();
        let cluster = ClusterAccess { kubeconfig: Some(kubeconfig), ..ClusterAccess::default() };
        let env = Env::new(&inventory(), settings(&bench.target()), cluster);
        let told: Arc<Mutex<Vec<Event>>> = Arc::default();
        let sink = Arc::clone(&told);
        let limit = Duration::from_secs(60);
        let scope =
            Scope::new("run-1", limit, Journal::in_memory("run-1"), move |_, event| sink.lock().unwrap().push(event));
        Self { bench, env, asked, scope, told, folder }
    }

    fn item(&self, id: &str) -> Item {
        let entry = CATALOGUE.iter().find(|entry| entry.meta.id == id).unwrap();
        (entry.items)(&self.env).remove(0)
    }

    /// Runs these checks as a run does.
    async fn run(&self, ids: &[&str]) -> Vec<CheckResult> {
        let jobs: Vec<_> = ids
            .iter()
            .map(|id| {
                let meta = CATALOGUE.iter().find(|entry| entry.meta.id == *id).unwrap().meta;
                let Item { subject, kind: ItemKind::Planned(check), targets, .. } = self.item(id) else {
                    panic!("{id} is not planned")
                };
                preflight_core::Job { meta, subject, targets, check }
            })
            .collect();
        preflight_core::run_all(jobs, 1, &self.scope).await
    }

    /// The measurement of that name.
    fn measured(&self, wanted: &str) -> Value {
        let told = self.told.lock().unwrap();
        let found = told.iter().find_map(|event| match event {
            Event::Measurement { area: "load", name, value } if name == wanted => Some(value.clone()),
            _ => None,
        });
        found.unwrap_or_default()
    }
}

fn settings(target: &Value) -> Settings {
    let settings: Settings = serde_json::from_value(json!({ "targets": [target] })).unwrap();
    assert_eq!(settings.problems(), []);
    settings
}

#[tokio::test]
async fn pods_that_stay_healthy_pass_and_leave_their_course() {
    let shop = Shop::start(vec![list(&[pod("a", 3)]), list(&[pod("a", 3), pod("b", 0)])]).await;
    let results = shop.run(&[LOADS, JUDGES]).await;
    assert_eq!(results[1].outcome, Outcome::Pass, "{}", results[1].observed);
    let scaled = "shop/Deployment/orders: 2 pods ready, behind shop/orders, none in trouble";
    assert!(results[1].observed.starts_with(scaled), "{}", results[1].observed);
    let detail = &results[1].evidence[0].detail;
    assert!(
        detail.starts_with("2 of 2 pods are ready endpoints of shop/orders\nPodDisruptionBudget guard"),
        "{detail}"
    );
    assert!(results[1].observed.ends_with("scaled 1 → 2 at 2026-11-24T08:00:00.000Z"), "{}", results[1].observed);
    let value = shop.measured("shop pods");
    assert!(value["looks"].as_u64().unwrap() >= 3, "{value}");
    assert_eq!((&value["failedLooks"], &value["timeline"][0]["what"]), (&json!(0), &json!("appeared")), "{value}");
    assert!(shop.measured("shop")["histograms"].is_object(), "the load's own numbers are gone");
}

#[tokio::test]
async fn a_restart_fails_and_does_not_change_what_the_load_showed() {
    let shop = Shop::start(vec![list(&[pod("a", 0)]), list(&[pod("a", 1)])]).await;
    let results = shop.run(&[LOADS, JUDGES]).await;
    assert_ne!(results[0].outcome, Outcome::Fail, "{}", results[0].observed);
    assert_eq!(results[1].outcome, Outcome::Fail, "{}", results[1].observed);
    let text = "the pod shop/a: container app: Error, exit code 1, at 2026-11-24T09:00:07.000Z";
    assert_eq!(results[1].observed, text);
    let entry = json!({"at": "2026-11-24T09:00:07.000Z", "pod": "shop/a", "what": "died", "detail": "container app: Error, exit code 1"});
    assert_eq!(shop.measured("shop pods")["timeline"], json!([entry]));
}

#[tokio::test]
async fn an_api_that_refuses_or_never_answers_cannot_tell_and_the_load_goes_on() {
    for (answer, reason) in [(refusal(), Reason::Forbidden), (String::new(), Reason::Unreachable)] {
        let shop = Shop::start(vec![answer]).await;
        let results = shop.run(&[LOADS, JUDGES]).await;
        assert_ne!(results[0].reason, Some(reason), "{}", results[0].observed);
        assert_eq!(shop.measured("shop")["scheduled"], 200);
        assert_eq!(
            (results[1].outcome, results[1].reason),
            (Outcome::Unknown, Some(reason)),
            "{}",
            results[1].observed
        );
        assert!(results[1].observed.contains("listing the pods of the namespace shop"), "{}", results[1].observed);
    }
}

#[tokio::test]
async fn an_api_that_stops_to_answer_hides_what_comes_after() {
    let shop = Shop::start(vec![list(&[pod("a", 0)]), refusal()]).await;
    let results = shop.run(&[LOADS, JUDGES]).await;
    assert_eq!(results[1].reason, Some(Reason::Forbidden), "{}", results[1].observed);
    assert!(shop.measured("shop pods")["failedLooks"].as_u64().unwrap() > 2);
}

#[tokio::test]
async fn a_service_that_selects_other_pods_proves_nothing() {
    let pods = || vec![list(&[pod("a", 0)])];
    let led = slices(&[endpoint("a")]);
    let never = Shop::behind(pods(), vec![slices(&[endpoint("x")])], budgets()).await;
    let late = Shop::behind(pods(), vec![slices(&[]), led.clone()], budgets()).await;
    let no_more = Shop::behind(pods(), vec![led, slices(&[])], budgets()).await;
    for (shop, text) in [(never, "no pod of"), (late, "when the load began, no pod of"), (no_more, "no pod of")] {
        let results = shop.run(&[LOADS, JUDGES]).await;
        let seen = (results[1].outcome, results[1].reason);
        assert_eq!(seen, (Outcome::Unknown, Some(Reason::ControlFailed)), "{}", results[1].observed);
        assert!(results[1].observed.starts_with(text), "{}", results[1].observed);
        assert!(results[1].observed.contains("shop/Deployment/orders"), "{}", results[1].observed);
    }
}

#[tokio::test]
async fn services_that_cannot_be_read_cannot_tell_and_never_pass() {
    let pods = vec![list(&[pod("a", 0)])];
    let good = slices(&[endpoint("a")]);
    let cases = [
        (vec![refusal()], Reason::Forbidden),
        (vec![good.clone(), refusal()], Reason::Forbidden),
        (vec![good, String::new()], Reason::Unreachable),
    ];
    for (answers, reason) in cases {
        let shop = Shop::behind(pods.clone(), answers, budgets()).await;
        let results = shop.run(&[LOADS, JUDGES]).await;
        let seen = (results[1].outcome, results[1].reason);
        assert_eq!(seen, (Outcome::Unknown, Some(reason)), "{}", results[1].observed);
        let text = "listing the EndpointSlices of the namespace shop";
        assert!(results[1].observed.contains(text), "{}", results[1].observed);
    }
}

#[tokio::test]
async fn a_question_about_services_without_an_answer_is_asked_again() {
    let led = slices(&[endpoint("a")]);
    let shop = Shop::behind(vec![list(&[pod("a", 0)])], vec![refusal(), led.clone(), refusal(), led], budgets()).await;
    let mut target = shop.bench.target();
    target["durationS"] = json!(4);
    let shop = Shop { env: Env::new(&inventory(), settings(&target), access(&shop)), ..shop };
    let results = shop.run(&[LOADS, JUDGES]).await;
    assert_eq!(results[1].outcome, Outcome::Pass, "{}", results[1].observed);
}

#[tokio::test]
async fn budgets_that_cannot_be_read_are_said_to_be_unknown_and_judge_nothing() {
    let shop = Shop::behind(vec![list(&[pod("a", 0)])], vec![slices(&[endpoint("a")])], refusal()).await;
    let results = shop.run(&[LOADS, JUDGES]).await;
    assert_eq!(results[1].outcome, Outcome::Pass, "{}", results[1].observed);
    let detail = &results[1].evidence[0].detail;
    assert!(
        detail.contains("cover them is not known: listing the PodDisruptionBudgets of the namespace shop"),
        "{detail}"
    );
}

#[tokio::test]
async fn without_a_load_nothing_is_asked_and_nobody_can_tell() {
    let shop = Shop::start(vec![list(&[pod("a", 0)])]).await;
    let results = shop.run(&[JUDGES]).await;
    assert_eq!(results[0].reason, Some(Reason::PrerequisiteFailed), "{}", results[0].observed);
    assert_eq!(shop.asked.load(Ordering::SeqCst), 0);
    let ecs = answer("200 OK", &[("x-served-by", "ecs")]);
    let stopped = Shop::start(vec![list(&[pod("a", 0)])]).await;
    let mut target = stopped.bench.target();
    target["resolve"] = json!(crate::bench::scripted(vec![ecs]).await.to_string());
    let stopped = Shop { env: Env::new(&inventory(), settings(&target), access(&stopped)), ..stopped };
    let results = stopped.run(&[LOADS, JUDGES]).await;
    assert_eq!(results[1].reason, Some(Reason::PrerequisiteFailed), "{}", results[1].observed);
    assert_eq!(stopped.asked.load(Ordering::SeqCst), 0);
}

fn access(shop: &Shop) -> ClusterAccess {
    ClusterAccess { kubeconfig: Some(shop.folder.path().join("kubeconfig")), ..ClusterAccess::default() }
}

#[tokio::test]
async fn a_load_that_nobody_judges_asks_the_cluster_nothing() {
    let shop = Shop::start(vec![list(&[pod("a", 0)])]).await;
    shop.run(&[LOADS]).await;
    assert_eq!(shop.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_load_that_ended_early_proves_nothing() {
    let shop = Shop::start(vec![list(&[pod("a", 0)])]).await;
    let mut target = shop.bench.target();
    target["durationS"] = json!(30);
    let shop = Shop { env: Env::new(&inventory(), settings(&target), access(&shop)), ..shop };
    let fails = async {
        until(|| shop.bench.eks.requests() > 20).await;
        shop.bench.eks.set(WebBehaviour { fail_every: 1, ..WebBehaviour::default() });
    };
    let (results, ()) = tokio::join!(shop.run(&[LOADS, JUDGES]), fails);
    assert_eq!(results[0].outcome, Outcome::Fail, "{}", results[0].observed);
    assert_eq!(results[1].reason, Some(Reason::PrerequisiteFailed), "{}", results[1].observed);
    assert!(results[1].observed.contains("before its time"), "{}", results[1].observed);
}

#[tokio::test]
async fn a_cancelled_run_ends_the_watching_with_the_load() {
    let shop = Shop::start(vec![list(&[pod("a", 0)])]).await;
    let mut target = shop.bench.target();
    target["durationS"] = json!(30);
    let shop = Shop { env: Env::new(&inventory(), settings(&target), access(&shop)), ..shop };
    let stop = async {
        until(|| shop.bench.eks.requests() > 20).await;
        shop.scope.cancel();
    };
    let (results, ()) = tokio::join!(shop.run(&[LOADS, JUDGES]), stop);
    assert!(results.iter().all(|one| one.reason == Some(Reason::Interrupted)), "{results:#?}");
    let asked = shop.asked.load(Ordering::SeqCst);
    Scope::for_tests().sleep(Duration::from_millis(1_500)).await.unwrap();
    assert_eq!(shop.asked.load(Ordering::SeqCst), asked);
}

#[tokio::test]
async fn the_rights_are_those_on_the_namespaces_of_the_workloads() {
    let shop = Shop::start(vec![list(&[])]).await;
    let item = shop.item(JUDGES);
    let list = |group, resource| (Permission::Kubernetes { verb: "list", group, resource }, Some("shop"));
    let seen: Vec<_> = item.rights.iter().map(|right| (right.permission, right.namespace.as_deref())).collect();
    let (slices, budgets) = (list("discovery.k8s.io", "endpointslices"), list("policy", "poddisruptionbudgets"));
    assert_eq!(seen, [list("", "pods"), slices, budgets]);
    assert_eq!(item.targets, ["shop", "cluster"]);
    assert!(shop.item(LOADS).rights.is_empty());
}

#[tokio::test]
async fn without_a_cluster_or_a_workload_it_does_not_apply() {
    let shop = Shop::start(vec![list(&[])]).await;
    let excluded = |inventory: &Inventory, access: ClusterAccess| {
        let env = Env::new(inventory, settings(&shop.bench.target()), access);
        let entry = CATALOGUE.iter().find(|entry| entry.meta.id == JUDGES).unwrap();
        match (entry.items)(&env).remove(0).kind {
            ItemKind::Excluded(reason) => reason,
            ItemKind::Planned(_) => "planned".to_owned(),
        }
    };
    assert!(excluded(&inventory(), ClusterAccess::default()).contains("`cluster.kubeconfig`"));
    assert!(excluded(&Inventory::default(), access(&shop)).contains("no workload of EKS"));
    assert_eq!(excluded(&inventory(), access(&shop)), "planned");
}

#[tokio::test]
async fn a_named_workload_that_is_not_known_cannot_tell_and_never_passes() {
    let shop = Shop::start(vec![list(&[pod("a", 0)])]).await;
    let mut target = shop.bench.target();
    target["workloads"] = json!(["orders", "cart"]);
    let both = Shop { env: Env::new(&inventory(), settings(&target), access(&shop)), ..shop };
    let results = both.run(&[LOADS, JUDGES]).await;
    assert_eq!(results[1].reason, Some(Reason::PrerequisiteFailed), "{}", results[1].observed);
    assert!(results[1].observed.contains("cart: nothing of it is known"), "{}", results[1].observed);
}
