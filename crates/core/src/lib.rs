//! What a check is, and how one is judged.
//!
//! A [`Check`] has one method: it takes a [`Scope`] and gives findings, or says that it [cannot tell](CannotTell).
//! Beside it stands its [`Meta`], a constant with everything that is true of the check before it runs. An [`Entry`] ties
//! the two together and says, from an area's `Env`, which subjects there are. [`judge()`] runs one check under its limit
//! and turns everything that can happen to it, panics and hangs included, into one result; [`run_all`] does so for a
//! whole plan.
//!
//! No vendor SDK is a dependency of this crate, and nothing here knows a particular check.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod check;
mod execute;
pub mod journal;
mod judge;
mod phase;
mod scope;
mod secret;
pub mod written;

pub use check::{CannotTell, Check, Disruption, Entry, Item, ItemKind, Levels, Meta, Permission, Right, Run};
pub use execute::{Job, run_all};
pub use journal::Journal;
pub use judge::judge;
pub use phase::{PHASES, Phase, Phases};
pub use scope::{Event, Scope};
pub use secret::{Secret, secrets_from};

pub use preflight_report::{Evidence, Finding, Level, Outcome, Pin, PinKind, Reason, Remediation, Timestamp};
