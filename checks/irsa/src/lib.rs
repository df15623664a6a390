//! Claim 1: which identity a pod really gets.
//!
//! A pod of EKS gets its IAM role through its ServiceAccount: the annotation names the role, the cluster's issuer vouches
//! for the ServiceAccount, the role's trust policy admits it, STS exchanges the token, and the SDK in the image must know
//! how to ask. Each link is a check in a file of its own; their list is [`CATALOGUE`].
//!
//! - [`trust`] says whether a trust policy admits a ServiceAccount; pure and usable on its own.
//! - [`inspect_jar`] says whether an archive's AWS SDK for Java can take part.
//!
//! Inside: `subject` finds the workloads that need a role, `live` holds the connections that checks share, `place` compares cluster and account with the configuration, `aws` says
//! what it means when a call fails, `refusal` what it means when STS refuses a token.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arn;
mod aws;
mod exchange_succeeds;
mod jar;
mod live;
mod place;
mod preset;
mod reach;
mod refusal;
mod sdk_capable;
mod service_account_annotated;
mod settings;
mod subject;
mod token;
pub mod trust;
mod trust_allows;

pub use jar::{Generation, JarError, JarFindings, JarVerdict, SdkFinding, inspect_jar};
pub use reach::{Asked, reach};
pub use settings::Settings;

use preflight_cluster::{AwsAccess, ClusterAccess, Inventory};
use preflight_core::Entry;
use std::path::PathBuf;
use std::sync::Arc;

/// What the checks of this area need.
#[derive(Clone, Debug)]
pub struct Env {
    /// What is deployed on both sides.
    pub inventory: Arc<Inventory>,
    /// The section `irsa`.
    pub settings: Settings,
    /// How to reach AWS.
    pub aws: AwsAccess,
    /// How to reach the cluster.
    pub cluster: ClusterAccess,
    /// What the configuration says about workloads.
    pub workloads: Vec<Expected>,
}

/// What the configuration says about the identity of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its name in the inventory.
    pub workload: String,
    /// The role that its pods must get.
    pub role_arn: Option<String>,
    /// The archives, or directories of archives, that its image runs.
    pub artifacts: Vec<PathBuf>,
}

/// Every check of this area.
pub static CATALOGUE: &[Entry<Env>] =
    &[service_account_annotated::ENTRY, trust_allows::ENTRY, exchange_succeeds::ENTRY, sdk_capable::ENTRY];
