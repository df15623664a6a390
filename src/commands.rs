//! The small commands: `lint`, `plan`, `schema`, `completions`, `man`.

use crate::areas::Areas;
use crate::cli::{Answer, Cli, ConfigArgs, PlanArgs, SchemaOf};
use crate::config::{CONFIG_SCHEMA, Loaded, Without};
use crate::deployed::{from_files, inventory};
use crate::output::{complain, say, say_json};
use crate::plan::{Choice, Planned, Step};
use crate::rights;
use crate::run::{configuration, warn};
use anyhow::{Context, Result};
use clap::CommandFactory;
use preflight_cluster::{Inventory, Workload};
use preflight_core::{Level, Permission};
use preflight_report::{ExitCode, REPORT_SCHEMA};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Checks the configuration and the files that it names, and nothing else. Does without variables that are not set.
pub(crate) fn lint(args: &ConfigArgs) -> Result<ExitCode> {
    let loaded = configuration(&args.config, Without::Variables)?;
    warn(&loaded, loaded.written_secrets.iter().chain(&loaded.unset));
    if !loaded.missing.is_empty() {
        return Err(loaded.mistaken(loaded.missing.clone()).into());
    }
    let path = args.config.display();
    if let Some(mistake) = loaded.unset.iter().find(|mistake| decides_the_plan(&mistake.path)) {
        complain(&format!("{path}: no mistake; neither `manifests` nor `ecs` were read, for {} is open", mistake.path));
        return Ok(ExitCode::Go);
    }
    let inventory = from_files(&loaded)?;
    for note in &inventory.notes {
        complain(&format!("note: {note}"));
    }
    if loaded.config.cluster.is_source() {
        complain(&format!("{path}: no mistake; what runs in EKS is in the cluster, which `plan` and `run` read"));
        return Ok(ExitCode::Go);
    }
    let read = read(&inventory);
    let areas = Areas::new(&loaded.config, inventory);
    let planned = Planned::new(&loaded, &areas, &Choice { to: last_phase(&loaded), ..Choice::default() })?;
    complain(&format!("{}: no mistake; {read}, {} checks", args.config.display(), planned.steps.len()));
    Ok(ExitCode::Go)
}

/// Whether a value decides what is in the inventory or what is called how: without it there is nothing to compare.
fn decides_the_plan(path: &str) -> bool {
    ["manifests[", "ecs[", "workloads[", "waivers["].iter().any(|list| path.starts_with(list))
        || path.ends_with("].name")
}

/// The phase in which the most is required.
fn last_phase(loaded: &Loaded) -> String {
    loaded.phases.names().last().unwrap_or_default().to_owned()
}

/// What was read of both sides.
fn read(inventory: &Inventory) -> String {
    let Inventory { workloads, sources, .. } = inventory;
    let count = |fits: fn(&Workload) -> bool| workloads.iter().filter(|workload| fits(workload)).count();
    format!(
        "read {} files under `manifests` and `ecs`: {} workloads, {} in EKS alone, {} in ECS alone, {} in both",
        sources.len(),
        workloads.len(),
        count(|one| one.ecs.is_none()),
        count(|one| one.eks.is_none()),
        count(|one| one.eks.is_some() && one.ecs.is_some()),
    )
}

/// Says what a run would do.
pub(crate) async fn plan(args: &PlanArgs) -> Result<ExitCode> {
    let loaded = configuration(&args.config.config, Without::Secrets)?;
    warn(&loaded, &loaded.unset);
    let inventory = inventory(&loaded).await?;
    let notes = inventory.notes.clone();
    let areas = Areas::new(&loaded.config, inventory);
    let choice =
        Choice { to: args.choice.to.clone(), only: args.choice.only.clone(), consent: args.choice.consent.clone() };
    let planned = Planned::new(&loaded, &areas, &choice)?;
    match args.answer.output {
        Answer::Json => say_json(&as_json(&planned))?,
        Answer::Text => say(&as_text(&planned, &notes))?,
    }
    Ok(ExitCode::Go)
}

fn as_json(planned: &Planned) -> Value {
    let step = |step: &Step| {
        json!({
            "check": step.meta.id,
            "subject": step.subject,
            "level": step.level,
            "targets": step.targets,
            "disruption": step.meta.disruption.as_str(),
            "limitMs": step.meta.limit_ms,
            "maxAgeMs": step.meta.max_age_ms,
            "permissions": step.meta.permissions.iter().map(permission).collect::<Vec<_>>(),
            "skipped": step.skip.as_ref().map(|(reason, text)| json!({ "reason": reason, "text": text })),
        })
    };
    json!({
        "transition": planned.transition,
        "reading": planned.reading.iter().map(rights::named).collect::<Vec<_>>(),
        "sha256": plan_digest(planned),
        "items": planned.steps.iter().map(step).collect::<Vec<_>>(),
        "consent": planned.consentable(),
        "excluded": planned.excluded,
    })
}

/// The digest that the report's plan will have, for `report verify --plan-sha256`.
fn plan_digest(planned: &Planned) -> String {
    preflight_report::plan_sha256(&planned.contract())
}

fn permission(permission: &Permission) -> String {
    match permission {
        Permission::Kubernetes { verb, group: "", resource } => format!("kubernetes: {verb} {resource}"),
        Permission::Kubernetes { verb, group, resource } => format!("kubernetes: {verb} {resource}.{group}"),
        Permission::Aws { action } => format!("aws: {action}"),
        Permission::Engine { engine, grant } => format!("{engine}: {grant}"),
    }
}

fn as_text(planned: &Planned, notes: &[String]) -> String {
    let mut text = String::new();
    let transition = &planned.transition;
    let from = if transition.from.is_empty() { "the start" } else { &transition.from };
    let _ = writeln!(text, "{from} → {}: {} checks\n", transition.to, planned.steps.len());
    let width = planned.steps.iter().map(|step| step.meta.id.len()).max().unwrap_or(0);
    for step in &planned.steps {
        let level = if step.level == Level::Required { "required" } else { "advisory" };
        let skip = step.skip.as_ref().map(|(reason, why)| format!("  NOT RUN, {reason}: {why}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {:width$}  {level}  {:8}  {}{skip}",
            step.meta.id,
            step.meta.disruption.as_str(),
            step.subject
        );
    }
    let permissions: BTreeSet<String> = planned
        .steps
        .iter()
        .filter(|step| step.skip.is_none())
        .flat_map(|step| step.meta.permissions.iter().map(permission))
        .collect();
    let targets: BTreeSet<&String> = planned.steps.iter().flat_map(|step| &step.targets).collect();
    let longest: u64 = planned.steps.iter().map(|step| step.meta.limit_ms).max().unwrap_or(0);
    section(&mut text, "targets", targets.iter().map(|target| (*target).clone()));
    section(&mut text, "to read what is deployed it took the rights", planned.reading.iter().map(rights::named));
    section(&mut text, "permissions, at most", permissions.into_iter());
    let consent = planned.consentable().into_iter().map(|subject| format!("--consent {subject}"));
    section(&mut text, "what can be consented to", consent);
    let excluded = planned.excluded.iter().map(|one| format!("{} ({}): {}", one.check, one.subject, one.reason));
    section(&mut text, "does not apply", excluded);
    section(&mut text, "not understood", notes.iter().cloned());
    let _ = writeln!(text, "\nplan {}\nno single check takes longer than {} s", plan_digest(planned), longest / 1_000);
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    for (index, line) in lines.enumerate() {
        if index == 0 {
            let _ = writeln!(text, "\n{title}:");
        }
        let _ = writeln!(text, "  {line}");
    }
}

/// Prints a schema as it was committed.
pub(crate) fn schema(of: SchemaOf) -> Result<ExitCode> {
    say(match of {
        SchemaOf::Config => CONFIG_SCHEMA,
        SchemaOf::Report => REPORT_SCHEMA,
    })?;
    Ok(ExitCode::Go)
}

/// Prints completions.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<ExitCode> {
    let mut out = vec![];
    clap_complete::generate(shell, &mut Cli::command(), "eks-preflight", &mut out);
    say(&String::from_utf8(out).context("the completions are text")?)?;
    Ok(ExitCode::Go)
}

/// Prints the manual page.
pub(crate) fn man() -> Result<ExitCode> {
    let mut out = vec![];
    clap_mangen::Man::new(Cli::command()).render(&mut out).context("making the manual page")?;
    say(&String::from_utf8(out).context("the manual page is text")?)?;
    Ok(ExitCode::Go)
}
