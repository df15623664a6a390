//! Whose pods are watched, and which pods those are.

use preflight_cluster::{Controller, EksWorkload, Inventory, SeenPod, Selector, SelectorExt};
use std::collections::BTreeSet;

/// The labels that tell versions of one workload apart: of a Deployment, of a StatefulSet or DaemonSet, of a Rollout.
const VERSIONS: &[&str] = &["pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash"];

/// A workload whose pods are watched.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// `namespace/Kind/name`.
    pub(crate) reference: String,
    namespace: String,
    kind: String,
    name: String,
    selector: Selector,
    /// Whether the configuration says that it serves the target.
    pub(crate) is_named: bool,
}

/// A workload whose pods cannot be watched: its name, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unwatchable {
    pub(crate) name: String,
    pub(crate) why: &'static str,
}

/// The named workloads, or every one of EKS that keeps pods: Jobs, CronJobs and pods on their own do not.
pub(crate) fn watched(inventory: &Inventory, named: &[String]) -> (Vec<Watched>, Vec<Unwatchable>) {
    let (mut found, mut unwatchable) = (vec![], vec![]);
    let mut add = |name: &str, eks: Option<&EksWorkload>| {
        let why = match eks {
            Some(eks) => match &eks.selector {
                Some(selector) => return found.push(Watched::new(eks, selector, !named.is_empty())),
                None => "it has no `spec.selector`",
            },
            None => "nothing of it is known on the side of EKS",
        };
        unwatchable.push(Unwatchable { name: name.to_owned(), why });
    };
    if named.is_empty() {
        for workload in &inventory.workloads {
            if let Some(eks) = workload.eks.as_ref().filter(|eks| keeps_pods(eks)) {
                add(&workload.name, Some(eks));
            }
        }
    } else {
        for name in named.iter().collect::<BTreeSet<_>>() {
            let workload = inventory.workloads.iter().find(|workload| workload.name == *name);
            add(name, workload.and_then(|workload| workload.eks.as_ref()));
        }
    }
    (found, unwatchable)
}

fn keeps_pods(eks: &EksWorkload) -> bool {
    let comes_and_goes = matches!(eks.controller, Controller::Job { .. } | Controller::CronJob { .. });
    !comes_and_goes && !matches!(eks.kind.as_str(), "Pod" | "ScaledJob")
}

/// The namespaces of some workloads.
pub(crate) fn namespaces(workloads: &[Watched]) -> Vec<String> {
    workloads.iter().map(|one| one.namespace.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The version of a workload that a pod is of.
pub(crate) fn version(pod: &SeenPod) -> Option<&str> {
    VERSIONS.iter().find_map(|label| pod.labels.get(*label)).map(String::as_str)
}

impl Watched {
    fn new(eks: &EksWorkload, selector: &Selector, is_named: bool) -> Self {
        Self {
            reference: eks.reference(),
            namespace: eks.namespace.clone(),
            kind: eks.kind.clone(),
            name: eks.name.clone(),
            selector: selector.clone(),
            is_named,
        }
    }

    /// Whether a pod is one of this workload. Pods of a Job often carry the labels of the workload that they belong to, so
    /// who made the pod counts, too; a Deployment and a Rollout do it through ReplicaSets.
    pub(crate) fn has(&self, pod: &SeenPod) -> bool {
        let maker = pod.owner.as_ref().map(|(kind, name)| (kind.as_str(), name.as_str()));
        let is_made_by_it = match (self.kind.as_str(), maker) {
            ("Deployment" | "Rollout", maker) => maker.is_some_and(|(kind, _)| kind == "ReplicaSet"),
            (kind @ ("ReplicaSet" | "StatefulSet" | "DaemonSet"), maker) => maker == Some((kind, &self.name)),
            (_, maker) => maker.is_some(),
        };
        self.namespace == pod.namespace && is_made_by_it && self.selector.matches(&pod.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use preflight_cluster::{Pod, Sited, Workload};

    fn workload(name: &str, kind: &str, selected: bool, controller: Controller) -> Workload {
        let selector = [("app".to_owned(), name.to_owned())].into_iter().collect::<Selector>();
        let eks = EksWorkload {
            namespace: "shop".to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            at: "a.yaml:1".to_owned(),
            controller,
            autoscaler: None,
            selector: selected.then_some(selector),
            pod: Pod::default(),
        };
        Workload { name: name.to_owned(), ecs: None, eks: Some(eks) }
    }

    fn inventory() -> Inventory {
        let one = || Sited { value: 1, at: String::new() };
        let bare = || Controller::Bare { replicas: one() };
        let workloads = vec![
            workload("cart", "Service", false, Controller::Unknown { replicas: None }),
            workload("debug", "Pod", false, bare()),
            workload("import", "Job", true, Controller::Job { parallelism: one() }),
            Workload { eks: None, ..workload("legacy", "Deployment", true, bare()) },
            workload("orders", "Deployment", true, bare()),
        ];
        Inventory { workloads, ..Inventory::default() }
    }

    fn names((found, unwatchable): (Vec<Watched>, Vec<Unwatchable>)) -> (Vec<String>, Vec<String>) {
        let found = found.into_iter().map(|one| one.reference).collect();
        (found, unwatchable.into_iter().map(|one| format!("{}: {}", one.name, one.why)).collect())
    }

    #[test]
    fn every_workload_that_keeps_pods_is_watched_or_named_as_one_that_cannot_be() {
        let (found, unwatchable) = names(watched(&inventory(), &[]));
        assert_eq!(found, ["shop/Deployment/orders"]);
        assert_eq!(unwatchable, ["cart: it has no `spec.selector`"]);
    }

    #[test]
    fn a_named_workload_is_never_left_out_without_a_word() {
        let named = ["legacy", "debug", "orders", "orders"].map(str::to_owned);
        let (found, unwatchable) = names(watched(&inventory(), &named));
        assert_eq!(found, ["shop/Deployment/orders"]);
        let expected = ["debug: it has no `spec.selector`", "legacy: nothing of it is known on the side of EKS"];
        assert_eq!(unwatchable, expected);
    }

    #[test]
    fn a_pod_belongs_to_the_workload_that_made_it_and_whose_labels_it_has() {
        let inventory = inventory();
        let orders = Watched::new(
            inventory.workloads[4].eks.as_ref().unwrap(),
            &[("app", "orders")].into_iter().collect(),
            true,
        );
        let pod = |app: &str, namespace: &str, maker: &str| SeenPod {
            namespace: namespace.to_owned(),
            labels: [("app".to_owned(), app.to_owned())].into(),
            owner: Some((maker.to_owned(), "orders-7d".to_owned())),
            ..SeenPod::default()
        };
        assert!(orders.has(&pod("orders", "shop", "ReplicaSet")));
        for other in [("cart", "shop", "ReplicaSet"), ("orders", "blue", "ReplicaSet"), ("orders", "shop", "Job")] {
            assert!(!orders.has(&pod(other.0, other.1, other.2)), "{other:?}");
        }
        assert!(!orders.has(&SeenPod { owner: None, ..pod("orders", "shop", "ReplicaSet") }));
    }
}
