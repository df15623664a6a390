//! The command line.

mod report;

pub(crate) use report::{ConvertArgs, DiffArgs, FetchArgs, ReportCommand, ShowArgs, VerifyArgs};

use crate::deliver::Route;
use crate::output::Format;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Says with evidence whether the next step of a migration from Amazon ECS to Amazon EKS is safe.
///
/// Exit codes: 0 go, 10 no-go, 11 inconclusive, 1 this tool failed, 2 usage or configuration, 20 nothing could be reached,
/// 21 interrupted, 22 the report could not be written, 30 `report verify` refuses.
#[derive(Debug, Parser)]
#[command(name = "eks-preflight", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Never use colours.
    #[arg(long, global = true, env = "EKS_PREFLIGHT_NO_COLOR")]
    pub no_color: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented starter preflight.yaml from what is found.
    Init(InitArgs),
    /// Check the configuration only: every mistake with file, line, column and what was expected.
    Lint(ConfigArgs),
    /// Say what would be checked, with which permissions, on which targets, how disruptive. Touches nothing.
    Plan(PlanArgs),
    /// Run the plan and write the report.
    Run(RunArgs),
    /// Read reports.
    #[command(subcommand)]
    Report(ReportCommand),
    /// Look at build artifacts and policies, without any configuration.
    #[command(subcommand)]
    Inspect(InspectCommand),
    /// Explain a check: what it proves, how it fails, when it cannot tell, how to fix it.
    Explain(ExplainArgs),
    /// List all checks.
    List(AnswerArgs),
    /// Print a JSON Schema.
    Schema {
        /// Of what.
        #[arg(value_enum)]
        of: SchemaOf,
    },
    /// Print what a run in the cluster needs: a Job, Roles with exactly the rights of its plan, an IAM policy.
    Manifest(ManifestArgs),
    /// Remove what an interrupted run created, from its journal.
    Cleanup(CleanupArgs),
    /// Say what this tool can reach and read.
    Doctor(DoctorArgs),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration.
    #[arg(long, short, value_name = "FILE", default_value = "preflight.yaml", env = "EKS_PREFLIGHT_CONFIG")]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// The folder for journals of what runs create.
    #[arg(long, value_name = "DIR", default_value = ".eks-preflight", env = "EKS_PREFLIGHT_STATE")]
    pub state: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Answer {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// How to answer.
    #[arg(long, value_enum, default_value = "text", env = "EKS_PREFLIGHT_OUTPUT")]
    pub output: Answer,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// A file or directory of rendered Kubernetes manifests.
    #[arg(long, value_name = "DIR", env = "EKS_PREFLIGHT_MANIFESTS")]
    pub manifests: Vec<PathBuf>,
    /// Find in the cluster what runs in EKS.
    #[arg(long, conflicts_with = "manifests", env = "EKS_PREFLIGHT_FROM_CLUSTER")]
    pub cluster: bool,
    /// A namespace to look in; that of the kubeconfig's context if left out.
    #[arg(long, short, value_name = "NAME", env = "EKS_PREFLIGHT_NAMESPACE", value_delimiter = ',')]
    pub namespace: Vec<String>,
    /// The kubeconfig; the one that kubectl would take if left out.
    #[arg(long, value_name = "FILE", env = "EKS_PREFLIGHT_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig.
    #[arg(long, env = "EKS_PREFLIGHT_CONTEXT")]
    pub context: Option<String>,
    /// A file or directory of ECS task definitions, services and scalable targets, as the AWS CLI prints them.
    #[arg(long, value_name = "DIR", env = "EKS_PREFLIGHT_ECS")]
    pub ecs: Vec<PathBuf>,
    /// The file to write; `-` is standard output. An existing file is kept.
    #[arg(long, short, value_name = "FILE", default_value = "preflight.yaml", env = "EKS_PREFLIGHT_CONFIG")]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ChoiceArgs {
    /// The phase after the step.
    #[arg(long, value_name = "PHASE", env = "EKS_PREFLIGHT_TO")]
    pub to: String,
    /// Run only checks that fit: an id, or `ID:SUBJECT`; `*` stands for any part. What is left out does not count as
    /// passed.
    #[arg(long, value_name = "GLOB", env = "EKS_PREFLIGHT_ONLY", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Consent to checks that write to this target or load it.
    #[arg(long, value_name = "TARGET", env = "EKS_PREFLIGHT_CONSENT", value_delimiter = ',')]
    pub consent: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    #[command(flatten)]
    pub answer: AnswerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    #[command(flatten)]
    pub state: StateArgs,
    /// Where the report is written.
    #[arg(long, value_name = "FILE", default_value = "preflight-report.json", env = "EKS_PREFLIGHT_REPORT")]
    pub report: PathBuf,
    /// Another form of the report, on standard output or in a file: text, json, junit, ctrf, markdown, github, html.
    #[arg(
        long,
        value_name = "FORMAT[=FILE]",
        default_value = "text",
        env = "EKS_PREFLIGHT_OUTPUT",
        value_delimiter = ','
    )]
    pub output: Vec<OutputTo>,
    /// Get the result out of a pod: termination[=FILE], log, configmap=NAME, file=FILE, put=URL.
    #[arg(long, value_name = "ROUTE", env = "EKS_PREFLIGHT_DELIVER", value_delimiter = ',')]
    pub deliver: Vec<Route>,
    /// The pod that it runs in, which is named beside a result.
    #[arg(long, value_name = "NAME", env = "EKS_PREFLIGHT_POD")]
    pub pod: Option<String>,
    /// Exit with 12 instead of 0 if an advisory check failed.
    #[arg(long, env = "EKS_PREFLIGHT_FAIL_ON_ADVISORY")]
    pub fail_on_advisory: bool,
    /// Which attempt at this transition it is.
    #[arg(long, value_name = "N", default_value = "1", env = "EKS_PREFLIGHT_ATTEMPT")]
    pub attempt: u32,
}

/// `FORMAT` or `FORMAT=FILE`.
#[derive(Clone, Debug)]
pub(crate) struct OutputTo {
    pub format: Format,
    pub file: Option<PathBuf>,
}

impl std::str::FromStr for OutputTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, file) = text.split_once('=').map_or((text, None), |(format, file)| (format, Some(file)));
        if file == Some("") {
            return Err(format!("`{text}` names no file"));
        }
        Ok(Self {
            format: format.parse().map_err(|error: anyhow::Error| error.to_string())?,
            file: file.map(PathBuf::from),
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    /// Say which AWS SDKs a Java archive holds and whether they can get an identity through IRSA.
    Jar {
        /// `.jar`, `.war`, or a directory of them.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Say whether a trust policy admits a ServiceAccount.
    Trust {
        /// The trust policy as JSON.
        #[arg(value_name = "POLICY")]
        policy: PathBuf,
        /// The cluster's OIDC issuer.
        #[arg(long, value_name = "URL", env = "EKS_PREFLIGHT_ISSUER")]
        issuer: String,
        /// `system:serviceaccount:NAMESPACE:NAME`.
        #[arg(long, env = "EKS_PREFLIGHT_SUBJECT")]
        subject: String,
        /// The token's audience.
        #[arg(long, default_value = "sts.amazonaws.com", env = "EKS_PREFLIGHT_AUDIENCE")]
        audience: String,
        /// The account of the role.
        #[arg(long, value_name = "ID", env = "EKS_PREFLIGHT_ACCOUNT")]
        account: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The id of the check.
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub answer: AnswerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    Config,
    Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManifestOf {
    /// A ConfigMap with the configuration, and the Job.
    Job,
    /// ServiceAccount, result ConfigMap, Roles and RoleBindings.
    Rbac,
    /// The policy of the Job's IAM role, as JSON.
    Iam,
    /// The values of the Helm chart that makes what `rbac` and `job` print.
    Values,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Notation {
    Yaml,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct ManifestArgs {
    /// Of what.
    #[arg(value_enum)]
    pub of: ManifestOf,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// The namespace of the Job.
    #[arg(long, short, default_value = "eks-preflight", env = "EKS_PREFLIGHT_NAMESPACE")]
    pub namespace: String,
    /// The name of the ServiceAccount and of the Roles, and the beginning of every other name.
    #[arg(long, default_value = "eks-preflight", env = "EKS_PREFLIGHT_NAME")]
    pub name: String,
    /// The image; this version of `eks-preflight` if left out.
    #[arg(long, env = "EKS_PREFLIGHT_IMAGE")]
    pub image: Option<String>,
    /// The IAM role of the Job's ServiceAccount, where checks ask AWS.
    #[arg(long, value_name = "ARN", env = "EKS_PREFLIGHT_ROLE")]
    pub role: Option<String>,
    /// How to print it; a policy is always JSON.
    #[arg(long, value_enum, default_value = "yaml", env = "EKS_PREFLIGHT_OUTPUT")]
    pub output: Notation,
}

#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub state: StateArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub state: StateArgs,
    #[command(flatten)]
    pub answer: AnswerArgs,
}
