//! Exit codes: the whole table, and the one mapping from a report.

use crate::{Outcome, Reason, Report, Verdict};
use std::collections::BTreeSet;

/// The exit codes of `eks-preflight`. Their numbers never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The verdict is `go`.
    Go = 0,
    /// The tool itself failed.
    Internal = 1,
    /// Usage, configuration, or an expired waiver.
    Usage = 2,
    /// The verdict is `no-go`.
    NoGo = 10,
    /// The verdict is `inconclusive`.
    Inconclusive = 11,
    /// The verdict is `go` and advisory checks failed, where the caller asked for the difference.
    GoWithFailedAdvisory = 12,
    /// No target could be reached or authorised.
    NothingReached = 20,
    /// A signal or the deadline ended the run; the report was still written.
    Interrupted = 21,
    /// The verdict is known and a report could not be written.
    NotWritten = 22,
    /// The report must not be acted on.
    NotVerified = 30,
}

impl ExitCode {
    /// The code for a finished report. `fail_on_advisory` tells failed advisory results apart.
    #[must_use]
    pub fn of(report: &Report, fail_on_advisory: bool) -> Self {
        if report.run.interrupted_by.is_some() {
            return Self::Interrupted;
        }
        match report.verdict() {
            Verdict::NoGo => Self::NoGo,
            Verdict::Inconclusive if nothing_reached(report) => Self::NothingReached,
            Verdict::Inconclusive => Self::Inconclusive,
            Verdict::Go if fail_on_advisory && report.summary.counts.advisory_failed > 0 => Self::GoWithFailedAdvisory,
            Verdict::Go => Self::Go,
        }
    }

    /// The number that the process exits with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Whether some item touches a target and no such item could see anything of it: none passed or failed, and at least one
/// target did not answer or refused us.
fn nothing_reached(report: &Report) -> bool {
    let touching: BTreeSet<_> = report
        .plan
        .items
        .iter()
        .filter(|item| !item.targets.is_empty())
        .map(|item| (item.check.as_str(), item.subject.as_str()))
        .collect();
    let results = || report.results.iter().filter(|r| touching.contains(&(r.check.as_str(), r.subject.as_str())));
    let shut = |reason| matches!(reason, Some(Reason::Unreachable | Reason::Forbidden));
    results().all(|result| !matches!(result.outcome, Outcome::Pass | Outcome::Fail))
        && results().any(|result| shut(result.reason))
}
