//! nginx, both sides, and what one check says about them.

use preflight_cluster::{ClusterAccess, Inventory};
use preflight_core::{Event, ItemKind, Journal, Outcome, Scope, judge};
use preflight_fixtures::servers::{Nginx, NginxOptions, Site, WebService};
use preflight_load::{CATALOGUE, Env, Settings};
use preflight_report::CheckResult;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

pub(crate) const ISOLATED: &str = "eks.shop.test";
pub(crate) const PRODUCTION: &str = "shop.test";

/// Everything that a test needs; ends with it.
pub(crate) struct Bench {
    pub(crate) eks: WebService,
    pub(crate) ecs: WebService,
    pub(crate) nginx: Nginx,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Each side behind its own host name.
    pub(crate) async fn start() -> Self {
        Self::with_side("eks").await
    }

    /// A bench whose isolated domain is served by a service that says so of itself.
    pub(crate) async fn with_side(isolated: &'static str) -> Self {
        let (eks, ecs) = (WebService::start(isolated).await.unwrap(), WebService::start("ecs").await.unwrap());
        let folder = tempfile::tempdir().unwrap();
        let site = |host: &str, service: &WebService| Site { host: host.to_owned(), upstream: service.address() };
        let sites = vec![site(ISOLATED, &eks), site(PRODUCTION, &ecs)];
        let nginx = Nginx::start(folder.path(), NginxOptions { sites }).await.unwrap();
        Self { eks, ecs, nginx, _folder: folder }
    }

    /// The settings of a target: 100 requests a second for two seconds, and objectives that a busy machine keeps.
    pub(crate) fn target(&self) -> Value {
        json!({
            "name": "shop",
            "url": format!("http://{ISOLATED}"),
            "production": format!("http://{PRODUCTION}"),
            "resolve": self.nginx.address().to_string(),
            "served": { "header": "x-served-by", "eks": "eks", "ecs": "ecs" },
            "requests": [{ "path": "/orders", "weight": 3 }, { "path": "/healthz" }],
            "rate": 100, "durationS": 2, "warmupS": 0, "timeoutMs": 5_000,
            "slo": { "p50Ms": 5_000, "p95Ms": 5_000, "maxErrorPercent": 1 },
        })
    }
}

/// A server that gives every request the next of its answers, and the last one for ever. Returns its address.
pub(crate) async fn scripted(answers: Vec<String>) -> SocketAddr {
    counted(answers).await.0
}

/// The same, and counts the requests.
pub(crate) async fn counted(answers: Vec<String>) -> (SocketAddr, Arc<AtomicUsize>) {
    routed(vec![("", answers)]).await
}

/// The same, with answers of its own for each part of a request line; the first that is in it counts.
pub(crate) async fn routed(routes: Vec<(&'static str, Vec<String>)>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = routes.into_iter().map(|(part, answers)| (part, Mutex::new(VecDeque::from(answers))));
    let routes: Arc<Vec<_>> = Arc::new(routes.collect());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (routes, count) = (Arc::clone(&routes), Arc::clone(&count));
            tokio::spawn(async move {
                let mut lines = BufReader::new(stream).lines();
                let mut request = String::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    if !line.is_empty() {
                        request = if request.is_empty() { line } else { request };
                        continue;
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    let next = {
                        let (_, answers) = routes.iter().find(|(part, _)| request.contains(part)).unwrap();
                        let mut answers = answers.lock().unwrap();
                        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
                    };
                    request.clear();
                    if lines.get_mut().write_all(next.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, requests)
}

/// A good answer of EKS with a body.
pub(crate) fn page(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nx-served-by: eks\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// An answer without a body.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n")
}

/// What a check said.
pub(crate) struct Said {
    pub(crate) result: CheckResult,
    pub(crate) measurement: Option<Value>,
    pub(crate) progress: usize,
}

impl Said {
    /// Whether the machine was too busy for the generator. Then it rightly cannot tell.
    fn was_starved(&self) -> bool {
        self.result.outcome == Outcome::Unknown && self.result.observed.contains("did not keep up")
    }
}

/// Runs one check of one target.
pub(crate) async fn run(id: &str, target: &Value) -> Said {
    on_a_calm_machine(async || run_in(id, target, |_| ()).await, |said| said).await
}

/// Attempts something until the machine lets the generator keep up, three times at most.
pub(crate) async fn on_a_calm_machine<T>(attempt: impl AsyncFn() -> T, said: impl Fn(&T) -> &Said) -> T {
    let mut done = attempt().await;
    for _ in 0..2 {
        if !said(&done).was_starved() {
            break;
        }
        done = attempt().await;
    }
    done
}

/// The same, and tells which scope it runs in.
pub(crate) async fn run_in(id: &str, target: &Value, begin: impl FnOnce(Scope)) -> Said {
    let settings: Settings = serde_json::from_value(json!({ "targets": [target] })).unwrap();
    assert_eq!(settings.problems(), []);
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let sink = {
        let events = Arc::clone(&events);
        move |_: &str, event: Event| events.lock().unwrap().push(event)
    };
    let scope = Scope::new("run-1", Duration::from_secs(60), Journal::in_memory("run-1"), sink);
    let entry = CATALOGUE.iter().find(|entry| entry.meta.id == id).unwrap();
    let env = Env::new(&Inventory::default(), settings, ClusterAccess::default());
    let item = (entry.items)(&env).pop().unwrap();
    assert_eq!(item.targets, std::slice::from_ref(&item.subject));
    let ItemKind::Planned(check) = item.kind else { panic!("{id} is not planned") };
    begin(scope.clone());
    let result = judge(entry.meta, &item.subject, check, &scope).await;
    let events = std::mem::take(&mut *events.lock().unwrap());
    let measured = |event: &Event| match event {
        Event::Measurement { area: "load", name, value } if name == "shop" => Some(value.clone()),
        _ => None,
    };
    let progress = events.iter().filter(|event| matches!(event, Event::Progress { .. })).count();
    Said { result, measurement: events.iter().find_map(measured), progress }
}

/// Waits on a condition.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let scope = Scope::for_tests();
    while !condition() {
        scope.sleep(Duration::from_millis(5)).await.unwrap();
    }
}
