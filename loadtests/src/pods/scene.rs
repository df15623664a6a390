//! Pods as tests set them: of the Deployment `shop/orders`, ready, and of the version `v1`.

use super::reach::{Endpoints, Reach};
use super::timeline::Timeline;
use super::workload::{Watched, watched};
use preflight_cluster::{
    Controller, EksWorkload, EndpointTarget, Inventory, Pod, SeenCondition, SeenContainer, SeenEndpoint, SeenExit,
    SeenPod, Workload,
};
use preflight_core::Timestamp;
use std::time::Duration;

/// So many seconds after the first look.
pub(crate) fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000).plus(Duration::from_secs(second))
}

pub(crate) fn orders() -> Vec<Watched> {
    deployments(&["orders"])
}

/// Deployments whose pods have the label `app` with their name.
pub(crate) fn deployments(names: &[&'static str]) -> Vec<Watched> {
    let workload = |name: &&'static str| {
        let eks = EksWorkload {
            namespace: "shop".to_owned(),
            kind: "Deployment".to_owned(),
            name: (*name).to_owned(),
            at: format!("{name}.yaml:1"),
            controller: Controller::Unknown { replicas: None },
            autoscaler: None,
            selector: Some([("app", *name)].into_iter().collect()),
            pod: Pod::default(),
        };
        Workload { name: (*name).to_owned(), ecs: None, eks: Some(eks) }
    };
    let workloads = names.iter().map(workload).collect();
    watched(&Inventory { workloads, ..Inventory::default() }, &[]).0
}

pub(crate) fn pod(name: &str) -> SeenPod {
    let labels = [("app".to_owned(), "orders".to_owned()), ("pod-template-hash".to_owned(), "v1".to_owned())];
    let pod = SeenPod {
        uid: name.to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        labels: labels.into(),
        owner: Some(("ReplicaSet".to_owned(), "orders-v1".to_owned())),
        created: Some(at(0)),
        phase: "Running".to_owned(),
        containers: vec![SeenContainer { name: "app".to_owned(), ..SeenContainer::default() }],
        ..SeenPod::default()
    };
    ready(pod, 0)
}

pub(crate) fn pods(names: &[&str]) -> Vec<SeenPod> {
    names.iter().map(|name| pod(name)).collect()
}

fn condition(holds: bool, second: u64, reason: &str) -> Option<SeenCondition> {
    Some(SeenCondition { holds, since: Some(at(second)), reason: reason.to_owned() })
}

pub(crate) fn ready(pod: SeenPod, second: u64) -> SeenPod {
    SeenPod { ready: condition(true, second, ""), ..pod }
}

pub(crate) fn unready(pod: SeenPod, second: u64) -> SeenPod {
    SeenPod { ready: condition(false, second, "ContainersNotReady"), ..pod }
}

pub(crate) fn unscheduled(pod: SeenPod, second: u64) -> SeenPod {
    SeenPod { scheduled: condition(false, second, "Unschedulable: 1 Insufficient cpu."), ..unready(pod, second) }
}

pub(crate) fn evicted(pod: SeenPod, second: u64) -> SeenPod {
    SeenPod { disrupted: condition(true, second, "TerminationByKubelet"), ..pod }
}

/// Its container has died so many times, the last time then, and runs.
pub(crate) fn died(mut pod: SeenPod, deaths: u64, second: u64) -> SeenPod {
    let exit = SeenExit { reason: "OOMKilled".to_owned(), code: 137, at: Some(at(second)) };
    pod.containers[0] = SeenContainer { deaths, exit: Some(exit), ..pod.containers[0].clone() };
    pod
}

/// Its container is dead, and was when the pod was first seen.
pub(crate) fn dead(mut pod: SeenPod) -> SeenPod {
    pod.containers[0].is_dead = true;
    pod
}

pub(crate) fn waiting(mut pod: SeenPod, reason: &str) -> SeenPod {
    pod.containers[0].waiting = Some(reason.to_owned());
    pod
}

/// A ready endpoint of the Service `shop/orders`.
pub(crate) fn endpoint(target: EndpointTarget) -> SeenEndpoint {
    SeenEndpoint { service: "shop/orders".to_owned(), target, is_ready: true, is_headless: false }
}

/// Services with these endpoints, which led to the pods when the load began, and no budget.
pub(crate) fn reach(endpoints: Vec<SeenEndpoint>) -> Reach {
    Reach { at_first: Ok(vec![]), endpoints: Ok(Endpoints::new(endpoints)), budgets: Ok(vec![]) }
}

/// What some looks make of them, each with its second.
pub(crate) fn timeline(looks: &[(u64, Vec<SeenPod>)]) -> Timeline {
    let mut timeline = Timeline::new(&orders());
    looks.iter().for_each(|(second, pods)| timeline.look(at(*second), pods.clone()));
    timeline
}

/// Everything that a timeline tells, as `WHAT SECOND POD`.
pub(crate) fn told(timeline: &Timeline) -> Vec<String> {
    let entries = timeline.entries().into_iter();
    entries.map(|one| format!("{} {} {}", one.what.as_str(), one.at.since(at(0)).as_secs(), one.pod)).collect()
}
