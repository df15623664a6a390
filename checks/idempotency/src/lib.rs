//! Claim 2: consumers survive duplicated, reordered and interrupted delivery.
//!
//! While a service runs in ECS and in EKS at the same time, a message may reach it twice: on one side or on both, with the
//! id it had or with a new one. A **lever** ([`broker`]) forces such deliveries on test queues, a **schedule**
//! ([`schedule`]) says which, an **effect** ([`effects`], read through [`store`]) is what the consumer did, and the
//! **oracle** ([`oracle`]) compares the effects of a schedule with those of one delivery on the same consumer. The
//! consumers are the service's own processes; this crate never starts one.
//!
//! Everything written is found by its business key, stands in the journal before it is published, and is removed at the
//! end of a check and by [`remove`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod broker;
mod controls;
mod duplicates_harmless;
pub mod effects;
mod effects_observable;
mod env;
pub mod oracle;
mod planted;
mod reach;
mod removal;
pub mod schedule;
mod session;
pub mod settings;
mod shape;
pub mod store;
pub mod template;
mod trial;

pub use env::{Endpoint, Env, Management, Tls};
pub use reach::reach;
pub use removal::{JOURNAL_KIND, remove};
pub use settings::Settings;

use preflight_core::Entry;

/// Every check of this area.
pub static CATALOGUE: &[Entry<Env>] = &[effects_observable::ENTRY, duplicates_harmless::ENTRY];
