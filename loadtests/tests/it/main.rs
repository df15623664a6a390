//! The checks against a real nginx with a service for each side behind it.
#![allow(clippy::unwrap_used)]
// These tests measure the time that a load takes.
#![allow(clippy::disallowed_methods)]

mod bench;
mod domain_isolated;
mod interrupts;
mod pods_stay_healthy;
mod slo_holds;
