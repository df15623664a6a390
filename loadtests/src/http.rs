//! Requests, and which side answers them.

use crate::ended::{Ended, Failure, Side, Verdict};
use crate::settings::{Expect, Origin, RUN_HEADER, Request, Served, Target};
use preflight_core::{CannotTell, Scope};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use std::time::Duration;

/// The most bytes of a body that are read.
const BODY_BYTES_MAX: usize = 1_048_576;

/// How long a single request may take that is no part of a load.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Whether connections are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// As an application does.
    Kept,
    /// Each request on one of its own, so that name resolution and load balancers decide each time.
    Fresh,
}

/// A client that goes where it is told: no redirects, which could lead to production, and no proxy.
pub(crate) fn client(target: &Target, connections: Connections) -> Result<Client, CannotTell> {
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .no_gzip()
        // All requests on one connection of HTTP/2 would all reach one pod.
        .http1_only()
        .user_agent(concat!("eks-preflight/", env!("CARGO_PKG_VERSION")));
    if connections == Connections::Fresh {
        builder = builder.pool_max_idle_per_host(0);
    }
    if let Some(address) = target.resolve {
        for origin in std::iter::once(&target.url).chain(&target.production) {
            builder = builder.resolve(origin.host(), address);
        }
    }
    builder.build().map_err(|error| CannotTell::prerequisite(format!("setting up the HTTP client: {}", cause(&error))))
}

/// A request that can be sent again and again.
pub(crate) fn prepare(origin: &Origin, request: &Request, run_id: &str) -> Result<reqwest::Request, CannotTell> {
    let invalid = |what: &str| CannotTell::prerequisite(format!("`{}`: {what}", request.path));
    let url = origin.url().join(&request.path).map_err(|_| invalid("not a path"))?;
    let method = request.method.as_str().parse().map_err(|_| invalid("not a method"))?;
    let mut prepared = reqwest::Request::new(method, url);
    for (name, value) in &request.headers {
        let name: HeaderName = name.parse().map_err(|_| invalid("not the name of a header"))?;
        let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| invalid("not the value of a header"))?;
        value.set_sensitive(true);
        prepared.headers_mut().insert(name, value);
    }
    let run_id = HeaderValue::from_str(run_id).map_err(|_| invalid("the id of the run cannot stand in a header"))?;
    prepared.headers_mut().insert(RUN_HEADER, run_id);
    *prepared.body_mut() = request.body.clone().map(Into::into);
    Ok(prepared)
}

/// The side that the headers of an answer name. One word of ECS is enough for ECS; EKS must stand alone.
pub(crate) fn side(served: &Served, headers: &HeaderMap) -> Side {
    let of = |value: &str| match value.trim() {
        value if value.eq_ignore_ascii_case(served.eks.trim()) => Side::Eks,
        value if value.eq_ignore_ascii_case(served.ecs.trim()) => Side::Ecs,
        _ => Side::Unknown,
    };
    let values = headers.get_all(&served.header).iter().map(|value| value.to_str().unwrap_or_default());
    // A proxy may join several headers into one.
    let sides = values.flat_map(|value| match of(value) {
        Side::Unknown => value.split(',').map(of).collect(),
        known => vec![known],
    });
    let both = |one, other| match (one, other) {
        (Side::Ecs, _) | (_, Side::Ecs) => Side::Ecs,
        (Side::Eks, Side::Eks) => Side::Eks,
        _ => Side::Unknown,
    };
    sides.reduce(both).unwrap_or(Side::Unknown)
}

/// What a header with `cache` in its name says of an answer that the service did not give, at the end of a word: nginx,
/// Cloudflare, Varnish, CloudFront and RFC 9211 (`Cache-Status: edge; hit`).
const FROM_A_CACHE: [&str; 4] = ["hit", "stale", "updating", "revalidated"];

/// The header that tells that a cache gave the answer.
pub(crate) fn cached(headers: &HeaderMap) -> Option<String> {
    let is_above_0 = |value: &str| {
        value
            .split(',')
            .map(str::trim)
            .any(|number| number.bytes().all(|byte| byte.is_ascii_digit()) && number.bytes().any(|byte| byte != b'0'))
    };
    let names_a_hit = |value: &str, known: &[&str]| {
        let value = value.to_ascii_lowercase();
        // What is in quotes is a cache's own name.
        let said = value.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        let mut words = said.split(|character: char| !character.is_ascii_alphanumeric());
        words.any(|word| known.iter().any(|known| word.ends_with(known)))
    };
    let tells = |(name, value): (&HeaderName, &HeaderValue)| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let told = match name.as_str() {
            "age" => is_above_0(&text),
            // What a cache may do, not what it did.
            name if name.contains("cache-control") => false,
            name if name.contains("cache") && name.ends_with("hits") => is_above_0(&text),
            // Where it says `fwd=stale`, the service was asked.
            "cache-status" => names_a_hit(&text, &FROM_A_CACHE[..1]),
            name => name.contains("cache") && names_a_hit(&text, &FROM_A_CACHE),
        };
        told.then(|| format!("{name}: {text}"))
    };
    headers.iter().find_map(tells)
}

/// Looks for a text in a body that comes in pieces.
struct Search<'a> {
    wanted: &'a [u8],
    /// The end of what was seen, in which the text may have begun.
    tail: Vec<u8>,
    found: bool,
}

impl<'a> Search<'a> {
    fn new(wanted: Option<&'a str>) -> Self {
        let wanted = wanted.unwrap_or_default().as_bytes();
        Self { wanted, tail: vec![], found: wanted.is_empty() }
    }

    fn look(&mut self, chunk: &[u8]) {
        if self.found {
            return;
        }
        self.tail.extend_from_slice(chunk);
        self.found = self.tail.windows(self.wanted.len()).any(|window| window == self.wanted);
        let seen = (self.tail.len() + 1).saturating_sub(self.wanted.len());
        self.tail.drain(..seen);
    }
}

/// Reads a body to its end, so that the connection can be used again, but not without bound.
pub(crate) async fn finish(mut response: Response, served: &Served, expect: &Expect) -> Ended {
    let (status, side) = (response.status().as_u16(), side(served, response.headers()));
    let mut search = Search::new(expect.body.as_deref());
    let mut bytes = 0;
    let cut = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                bytes += chunk.len();
                search.look(&chunk);
            }
            Ok(None) => break false,
            Err(error) => return Ended::Failed(failure(&error)),
        }
        if bytes > BODY_BYTES_MAX {
            break true;
        }
    };
    Ended::Answered { status, side, verdict: verdict(expect, status, search.found), cut }
}

/// Whether an answer is the one that was expected. A redirect leads elsewhere, so it is none unless it was named.
fn verdict(expect: &Expect, status: u16, found: bool) -> Verdict {
    match expect.status {
        Some(expected) if status != expected => Verdict::Status,
        None if status >= 300 => Verdict::Status,
        _ if !found => Verdict::Body,
        _ => Verdict::Good,
    }
}

/// Which kind of failure it is.
pub(crate) fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        Failure::Connect
    } else if error.is_request() || error.is_body() || error.is_decode() {
        Failure::Broken
    } else {
        Failure::Other
    }
}

/// The innermost reason; the outer ones only repeat the URL.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// What one request told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// An answer: its status, the side, the value of the header, the header of a cache that gave it, and how it ended, if it
    /// was read.
    Answer { status: u16, side: Side, value: Option<String>, cached: Option<String>, ended: Option<Ended> },
    /// No answer, and why.
    Nothing(String),
}

impl Told {
    pub(crate) fn side(&self) -> Option<Side> {
        match self {
            Self::Answer { side, .. } => Some(*side),
            Self::Nothing(_) => None,
        }
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        match self {
            Self::Answer { ended, .. } => *ended,
            Self::Nothing(_) => None,
        }
    }

    pub(crate) fn cached(&self) -> Option<&str> {
        match self {
            Self::Answer { cached, .. } => cached.as_deref(),
            Self::Nothing(_) => None,
        }
    }
}

/// Sends one request that is no part of a load, and reads the answer if one is expected.
pub(crate) async fn probe(
    client: &Client,
    request: reqwest::Request,
    served: &Served,
    expect: Option<&Expect>,
    scope: &Scope,
) -> Result<Told, CannotTell> {
    let sent = tokio::time::timeout(PROBE_LIMIT, client.execute(request));
    Ok(match scope.until_cancelled(sent).await? {
        Err(_) => Told::Nothing(format!("no answer within {} s", PROBE_LIMIT.as_secs())),
        Ok(Err(error)) => Told::Nothing(cause(&error)),
        Ok(Ok(response)) => {
            let (status, headers) = (response.status().as_u16(), response.headers());
            let (side, value, cached) = (side(served, headers), value(served, headers), cached(headers));
            let ended = match expect {
                Some(expect) => {
                    let read = tokio::time::timeout(PROBE_LIMIT, finish(response, served, expect));
                    Some(scope.until_cancelled(read).await?.unwrap_or(Ended::Failed(Failure::Timeout)))
                }
                None => None,
            };
            Told::Answer { status, side, value, cached, ended }
        }
    })
}

/// Everything that the header of a side says.
fn value(served: &Served, headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(&served.header).iter();
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    fn served() -> Served {
        Served { header: "X-Served-By".into(), eks: "eks".into(), ecs: "ecs".into() }
    }

    #[test]
    fn the_side_is_told_by_the_header_alone() {
        let served = served();
        let of = |value: &'static str| side(&served, &headers(&[("x-served-by", value)]));
        assert_eq!((of("EKS "), of("ecs"), of("eks-2")), (Side::Eks, Side::Ecs, Side::Unknown));
        assert_eq!(side(&served, &HeaderMap::new()), Side::Unknown);
    }

    #[test]
    fn several_headers_name_ecs_if_one_does_and_eks_only_together() {
        let of = |values: &[&'static str]| {
            let all: Vec<_> = values.iter().map(|value| ("x-served-by", *value)).collect();
            side(&served(), &headers(&all))
        };
        for ecs in [&["eks", "ecs"][..], &["ecs", "eks"], &["cache-7", "ecs"], &["eks, ecs"], &["a, ECS", "eks"]] {
            assert_eq!(of(ecs), Side::Ecs, "{ecs:?}");
        }
        assert_eq!((of(&["eks", "EKS"]), of(&["eks, eks"])), (Side::Eks, Side::Eks));
        for unknown in [&["eks", "cache-7"][..], &["cache-7", "eks"], &["eks, cache-7"], &["eks", ""]] {
            assert_eq!(of(unknown), Side::Unknown, "{unknown:?}");
        }
        assert_eq!(value(&served(), &headers(&[("x-served-by", "eks"), ("x-served-by", "b")])).unwrap(), "eks, b");
        let odd = Served { eks: "eks, blue".into(), ..served() };
        assert_eq!(side(&odd, &headers(&[("x-served-by", "eks, blue")])), Side::Eks);
    }

    #[test]
    fn a_cache_is_told_by_its_headers() {
        let of = |name, value| cached(&headers(&[(name, value)]));
        for (name, value) in [
            ("age", "1"),
            ("age", "99999999999999999999999"),
            ("x-cache", "Hit from cloudfront"),
            ("x-cache", "RefreshHit from cloudfront"),
            ("x-cache", "MISS, HIT"),
            ("x-cache", "tcp_hit"),
            ("x-cache-status", "HIT"),
            ("x-cache-status", "STALE"),
            ("cf-cache-status", "HIT"),
            ("cf-cache-status", "REVALIDATED"),
            ("cache-status", "edge; hit; ttl=30"),
            ("cache-status", "origin; hit, edge; fwd=uri-miss"),
            ("x-proxy-cache", "HIT"),
            ("x-cache-hits", "0, 2"),
        ] {
            assert_eq!(of(name, value), Some(format!("{name}: {value}")));
        }
        for (name, value) in [
            ("age", "0"),
            ("age", ""),
            ("age", "old"),
            ("x-cache", "Miss from cloudfront"),
            ("etag", "1"),
            ("x-cache-status", "MISS"),
            ("cf-cache-status", "DYNAMIC"),
            ("cache-status", "\"hit-7\"; fwd=stale; stored"),
            ("x-cache-hits", "0"),
            ("cache-control", "max-age=3, stale-while-revalidate=30"),
            ("x-served-by", "hit"),
        ] {
            assert_eq!(of(name, value), None, "{name}: {value}");
        }
        let second = headers(&[("age", "0"), ("x-cache", "MISS"), ("x-cache", "HIT")]);
        assert_eq!(cached(&second).unwrap(), "x-cache: HIT");
    }

    #[test]
    fn a_good_answer_has_the_expected_status_and_text() {
        let expect = |status| Expect { status, body: None };
        for (status, verdicts) in [
            (200, [Verdict::Good, Verdict::Status]),
            (302, [Verdict::Status, Verdict::Good]),
            (304, [Verdict::Status, Verdict::Status]),
            (500, [Verdict::Status, Verdict::Status]),
        ] {
            assert_eq!(
                [None, Some(302)].map(|expected| verdict(&expect(expected), status, true)),
                verdicts,
                "{status}"
            );
        }
        assert_eq!(verdict(&expect(None), 200, false), Verdict::Body);
    }

    #[test]
    fn a_text_is_found_across_pieces() {
        let found = |wanted, pieces: &[&str]| {
            let mut search = Search::new(wanted);
            pieces.iter().for_each(|piece| search.look(piece.as_bytes()));
            search.found
        };
        assert!(found(Some("orders"), &["{\"or", "d", "ers\":[]}"]));
        assert!(found(Some("o"), &["", "o"]) && found(None, &[]));
        assert!(!found(Some("orders"), &["order", " s"]) && !found(Some("orders"), &[]));
    }

    #[test]
    fn a_prepared_request_carries_the_run_and_hides_its_own_headers() {
        let origin: Origin = serde_json::from_value("https://eks.shop.test".into()).unwrap();
        let request: Request = serde_json::from_value(serde_json::json!({
            "method": "POST", "path": "/orders", "body": "{}", "headers": { "authorization": "Bearer abc" },
        }))
        .unwrap();
        let prepared = prepare(&origin, &request, "run-1").unwrap();
        assert_eq!(prepared.headers()[RUN_HEADER], "run-1");
        assert_eq!((prepared.method().as_str(), prepared.url().as_str()), ("POST", "https://eks.shop.test/orders"));
        assert!(!format!("{prepared:?}").contains("abc"));
    }
}
