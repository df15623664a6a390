//! Where the Services of a namespace send requests, as their EndpointSlices say it.

use crate::pages;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::Client;
use preflight_core::CannotTell;
use std::net::IpAddr;
use std::time::Duration;

/// The label of a slice that names its Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// The label of a slice whose Service is headless, whatever its value.
const HEADLESS: &str = "service.kubernetes.io/headless";

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenEndpoint {
    /// The Service, `namespace/name`.
    pub service: String,
    /// What the requests go to.
    pub target: EndpointTarget,
    /// Whether the Service sends requests there: it is ready and not about to end.
    pub is_ready: bool,
    /// Whether the Service has no address of its own, and is a list of its pods.
    pub is_headless: bool,
}

/// By what the pod of an endpoint is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointTarget {
    /// The pod's uid.
    Uid(String),
    /// The pod's namespace and name, where no uid is given.
    Name(String, String),
    /// An address, where no pod is named.
    Address(IpAddr),
}

/// Every endpoint of the Services of a namespace.
///
/// # Errors
/// If the cluster refuses, does not answer within `limit` for each page, or has more than 5000 slices there.
pub async fn endpoints(client: &Client, namespace: &str, limit: Duration) -> Result<Vec<SeenEndpoint>, CannotTell> {
    pages::all(client, namespace, "EndpointSlices", limit, seen).await
}

/// The endpoints of a slice. One that belongs to no Service has none, and neither has one of host names: nothing in
/// Kubernetes sends requests there.
fn seen(slice: EndpointSlice) -> Vec<SeenEndpoint> {
    let namespace = slice.metadata.namespace.unwrap_or_default();
    let mut labels = slice.metadata.labels.unwrap_or_default();
    let is_headless = labels.contains_key(HEADLESS);
    let service = labels.remove(SERVICE).filter(|name| !name.is_empty());
    let Some(name) = service.filter(|_| matches!(slice.address_type.as_str(), "IPv4" | "IPv6")) else {
        return vec![];
    };
    let service = format!("{namespace}/{name}");
    let of_endpoint = |endpoint: Endpoint| {
        let conditions = endpoint.conditions.unwrap_or_default();
        let is_ready = conditions.ready.unwrap_or(true) && !conditions.terminating.unwrap_or(false);
        let target = target(endpoint.target_ref, &endpoint.addresses, &namespace)?;
        Some(SeenEndpoint { service: service.clone(), target, is_ready, is_headless })
    };
    slice.endpoints.unwrap_or_default().into_iter().filter_map(of_endpoint).collect()
}

fn target(reference: Option<ObjectReference>, addresses: &[String], namespace: &str) -> Option<EndpointTarget> {
    let pod = reference.filter(|reference| reference.kind.as_deref() == Some("Pod"));
    if let Some(ObjectReference { uid, name, namespace: own, .. }) = pod {
        if let Some(uid) = uid.filter(|uid| !uid.is_empty()) {
            return Some(EndpointTarget::Uid(uid));
        }
        return Some(EndpointTarget::Name(own.unwrap_or_else(|| namespace.to_owned()), name?));
    }
    // Of several addresses, only the first has a meaning.
    addresses.first()?.parse().ok().map(EndpointTarget::Address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(address_type: &str, endpoints: Value) -> Vec<SeenEndpoint> {
        let metadata = json!({"namespace": "shop", "name": "orders-x", "labels": {SERVICE: "orders"}});
        let slice = json!({"metadata": metadata, "addressType": address_type, "endpoints": endpoints, "ports": []});
        seen(serde_json::from_value(slice).unwrap())
    }

    fn is_ready(conditions: Value) -> bool {
        let found = read("IPv4", json!([{"addresses": ["10.0.0.1"], "conditions": conditions}]));
        assert_eq!(found.len(), 1);
        found[0].is_ready
    }

    fn targets(endpoints: Value) -> Vec<EndpointTarget> {
        read("IPv4", endpoints).into_iter().map(|one| one.target).collect()
    }

    #[test]
    fn an_endpoint_of_which_nothing_is_said_is_ready() {
        for ready in [json!(null), json!({}), json!({"ready": true, "serving": true}), json!({"ready": null})] {
            assert!(is_ready(ready.clone()), "{ready}");
        }
    }

    #[test]
    fn an_endpoint_that_is_not_ready_or_about_to_end_gets_no_requests() {
        let ending = json!({"ready": false, "serving": true, "terminating": true});
        for other in [json!({"ready": false}), ending, json!({"ready": true, "terminating": true})] {
            assert!(!is_ready(other.clone()), "{other}");
        }
    }

    #[test]
    fn a_pod_is_known_by_its_uid_else_its_name_else_its_address() {
        let pod = |reference: Value| json!({"addresses": ["10.0.0.1", "10.0.0.2"], "targetRef": reference});
        let address = EndpointTarget::Address("10.0.0.1".parse().unwrap());
        let seen = targets(json!([
            pod(json!({"kind": "Pod", "namespace": "shop", "name": "a", "uid": "u"})),
            pod(json!({"kind": "Pod", "name": "a"})),
            pod(json!({"kind": "VirtualMachineInstance", "name": "a", "uid": "u"})),
            pod(json!(null)),
        ]));
        let name = EndpointTarget::Name("shop".to_owned(), "a".to_owned());
        assert_eq!(seen, [EndpointTarget::Uid("u".to_owned()), name, address.clone(), address]);
    }

    #[test]
    fn slices_of_both_ip_families_are_read_and_those_of_host_names_are_not() {
        let one = |address: &str| json!([{"addresses": [address]}]);
        assert_eq!(read("IPv6", one("fd00::1"))[0].target, EndpointTarget::Address("fd00::1".parse().unwrap()));
        let named = json!([{"addresses": ["orders.internal"], "targetRef": {"kind": "Pod", "name": "a", "uid": "u"}}]);
        assert_eq!(read("FQDN", named), []);
    }

    #[test]
    fn a_slice_without_endpoints_or_without_a_service_leads_nowhere() {
        assert_eq!(read("IPv4", json!(null)), []);
        let slice = json!({"metadata": {"namespace": "shop", "name": "x"}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"]}]});
        assert_eq!(seen(serde_json::from_value(slice).unwrap()), []);
    }
}
