//! The last words of a container, which Kubernetes keeps with the pod: the verdict, and where the report is.

use preflight_core::Evidence;
use preflight_report::{CheckResult, Counts, Level, Outcome, PlanItem, Report, Transition, Verdict};
use serde::{Deserialize, Serialize};

/// Kubernetes keeps 4,096 bytes of each container and 12 KiB of a pod, shared by its containers: room enough in a pod
/// with five more of them.
const BYTES_MAX: usize = 2_048;

/// The most bytes of it that say what was seen.
const OBSERVED_BYTES_MAX: usize = 400;

const SCHEMA: &str = "eks-preflight/termination/v1";

/// The termination message.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    pub(crate) schema: String,
    pub(crate) run_id: String,
    pub(crate) environment: String,
    pub(crate) transition: Transition,
    pub(crate) verdict: Verdict,
    pub(crate) complete: bool,
    pub(crate) counts: Counts,
    /// The digest of the report's bytes.
    pub(crate) report_sha256: String,
    /// Where the report was put.
    pub(crate) delivered: Vec<String>,
    /// The first reasons of the verdict, as many as there is room for.
    pub(crate) because: Vec<String>,
    /// How many reasons are left out.
    pub(crate) more: usize,
    /// What was seen by the required check that failed, or could not tell if none failed; the first of them.
    #[serde(default)]
    pub(crate) observed: String,
}

impl Message {
    pub(super) fn of(report: &Report, sha256: &str, delivered: &[String]) -> Self {
        let summary = &report.summary;
        Self {
            schema: SCHEMA.to_owned(),
            run_id: report.run.id.clone(),
            environment: report.subject.environment.clone(),
            transition: report.subject.transition.clone(),
            verdict: summary.verdict,
            complete: summary.complete,
            counts: summary.counts.clone(),
            report_sha256: sha256.to_owned(),
            delivered: delivered.to_vec(),
            because: summary.because.clone(),
            more: 0,
            observed: Evidence::cut(observed(report).unwrap_or_default(), OBSERVED_BYTES_MAX).to_owned(),
        }
    }

    /// JSON that Kubernetes does not cut.
    pub(super) fn text(mut self) -> String {
        loop {
            let text = serde_json::to_string(&self).unwrap_or_default();
            if text.len() <= BYTES_MAX {
                return text;
            }
            if self.because.pop().is_some() {
                self.more += 1;
            } else if self.delivered.pop().is_none() {
                // Names of the configuration's own that are longer than any message.
                self.observed.clear();
                self.environment.clear();
                self.transition = Transition { from: String::new(), to: String::new() };
                return serde_json::to_string(&self).unwrap_or_default();
            }
        }
    }

    /// Reads one back; nothing if it is something else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text.trim()).ok().filter(|message: &Self| message.schema == SCHEMA)
    }
}

fn observed(report: &Report) -> Option<&str> {
    let is_required = |result: &&CheckResult| {
        let is_of = |item: &&PlanItem| (&item.check, &item.subject) == (&result.check, &result.subject);
        report.plan.items.iter().find(is_of).is_some_and(|item| item.level == Level::Required)
    };
    let first = |fits: fn(Outcome) -> bool| report.results.iter().filter(is_required).find(|one| fits(one.outcome));
    let failed = first(|outcome| outcome == Outcome::Fail);
    failed.or_else(|| first(|outcome| outcome != Outcome::Pass)).map(|result| result.observed.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(reasons: usize) -> Message {
        Message {
            schema: SCHEMA.to_owned(),
            run_id: "0192".to_owned(),
            environment: "production".to_owned(),
            transition: Transition { from: String::new(), to: "deployed".to_owned() },
            verdict: Verdict::NoGo,
            complete: true,
            counts: Counts::default(),
            report_sha256: "ab".repeat(32),
            delivered: vec!["log".to_owned()],
            because: (0..reasons).map(|n| format!("connections.limit-covers-demand (db-{n}): fail")).collect(),
            more: 0,
            observed: String::new(),
        }
    }

    #[test]
    fn there_is_room_for_some_reasons_and_the_others_are_counted() {
        let read = Message::read(&message(3).text()).unwrap();
        assert_eq!((read.because.len(), read.more), (3, 0));
        let text = message(500).text();
        assert!(text.len() <= BYTES_MAX && text.len() > BYTES_MAX - 200, "{}", text.len());
        let read = Message::read(&text).unwrap();
        assert_eq!((read.because.len() + read.more, read.verdict), (500, Verdict::NoGo));
    }

    #[test]
    fn names_longer_than_a_message_do_not_hide_the_verdict() {
        let long = Message { environment: "x".repeat(5_000), ..message(2) };
        let text = long.text();
        assert!(text.len() <= BYTES_MAX && Message::read(&text).is_some_and(|read| read.verdict == Verdict::NoGo));
        assert!(Message::read("Killed").is_none() && Message::read("{}").is_none());
    }
}
