//! The checks against a real nginx with a service for each side behind it.

mod bench;
mod domain_isolated;
mod interrupts;
mod slo_holds;
