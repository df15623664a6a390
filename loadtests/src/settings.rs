//! The section `load` of the configuration.

pub use crate::origin::Origin;
use crate::schedule::Schedule;
use preflight_core::Secret;
use reqwest::header::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The header that every request carries, with the id of the run.
pub(crate) const RUN_HEADER: &str = "x-preflight-run";

/// The most requests that may wait for an answer at once: what `rate` × `timeoutMs` comes to when nothing answers.
pub(crate) const IN_FLIGHT_MAX: u64 = 5_000;

const RATE: (f64, f64) = (0.1, 10_000.0);
const DURATION_S: (u64, u64) = (1, 600);
const WARMUP_S_MAX: u64 = 120;
const TIMEOUT_MS: (u64, u64) = (50, 30_000);
const WEIGHT: (u32, u32) = (1, 1_000);
const REQUESTS_MAX: usize = 50;
const BODY_BYTES_MAX: usize = 1_048_576;
const EXPECT_STATUS: (u16, u16) = (200, 599);
const EXPECT_BODY_BYTES_MAX: usize = 1_024;

/// Which isolated domains are loaded, how, and what they must keep.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[schemars(rename = "LoadSettings")]
pub struct Settings {
    /// The isolated domains.
    pub targets: Vec<Target>,
}

/// A domain that the EKS side alone serves, and the load that it must carry.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Target {
    /// The name. Consent is given to it, and it is the subject in the report.
    pub name: String,
    /// The isolated domain: scheme, host and port alone, for example `https://eks.shop.example`.
    #[schemars(with = "String", example = "https://eks.shop.example")]
    pub url: Origin,
    /// A domain that the ECS side alone serves, the control of the isolation. Before any traffic moves that is the
    /// production domain; later it is a host name of the ECS load balancer's own.
    #[serde(default)]
    #[schemars(with = "Option<String>", example = "https://shop.example")]
    pub production: Option<Origin>,
    /// `IP:PORT` to connect to instead of what DNS says, for both domains. Names in TLS and `Host` stay theirs.
    #[serde(default)]
    #[schemars(example = "10.0.12.34:443")]
    pub resolve: Option<SocketAddr>,
    /// The workloads that serve it, by their names under `workloads`: their pods are watched while it is loaded. Absent:
    /// every workload of EKS that keeps pods, as a Deployment does and a Job does not.
    #[serde(default)]
    pub workloads: Vec<String>,
    /// How an answer tells which side gave it.
    pub served: Served,
    /// What is requested, mixed by weight.
    pub requests: Vec<Request>,
    /// Requests started each second, whatever the answers do; from 0.1 to 10000.
    pub rate: f64,
    /// How long the load lasts that counts, in seconds; up to 600.
    #[serde(default = "duration")]
    pub duration_s: u64,
    /// How long the same load lasts before it counts, in seconds; up to 120.
    #[serde(default = "warmup")]
    pub warmup_s: u64,
    /// When a request without a whole answer is an error, from 50 to 30000.
    #[serde(default = "timeout")]
    pub timeout_ms: u64,
    /// What the domain must keep; at least one of them.
    pub slo: Slo,
}

/// The response header that names the side, and its two values.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Served {
    /// The name of the header.
    pub header: String,
    /// Its value in answers of the EKS side.
    pub eks: String,
    /// Its value in answers of the ECS side.
    pub ecs: String,
}

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Request {
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// Path and query, for example `/orders?page=1`.
    pub path: String,
    /// How often it comes in relation to the others, from 1 to 1000.
    #[serde(default = "weight")]
    pub weight: u32,
    /// The body.
    #[serde(default)]
    pub body: Option<String>,
    /// Headers; their values are secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// What a good answer looks like.
    #[serde(default)]
    pub expect: Expect,
}

/// What a good answer looks like; any other is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Expect {
    /// Its status, from 200 to 599. Absent: any below 300.
    pub status: Option<u16>,
    /// A text that its body contains within the first MiB; 1 to 1024 bytes.
    pub body: Option<String>,
}

/// A method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The word in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    pub(crate) const fn changes_nothing(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// The service level objectives. Percentiles count from the intended start of a request to the end of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Slo {
    /// Half of the requests are answered within so many milliseconds.
    pub p50_ms: Option<u64>,
    /// 95 of 100 are.
    pub p95_ms: Option<u64>,
    /// 99 of 100 are.
    pub p99_ms: Option<u64>,
    /// At most so many of 100 requests end without an answer or with another than `expect` says. Absent: 1.
    pub max_error_percent: Option<f64>,
}

impl Slo {
    /// The percentiles asked for: the name, the share, the milliseconds.
    pub(crate) fn percentiles(&self) -> impl Iterator<Item = (&'static str, f64, u64)> {
        [("p50", 0.50, self.p50_ms), ("p95", 0.95, self.p95_ms), ("p99", 0.99, self.p99_ms)]
            .into_iter()
            .filter_map(|(name, share, limit)| limit.map(|limit| (name, share, limit)))
    }

    pub(crate) fn error_percent(&self) -> f64 {
        self.max_error_percent.unwrap_or(1.0)
    }
}

fn duration() -> u64 {
    30
}

fn warmup() -> u64 {
    5
}

fn timeout() -> u64 {
    2_000
}

fn weight() -> u32 {
    1
}

/// Collects problems below one path.
struct Problems<'a> {
    path: String,
    all: &'a mut Vec<(String, String)>,
}

impl Problems<'_> {
    fn add(&mut self, key: &str, text: impl Into<String>) {
        self.all.push((format!("{}{key}", self.path), text.into()));
    }

    fn range<T: PartialOrd + std::fmt::Display>(&mut self, key: &str, value: T, (least, most): (T, T)) {
        // Also when the value is not a number at all.
        if !(value >= least && value <= most) {
            self.add(key, format!("expected {least} to {most}, got {value}"));
        }
    }
}

impl Settings {
    /// What is wrong with the section as a whole: each entry is the path of a value and what was expected there.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, target) in self.targets.iter().enumerate() {
            let mut problems = Problems { path: format!("load.targets[{index}]"), all: &mut all };
            if target.name.trim().is_empty() {
                problems.add(".name", "a name is needed");
            } else if !seen.insert(target.name.clone()) || !seen.insert(target.timeline()) {
                problems.add(
                    ".name",
                    format!(
                        "another target, or what is told of its pods, is called `{}`, too; names must differ",
                        target.name
                    ),
                );
            }
            target.problems(&mut problems);
            for (index, request) in target.requests.iter().enumerate() {
                let path = format!("{}.requests[{index}]", problems.path);
                request.problems(&target.url, &mut Problems { path, all: problems.all });
            }
        }
        all
    }
}

impl Target {
    /// The name under which what happened to its pods stands in the report.
    pub(crate) fn timeline(&self) -> String {
        format!("{} pods", self.name)
    }

    /// When each of its requests starts.
    pub(crate) fn schedule(&self) -> Schedule {
        let weights: Vec<u32> = self.requests.iter().map(|request| request.weight).collect();
        Schedule::new(self.rate, self.warmup_s, self.duration_s, &weights)
    }

    fn problems(&self, problems: &mut Problems<'_>) {
        problems.range(".rate", self.rate, RATE);
        problems.range(".durationS", self.duration_s, DURATION_S);
        problems.range(".warmupS", self.warmup_s, (0, WARMUP_S_MAX));
        problems.range(".timeoutMs", self.timeout_ms, TIMEOUT_MS);
        let in_flight = self.rate * self.timeout_ms as f64 / 1_000.0;
        if in_flight > IN_FLIGHT_MAX as f64 {
            let text = format!(
                "if nothing answers, rate × timeoutMs leaves {in_flight:.0} requests waiting; at most {IN_FLIGHT_MAX} may"
            );
            problems.add(".rate", text);
        }
        if self.production.as_ref() == Some(&self.url) {
            problems.add(".production", "the isolated domain and production must differ");
        }
        self.resolve_problems(problems);
        if self.requests.is_empty() || self.requests.len() > REQUESTS_MAX {
            problems.add(".requests", format!("expected 1 to {REQUESTS_MAX} requests, got {}", self.requests.len()));
        }
        self.served_problems(problems);
        self.slo_problems(problems);
    }

    fn resolve_problems(&self, problems: &mut Problems<'_>) {
        let Some(address) = self.resolve else { return };
        for (key, origin) in [(".url", Some(&self.url)), (".production", self.production.as_ref())] {
            // The client takes a port from the URL first.
            if let Some(port) = origin.and_then(|origin| origin.url().port())
                && port != address.port()
            {
                problems.add(key, format!("port {port} would win over port {} of `resolve`; drop one", address.port()));
            }
        }
    }

    fn served_problems(&self, problems: &mut Problems<'_>) {
        if self.served.header.parse::<HeaderName>().is_err() {
            problems.add(".served.header", format!("`{}` is not the name of a header", self.served.header));
        }
        for (key, value) in [(".served.eks", &self.served.eks), (".served.ecs", &self.served.ecs)] {
            if value.trim().is_empty() {
                problems.add(key, "a value is needed");
            }
        }
        if self.served.eks.trim().eq_ignore_ascii_case(self.served.ecs.trim()) {
            problems.add(".served", "the values of both sides must differ");
        }
    }

    fn slo_problems(&self, problems: &mut Problems<'_>) {
        let mut any = self.slo.max_error_percent.is_some();
        for (name, _, limit) in self.slo.percentiles() {
            any = true;
            // A request that timed out counts as if it had taken `timeoutMs`.
            problems.range(&format!(".slo.{name}Ms"), limit, (1, self.timeout_ms));
        }
        if let Some(percent) = self.slo.max_error_percent {
            problems.range(".slo.maxErrorPercent", percent, (0.0, 100.0));
        }
        if !any {
            problems.add(".slo", "expected at least one of p50Ms, p95Ms, p99Ms and maxErrorPercent");
        }
    }
}

impl Request {
    fn problems(&self, origin: &Origin, problems: &mut Problems<'_>) {
        problems.range(".weight", self.weight, WEIGHT);
        let stays = origin.url().join(&self.path).is_ok_and(|url| url.origin() == origin.url().origin());
        if !self.path.starts_with('/') || !stays {
            problems.add(".path", format!("`{}` is not a path that begins with one `/`", self.path));
        }
        if self.body.as_ref().is_some_and(|body| body.len() > BODY_BYTES_MAX) {
            problems.add(".body", format!("longer than {BODY_BYTES_MAX} bytes"));
        }
        self.expect_problems(problems);
        for (name, value) in &self.headers {
            let key = format!(".headers.{name}");
            if name.parse::<HeaderName>().is_err() {
                problems.add(&key, "not the name of a header");
            } else if ["host", RUN_HEADER].iter().any(|own| name.eq_ignore_ascii_case(own)) {
                problems.add(&key, "this header is set by eks-preflight");
            }
            if HeaderValue::from_str(value.reveal()).is_err() {
                problems.add(&key, "its value cannot stand in a header");
            }
        }
    }

    fn expect_problems(&self, problems: &mut Problems<'_>) {
        if let Some(status) = self.expect.status {
            problems.range(".expect.status", status, EXPECT_STATUS);
        }
        if let Some(body) = &self.expect.body {
            if body.is_empty() || body.len() > EXPECT_BODY_BYTES_MAX {
                problems
                    .add(".expect.body", format!("expected 1 to {EXPECT_BODY_BYTES_MAX} bytes, got {}", body.len()));
            }
            if self.method == Method::Head || matches!(self.expect.status, Some(204 | 304)) {
                problems.add(".expect.body", "answers to HEAD and those with status 204 or 304 have no body");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn target() -> Value {
        json!({
            "name": "shop", "url": "https://eks.shop.test", "production": "https://shop.test",
            "served": { "header": "x-served-by", "eks": "eks", "ecs": "ecs" },
            "requests": [{ "path": "/orders?page=1", "headers": { "authorization": "Bearer abc" } }],
            "rate": 50, "slo": { "p99Ms": 500 },
        })
    }

    fn read(change: impl Fn(&mut Value)) -> Result<Settings, String> {
        let mut target = target();
        change(&mut target);
        serde_json::from_value(json!({ "targets": [target] })).map_err(|error| error.to_string())
    }

    fn problems(change: impl Fn(&mut Value)) -> Vec<(String, String)> {
        read(change).unwrap().problems()
    }

    #[test]
    fn a_section_is_read_with_its_defaults_and_hides_its_headers() {
        let settings = read(|_| ()).unwrap();
        assert_eq!(settings.problems(), []);
        let target = &settings.targets[0];
        assert_eq!((target.duration_s, target.warmup_s, target.timeout_ms), (30, 5, 2_000));
        assert_eq!((target.slo.error_percent(), target.requests[0].method), (1.0, Method::Get));
        assert!(!format!("{settings:?}").contains("abc"));
        assert!(!serde_json::to_string(&settings).unwrap().contains("abc"));
    }

    #[test]
    fn every_bound_is_held_and_named_by_its_path() {
        let one = |change: fn(&mut Value), path: &str| {
            let found = problems(change);
            assert!(found.iter().any(|(at, _)| at == &format!("load.targets[0]{path}")), "{path}: {found:?}");
        };
        one(|it| it["name"] = json!(" "), ".name");
        one(|it| it["rate"] = json!(0), ".rate");
        one(|it| it["rate"] = json!(10_001), ".rate");
        one(|it| (it["rate"], it["timeoutMs"]) = (json!(1_000), json!(6_000)), ".rate");
        one(|it| it["durationS"] = json!(0), ".durationS");
        one(|it| it["warmupS"] = json!(121), ".warmupS");
        one(|it| it["timeoutMs"] = json!(49), ".timeoutMs");
        one(|it| it["production"] = it["url"].clone(), ".production");
        one(|it| (it["url"], it["resolve"]) = (json!("http://a.test:81"), json!("127.0.0.1:8080")), ".url");
        one(|it| it["requests"] = json!([]), ".requests");
        one(|it| it["served"]["header"] = json!("no header"), ".served.header");
        one(|it| it["served"]["eks"] = json!(""), ".served.eks");
        one(|it| it["served"]["eks"] = json!("ECS"), ".served");
        one(|it| it["slo"] = json!({}), ".slo");
        one(|it| it["slo"]["p95Ms"] = json!(2_001), ".slo.p95Ms");
        one(|it| it["slo"]["maxErrorPercent"] = json!(-1), ".slo.maxErrorPercent");
        one(|it| it["requests"][0]["weight"] = json!(0), ".requests[0].weight");
        one(|it| it["requests"][0]["path"] = json!("//shop.test/"), ".requests[0].path");
        one(|it| it["requests"][0]["path"] = json!("https://shop.test/"), ".requests[0].path");
        one(|it| it["requests"][0]["headers"]["Host"] = json!("shop.test"), ".requests[0].headers.Host");
        one(|it| it["requests"][0]["headers"]["x"] = json!("a\nb"), ".requests[0].headers.x");
        one(|it| it["requests"][0]["expect"] = json!({ "status": 199 }), ".requests[0].expect.status");
        one(|it| it["requests"][0]["expect"] = json!({ "status": 600 }), ".requests[0].expect.status");
        one(|it| it["requests"][0]["expect"] = json!({ "body": "" }), ".requests[0].expect.body");
        one(|it| it["requests"][0]["expect"] = json!({ "body": "a".repeat(1_025) }), ".requests[0].expect.body");
        one(|it| it["requests"][0]["expect"] = json!({ "body": "a", "status": 204 }), ".requests[0].expect.body");
        one(
            |it| {
                it["requests"][0]["method"] = json!("HEAD");
                it["requests"][0]["expect"] = json!({ "body": "a" });
            },
            ".requests[0].expect.body",
        );
    }

    #[test]
    fn an_expectation_within_its_bounds_is_read() {
        let settings =
            read(|it| it["requests"][0]["expect"] = json!({ "status": 302, "body": "a".repeat(1_024) })).unwrap();
        assert_eq!((settings.problems(), settings.targets[0].requests[0].expect.status), (vec![], Some(302)));
        assert!(read(|it| it["requests"][0]["expect"] = json!({ "header": "x" })).is_err());
    }

    #[test]
    fn mistakes_of_form_are_refused_where_they_stand() {
        assert!(read(|it| it["durationMs"] = json!(5)).unwrap_err().contains("unknown field"));
        for url in ["shop.test", "ftp://shop.test", "https://shop.test/orders", "https://ada:pw@shop.test", "https://"]
        {
            assert!(read(|it| it["url"] = json!(url)).unwrap_err().contains("expected `http://`"), "{url}");
        }
        assert!(read(|it| it["resolve"] = json!("shop.test:80")).is_err());
        assert!(read(|it| it["requests"][0]["method"] = json!("BREW")).is_err());
    }

    #[test]
    fn names_must_differ_and_leave_room_for_what_is_told_of_the_pods() {
        let twice: Settings = serde_json::from_value(json!({ "targets": [target(), target()] })).unwrap();
        assert_eq!(twice.problems()[0].0, "load.targets[1].name");
        let mut other = target();
        other["name"] = json!("shop pods");
        let like: Settings = serde_json::from_value(json!({ "targets": [target(), other] })).unwrap();
        assert_eq!(like.problems()[0].0, "load.targets[1].name");
    }
}
