//! `report fetch`: gets a report out of the cluster. It takes the first whole one of the Job's run: from the ConfigMap,
//! from the log, and where there is none, at least the verdict from the pod's last words.

use crate::cli::FetchArgs;
use crate::deliver::{Message, REPORT_KEY, frames, unzipped};
use crate::manifest::{CONTAINER, PLAN_ANNOTATION, RESULT_ANNOTATION};
use crate::output::{complain, say};
use anyhow::{Context, Result, bail};
use preflight_cluster::{Client, ClusterAccess, JobRun, as_kubectl, connect, job_run, log, result_bytes};
use preflight_report::{ExitCode, Report, Timestamp, read, sha256_hex};
use std::time::Duration;
use tokio::time::Instant;

/// The longest that all of it may take once the Job has ended.
const LIMIT: Duration = Duration::from_secs(60);

/// The time between two looks at a Job that has not ended, ...
const PAUSE: Duration = Duration::from_secs(2);

/// ... how long one is waited for that has no deadline of its own, in seconds, ...
const WAIT_S: u64 = 3_600;

/// ... and beyond its deadline, for its last pod to go, ...
const BEYOND_S: u64 = 120;

/// ... and how many looks in a row may have no answer.
const FAILURES_MAX: usize = 5;

/// What a report must be to be the one that is looked for.
#[derive(Debug, Default)]
struct Wanted {
    /// The digest of its bytes, from the pod's last words.
    sha256: Option<String>,
    /// The digest of its plan, from the Job.
    plan: Option<String>,
    /// When the Job was created. A report from before is another Job's, which had the same plan.
    since: Option<Timestamp>,
}

impl Wanted {
    /// The report in these bytes, which must have the digest that came with them.
    fn take(&self, json: String, sha256: &str) -> Result<String> {
        let found = sha256_hex(json.as_bytes());
        if found != sha256 {
            bail!("its digest is {found} and not {sha256}: it is not whole, or was changed");
        }
        if let Some(wanted) = self.sha256.as_ref().filter(|wanted| **wanted != found) {
            bail!("it is of another run: its digest is {found}, and the pod's last words name {wanted}");
        }
        let report: Report = read(&json)?;
        if let Some(wanted) = self.plan.as_ref().filter(|wanted| **wanted != report.plan.sha256) {
            bail!("it is of another plan, {}, and the Job's is {wanted}", report.plan.sha256);
        }
        if let Some(since) = self.since.filter(|since| report.run.started_at < *since) {
            bail!("it is of a run that began at {}, before the Job was created at {since}", report.run.started_at);
        }
        Ok(json)
    }
}

/// Fetches a report and writes it to a file.
pub(crate) async fn fetch(args: &FetchArgs) -> Result<ExitCode> {
    let Some((kind, name)) = args.from.split_once('/').filter(|(_, name)| !name.is_empty()) else {
        bail!("`{}`: expected job/NAME or configmap/NAME", args.from);
    };
    // Whoever looks for the report of this Job must not find that of another.
    crate::overwrite::set_aside(&args.report)?;
    let (kubeconfig, context) = (args.kubeconfig.clone(), args.context.clone());
    let access = as_kubectl(ClusterAccess { kubeconfig, context, ..ClusterAccess::default() })?;
    let client = match connect(&access).await {
        Ok(client) => client,
        Err(error) => return Ok(unreached(&error.to_string())),
    };
    let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let job = match kind {
        "configmap" => {
            JobRun { annotations: [(RESULT_ANNOTATION.to_owned(), name.to_owned())].into(), ..JobRun::default() }
        }
        "job" => match run_of(&client, &namespace, name, args.wait).await {
            Ok(job) => job,
            Err(error) => return Ok(unreached(&format!("{error:#}"))),
        },
        _ => bail!("`{}`: expected job/NAME or configmap/NAME", args.from),
    };
    match tokio::time::timeout(LIMIT, fetched(args, &client, &namespace, &job)).await {
        Ok(fetched) => fetched,
        Err(_) => Ok(unreached(&format!("fetching took longer than {} s", LIMIT.as_secs()))),
    }
}

/// The Job as it is, or as it has ended.
#[expect(clippy::disallowed_methods, reason = "it waits for a cluster, and is no check")]
async fn run_of(client: &Client, namespace: &str, name: &str, wait: bool) -> Result<JobRun> {
    let (start, mut failures, mut is_said) = (Instant::now(), 0, false);
    loop {
        let looked = tokio::time::timeout(LIMIT, job_run(client, namespace, name, CONTAINER)).await;
        match looked.with_context(|| format!("no answer within {} s", LIMIT.as_secs())).and_then(|job| Ok(job?)) {
            Ok(None) => bail!("there is no Job {namespace}/{name}; `configmap/NAME` may still be there"),
            Ok(Some(job)) if job.has_ended || !wait => return Ok(job),
            Ok(Some(job)) => {
                let limit_s = job.deadline_s.unwrap_or(WAIT_S) + BEYOND_S;
                if start.elapsed().as_secs() >= limit_s {
                    bail!("the Job {namespace}/{name} has not ended within {limit_s} s");
                }
                failures = 0;
                if !std::mem::replace(&mut is_said, true) {
                    complain(&format!("waiting for the Job {namespace}/{name} to end"));
                }
            }
            Err(error) => {
                failures += 1;
                if !wait || failures == FAILURES_MAX {
                    return Err(error);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn fetched(args: &FetchArgs, client: &Client, namespace: &str, job: &JobRun) -> Result<ExitCode> {
    let message = job.pods.iter().find_map(|pod| Message::read(pod.message.as_deref()?));
    let wanted = Wanted {
        sha256: message.as_ref().map(|message| message.report_sha256.clone()),
        plan: job.annotations.get(PLAN_ANNOTATION).cloned(),
        // The pod's own words are proof enough, and the clocks of nodes differ.
        since: job.created.filter(|_| message.is_none()),
    };
    if let Some(json) = found(client, namespace, job, &wanted).await {
        preflight_report::write(&args.report, json.as_bytes())?;
        complain(&format!("wrote `{}`", args.report.display()));
        return Ok(ExitCode::Go);
    }
    match message {
        Some(message) => {
            say(&format!("{}\n", serde_json::to_string_pretty(&message)?))?;
            complain("there is no report of this run; these are the last words of its pod");
            Ok(ExitCode::NotWritten)
        }
        None => Ok(unreached("there is no report of this run, and no last words of a pod")),
    }
}

fn unreached(why: &str) -> ExitCode {
    complain(&format!("error: {why}"));
    ExitCode::NothingReached
}

/// The report from the ConfigMap, or from the log of a pod. What speaks against one is said.
async fn found(client: &Client, namespace: &str, job: &JobRun, wanted: &Wanted) -> Option<String> {
    if let Some(name) = job.annotations.get(RESULT_ANNOTATION) {
        match from_config_map(client, namespace, name, wanted).await {
            Ok(json) => return Some(json),
            Err(error) => complain(&format!("note: ConfigMap {name}: {error:#}")),
        }
    }
    for pod in &job.pods {
        match from_log(client, namespace, &pod.name, wanted).await {
            Ok(json) => return Some(json),
            Err(error) => complain(&format!("note: log of {}: {error:#}", pod.name)),
        }
    }
    None
}

async fn from_config_map(client: &Client, namespace: &str, name: &str, wanted: &Wanted) -> Result<String> {
    let found = result_bytes(client, namespace, name, REPORT_KEY).await?;
    let (bytes, text) = found.context("there is no report in it")?;
    let sha256 = text.get("sha256").context("it does not say the digest of the report")?;
    wanted.take(unzipped(&bytes)?, sha256)
}

async fn from_log(client: &Client, namespace: &str, pod: &str, wanted: &Wanted) -> Result<String> {
    let log = log(client, namespace, pod, CONTAINER).await?;
    let frame = frames(&log).pop().context("there is no whole report in it")?;
    wanted.take(unzipped(&frame.bytes)?, &frame.sha256)
}
