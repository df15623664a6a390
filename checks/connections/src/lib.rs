//! Claim 3: connection limits hold with every workload running twice.
//!
//! - [`settings`] is what `preflight.yaml` says about endpoints.
//! - [`headroom`] is the arithmetic, pure and usable on its own.
//! - The checks stand in one file each; their list is [`CATALOGUE`].
//!
//! Inside: `inventory`, `variables`, `pools`, `processes` and `instances` turn manifests and task definitions into demand,
//! and `unseen` says where they may not tell all of it; `engines` reads limits from live servers and lets clients in, one
//! file for each engine; `refusal` says what it means when a server does not.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod account;
mod address;
mod demand;
mod engines;
mod explain;
pub mod headroom;
mod http;
mod instances;
mod inventory;
mod limit_covers_demand;
mod line;
mod login;
mod path_admits;
mod pools;
mod processes;
mod reach;
mod refusal;
mod server;
mod services;
pub mod settings;
mod share;
mod tap;
mod twins;
mod unseen;
mod variables;

pub use reach::{Login, reach};

use crate::settings::{Endpoint, Settings, Use};
use preflight_cluster::Inventory;
use preflight_core::Entry;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the checks of this area need.
#[derive(Clone, Debug)]
pub struct Env {
    /// What is deployed on both sides.
    pub inventory: Arc<Inventory>,
    /// Every endpoint.
    pub endpoints: Vec<Endpoint>,
    /// The section `connections`.
    pub settings: Settings,
    /// What `uses` says, by the name of the workload. What is there is complete; a workload without it has said nothing.
    pub uses: BTreeMap<String, Vec<Use>>,
}

impl Env {
    fn deployed(&self) -> Vec<demand::Deployed> {
        inventory::deployed(&self.inventory)
    }
}

/// Every check of this area.
pub static CATALOGUE: &[Entry<Env>] = &[limit_covers_demand::ENTRY, path_admits::ENTRY];
