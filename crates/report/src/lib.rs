//! The report contract of `eks-preflight`: what a rollout tool may rely on.
//!
//! A run leaves one [`Report`]: the plan, one result for each of its items, what was checked and when it stops being
//! true. Everything that decides is in this crate and nowhere else:
//!
//! - [`verdict`] is the one pure function from plan and results to [`Verdict`];
//! - [`ExitCode::of`] is the one mapping from a report to the exit code of the process;
//! - [`read`] takes any report of this major version, and an unknown word as the cautious one;
//! - [`verify`] says whether a report may be acted on now, for this subject.
//!
//! The dependencies are serde and serde_json, nothing else, so that other programs can link it without our runtime.
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(missing_docs)]

mod digest;
mod exit;
mod finding;
mod keys;
mod outcome;
mod read;
mod report;
mod summary;
mod timestamp;
mod verify;
mod write;

#[cfg(test)]
mod schema;

pub use digest::{sha256_hex, sha256_of};
pub use exit::ExitCode;
pub use finding::{Evidence, Finding, Remediation};
pub use keys::KeysOnce;
pub use outcome::{Level, Outcome, Reason, Verdict};
pub use read::{REPORT_BYTES_MAX, ReadError, read};
pub use report::{
    Aws, CheckResult, Cluster, Config, ConfigSource, Counts, Excluded, Integrity, Pin, PinKind, Plan, PlanItem, Report,
    Run, SCHEMA, SCHEMA_VERSION, Subject, SubjectWorkload, Summary, Tool, Transition, Waiver,
};
pub use summary::{plan_sha256, problems_between, seal, summarise, verdict};
pub use timestamp::{Timestamp, TimestampError};
pub use verify::{Expected, Problem, verify};
pub use write::{WriteError, to_json, write};

/// The JSON Schema (draft 2020-12) of the report, as committed in `schema/report.schema.json`.
pub const REPORT_SCHEMA: &str = include_str!("../schema/report.schema.json");
