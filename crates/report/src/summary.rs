//! The one verdict function, and the summary that is computed from it.

use crate::{CheckResult, Counts, Integrity, Level, Outcome, Plan, Report, Summary, Verdict, digest::sha256_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The verdict of a plan and its results.
///
/// `no-go` if any required result is `fail`; else `inconclusive` if any required item has no `pass`, if results and plan
/// do not match one to one, or if the plan is empty; else `go`.
#[must_use]
pub fn verdict(plan: &Plan, results: &[CheckResult]) -> Verdict {
    let outcomes = by_key(results);
    let required = || plan.items.iter().filter(|item| item.level == Level::Required);
    let ended = |check: &str, subject: &str, outcome| {
        outcomes.get(&(check, subject)).is_some_and(|results| results.iter().any(|result| result.outcome == outcome))
    };
    if required().any(|item| ended(&item.check, &item.subject, Outcome::Fail)) {
        Verdict::NoGo
    } else if problems_between(plan, results).is_empty()
        && required().all(|item| ended(&item.check, &item.subject, Outcome::Pass))
    {
        Verdict::Go
    } else {
        Verdict::Inconclusive
    }
}

pub(crate) type ByKey<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a CheckResult>>;

pub(crate) fn by_key(results: &[CheckResult]) -> ByKey<'_> {
    let mut map = ByKey::new();
    for result in results {
        map.entry((&result.check, &result.subject)).or_default().push(result);
    }
    map
}

/// Every way in which results and plan do not match one to one, one line each; a pass with a reason is none. Empty if
/// they match and the plan is not empty.
#[must_use]
pub fn problems_between(plan: &Plan, results: &[CheckResult]) -> Vec<String> {
    let mut problems = Vec::new();
    if plan.items.is_empty() {
        problems.push("the plan is empty".to_owned());
    }
    let mut planned: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for item in &plan.items {
        *planned.entry((&item.check, &item.subject)).or_default() += 1;
    }
    let results = by_key(results);
    for ((check, subject), times) in &planned {
        if *times > 1 {
            problems.push(format!("{check} ({subject}) is planned {times} times"));
        }
        match results.get(&(*check, *subject)).map_or(0, Vec::len) {
            1 => {}
            0 => problems.push(format!("{check} ({subject}) is planned and has no result")),
            many => problems.push(format!("{check} ({subject}) has {many} results")),
        }
    }
    for result in results.values().flatten() {
        if let (Outcome::Pass, Some(reason)) = (result.outcome, result.reason) {
            problems.push(format!("{} ({}) passed and says why it did not: {reason}", result.check, result.subject));
        }
    }
    for (check, subject) in results.keys().filter(|key| !planned.contains_key(*key)) {
        problems.push(format!("{check} ({subject}) has a result and is not planned"));
    }
    problems
}

/// The summary of a report's plan and results: verdict, completeness, counts, and a line for everything in the way of
/// `go`. A run that was interrupted is never `go`, whatever its checks came to before.
#[must_use]
pub fn summarise(report: &Report) -> Summary {
    let (plan, results) = (&report.plan, &report.results);
    let levels: BTreeMap<(&str, &str), Level> =
        plan.items.iter().map(|item| ((item.check.as_str(), item.subject.as_str()), item.level)).collect();
    let mut counts = Counts { planned: plan.items.len() as u64, ..Counts::default() };
    for outcome in [Outcome::Pass, Outcome::Fail, Outcome::Unknown, Outcome::Skipped] {
        counts.outcomes.insert(outcome.to_string(), 0);
    }
    let mut because = problems_between(plan, results);
    let complete = because.is_empty();
    if complete && plan.items.iter().all(|item| item.level == Level::Advisory) {
        because.push("nothing in the plan is required: the verdict rests on no check".to_owned());
    }
    let interrupted = report.run.interrupted_by.as_ref();
    because.extend(interrupted.map(|cause| format!("the run was interrupted by {cause}")));
    for result in results {
        *counts.outcomes.entry(result.outcome.to_string()).or_default() += 1;
        let level = levels.get(&(result.check.as_str(), result.subject.as_str())).copied();
        let advisory = level == Some(Level::Advisory);
        let failed = result.outcome == Outcome::Fail;
        counts.advisory_failed += u64::from(advisory && failed);
        if failed || (!advisory && result.outcome != Outcome::Pass) {
            because.push(line(result, advisory));
        }
    }
    let verdict = match verdict(plan, results) {
        Verdict::Go if interrupted.is_some() => Verdict::Inconclusive,
        verdict => verdict,
    };
    Summary { verdict, complete, counts, because }
}

/// Whether a summary says what was computed. Its lines of text are not part of that.
pub(crate) fn agree(stated: &Summary, computed: &Summary) -> bool {
    (stated.verdict, stated.complete, &stated.counts) == (computed.verdict, computed.complete, &computed.counts)
}

impl Report {
    /// The verdict to act on: the one that the summary states, `inconclusive` if plan and results do not give that
    /// summary. Never trust [`Summary::verdict`] of a report that somebody else wrote.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let computed = summarise(self);
        if agree(&self.summary, &computed) { computed.verdict } else { Verdict::Inconclusive }
    }
}

fn line(result: &CheckResult, advisory: bool) -> String {
    let reason = result.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let advisory = if advisory { ", advisory" } else { "" };
    format!("{} ({}): {}{reason}{advisory}", result.check, result.subject, result.outcome)
}

/// The digest over a plan's items and exclusions, from the document itself so that fields unknown to this version count.
pub(crate) fn plan_digest(plan: &Value) -> String {
    sha256_of(&json!({ "items": plan["items"], "excluded": plan["excluded"] }))
}

/// The digest over a plan's items and exclusions, as a sealed report carries it.
#[must_use]
pub fn plan_sha256(plan: &Plan) -> String {
    plan_digest(&serde_json::to_value(plan).unwrap_or(Value::Null))
}

/// The digest over a whole document without its `integrity`.
pub(crate) fn document_digest(document: &Value) -> String {
    let mut document = document.clone();
    if let Some(map) = document.as_object_mut() {
        map.remove("integrity");
    }
    sha256_of(&document)
}

/// Computes everything in a report that is derived from the rest: the plan's digest, the summary, the document's digest.
/// A writer calls it last.
#[must_use]
pub fn seal(mut report: Report) -> Report {
    let value = |report: &Report| serde_json::to_value(report).unwrap_or(Value::Null);
    report.plan.sha256 = plan_sha256(&report.plan);
    report.summary = summarise(&report);
    report.integrity = Integrity { sha256: document_digest(&value(&report)) };
    report
}
