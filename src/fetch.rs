//! `report fetch`: gets a report out of the cluster. It takes the first whole one of the Job's run: from the ConfigMap,
//! from the log, and where there is none, at least the verdict from the pod's last words.

use crate::cli::FetchArgs;
use crate::deliver::{Message, REPORT_KEY, frames, unzipped};
use crate::manifest::{
    CONFIG_ANNOTATION, CONTAINER, FILES_ANNOTATION, ITEMS_ANNOTATION, RESULT_ANNOTATION, TRANSITION_ANNOTATION,
    files_sha256, items_sha256, transition,
};
use crate::output::{complain, say};
use crate::reports::verified;
use crate::run::now;
use anyhow::{Context, Result, bail};
use preflight_cluster::{Client, ClusterAccess, JobRun, as_kubectl, connect, job_run, log, result_bytes};
use preflight_report::{ExitCode, Expected, Report, Verdict, read, sha256_hex};
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
#[derive(Debug)]
struct Wanted<'a> {
    job: &'a JobRun,
    /// The name of the latest pod that left last words, and these.
    words: Option<(&'a str, Message)>,
}

impl<'a> Wanted<'a> {
    fn of(job: &'a JobRun) -> Self {
        let words = job.pods.iter().find_map(|pod| Some((pod.name.as_str(), Message::read(pod.message.as_deref()?)?)));
        Self { job, words }
    }

    /// The report in these bytes, which must have the digest that came with them. `pod` is the one that they are of, if that
    /// is known.
    fn take(&self, json: String, sha256: &str, pod: Option<&str>) -> Result<String> {
        let found = sha256_hex(json.as_bytes());
        if found != sha256 {
            bail!("its digest is {found} and not {sha256}: it is not whole, or was changed");
        }
        let mut pod = pod;
        if let Some((name, words)) = &self.words {
            if words.report_sha256 != found {
                bail!(
                    "it is of another run: its digest is {found}, and the pod's last words name {}",
                    words.report_sha256
                );
            }
            // Words and report are of one pod, whatever stands beside the report.
            pod = Some(*name);
        }
        match pod {
            Some(pod) if !self.job.has_pod(pod) => bail!("it is of the pod {pod}, which is none of this Job's"),
            None if !self.job.name.is_empty() => bail!("it does not say which pod it is of"),
            _ => {}
        }
        // By its name alone it may be one of an earlier Job that was called the same.
        let is_proven = pod.is_some_and(|pod| self.job.pods.iter().any(|one| one.name == pod));
        let report: Report = read(&json)?;
        let is_go = report.verdict() == Verdict::Go;
        if let Some(other) = self.difference(&report) {
            // A run that could not see everything plans otherwise, and says so; a go must be for what was asked.
            if is_go || !is_proven {
                bail!("{other}");
            }
            complain(&format!("note: {other}"));
        }
        // The clocks of nodes differ, and where the pod is there it is proof enough.
        let since = self.job.created.filter(|since| !is_proven && report.run.started_at < *since);
        if let Some(since) = since {
            bail!("it is of a run that began at {}, before the Job was created at {since}", report.run.started_at);
        }
        if is_go {
            self.is_last(pod)?;
        }
        Ok(json)
    }

    /// What the report is of and the Job is not.
    fn difference(&self, report: &Report) -> Option<String> {
        let of_report = [
            ("step", TRANSITION_ANNOTATION, &transition(&report.subject.transition)),
            ("plan", ITEMS_ANNOTATION, &items_sha256(&report.plan)),
            ("configuration", CONFIG_ANNOTATION, &report.config.sha256),
            ("set of files", FILES_ANNOTATION, &files_sha256(&report.config.sources)),
        ];
        of_report.into_iter().find_map(|(what, annotation, found)| {
            let wanted = self.job.annotations.get(annotation).filter(|wanted| *wanted != found)?;
            Some(format!("it is of another {what}, {found}, and the Job's is {wanted}"))
        })
    }

    /// Whether nothing of the Job came after the run of this pod, and speaks against its go.
    fn is_last(&self, pod: Option<&str>) -> Result<()> {
        let Some(last) = self.job.pods.first() else {
            if self.job.has_failed {
                bail!("its verdict is go, and the Job has failed");
            }
            return Ok(());
        };
        if let Some(pod) = pod.filter(|pod| *pod != last.name) {
            bail!("its verdict is go, and after its pod {pod} the Job began another one, {}", last.name);
        }
        if self.job.has_failed && last.exit_code.is_none() {
            bail!("its verdict is go, and the Job has failed before its pod {} ended", last.name);
        }
        let with_verdict = [ExitCode::Go, ExitCode::GoWithFailedAdvisory, ExitCode::NotWritten];
        let fits = |code| with_verdict.iter().any(|one| i32::from(one.code()) == code);
        match last.exit_code {
            Some(code) if !fits(code) => bail!("its verdict is go, and the pod {} ended with {code}", last.name),
            _ => Ok(()),
        }
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
    let wanted = Wanted::of(job);
    if let Some(json) = found(client, namespace, job, &wanted).await {
        let verdict = read(&json)?.verdict();
        preflight_report::write(&args.report, json.as_bytes())?;
        complain(&format!("wrote `{}`, whose verdict is {verdict}", args.report.display()));
        return if args.verify { verified(&args.report, &Expected::at(now())) } else { Ok(ExitCode::Go) };
    }
    match wanted.words {
        Some((_, message)) => {
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
async fn found(client: &Client, namespace: &str, job: &JobRun, wanted: &Wanted<'_>) -> Option<String> {
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

async fn from_config_map(client: &Client, namespace: &str, name: &str, wanted: &Wanted<'_>) -> Result<String> {
    let found = result_bytes(client, namespace, name, REPORT_KEY).await?;
    let (bytes, text) = found.context("there is no report in it")?;
    let of = |key: &str| text.get(key).map(String::as_str);
    if bytes.is_empty() {
        bail!("the run {} has begun and has put no report into it", of("runId").unwrap_or_default());
    }
    let sha256 = of("sha256").context("it does not say the digest of the report")?;
    wanted.take(unzipped(&bytes)?, sha256, of("pod").filter(|pod| !pod.is_empty()))
}

async fn from_log(client: &Client, namespace: &str, pod: &str, wanted: &Wanted<'_>) -> Result<String> {
    let log = log(client, namespace, pod, CONTAINER).await?;
    let frame = frames(&log).pop().context("there is no whole report in it")?;
    wanted.take(unzipped(&frame.bytes)?, &frame.sha256, Some(pod))
}
