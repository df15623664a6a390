//! Whether a report may be acted on: now, for this subject, as it was written.

use crate::{
    CheckResult, Level, Outcome, Report, Timestamp, Verdict, problems_between,
    read::{ReadError, read_document},
    summarise,
    summary::{agree, by_key, document_digest, plan_digest},
};
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// What the caller is about to act on. A field that is `None` is not compared.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The present.
    pub now: Timestamp,
    /// How far the clocks of writer and reader may differ.
    pub clock_skew: Duration,
    /// The environment.
    pub environment: Option<String>,
    /// The phase before the step.
    pub from: Option<String>,
    /// The phase after the step.
    pub to: Option<String>,
    /// The cluster, by name, ARN or uid.
    pub cluster: Option<String>,
    /// The AWS account.
    pub account_id: Option<String>,
    /// The AWS region.
    pub region: Option<String>,
    /// The digest of the configuration that was approved.
    pub config_sha256: Option<String>,
    /// The digest of the plan that was approved.
    pub plan_sha256: Option<String>,
}

impl Expected {
    /// Compares nothing but the time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            clock_skew: Duration::from_secs(60),
            environment: None,
            from: None,
            to: None,
            cluster: None,
            account_id: None,
            region: None,
            config_sha256: None,
            plan_sha256: None,
        }
    }
}

/// Why a report must not be acted on.
#[derive(Debug)]
pub enum Problem {
    /// It cannot be read at all.
    Unreadable(ReadError),
    /// It is no longer true.
    Expired {
        /// When it stopped being true.
        not_after: Timestamp,
    },
    /// Something that it rests on, a required result or a waiver, is no longer true.
    Stale {
        /// The result or the waiver.
        of: String,
        /// When it stopped being true.
        since: Timestamp,
    },
    /// It claims to be true for longer than something that it rests on.
    ValidTooLong {
        /// When it says it stops being true.
        not_after: Timestamp,
        /// The result or the waiver.
        of: String,
        /// When that stops being true.
        until: Timestamp,
    },
    /// The run or a result of it begins or ends in the future, or ends before it begins.
    ImpossibleTimes {
        /// When it says it began.
        started_at: Timestamp,
        /// When the run says it finished.
        finished_at: Timestamp,
    },
    /// It is about something else.
    OtherSubject {
        /// The field of the subject.
        field: &'static str,
        /// What the caller is about to act on.
        expected: String,
        /// What the report is about.
        found: String,
    },
    /// A digest does not match what it covers.
    Digest {
        /// What it covers.
        of: &'static str,
        /// The digest that stands in the report or that the caller approved.
        expected: String,
        /// The digest computed now.
        found: String,
    },
    /// Results and plan do not match one to one.
    Incomplete(String),
    /// The verdict or its counts are not what plan and results give.
    OtherVerdict {
        /// What the report says.
        stated: Verdict,
        /// What plan and results give.
        computed: Verdict,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "unreadable: {error}"),
            Self::Expired { not_after } => write!(f, "expired: not to be acted on after {not_after}"),
            Self::Stale { of, since } => write!(f, "stale: {of} was good until {since}"),
            Self::ValidTooLong { not_after, of, until } => {
                write!(f, "not to be acted on after {not_after}, it says, but {of} is good until {until}")
            }
            Self::ImpossibleTimes { started_at, finished_at } => {
                write!(f, "impossible times: started {started_at}, finished {finished_at}")
            }
            Self::OtherSubject { field, expected, found } => {
                write!(f, "wrong subject: {field} is `{found}`, expected `{expected}`")
            }
            Self::Digest { of, expected, found } => {
                write!(f, "wrong digest of the {of}: expected {expected}, found {found}")
            }
            Self::Incomplete(problem) => write!(f, "incomplete: {problem}"),
            Self::OtherVerdict { stated, computed } => {
                write!(f, "the summary says `{stated}`; plan and results give `{computed}` or other counts")
            }
        }
    }
}

impl std::error::Error for Problem {}

/// Reads a report and says whether it may be acted on. The verdict may still be anything: look at it.
///
/// # Errors
/// Every [`Problem`] found; never an empty list.
pub fn verify(text: &str, expected: &Expected) -> Result<Report, Vec<Problem>> {
    let (document, report) = read_document(text).map_err(|error| vec![Problem::Unreadable(error)])?;
    let mut problems = Vec::new();
    times(&report, expected, &mut problems);
    ages(&report, expected, &mut problems);
    subject(&report, expected, &mut problems);
    digests(&document, &report, expected, &mut problems);
    problems.extend(problems_between(&report.plan, &report.results).into_iter().map(Problem::Incomplete));
    let computed = summarise(&report);
    if !agree(&report.summary, &computed) {
        problems.push(Problem::OtherVerdict { stated: report.summary.verdict, computed: computed.verdict });
    }
    if problems.is_empty() { Ok(report) } else { Err(problems) }
}

fn times(report: &Report, expected: &Expected, problems: &mut Vec<Problem>) {
    let run = &report.run;
    if expected.now >= run.not_after {
        problems.push(Problem::Expired { not_after: run.not_after });
    }
    let now = expected.now.plus(expected.clock_skew);
    let starts = report.results.iter().map(|result| result.started_at).chain([run.started_at]);
    let latest = starts.max().unwrap_or(run.started_at);
    if latest > run.finished_at || run.finished_at > now {
        problems.push(Problem::ImpossibleTimes { started_at: latest, finished_at: run.finished_at });
    }
}

/// A writer sets `notAfter` to the first moment at which something it rests on ends. This does not rely on that.
fn ages(report: &Report, expected: &Expected, problems: &mut Vec<Problem>) {
    let results = by_key(&report.results);
    let required = report.plan.items.iter().filter(|item| item.level == Level::Required);
    let of_results = required.flat_map(|item| {
        let found = results.get(&(item.check.as_str(), item.subject.as_str())).into_iter().flatten();
        let until = |from: Timestamp| from.plus(Duration::from_millis(item.max_age_ms));
        let of = |result: &CheckResult| (format!("{} ({})", item.check, item.subject), result.outcome == Outcome::Pass);
        found.map(move |result| (of(result), until(result.started_at)))
    });
    let waivers = report.config.waivers.iter();
    let of_waivers = waivers.map(|one| ((format!("the waiver of {} ({})", one.check, one.subject), true), one.expires));
    // No `go` rests on what did not pass, so a report may outlive that.
    for ((of, is_rested_on), until) in of_results.chain(of_waivers) {
        if expected.now >= until {
            problems.push(Problem::Stale { of: of.clone(), since: until });
        }
        if is_rested_on && report.run.not_after > until {
            problems.push(Problem::ValidTooLong { not_after: report.run.not_after, of, until });
        }
    }
}

fn subject(report: &Report, expected: &Expected, problems: &mut Vec<Problem>) {
    let subject = &report.subject;
    let mut compare = |field, expected: &Option<String>, found: &[&String]| {
        let Some(expected) = expected else { return };
        // What the run was not told is empty in the report, and equal to nothing. Only a first step is from nowhere.
        let nothing = expected.is_empty() && field != "transition.from";
        if nothing || !found.contains(&expected) {
            let found = found.iter().map(|s| s.as_str()).collect::<Vec<_>>().join("` / `");
            problems.push(Problem::OtherSubject { field, expected: expected.clone(), found });
        }
    };
    let cluster = &subject.cluster;
    compare("environment", &expected.environment, &[&subject.environment]);
    compare("transition.from", &expected.from, &[&subject.transition.from]);
    compare("transition.to", &expected.to, &[&subject.transition.to]);
    compare("cluster", &expected.cluster, &[&cluster.name, &cluster.arn, &cluster.uid]);
    compare("aws.accountId", &expected.account_id, &[&subject.aws.account_id]);
    compare("aws.region", &expected.region, &[&subject.aws.region]);
}

fn digests(document: &Value, report: &Report, expected: &Expected, problems: &mut Vec<Problem>) {
    let mut compare = |of, expected: &str, found: &str| {
        if expected != found {
            problems.push(Problem::Digest { of, expected: expected.to_owned(), found: found.to_owned() });
        }
    };
    compare("document", &report.integrity.sha256, &document_digest(document));
    compare("plan", &report.plan.sha256, &plan_digest(&document["plan"]));
    if let Some(approved) = &expected.config_sha256 {
        compare("configuration", approved, &report.config.sha256);
    }
    if let Some(approved) = &expected.plan_sha256 {
        compare("approved plan", approved, &report.plan.sha256);
    }
}
