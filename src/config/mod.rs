//! `preflight.yaml`: what it may say, and reading it strictly.

mod error;
mod files;
mod place;
mod problems;
mod read;
mod schema;
mod shape;
#[cfg(test)]
mod tests;
mod variables;

pub(crate) use error::Mistake;
pub(crate) use problems::{NAMESPACE_MAX, is_label};
pub(crate) use read::{Loaded, Without, load, nearest};
pub(crate) use variables::names as variable_names;

use preflight_cluster::{AwsAccess, ClusterAccess};
use preflight_connections::settings::{Endpoint, Settings as ConnectionsSettings, Use};
use preflight_core::Timestamp;
use preflight_idempotency::Settings as IdempotencySettings;
use preflight_irsa::Settings as IrsaSettings;
use preflight_load::Settings as LoadSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use std::path::PathBuf;

/// The JSON Schema of the configuration, as committed.
pub(crate) const CONFIG_SCHEMA: &str = include_str!("schema.json");

/// What eks-preflight is told about one environment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "Preflight")]
pub(crate) struct Config {
    /// The name of the environment. A report is valid for it alone.
    pub environment: String,
    /// The AWS account, and how this tool reaches it.
    #[serde(default)]
    pub aws: AwsAccess,
    /// The EKS cluster, and how this tool reaches it.
    #[serde(default)]
    pub cluster: ClusterAccess,
    /// The EKS side: files or directories of rendered Kubernetes manifests, as `helm template` or `kubectl get -o yaml`
    /// print them. Paths are relative to this file.
    #[serde(default)]
    pub manifests: Vec<PathBuf>,
    /// The ECS side: files or directories of task definitions, services and scalable targets, as the AWS CLI prints them.
    #[serde(default)]
    pub ecs: Vec<PathBuf>,
    /// What belongs together on both sides, and what manifests do not tell.
    #[serde(default)]
    pub workloads: Vec<Workload>,
    /// The servers that the workloads connect to.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// Claim 1: identity.
    #[serde(default)]
    pub irsa: IrsaSettings,
    /// Claim 2: idempotency.
    #[serde(default)]
    pub idempotency: IdempotencySettings,
    /// Claim 3: connections.
    #[serde(default)]
    pub connections: ConnectionsSettings,
    /// Claim 4: load.
    #[serde(default)]
    pub load: LoadSettings,
    /// The phases of this migration in order, if they are not the built-in ones. None is like an earlier one than the phase
    /// before it, and the last is like `traffic-100` or `scaled-down`.
    #[serde(default)]
    pub phases: Vec<OwnPhase>,
    /// Checks that decide about the verdict in every phase, by id; `*` stands for any part. One that finds nothing to look
    /// at is in the plan all the same, and cannot tell. A level is only ever raised here; [`Config::waivers`] lower one.
    #[serde(default)]
    pub required: Vec<String>,
    /// Decisions that a check does not decide about the verdict, each by a person and for a time.
    #[serde(default)]
    pub waivers: Vec<Waiver>,
    /// Limits of a run.
    #[serde(default)]
    pub run: RunSettings,
}

/// One service: its two sides, and what neither manifests nor task definitions tell.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Workload {
    /// Its name, under which it appears in the report.
    pub name: String,
    /// The EKS workload as `namespace/Kind/name`; `none` if it stays in ECS.
    #[serde(default)]
    pub eks: Option<String>,
    /// The ECS service, or the family of its task definition.
    #[serde(default)]
    pub ecs: Option<String>,
    /// The ARN of the IAM role that its pods must get.
    #[serde(default)]
    pub role: Option<String>,
    /// Java archives that it runs: `.jar`, `.war`, or a directory of them. Paths are relative to this file.
    #[serde(default)]
    pub artifacts: Vec<PathBuf>,
    /// Every endpoint that it uses; `[]` says that it uses none. Needed where its manifests and its task definition do not
    /// name the addresses or the size of the pool. What they do name counts in any case.
    #[serde(default)]
    pub uses: Option<Vec<Use>>,
}

/// A phase with a name of this migration's own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OwnPhase {
    /// The name.
    pub name: String,
    /// The built-in phase whose levels it has: `deployed`, `async`, `traffic-1` … `traffic-100`, `scaled-down`.
    pub like: String,
}

/// A decision that a check of a subject does not decide about the verdict.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Waiver {
    /// The id of the check.
    pub check: String,
    /// The subject, as it stands in the plan.
    pub subject: String,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// When it ends, as `2026-12-31T00:00:00Z`. After that it is an error.
    #[serde(deserialize_with = "timestamp")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub expires: Timestamp,
}

/// Limits of a run.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct RunSettings {
    /// How many checks run at the same time, from 1 to 64.
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: usize,
    /// The most seconds that a whole run may take, from 1 to 86400. What has not ended then is unknown.
    #[schemars(range(min = 1, max = 86400))]
    pub limit_s: u64,
    /// The most seconds that a report may be acted on after the run began; less if a result goes stale earlier.
    #[schemars(range(min = 60, max = 604800))]
    pub valid_s: u64,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { concurrency: 8, limit_s: 3_600, valid_s: 86_400 }
    }
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}
