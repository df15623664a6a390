//! Claim 4: the EKS side survives load on its isolated domain.
//!
//! - [`settings`] is what `preflight.yaml` says about targets.
//! - The checks stand in one file each; their list is [`CATALOGUE`].
//!
//! Inside: `schedule` says when each request starts, `drive` sends it, `ledger` keeps what became of it, `http` knows
//! which side answered, and `shell` runs goose.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod domain_isolated;
mod drive;
mod ended;
mod http;
mod ledger;
mod schedule;
pub mod settings;
mod shell;
mod slo_holds;

pub use settings::Settings;
pub use shell::claim_interrupts;

use preflight_cluster::Inventory;
use preflight_core::Entry;
use std::sync::Arc;

/// What the checks of this area need.
#[derive(Clone, Debug)]
pub struct Env {
    /// What is deployed on both sides.
    pub inventory: Arc<Inventory>,
    /// The section `load`.
    pub settings: Settings,
}

/// Every check of this area.
pub static CATALOGUE: &[Entry<Env>] = &[domain_isolated::ENTRY, slo_holds::ENTRY];
