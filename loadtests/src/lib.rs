//! Claim 4: the EKS side survives load on its isolated domain.
//!
//! - [`settings`] is what `preflight.yaml` says about targets.
//! - The checks stand in one file each; their list is [`CATALOGUE`].
//!
//! Inside: `schedule` says when each request starts, `drive` sends it, `ledger` keeps what became of it, `http` knows
//! which side answered, `shell` runs goose, and `pods` watches what the load does to the pods.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod domain_isolated;
mod drive;
mod ended;
mod http;
mod ledger;
mod origin;
mod pods;
mod pods_stay_healthy;
mod schedule;
pub mod settings;
mod shell;
mod slo_holds;

pub use settings::Settings;
pub use shell::claim_interrupts;

use pods::Watch;
use preflight_cluster::{ClusterAccess, Inventory};
use preflight_core::Entry;
use settings::Target;
use std::sync::Arc;

/// What the checks of this area need.
#[derive(Debug)]
pub struct Env {
    settings: Settings,
    cluster: ClusterAccess,
    /// The pods behind each target.
    watches: Vec<Arc<Watch>>,
}

impl Env {
    /// From what is deployed, the section `load`, and how to reach the cluster.
    #[must_use]
    pub fn new(inventory: &Inventory, settings: Settings, cluster: ClusterAccess) -> Self {
        let watch =
            |target: &Target| Arc::new(Watch::new(cluster.clone(), pods::watched(inventory, &target.workloads)));
        let watches = settings.targets.iter().map(watch).collect();
        Self { settings, cluster, watches }
    }

    /// Every target, with the pods behind it.
    fn targets(&self) -> impl Iterator<Item = (&Target, &Arc<Watch>)> {
        self.settings.targets.iter().zip(&self.watches)
    }
}

/// Every check of this area.
pub static CATALOGUE: &[Entry<Env>] = &[domain_isolated::ENTRY, slo_holds::ENTRY, pods_stay_healthy::ENTRY];
