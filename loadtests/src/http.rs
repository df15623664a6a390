//! Requests, and which side answers them.

use crate::ledger::{Ended, Failure, Side};
use crate::settings::{Origin, RUN_HEADER, Request, Served, Target};
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

/// The side that the headers of an answer name.
pub(crate) fn side(served: &Served, headers: &HeaderMap) -> Side {
    match headers.get(&served.header).and_then(|value| value.to_str().ok()).map(str::trim) {
        Some(value) if value.eq_ignore_ascii_case(served.eks.trim()) => Side::Eks,
        Some(value) if value.eq_ignore_ascii_case(served.ecs.trim()) => Side::Ecs,
        _ => Side::Unknown,
    }
}

/// Reads a body to its end, so that the connection can be used again, but not without bound.
pub(crate) async fn finish(mut response: Response, served: &Served) -> Ended {
    let (status, side) = (response.status().as_u16(), side(served, response.headers()));
    let mut bytes = 0;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes += chunk.len(),
            Ok(None) => return Ended::Answered { status, side, cut: false },
            Err(error) => return Ended::Failed(failure(&error)),
        }
        if bytes > BODY_BYTES_MAX {
            return Ended::Answered { status, side, cut: true };
        }
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
    /// An answer: its status, the side, the value of the header.
    Answer { status: u16, side: Side, value: Option<String> },
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
}

/// Sends one request that is no part of a load.
pub(crate) async fn probe(
    client: &Client,
    request: reqwest::Request,
    served: &Served,
    scope: &Scope,
) -> Result<Told, CannotTell> {
    let sent = tokio::time::timeout(PROBE_LIMIT, client.execute(request));
    Ok(match scope.until_cancelled(sent).await? {
        Err(_) => Told::Nothing(format!("no answer within {} s", PROBE_LIMIT.as_secs())),
        Ok(Err(error)) => Told::Nothing(cause(&error)),
        Ok(Ok(response)) => Told::Answer {
            status: response.status().as_u16(),
            side: side(served, response.headers()),
            value: response.headers().get(&served.header).map(|value| String::from_utf8_lossy(value.as_bytes()).into()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_is_told_by_the_header_alone() {
        let served = Served { header: "X-Served-By".into(), eks: "eks".into(), ecs: "ecs".into() };
        let of = |value: &'static str| {
            side(
                &served,
                &HeaderMap::from_iter([(HeaderName::from_static("x-served-by"), HeaderValue::from_static(value))]),
            )
        };
        assert_eq!((of("EKS "), of("ecs"), of("eks-2")), (Side::Eks, Side::Ecs, Side::Unknown));
        assert_eq!(side(&served, &HeaderMap::new()), Side::Unknown);
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
