//! The checks of this area against real servers, with demand from real manifests and task definitions.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod accounts;
mod activemq;
mod demand;
mod fleet;
mod lab;
mod mariadb;
mod rabbitmq;
mod redis;
mod relay;

use fleet::Fleet;
use lab::Lab;
use preflight_connections::settings::{Endpoint, Scenario, Settings, Use};
use preflight_connections::{CATALOGUE, Env};
use preflight_core::{ItemKind, Journal, Outcome, Reason, Scope, judge};
use preflight_report::CheckResult;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LIMIT: &str = "connections.limit-covers-demand";
const PATH: &str = "connections.path-admits";

/// A password that is planted where one is refused.
const WRONG: &str = "wrong-password-canary";

/// A file in `tests/data`.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// One endpoint `db`, and what may never be shown.
#[derive(Clone)]
struct Case {
    endpoint: Value,
    beside: Vec<Endpoint>,
    settings: Settings,
    uses: BTreeMap<String, Vec<Use>>,
    secrets: Vec<String>,
    _lab: Arc<Lab>,
}

impl Case {
    /// `endpoint` without its name.
    fn new(endpoint: Value) -> Self {
        let (settings, secrets) = (Settings::default(), vec![WRONG.to_owned()]);
        let mut case = Self { endpoint, beside: vec![], settings, uses: BTreeMap::new(), secrets, _lab: Lab::join() };
        case.endpoint["name"] = json!("db");
        for password in [&case.endpoint["password"], &case.endpoint["observer"]["password"]] {
            case.secrets.extend(password.as_str().map(str::to_owned));
        }
        case
    }

    /// With other fields of the endpoint.
    fn with(mut self, fields: Value) -> Self {
        for (name, value) in fields.as_object().unwrap() {
            self.endpoint[name] = value.clone();
        }
        self
    }

    /// With another endpoint, which differs in these fields.
    fn beside(mut self, fields: Value) -> Self {
        let other = self.clone().with(fields);
        self.beside.push(serde_json::from_value(other.endpoint).unwrap());
        self
    }

    fn during(mut self, scenario: Scenario) -> Self {
        self.settings.scenario = scenario;
        self
    }

    fn uses(mut self, workload: &str, pool: Option<u64>) -> Self {
        self.uses
            .insert(workload.to_owned(), vec![Use { endpoint: "db".to_owned(), pool, processes: None, account: None }]);
        self
    }

    /// The workload uses no endpoint.
    fn uses_nothing(mut self, workload: &str) -> Self {
        self.uses.insert(workload.to_owned(), vec![]);
        self
    }

    /// Whether the limits cover a fleet.
    async fn covers(&self, fleet: &Fleet) -> CheckResult {
        self.run(LIMIT, fleet).await
    }

    /// Whether the path admits.
    async fn admits(&self) -> CheckResult {
        self.run(PATH, &Fleet::default()).await
    }

    async fn run(&self, id: &str, fleet: &Fleet) -> CheckResult {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let endpoint: Endpoint = serde_json::from_value(self.endpoint.clone()).unwrap();
        let env = Env {
            inventory: Arc::new(fleet.inventory()),
            endpoints: std::iter::once(endpoint).chain(self.beside.clone()).collect(),
            settings: Settings { without_ecs: !fleet.has_ecs(), ..self.settings.clone() },
            uses: self.uses.clone(),
        };
        let entry = CATALOGUE.iter().find(|entry| entry.meta.id == id).unwrap();
        let item = (entry.items)(&env).remove(0);
        let ItemKind::Planned(check) = item.kind else { panic!("{id} is not planned") };
        let told = Arc::new(Mutex::new(String::new()));
        let sink = told.clone();
        let scope = Scope::new("0192-run", Duration::from_secs(60), Journal::in_memory("0192-run"), move |_, event| {
            sink.lock().unwrap().push_str(&format!("{event:?}"));
        });
        let result = judge(entry.meta, &item.subject, check, &scope).await;
        let text = format!("{}{}", serde_json::to_string(&result).unwrap(), told.lock().unwrap());
        for secret in self.secrets.iter().map(String::as_str).chain(fleet.secrets()) {
            assert!(!text.contains(secret), "a password in {text}");
        }
        result
    }
}

#[track_caller]
fn passed(result: &CheckResult) {
    assert_eq!(result.outcome, Outcome::Pass, "{result:#?}");
}

#[track_caller]
fn failed(result: &CheckResult, observed: &str) {
    assert_eq!(result.outcome, Outcome::Fail, "{result:#?}");
    assert!(result.observed.contains(observed), "{result:#?}");
    assert!(result.remediation.is_some(), "{result:#?}");
}

#[track_caller]
fn unknown(result: &CheckResult, reason: Reason, observed: &str) {
    assert_eq!((result.outcome, result.reason), (Outcome::Unknown, Some(reason)), "{result:#?}");
    assert!(result.observed.contains(observed), "{result:#?}");
}

/// The number that the result gives for workloads, others and reserve of a limit.
#[track_caller]
fn sum(result: &CheckResult, limit: &str) -> [u64; 3] {
    let text = &result.observed;
    let sentence = text.split(limit).nth(1).unwrap_or_else(|| panic!("no {limit} in {text}"));
    let number = |before: &str| -> u64 {
        let (head, _) = sentence.split_once(before).unwrap_or_else(|| panic!("no `{before}` in {sentence}"));
        head.rsplit(' ').next().unwrap().parse().unwrap()
    };
    [number(" for workloads"), number(" for others"), number(" in reserve")]
}

/// An address on which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits until something is so.
async fn until<T: std::fmt::Debug + PartialEq>(what: &str, expected: T, look: impl AsyncFn() -> T) {
    let start = Instant::now();
    loop {
        let seen = look().await;
        if seen == expected {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: expected {expected:?}, seen {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
