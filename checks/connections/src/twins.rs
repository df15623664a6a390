//! Endpoints with other names for the same server: each alone would be judged by a part of the demand.

use crate::address::{Address, Names};
use crate::settings::Endpoint;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// The endpoints of the same engine that do not share an address with this one, as far as the settings tell.
pub(crate) fn candidates(endpoint: &Endpoint, endpoints: &[Endpoint]) -> Vec<Endpoint> {
    let own = Names::of(endpoint);
    let is_candidate = |other: &&Endpoint| {
        other.engine == endpoint.engine && other.name != endpoint.name && !Names::of(other).share_an_address_with(&own)
    };
    endpoints.iter().filter(is_candidate).cloned().collect()
}

/// Those among them that lead to the same server all the same, each with what to do. A name that cannot be resolved tells
/// nothing, and its own endpoint says so.
pub(crate) async fn twins(endpoint: &Endpoint, candidates: &[Endpoint], limit: Duration) -> Vec<String> {
    if candidates.is_empty() {
        return vec![];
    }
    let (own, others) = futures::join!(
        resolved(endpoint, limit),
        futures::future::join_all(candidates.iter().map(|other| resolved(other, limit)))
    );
    let leads_here = |(other, found): (&Endpoint, BTreeSet<SocketAddr>)| {
        let shared = found.intersection(&own).next()?;
        Some(format!(
            "endpoint {} leads to the same server ({shared}), so its demand counts as well; write its address into `aliases` \
             of {}, or make one endpoint of both",
            other.name, endpoint.name
        ))
    };
    candidates.iter().zip(others).filter_map(leads_here).collect()
}

async fn resolved(endpoint: &Endpoint, limit: Duration) -> BTreeSet<SocketAddr> {
    let Some(Address { host, port }) = Address::of(endpoint) else { return BTreeSet::new() };
    match tokio::time::timeout(limit, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => found.map(|one| SocketAddr::new(one.ip().to_canonical(), one.port())).collect(),
        _ => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str, address: &str) -> Endpoint {
        serde_json::from_value(serde_json::json!({ "name": name, "engine": "mysql", "address": address })).unwrap()
    }

    #[tokio::test]
    async fn two_names_of_one_address_are_one_server_and_two_ports_are_two() {
        let own = endpoint("db", "127.0.0.1:3307");
        let all = [
            own.clone(),
            endpoint("a", "localhost:3307"),
            endpoint("b", "127.0.0.1:3308"),
            endpoint("c", "127.0.0.1:3307"),
            endpoint("d", "[::ffff:127.0.0.1]:3307"),
        ];
        let candidates = candidates(&own, &all);
        assert_eq!(candidates.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
        let found = twins(&own, &candidates, Duration::from_secs(5)).await;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("endpoint a leads to the same server (127.0.0.1:3307)"));
        assert!(found[1].starts_with("endpoint d leads to"));
    }
}
