//! What a check came to, and what it must have.

use preflight_core::{Journal, Outcome, Reason};
use preflight_report::CheckResult;
use serde_json::Value;

/// How one run of one check ended.
pub(crate) struct Judged {
    pub(crate) result: CheckResult,
    /// What was told under `measurements.idempotency`.
    pub(crate) measurement: Value,
    pub(crate) journal: Journal,
}

impl Judged {
    pub(crate) fn assert_passes(&self) -> &Self {
        assert_eq!(self.result.outcome, Outcome::Pass, "{}", self.shown());
        self.assert_journal_empty()
    }

    pub(crate) fn assert_fails(&self, observed: &str) -> &Self {
        assert_eq!(self.result.outcome, Outcome::Fail, "{}", self.shown());
        assert!(self.result.observed.contains(observed), "{}", self.shown());
        self.assert_journal_empty()
    }

    pub(crate) fn assert_cannot_tell(&self, reason: Reason, observed: &str) -> &Self {
        assert_eq!((self.result.outcome, self.result.reason), (Outcome::Unknown, Some(reason)), "{}", self.shown());
        assert!(self.result.observed.contains(observed), "{}", self.shown());
        self
    }

    pub(crate) fn assert_journal_empty(&self) -> &Self {
        assert_eq!(self.journal.open(), [], "{}", self.shown());
        self
    }

    /// The schedules that left other effects than one delivery does.
    pub(crate) fn failed_schedules(&self) -> Vec<&str> {
        let all = self.measurement["counterexamples"].as_array().unwrap();
        all.iter().map(|one| one["schedule"].as_str().unwrap()).collect()
    }

    pub(crate) fn shown(&self) -> String {
        format!("{}\n{}", serde_json::to_string_pretty(&self.result).unwrap(), self.measurement)
    }
}
