//! What is said of pods that were not well.

use super::timeline::{Entry, Timeline, What};
use preflight_cluster::SeenPod;
use preflight_core::Finding;
use std::collections::BTreeMap;

/// The most pods that are named one by one.
pub(crate) const PODS_NAMED_MAX: usize = 15;

/// The most troubles that are told of one pod.
const TROUBLES_MAX: usize = 5;

pub(crate) const EXPECTED: &str =
    "no container ends, and each pod is or becomes ready and stays so until it is told to end";

/// One finding for each pod that was in trouble or is not ready.
pub(crate) fn of_troubles(timeline: &Timeline, late: &[&SeenPod]) -> Vec<Finding> {
    let mut pods: BTreeMap<String, (Vec<&Entry>, Option<&SeenPod>)> = BTreeMap::new();
    for trouble in timeline.troubles() {
        pods.entry(trouble.pod.clone()).or_default().0.push(trouble);
    }
    for pod in late {
        pods.entry(format!("{}/{}", pod.namespace, pod.name)).or_default().1 = Some(pod);
    }
    let count = pods.len();
    let mut findings: Vec<Finding> =
        pods.iter().take(PODS_NAMED_MAX).map(|(name, (troubles, late))| of_pod(name, troubles, *late)).collect();
    if count > PODS_NAMED_MAX {
        findings.push(Finding::unmet(format!("{} more pods were not well", count - PODS_NAMED_MAX), EXPECTED));
    }
    findings
}

fn of_pod(name: &str, troubles: &[&Entry], late: Option<&SeenPod>) -> Finding {
    let mut words: Vec<String> = troubles.iter().take(TROUBLES_MAX).map(|one| said(one)).collect();
    if troubles.len() > TROUBLES_MAX {
        words.push(format!("and {} more times", troubles.len() - TROUBLES_MAX));
    }
    words.extend(late.map(|pod| format!("after the load: {}", state(pod))));
    let observed = format!("the pod {name}: {}", words.join("; "));
    let (namespace, pod) = name.split_once('/').unwrap_or(("default", name));
    let finding = Finding::unmet(observed, EXPECTED);
    let has = |text: &str| words.iter().any(|word| word.contains(text));
    if has("OOMKilled") {
        return finding.fix("Raise the memory limit of the container, or let it use less: the node's kernel ended it.");
    }
    if has("CrashLoopBackOff") || has("was not started") || troubles.iter().any(|one| one.what == What::Died) {
        return finding.fix(format!("Read why the container ended: kubectl logs -n {namespace} {pod} --previous"));
    }
    if has("Unschedulable") {
        return finding.fix("Give the cluster nodes with room for the pod, or let the pod request less.");
    }
    finding.fix(format!("Read what Kubernetes did and why: kubectl describe pod -n {namespace} {pod}"))
}

fn said(entry: &Entry) -> String {
    let Entry { at, what, detail, .. } = entry;
    match what {
        What::Died => format!("{detail}, at {at}"),
        What::Evicted => format!("evicted at {at} ({detail})"),
        _ => format!("lost its readiness at {at} ({detail})"),
    }
}

/// Why a pod is not ready.
fn state(pod: &SeenPod) -> String {
    let unscheduled = pod.scheduled.as_ref().filter(|scheduled| !scheduled.holds).map(|one| one.reason.clone());
    let unready = || pod.ready.as_ref().map(|ready| format!("not ready ({})", ready.reason));
    down(pod).or(unscheduled).or_else(unready).unwrap_or_else(|| "not ready".to_owned())
}

/// Which container of a pod does not run, and why.
pub(crate) fn down(pod: &SeenPod) -> Option<String> {
    pod.containers.iter().find_map(|one| match &one.waiting {
        Some(reason) => Some(format!("container {} waits: {reason}", one.name)),
        None => one.is_dead.then(|| format!("container {} was not started again", one.name)),
    })
}
