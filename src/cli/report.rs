//! `report …`.

use super::{AnswerArgs, OutputTo};
use crate::output::Format;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Print a report in another form.
    Show(ShowArgs),
    /// Write a report in another form to a file.
    Convert(ConvertArgs),
    /// Say whether a report may be acted on: exit 0 if its verdict is go, 10 or 11 if it is another, 30 if it must not be
    /// believed.
    Verify(VerifyArgs),
    /// Say what is different in a later report.
    Diff(DiffArgs),
    /// Get a report out of a Job in the cluster: from its ConfigMap, or from its log.
    Fetch(FetchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// job/NAME, or configmap/NAME where the Job is gone.
    #[arg(value_name = "KIND/NAME")]
    pub from: String,
    /// The namespace; that of the kubeconfig's context if left out.
    #[arg(long, short, env = "EKS_PREFLIGHT_NAMESPACE")]
    pub namespace: Option<String>,
    /// Waits until the Job has ended, at most as long as the Job may take.
    #[arg(long)]
    pub wait: bool,
    /// Verifies the report, too: exit 0 if its verdict is go, and as `report verify` otherwise.
    #[arg(long)]
    pub verify: bool,
    /// The kubeconfig; the one that kubectl would take if left out.
    #[arg(long, value_name = "FILE", env = "EKS_PREFLIGHT_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig.
    #[arg(long, env = "EKS_PREFLIGHT_CONTEXT")]
    pub context: Option<String>,
    /// Where the report is written.
    #[arg(long, value_name = "FILE", default_value = "preflight-report.json", env = "EKS_PREFLIGHT_REPORT")]
    pub report: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The report.
    #[arg(value_name = "FILE")]
    pub report: PathBuf,
    /// The form: text, json, junit, ctrf, markdown, github, html.
    #[arg(long, default_value = "text", env = "EKS_PREFLIGHT_OUTPUT")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The report.
    #[arg(value_name = "FILE")]
    pub report: PathBuf,
    /// The form and the file: junit=FILE and so on.
    #[arg(long, required = true, value_name = "FORMAT=FILE", env = "EKS_PREFLIGHT_OUTPUT", value_delimiter = ',')]
    pub output: Vec<OutputTo>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The report.
    #[arg(value_name = "FILE")]
    pub report: PathBuf,
    /// The environment it must be about.
    #[arg(long, env = "EKS_PREFLIGHT_ENVIRONMENT")]
    pub environment: Option<String>,
    /// The phase before the step it must be about.
    #[arg(long, value_name = "PHASE", env = "EKS_PREFLIGHT_FROM")]
    pub from: Option<String>,
    /// The phase after the step it must be about.
    #[arg(long, value_name = "PHASE", env = "EKS_PREFLIGHT_TO")]
    pub to: Option<String>,
    /// The cluster it must be about: name, ARN or uid.
    #[arg(long, env = "EKS_PREFLIGHT_CLUSTER")]
    pub cluster: Option<String>,
    /// The AWS account it must be about.
    #[arg(long, env = "EKS_PREFLIGHT_ACCOUNT")]
    pub account: Option<String>,
    /// The region it must be about.
    #[arg(long, env = "EKS_PREFLIGHT_REGION")]
    pub region: Option<String>,
    /// The digest of the configuration that was approved.
    #[arg(long, value_name = "SHA256", env = "EKS_PREFLIGHT_CONFIG_SHA256")]
    pub config_sha256: Option<String>,
    /// The digest of the plan that was approved.
    #[arg(long, value_name = "SHA256", env = "EKS_PREFLIGHT_PLAN_SHA256")]
    pub plan_sha256: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The earlier report.
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The later report.
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    #[command(flatten)]
    pub answer: AnswerArgs,
}
