//! Stores, and how the effects of a consumer are read from and removed from each.
//!
//! A store is one file with its settings and its reader, and one line each here and in the list of [`probe`].

pub mod mysql;
pub mod probe;
pub mod redis;

pub use probe::{Effect, Removed, Store, StoreError};
