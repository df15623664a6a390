//! The kinds of objects that are read from a cluster's API.

use crate::api::refused;
use crate::kubernetes::MAKERS;
use crate::wait::within;
use kube::Client;
use preflight_core::{CannotTell, Permission, Right};

/// A kind of objects.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub kind: &'static str,
    pub group: &'static str,
    resource: &'static str,
    version: String,
    /// How many of its objects a page has.
    pub page: u32,
}

/// How many objects a page has.
const PAGE: u32 = 500;

/// The same of kinds whose objects may be as large as the API lets them be: a Workflow carries all of its steps.
const PAGE_OF_LARGE: u32 = 50;

impl Kind {
    pub(crate) fn new(kind: &'static str, group: &'static str, resource: &'static str, version: &str) -> Self {
        Self { kind, group, resource, version: version.to_owned(), page: PAGE }
    }

    /// As `apiVersion` says it.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// For people: `deployments.apps`.
    pub(crate) fn name(&self) -> String {
        if self.group.is_empty() { self.resource.to_owned() } else { format!("{}.{}", self.resource, self.group) }
    }

    /// Where the API has it.
    pub(crate) fn url(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let below = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        format!("{root}/{}{below}/{}", self.api_version(), self.resource)
    }

    pub(crate) fn right(&self, verb: &'static str, namespace: Option<&str>, name: Option<&str>) -> Right {
        let permission = Permission::Kubernetes { verb, group: self.group, resource: self.resource };
        Right { permission, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) }
    }
}

/// The kinds that every cluster has.
fn built_in() -> Vec<Kind> {
    vec![
        Kind::new("Deployment", "apps", "deployments", "v1"),
        Kind::new("StatefulSet", "apps", "statefulsets", "v1"),
        Kind::new("DaemonSet", "apps", "daemonsets", "v1"),
        Kind::new("ReplicaSet", "apps", "replicasets", "v1"),
        Kind::new("ReplicationController", "", "replicationcontrollers", "v1"),
        Kind::new("Job", "batch", "jobs", "v1"),
        Kind::new("CronJob", "batch", "cronjobs", "v1"),
        Kind::new("Pod", "", "pods", "v1"),
        Kind::new("Service", "", "services", "v1"),
        Kind::new("ServiceAccount", "", "serviceaccounts", "v1"),
        Kind::new("HorizontalPodAutoscaler", "autoscaling", "horizontalpodautoscalers", "v2"),
    ]
}

/// Kinds that some clusters have, in a version of theirs: kind, group and resource.
fn custom() -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    const CUSTOM: &[(&str, &str, &str)] =
        &[("Rollout", "argoproj.io", "rollouts"), ("ScaledObject", "keda.sh", "scaledobjects")];
    CUSTOM.iter().chain(MAKERS).filter(|(_, group, _)| !group.is_empty())
}

/// The kinds that this cluster has.
pub(crate) async fn kinds(client: &Client) -> Result<Vec<Kind>, CannotTell> {
    let mut kinds = built_in();
    let attempted = "asking which kinds the cluster has";
    let groups = within(attempted, client.list_api_groups()).await?.map_err(|error| refused(&error, attempted))?;
    for group in groups.groups.iter().filter(|found| custom().any(|(_, group, _)| *group == found.name)) {
        // They come with the newest first.
        for version in &group.versions {
            let attempted = format!("asking which kinds of {} the cluster has", version.group_version);
            let served = within(&attempted, client.list_api_group_resources(&version.group_version)).await?;
            let served = served.map_err(|error| refused(&error, &attempted))?;
            for (kind, of, resource) in custom().filter(|(_, known, _)| *known == group.name) {
                let is_new = kinds.iter().all(|known| (known.kind, known.group) != (*kind, *of));
                if is_new && served.resources.iter().any(|one| one.name == *resource) {
                    kinds.push(Kind { page: PAGE_OF_LARGE, ..Kind::new(kind, of, resource, &version.version) });
                }
            }
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::KINDS;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_of_the_manifests_is_read_from_a_cluster_too() {
        let built_in = built_in();
        let read = built_in.iter().map(|kind| (kind.kind, kind.group));
        let mut read: BTreeSet<_> = read.chain(custom().map(|(kind, group, _)| (*kind, *group))).collect();
        // Those that others name are read one by one.
        assert!(read.insert(("ConfigMap", "")));
        // Of these, most are no workload's business.
        assert!(read.remove(&("Service", "")));
        let kept = KINDS.iter().map(|(kind, groups)| (*kind, groups[0]));
        assert_eq!(read, kept.chain(MAKERS.iter().map(|(kind, group, _)| (*kind, *group))).collect());
    }
}
