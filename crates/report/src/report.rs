//! The types of the report, one for each object of its JSON.
//!
//! Names in camelCase, times RFC 3339 in UTC, durations in milliseconds (`…Ms`), sizes in bytes (`…Bytes`). Fields are
//! only ever added; a reader ignores those it does not know and takes the default for those it misses.

use crate::{Evidence, Level, Outcome, Reason, Remediation, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The name and major version of this contract, as it stands in [`Report::schema`].
pub const SCHEMA: &str = "eks-preflight/report/v1";

/// Major and minor version of this contract. The minor grows with every added field.
pub const SCHEMA_VERSION: &str = "1.0";

/// Everything a run leaves behind for other programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Always `eks-preflight/report/v1`. A reader rejects any other major.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: String,
    /// Major and minor, for example `1.0`.
    pub schema_version: String,
    /// The run that wrote this report.
    pub run: Run,
    /// The program that wrote this report.
    pub tool: Tool,
    /// What the verdict is about.
    pub subject: Subject,
    /// What the run was told.
    pub config: Config,
    /// What was to be checked.
    pub plan: Plan,
    /// What came out: exactly one result for each item of the plan.
    pub results: Vec<CheckResult>,
    /// Versions of what was looked at, for a compare-and-swap by whoever acts on the verdict.
    #[serde(default)]
    pub pins: Vec<Pin>,
    /// Numbers behind the results, by area. Free form within an area.
    #[serde(default)]
    pub measurements: Map<String, Value>,
    /// The verdict and what it rests on. A reader computes it again and compares.
    pub summary: Summary,
    /// The digest over everything else in this document.
    pub integrity: Integrity,
}

/// One execution of the tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// UUID version 7. Everything created on a target carries it.
    pub id: String,
    /// 1 for the first attempt at this transition, as far as the caller says.
    pub attempt: u32,
    /// When the run began.
    pub started_at: Timestamp,
    /// When the last result was in.
    pub finished_at: Timestamp,
    /// From this moment on the report must not be acted on.
    pub not_after: Timestamp,
    /// Set if the run did not end by itself: the signal or the deadline that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted_by: Option<String>,
}

/// The program that wrote a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// `eks-preflight`.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// The commit it was built from, or `unknown`.
    #[serde(default)]
    pub commit: String,
    /// The digest over the ids and meanings of all checks that the program knows.
    #[serde(default)]
    pub catalogue: String,
}

/// What a verdict is about. It must not be used for anything else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The environment as the configuration names it.
    pub environment: String,
    /// The one step that the verdict allows or forbids.
    pub transition: Transition,
    /// The AWS account and region.
    #[serde(default)]
    pub aws: Aws,
    /// The EKS cluster.
    #[serde(default)]
    pub cluster: Cluster,
    /// The services that run on both sides.
    #[serde(default)]
    pub workloads: Vec<SubjectWorkload>,
}

/// A step of the migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// The phase before the step; empty if the step is into the first phase.
    #[serde(default)]
    pub from: String,
    /// The phase after the step.
    pub to: String,
}

/// An AWS account and region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Aws {
    /// Twelve digits; empty if the run was not told.
    #[serde(default)]
    pub account_id: String,
    /// For example `eu-west-1`; empty if the run was not told.
    #[serde(default)]
    pub region: String,
}

/// An EKS cluster. Empty fields were not known to the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// The name in EKS.
    #[serde(default)]
    pub name: String,
    /// The ARN.
    #[serde(default)]
    pub arn: String,
    /// The uid of the namespace `kube-system`, which identifies a Kubernetes cluster.
    #[serde(default)]
    pub uid: String,
    /// The version of the API server.
    #[serde(default)]
    pub version: String,
}

/// One service on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SubjectWorkload {
    /// The name of the service.
    pub name: String,
    /// The ECS service, empty if there is none.
    #[serde(default)]
    pub ecs: String,
    /// The EKS workload as `namespace/Kind/name`, empty if there is none.
    #[serde(default)]
    pub eks: String,
    /// The digest of the image, empty if it is not pinned.
    #[serde(default)]
    pub image_digest: String,
}

/// What a run was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The digest over the effective configuration without its secrets.
    pub sha256: String,
    /// The files it was read from.
    #[serde(default)]
    pub sources: Vec<ConfigSource>,
    /// What the command line or the environment changed, without secrets.
    #[serde(default)]
    pub overrides: Vec<String>,
    /// The waivers in force: each lowers one item from required to advisory.
    #[serde(default)]
    pub waivers: Vec<Waiver>,
}

/// A file that a run read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigSource {
    /// The path as the run was given it.
    pub path: String,
    /// The digest of its bytes.
    pub sha256: String,
}

/// A decision, by a person and for a time, that one item does not decide about the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Waiver {
    /// The id of the check.
    pub check: String,
    /// The subject of the check.
    pub subject: String,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// What was to be checked, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The digest over `items` and `excluded` in canonical form.
    pub sha256: String,
    /// Every check that a verdict needs, one for each subject.
    pub items: Vec<PlanItem>,
    /// Checks that do not apply, with the reason.
    #[serde(default)]
    pub excluded: Vec<Excluded>,
}

/// One check of one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PlanItem {
    /// The id of the check, `area.property`.
    pub check: String,
    /// What is checked.
    pub subject: String,
    /// Whether it decides about the verdict.
    #[serde(default = "required")]
    pub level: Level,
    /// How long its result stays true.
    pub max_age_ms: u64,
    /// The endpoints and hosts that the check touches; empty if it reads files alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
}

fn required() -> Level {
    Level::Required
}

/// A check that does not apply to a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Excluded {
    /// The id of the check.
    pub check: String,
    /// What would have been checked.
    pub subject: String,
    /// Why it does not apply.
    pub reason: String,
}

/// How one item of the plan came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// The id of the check.
    pub check: String,
    /// What was checked.
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it is `unknown` or `skipped`; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What the check is about, in a few words.
    pub title: String,
    /// What was seen.
    #[serde(default)]
    pub observed: String,
    /// What a pass needs.
    #[serde(default)]
    pub expected: String,
    /// Where it was seen.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// What to do about it; present unless the outcome is `pass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<Remediation>,
    /// When the check began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
}

/// The version of something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// What it is.
    pub resource: String,
    /// What kind of token it is.
    pub kind: PinKind,
    /// The token to compare with.
    pub token: String,
}

/// What kind of version token a pin holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum PinKind {
    /// An HTTP entity tag.
    Etag,
    /// The resourceVersion of a Kubernetes object.
    ResourceVersion,
    /// The values of a record set.
    RecordSet,
    /// The revision of a task definition.
    TaskDefinition,
    /// The digest of a container image.
    ImageDigest,
    /// A kind that this reader does not know.
    #[serde(other)]
    Other,
}

/// The verdict and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The answer.
    pub verdict: Verdict,
    /// Whether results and plan match one to one and the plan is not empty.
    pub complete: bool,
    /// How many results there are of each kind.
    pub counts: Counts,
    /// One line for everything that kept the verdict from being `go`, and for failed advisory results.
    #[serde(default)]
    pub because: Vec<String>,
}

/// How many results there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Items in the plan.
    pub planned: u64,
    /// Results with each outcome, by its word.
    pub outcomes: BTreeMap<String, u64>,
    /// Advisory results that failed.
    pub advisory_failed: u64,
}

/// The digest that shows that a document is whole and unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Integrity {
    /// SHA-256 over the canonical form of the document without `integrity`.
    pub sha256: String,
}
