//! What other programs may rely on: reports of any age read, and none that is not a complete pass reads as `go`.
#![allow(clippy::unwrap_used)]

mod any;
mod exit;
mod golden;
mod schema;
mod tamper;
mod verdict;
mod writer;
