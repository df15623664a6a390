//! Whether a report may be acted on: now, for this subject, as it was written.

use crate::{
    Report, Timestamp, Verdict, problems_between,
    read::{ReadError, read_document},
    summarise,
    summary::{document_digest, plan_digest},
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
    /// It says that it begins in the future, or ends before it begins.
    ImpossibleTimes {
        /// When it says it began.
        started_at: Timestamp,
        /// When it says it finished.
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
    subject(&report, expected, &mut problems);
    digests(&document, &report, expected, &mut problems);
    problems.extend(problems_between(&report.plan, &report.results).into_iter().map(Problem::Incomplete));
    let computed = summarise(&report.plan, &report.results);
    let stated = &report.summary;
    if (computed.verdict, computed.complete, &computed.counts) != (stated.verdict, stated.complete, &stated.counts) {
        problems.push(Problem::OtherVerdict { stated: stated.verdict, computed: computed.verdict });
    }
    if problems.is_empty() { Ok(report) } else { Err(problems) }
}

fn times(report: &Report, expected: &Expected, problems: &mut Vec<Problem>) {
    let run = &report.run;
    if expected.now >= run.not_after {
        problems.push(Problem::Expired { not_after: run.not_after });
    }
    if run.started_at > expected.now.plus(expected.clock_skew) || run.finished_at < run.started_at {
        problems.push(Problem::ImpossibleTimes { started_at: run.started_at, finished_at: run.finished_at });
    }
}

fn subject(report: &Report, expected: &Expected, problems: &mut Vec<Problem>) {
    let subject = &report.subject;
    let mut compare = |field, expected: &Option<String>, found: &[&String]| {
        let Some(expected) = expected else { return };
        if expected.is_empty() || !found.contains(&expected) {
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
