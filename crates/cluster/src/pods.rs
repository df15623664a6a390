//! Pods as the API shows them at one moment, as far as their health is concerned.

use crate::pages;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use preflight_core::{CannotTell, Evidence, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// The most bytes that are kept of a message.
const MESSAGE_BYTES_MAX: usize = 300;

/// What a container waits for that is still on its way to its first start. Every other reason is a trouble.
const STARTING: &[&str] = &["ContainerCreating", "PodInitializing"];

/// A pod at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenPod {
    /// What tells it apart from every other pod.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Kind and name of the object that made it.
    pub owner: Option<(String, String)>,
    /// Its own addresses; none if it has those of its node, which others share.
    pub addresses: Vec<IpAddr>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it was told to end.
    pub deleted: Option<Timestamp>,
    /// `status.phase`.
    pub phase: String,
    /// `status.reason` with its message, for example `Evicted`.
    pub reason: Option<String>,
    /// The condition `Ready`.
    pub ready: Option<SeenCondition>,
    /// The condition `PodScheduled`.
    pub scheduled: Option<SeenCondition>,
    /// The condition `DisruptionTarget`: somebody else than its owner ends it.
    pub disrupted: Option<SeenCondition>,
    /// Its containers, the init containers first.
    pub containers: Vec<SeenContainer>,
}

/// A condition of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenCondition {
    /// Whether it holds.
    pub holds: bool,
    /// Since when it does or does not.
    pub since: Option<Timestamp>,
    /// Why, with the message.
    pub reason: String,
}

/// A container of a pod at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenContainer {
    /// Its name.
    pub name: String,
    /// How often it died: its restarts, and one more if it is dead now. An init container that ended well did not.
    pub deaths: u64,
    /// Whether it is dead now. Some nodes say no more of one that crashes again and again; others say `CrashLoopBackOff`.
    pub is_dead: bool,
    /// Why it does not run, if that is a trouble: `CrashLoopBackOff`, `ImagePullBackOff`, `CreateContainerConfigError`.
    pub waiting: Option<String>,
    /// How it ended the last time.
    pub exit: Option<SeenExit>,
}

/// The end of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenExit {
    /// `OOMKilled`, `Error`, `Completed`, …
    pub reason: String,
    /// The exit code.
    pub code: i32,
    /// When.
    pub at: Option<Timestamp>,
}

/// Every pod of a namespace.
///
/// # Errors
/// If the cluster refuses, does not answer within `limit` for each page, or has more than 5000 pods there.
pub async fn pods(client: &Client, namespace: &str, limit: Duration) -> Result<Vec<SeenPod>, CannotTell> {
    pages::all(client, namespace, "pods", limit, |pod| [seen(pod)]).await
}

fn seen(pod: Pod) -> SeenPod {
    let metadata = pod.metadata;
    let shares_node = pod.spec.is_some_and(|spec| spec.host_network == Some(true));
    let status = pod.status.unwrap_or_default();
    let addresses = status.pod_ips.unwrap_or_default().into_iter().map(|one| one.ip).chain(status.pod_ip);
    let addresses: BTreeSet<IpAddr> = addresses.filter_map(|address| address.parse().ok()).collect();
    let owners = metadata.owner_references.unwrap_or_default();
    let owner = owners.into_iter().find(|owner| owner.controller == Some(true));
    let conditions = status.conditions.unwrap_or_default();
    let condition = |wanted: &str| conditions.iter().find(|one| one.type_ == wanted).map(condition);
    // The time of the deletion is the one at which it must have ended.
    let grace = metadata.deletion_grace_period_seconds.and_then(|grace| u64::try_from(grace).ok()).unwrap_or(0);
    let told = |end: Timestamp| Timestamp::from_millis(end.as_millis() - Duration::from_secs(grace).as_millis() as i64);
    let init = status.init_container_statuses.unwrap_or_default().into_iter().map(|one| container(one, true));
    let main = status.container_statuses.unwrap_or_default().into_iter().map(|one| container(one, false));
    SeenPod {
        uid: metadata.uid.unwrap_or_default(),
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default(),
        owner: owner.map(|owner| (owner.kind, owner.name)),
        addresses: if shares_node { vec![] } else { addresses.into_iter().collect() },
        created: timestamp(metadata.creation_timestamp.as_ref()),
        deleted: timestamp(metadata.deletion_timestamp.as_ref()).map(told),
        phase: status.phase.unwrap_or_default(),
        reason: status.reason.map(|reason| told_with(reason, status.message)),
        ready: condition("Ready"),
        scheduled: condition("PodScheduled"),
        disrupted: condition("DisruptionTarget"),
        containers: init.chain(main).collect(),
    }
}

fn condition(found: &PodCondition) -> SeenCondition {
    SeenCondition {
        holds: found.status == "True",
        since: timestamp(found.last_transition_time.as_ref()),
        reason: told_with(found.reason.clone().unwrap_or_default(), found.message.clone()),
    }
}

fn container(status: ContainerStatus, is_init: bool) -> SeenContainer {
    let state = status.state.unwrap_or_default();
    let waiting = state.waiting.and_then(|waiting| waiting.reason).filter(|reason| !STARTING.contains(&&**reason));
    let is_over = state.terminated.is_some();
    let ended = state.terminated.or_else(|| status.last_state.and_then(|last| last.terminated));
    let has_done_its_work = is_init && ended.as_ref().is_some_and(|ended| ended.exit_code == 0);
    let is_dead = (is_over || waiting.is_some()) && ended.is_some() && !has_done_its_work;
    SeenContainer {
        name: status.name,
        deaths: u64::try_from(status.restart_count).unwrap_or(0) + u64::from(is_dead),
        is_dead,
        waiting,
        exit: ended.map(|ended| SeenExit {
            reason: ended.reason.unwrap_or_default(),
            code: ended.exit_code,
            at: timestamp(ended.finished_at.as_ref()),
        }),
    }
}

fn told_with(reason: String, message: Option<String>) -> String {
    match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {}", Evidence::cut(&message, MESSAGE_BYTES_MAX)),
        None => reason,
    }
}

fn timestamp(time: Option<&Time>) -> Option<Timestamp> {
    time.and_then(|time| time.0.to_string().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(status: Value) -> SeenPod {
        read_of(json!({"containers": []}), status)
    }

    fn read_of(spec: Value, status: Value) -> SeenPod {
        let metadata = json!({"uid": "u", "namespace": "shop", "name": "orders-1", "creationTimestamp": "2026-11-24T09:00:00Z",
            "deletionTimestamp": "2026-11-24T09:05:30Z", "deletionGracePeriodSeconds": 30, "labels": {"app": "orders"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-7d", "uid": "r", "controller": true}]});
        seen(serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap())
    }

    fn of_container(restarts: i32, state: Value, last: Value) -> SeenContainer {
        let status = json!({"name": "app", "restartCount": restarts, "state": state, "lastState": last, "image": "i",
            "imageID": "", "ready": false});
        let init = json!({"name": "migrate", "restartCount": 0, "image": "i", "imageID": "", "ready": true,
            "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        let pod = read(json!({"containerStatuses": [status], "initContainerStatuses": [init]}));
        assert_eq!((pod.containers[0].name.as_str(), pod.containers[0].deaths), ("migrate", 0));
        pod.containers[1].clone()
    }

    #[test]
    fn a_pod_is_read_with_the_times_of_the_api() {
        let pod = read(json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory", "conditions": [
            {"type": "Ready", "status": "False", "reason": "PodFailed", "lastTransitionTime": "2026-11-24T09:04:00Z"},
            {"type": "PodScheduled", "status": "True"},
        ]}));
        let at = |text: &str| Some(text.parse().unwrap());
        assert_eq!((pod.created, pod.deleted), (at("2026-11-24T09:00:00Z"), at("2026-11-24T09:05:00Z")));
        assert_eq!(pod.owner, Some(("ReplicaSet".to_owned(), "orders-7d".to_owned())));
        assert_eq!((pod.phase.as_str(), pod.reason.as_deref()), ("Failed", Some("Evicted: low on memory")));
        let ready = pod.ready.unwrap();
        assert_eq!((ready.holds, ready.since, ready.reason.as_str()), (false, at("2026-11-24T09:04:00Z"), "PodFailed"));
        assert!(pod.scheduled.unwrap().holds && pod.disrupted.is_none());
    }

    #[test]
    fn a_pod_has_the_addresses_of_both_families_and_none_that_are_its_nodes() {
        let status = json!({"podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}]});
        let seen = |spec| read_of(spec, status.clone()).addresses;
        let own: [IpAddr; 2] = ["10.0.0.7".parse().unwrap(), "fd00::7".parse().unwrap()];
        assert_eq!(seen(json!({"containers": []})), own);
        assert_eq!(seen(json!({"containers": [], "hostNetwork": true})), Vec::<IpAddr>::new());
    }

    #[test]
    fn each_death_of_a_container_is_counted_once_from_its_end_to_its_next_start() {
        let (running, ended) = (
            json!({"running": {}}),
            json!({"terminated": {"exitCode": 137, "reason": "OOMKilled",
            "finishedAt": "2026-11-24T09:01:00Z"}}),
        );
        let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
        let none = json!({});
        let deaths = |restarts, state: &Value, last: &Value| of_container(restarts, state.clone(), last.clone()).deaths;
        assert_eq!(deaths(0, &waiting("ContainerCreating"), &none), 0);
        assert_eq!(deaths(0, &running, &none), 0);
        assert_eq!(deaths(0, &ended, &none), 1);
        assert_eq!(deaths(0, &waiting("CrashLoopBackOff"), &ended), 1);
        assert_eq!(deaths(1, &waiting("ContainerCreating"), &ended), 1);
        assert_eq!(deaths(1, &running, &ended), 1);
        assert_eq!(deaths(1, &ended, &none), 2);
        let exit = of_container(1, running, ended).exit.unwrap();
        assert_eq!((exit.reason.as_str(), exit.code), ("OOMKilled", 137));
    }

    #[test]
    fn only_what_keeps_a_container_from_starting_is_a_trouble() {
        let waiting = |reason: &str| of_container(0, json!({"waiting": {"reason": reason}}), json!({})).waiting;
        assert_eq!(waiting("PodInitializing"), None);
        assert_eq!(waiting("ImagePullBackOff").as_deref(), Some("ImagePullBackOff"));
    }
}
