//! `run`: everything from the configuration to the report on disk.

use crate::ToolFailure;
use crate::areas::{self, Areas};
use crate::cli::{OutputTo, RunArgs};
use crate::config::{self, Loaded, Mistake, Without};
use crate::deliver::Delivery;
use crate::deployed::{inventory, unread};
use crate::interrupts::Interrupts;
use crate::output::{self, Style};
use crate::overwrite;
use crate::plan::{Choice, Planned};
use crate::progress::Progress;
use crate::rights;
use anyhow::{Context, Result};
use preflight_cluster::{Inventory, InventoryError, SeenCluster};
use preflight_core::{Event, Journal, Outcome, Pin, Reason, Remediation, Scope, Timestamp, journal, run_all};
use preflight_report::{
    Aws, CheckResult, Cluster, Config, ConfigSource, ExitCode, Integrity, Report, Run, SCHEMA, SCHEMA_VERSION, Subject,
    SubjectWorkload, Summary, Tool, Verdict, seal, sha256_of,
};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The present, outside of a run.
#[expect(clippy::disallowed_methods, reason = "before a run there is no Scope to ask")]
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// Reads a configuration with the variables of the environment, as far as a command needs them.
pub(crate) fn configuration(path: &Path, without: Without) -> Result<Loaded> {
    #[expect(clippy::disallowed_methods, reason = "the configuration may name variables")]
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(config::load(path, variables.collect(), now(), without)?)
}

/// Says what is allowed and unwise, or not there and not needed yet.
pub(crate) fn warn<'a>(loaded: &Loaded, mistakes: impl IntoIterator<Item = &'a Mistake>) {
    for mistake in mistakes {
        output::complain(&format!("warning: {}", loaded.said(mistake)));
    }
}

/// Plans the checks of what is deployed. Where the cluster could not be read, every check says so.
async fn planned(loaded: &Loaded, choice: &Choice, scope: &Scope) -> Result<(About, Planned)> {
    let read = scope.until_cancelled(inventory(loaded)).await;
    match read.unwrap_or_else(|interrupted| Err(InventoryError::Unread(interrupted).into())) {
        Ok(inventory) => {
            // Of files, `lint` says them.
            for note in inventory.notes.iter().filter(|_| inventory.cluster.is_some()) {
                output::complain(&format!("note: {note}"));
            }
            let about = About::of(&inventory);
            let planned = Planned::new(loaded, &Areas::new(&loaded.config, inventory), choice)?;
            Ok((about, planned))
        }
        Err(error) => match unread(&error) {
            Some(why) => {
                output::complain(&format!("error: {error:#}"));
                Ok((About::default(), Planned::unread(loaded, choice, why)?))
            }
            None => Err(error),
        },
    }
}

/// What a run's checks told beside their results.
#[derive(Default)]
struct Told {
    pins: Vec<Pin>,
    measurements: Map<String, Value>,
}

impl Told {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Pin(pin) if !self.pins.contains(pin) => self.pins.push(pin.clone()),
            Event::Measurement { area, name, value } => {
                let of_area = self.measurements.entry(*area).or_insert_with(|| json!({}));
                if let Some(of_area) = of_area.as_object_mut() {
                    of_area.insert(name.clone(), value.clone());
                }
            }
            _ => {}
        }
    }
}

/// How long the configuration may still be read when a signal came meanwhile.
const READING_LIMIT: Duration = Duration::from_secs(2);

/// Reads the configuration, and says which signal came meanwhile. With one, nothing is read that takes long: then there is
/// nothing that a report could be about.
async fn read(path: &Path, interrupts: &mut Interrupts) -> Result<Option<(Loaded, Option<&'static str>)>> {
    let path = path.to_owned();
    let mut reading = tokio::task::spawn_blocking(move || configuration(&path, Without::Nothing));
    let by = tokio::select! {
        biased;
        by = interrupts.next() => by,
        read = &mut reading => return Ok(Some((read.context(ToolFailure)??, None))),
    };
    let why = match tokio::time::timeout(READING_LIMIT, reading).await {
        Ok(Ok(Ok(loaded))) => return Ok(Some((loaded, Some(by)))),
        Ok(Ok(Err(error))) => format!("{error:#}"),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the configuration could not be read within {} s", READING_LIMIT.as_secs()),
    };
    output::complain(&format!("interrupted by {by}, and there is no report: {why}"));
    Ok(None)
}

/// Runs a plan.
pub(crate) async fn run(args: &RunArgs, style: Style, mut interrupts: Interrupts) -> Result<ExitCode> {
    let outputs = overwrite::written(args)?;
    overwrite::set_aside(&args.report)?;
    let Some((loaded, interrupted_by)) = read(&args.config.config, &mut interrupts).await? else {
        return Ok(ExitCode::Interrupted);
    };
    overwrite::spare(&outputs, &loaded.config)?;
    let choice =
        Choice { to: args.choice.to.clone(), only: args.choice.only.clone(), consent: args.choice.consent.clone() };
    warn_of_journals(&args.state.state);

    let id = uuid::Uuid::now_v7().to_string();
    let began = now();
    let journal = Journal::at(&args.state.state.join(journal::file_name(&id, began)), &id);
    let told = Arc::new(Mutex::new(Told::default()));
    let progress = Arc::new(Progress::new());
    let sink = {
        let (told, progress) = (Arc::clone(&told), Arc::clone(&progress));
        move |teller: &str, event: Event| {
            progress.show(teller, &event);
            told.lock().unwrap_or_else(PoisonError::into_inner).take(&event);
        }
    };
    let scope = Scope::new(&id, Duration::from_secs(loaded.config.run.limit_s), journal, sink);
    let started_at = scope.now();
    let mut delivery = Delivery::new(&args.deliver, &loaded.config.cluster, args.pod.as_deref());
    let work = async {
        let claim = scope.until_cancelled(delivery.claim(scope.run_id()));
        let (planned, _) = tokio::join!(planned(&loaded, &choice, &scope), claim);
        let (about, mut planned) = planned?;
        warn(&loaded, loaded.written_secrets.iter().chain(&loaded.missing));
        progress.expect(planned.steps.len());
        rights::withhold(&mut planned, &loaded.config.cluster, &scope).await;
        let ran = run_all(planned.jobs(), loaded.config.run.concurrency, &scope).await;
        anyhow::Ok((about, planned, ran))
    };
    let (worked, interrupted_by) = watched(&scope, interrupts, interrupted_by, work).await;
    progress.finish();
    let (about, planned, ran) = worked?;
    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    let results = in_plan_order(&planned, ran, scope.now());
    let run = Run {
        id,
        attempt: args.attempt,
        started_at,
        finished_at: scope.now(),
        not_after: not_after(&planned, &results, &loaded, started_at),
        interrupted_by,
    };
    let basis = Basis { loaded: &loaded, about, planned: &planned, choice: &choice };
    let report = report(run, basis, results, told);
    let code = ExitCode::of(&report, args.fail_on_advisory);
    let written = write(&report, args, style);
    let delivered = delivery.deliver(&report).await;
    Ok(if written && delivered { code } else { ExitCode::NotWritten })
}

/// Does the work, and stops it on a signal, which may have come before, or at the deadline. Says what stopped it.
async fn watched<T>(
    scope: &Scope,
    mut interrupts: Interrupts,
    interrupted_by: Option<&'static str>,
    work: impl Future<Output = T>,
) -> (T, Option<String>) {
    let deadline = scope.remaining();
    tokio::pin!(work);
    let by = match interrupted_by {
        Some(by) => by,
        None => tokio::select! {
            done = &mut work => return (done, None),
            by = interrupts.next() => by,
            _ = tokio::time::timeout(deadline, std::future::pending::<()>()) => "the deadline of the run",
        },
    };
    output::complain(&format!("interrupted by {by}: removing what was created and writing the report"));
    scope.cancel();
    (work.await, Some(by.to_owned()))
}

/// One result for each step: what ran, and what did not with the reason.
fn in_plan_order(planned: &Planned, ran: Vec<CheckResult>, now: Timestamp) -> Vec<CheckResult> {
    let mut ran = ran.into_iter();
    let result = |step: &crate::plan::Step| match &step.skip {
        None => ran.next(),
        Some((reason, text)) => Some(CheckResult {
            check: step.meta.id.to_owned(),
            subject: step.subject.clone(),
            // Nobody decided to leave out what may not be looked at.
            outcome: if *reason == Reason::Forbidden { Outcome::Unknown } else { Outcome::Skipped },
            reason: Some(*reason),
            title: step.meta.title.to_owned(),
            observed: format!("not run: {text}"),
            expected: step.meta.proves.to_owned(),
            evidence: vec![],
            remediation: Some(Remediation { text: remedy(*reason, &step.subject), command: None, url: None }),
            started_at: now,
            duration_ms: 0,
        }),
    };
    planned.steps.iter().filter_map(result).collect()
}

fn remedy(reason: Reason, subject: &str) -> String {
    match reason {
        Reason::Forbidden => {
            "Grant it; `eks-preflight manifest rbac` prints the Role with every right of the plan.".to_owned()
        }
        Reason::NotConsented => format!("Ask the owner of the target, then run with `--consent {subject}`."),
        _ => "Run without `--only` before acting on the verdict.".to_owned(),
    }
}

/// A report is good until the first of its required results goes stale, a waiver ends, or its validity is over.
fn not_after(planned: &Planned, results: &[CheckResult], loaded: &Loaded, started_at: Timestamp) -> Timestamp {
    let stale = planned
        .steps
        .iter()
        .zip(results)
        .filter(|(step, _)| step.level == preflight_core::Level::Required)
        .map(|(step, result)| result.started_at.plus(Duration::from_millis(step.meta.max_age_ms)));
    let waived = planned.waivers.iter().map(|waiver| waiver.expires);
    let valid = started_at.plus(Duration::from_secs(loaded.config.run.valid_s));
    stale.chain(waived).chain([valid]).min().unwrap_or(valid)
}

/// What the report says about the inventory.
#[derive(Default)]
struct About {
    cluster: Option<SeenCluster>,
    workloads: Vec<SubjectWorkload>,
    sources: Vec<ConfigSource>,
}

impl About {
    fn of(inventory: &Inventory) -> Self {
        let workload = |workload: &preflight_cluster::Workload| {
            let image = workload.eks.as_ref().and_then(|eks| eks.pod.containers.first()).map(|one| one.image.as_str());
            SubjectWorkload {
                name: workload.name.clone(),
                ecs: workload.ecs.as_ref().map(|ecs| ecs.service.clone()).unwrap_or_default(),
                eks: workload.eks.as_ref().map(preflight_cluster::EksWorkload::reference).unwrap_or_default(),
                image_digest: image
                    .and_then(|image| image.split_once('@'))
                    .map(|(_, digest)| digest.to_owned())
                    .unwrap_or_default(),
            }
        };
        Self {
            cluster: inventory.cluster.clone(),
            workloads: inventory.workloads.iter().map(workload).collect(),
            sources: of_inventory(inventory).collect(),
        }
    }
}

fn of_inventory(inventory: &Inventory) -> impl Iterator<Item = ConfigSource> {
    inventory.sources.iter().map(|file| ConfigSource { path: file.path.clone(), sha256: file.sha256.clone() })
}

/// The configuration's file, and those that what is deployed was read from.
pub(crate) fn sources(loaded: &Loaded, inventory: &Inventory) -> Vec<ConfigSource> {
    [loaded.source.clone()].into_iter().chain(of_inventory(inventory)).collect()
}

/// What a run was about, and what it was asked.
struct Basis<'a> {
    loaded: &'a Loaded,
    about: About,
    planned: &'a Planned,
    choice: &'a Choice,
}

/// What the command line says beside the configuration.
fn overrides(choice: &Choice) -> Vec<String> {
    let only = choice.only.iter().map(|only| format!("--only {only}"));
    only.chain(choice.consent.iter().map(|target| format!("--consent {target}"))).collect()
}

/// The digest of a configuration, secrets left out, and of what the command line says beside it.
pub(crate) fn config_sha256(loaded: &Loaded, choice: &Choice) -> String {
    sha256_of(&json!({ "file": loaded.sha256, "overrides": overrides(choice) }))
}

fn report(run: Run, basis: Basis<'_>, results: Vec<CheckResult>, told: Told) -> Report {
    let Basis { loaded, about, planned, choice } = basis;
    let config = &loaded.config;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (uid, version) = about.cluster.map(|seen| (seen.uid, seen.version)).unwrap_or_default();
    let sources = [vec![loaded.source.clone()], about.sources].concat();
    seal(Report {
        schema: SCHEMA.to_owned(),
        schema_version: SCHEMA_VERSION.to_owned(),
        run,
        tool: tool(),
        subject: Subject {
            environment: config.environment.clone(),
            transition: planned.transition.clone(),
            aws: Aws { account_id: text(&config.aws.account_id), region: text(&config.aws.region) },
            cluster: Cluster { name: text(&config.cluster.name), arn: text(&config.cluster.arn), uid, version },
            workloads: about.workloads,
        },
        config: Config {
            sha256: config_sha256(loaded, choice),
            sources,
            overrides: overrides(choice),
            waivers: planned.waivers.clone(),
        },
        plan: planned.contract(),
        results,
        pins: told.pins,
        measurements: told.measurements,
        // Both are computed from the rest when the report is sealed.
        summary: Summary {
            verdict: Verdict::Inconclusive,
            complete: false,
            counts: preflight_report::Counts::default(),
            because: vec![],
        },
        integrity: Integrity::default(),
    })
}

/// This program.
pub(crate) fn tool() -> Tool {
    let meanings = areas::metas().map(|meta| json!([meta.id, meta.proves, meta.fails_when])).collect::<Value>();
    Tool {
        name: "eks-preflight".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("EKS_PREFLIGHT_COMMIT").unwrap_or("unknown").to_owned(),
        catalogue: sha256_of(&meanings),
    }
}

/// Writes the report first, then its other forms. Whether all of it was written.
fn write(report: &Report, args: &RunArgs, style: Style) -> bool {
    let json = OutputTo { format: output::Format::Json, file: Some(args.report.clone()) };
    let mut written = true;
    for to in std::iter::once(&json).chain(&args.output) {
        if let Err(error) = output::deliver(report, to, style) {
            output::complain(&format!("error: {error:#}"));
            written = false;
        }
    }
    written
}

fn warn_of_journals(state: &Path) {
    match crate::cleanup::runs_left(state) {
        Ok(0) => {}
        Ok(left) => output::complain(&format!(
            "warning: {left} earlier run(s) may have left something behind; `eks-preflight cleanup` removes it"
        )),
        Err(error) => output::complain(&format!("warning: {error:#}")),
    }
}
