//! `report show|convert|verify|diff`: reading reports.

use crate::cli::{Answer, ConvertArgs, DiffArgs, OutputTo, ReportCommand, ShowArgs, VerifyArgs};
use crate::output::{self, Style, complain, say, say_json};
use crate::overwrite;
use crate::run::now;
use anyhow::{Context, Result};
use preflight_report::{CheckResult, ExitCode, Expected, Problem, REPORT_BYTES_MAX, Report, read, verify};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub(crate) async fn report(command: &ReportCommand, style: Style) -> Result<ExitCode> {
    match command {
        ReportCommand::Show(args) => show(args, style),
        ReportCommand::Convert(args) => convert(args, style),
        ReportCommand::Verify(args) => verified(&args.report, &expected(args)),
        ReportCommand::Diff(args) => diff(args),
        ReportCommand::Fetch(args) => crate::fetch::fetch(args).await,
    }
}

fn text_of(path: &Path) -> Result<String> {
    let attempt = || -> std::io::Result<String> {
        let mut text = String::new();
        // One byte more, so that the reader sees that there is too much.
        File::open(path)?.take(REPORT_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    attempt().with_context(|| format!("reading the report `{}`", path.display()))
}

/// A report that still says what its run wrote. One that was changed since is not shown as if it said something; one
/// whose time is over is, with a warning.
fn genuine(path: &Path) -> Result<Option<Report>> {
    let text = text_of(path)?;
    let report =
        read(&text).map_err(anyhow::Error::new).with_context(|| format!("reading the report `{}`", path.display()))?;
    if let Err(problems) = verify(&text, &Expected::at(report.run.finished_at)) {
        let changed = |problem: &&Problem| {
            matches!(problem, Problem::Digest { .. } | Problem::Incomplete(_) | Problem::OtherVerdict { .. })
        };
        let mut changes = problems.iter().filter(changed).peekable();
        if changes.peek().is_some() {
            changes.for_each(|problem| {
                complain(&format!("{}: was changed after it was written: {problem}", path.display()))
            });
            return Ok(None);
        }
    }
    if now() > report.run.not_after {
        complain(&format!("warning: {}: not to be acted on since {}", path.display(), report.run.not_after));
    }
    Ok(Some(report))
}

fn show(args: &ShowArgs, style: Style) -> Result<ExitCode> {
    let Some(report) = genuine(&args.report)? else { return Ok(ExitCode::NotVerified) };
    output::deliver(&report, &OutputTo { format: args.output, file: None }, style)?;
    Ok(ExitCode::Go)
}

fn convert(args: &ConvertArgs, style: Style) -> Result<ExitCode> {
    overwrite::converted(&args.report, &args.output)?;
    let Some(report) = genuine(&args.report)? else { return Ok(ExitCode::NotVerified) };
    for to in &args.output {
        if let Err(error) = output::deliver(&report, to, style) {
            complain(&format!("error: {error:#}"));
            return Ok(ExitCode::NotWritten);
        }
    }
    Ok(ExitCode::Go)
}

/// Whoever cannot be read must not be acted on, either: that is 30, not a usage error.
fn expected(args: &VerifyArgs) -> Expected {
    Expected {
        environment: args.environment.clone(),
        from: args.from.clone(),
        to: args.to.clone(),
        cluster: args.cluster.clone(),
        account_id: args.account.clone(),
        region: args.region.clone(),
        config_sha256: args.config_sha256.clone(),
        plan_sha256: args.plan_sha256.clone(),
        ..Expected::at(now())
    }
}

/// Says the verdict of a report that may be acted on; the exit code is the verdict's.
pub(crate) fn verified(report: &Path, expected: &Expected) -> Result<ExitCode> {
    let refuse = |problem: &str| complain(&format!("{}: must not be acted on: {problem}", report.display()));
    let text = match text_of(report) {
        Ok(text) => text,
        Err(error) => {
            refuse(&format!("{error:#}"));
            return Ok(ExitCode::NotVerified);
        }
    };
    match verify(&text, expected) {
        Ok(report) => {
            say(&format!("{}\n", report.summary.verdict))?;
            Ok(ExitCode::of(&report, false))
        }
        Err(problems) => {
            problems.iter().for_each(|problem| refuse(&problem.to_string()));
            Ok(ExitCode::NotVerified)
        }
    }
}

fn diff(args: &DiffArgs) -> Result<ExitCode> {
    let (Some(before), Some(after)) = (genuine(&args.before)?, genuine(&args.after)?) else {
        return Ok(ExitCode::NotVerified);
    };
    let changes = changes(&before, &after);
    let verdicts = (before.verdict(), after.verdict());
    match args.answer.output {
        Answer::Json => {
            say_json(&json!({ "verdict": { "before": verdicts.0, "after": verdicts.1 }, "changes": changes }))?
        }
        Answer::Text => say(&as_text(&changes, &verdicts.0.to_string(), &verdicts.1.to_string()))?,
    }
    Ok(ExitCode::Go)
}

/// Every result that is in one report alone, or came out in another way.
fn changes(before: &Report, after: &Report) -> Vec<Value> {
    fn by_key(report: &Report) -> BTreeMap<(&str, &str), &CheckResult> {
        report.results.iter().map(|one| ((one.check.as_str(), one.subject.as_str()), one)).collect()
    }
    let (old, new) = (by_key(before), by_key(after));
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let side = |one: Option<&&CheckResult>| {
        one.map_or(Value::Null, |one| json!({ "outcome": one.outcome, "reason": one.reason, "observed": one.observed }))
    };
    let same = |key: &(&str, &str)| match (old.get(key), new.get(key)) {
        (Some(a), Some(b)) => (a.outcome, a.reason) == (b.outcome, b.reason),
        _ => false,
    };
    keys.into_iter()
        .filter(|key| !same(key))
        .map(|key| json!({ "check": key.0, "subject": key.1, "before": side(old.get(key)), "after": side(new.get(key)) }))
        .collect()
}

fn as_text(changes: &[Value], before: &str, after: &str) -> String {
    let mut text = String::new();
    let outcome = |side: &Value| side["outcome"].as_str().unwrap_or("not planned").to_owned();
    for change in changes {
        let (check, subject) =
            (change["check"].as_str().unwrap_or_default(), change["subject"].as_str().unwrap_or_default());
        let (old, new) = (outcome(&change["before"]), outcome(&change["after"]));
        let _ = writeln!(text, "{check} ({subject}): {old} → {new}");
        if let Some(observed) = change["after"]["observed"].as_str().filter(|_| new != "pass") {
            let _ = writeln!(text, "    {}", observed.lines().next().unwrap_or_default());
        }
    }
    let _ = writeln!(text, "verdict: {before} → {after}");
    text
}
