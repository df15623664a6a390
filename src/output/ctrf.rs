//! CTRF, the Common Test Report Format, in the fields that every version of its schema has.
//!
//! `pass` is `passed`, `fail` is `failed`, `unknown` and required `skipped` are `other`, advisory `skipped` is `skipped`;
//! `rawStatus` holds our own word. The last two tests are `gate.verdict` and `gate.completeness`.

use super::clean::{clean, clean_json, one_line};
use super::view::{Case, Gate, Kind, Names, View};
use preflight_report::Outcome;
use serde_json::{Value, json};

/// The version of the format's specification whose fields are used.
const SPEC_VERSION: &str = "0.0.0";

pub(super) fn render(view: &View<'_>) -> String {
    let (report, run) = (view.report, &view.report.run);
    let mut names = Names::default();
    let gates = view.gates().map(|gate| {
        names.unique(gate.name.to_owned());
        of_gate(&gate, run.finished_at.as_millis())
    });
    let mut tests: Vec<Value> = view.cases.iter().map(|case| of_result(case, &mut names)).collect();
    tests.extend(gates);
    let count = |status: &str| tests.iter().filter(|test| test["status"] == status).count();
    let document = json!({
        "reportFormat": "CTRF",
        "specVersion": SPEC_VERSION,
        "timestamp": run.finished_at,
        "generatedBy": "eks-preflight",
        "results": {
            "tool": { "name": "eks-preflight", "version": clean(&report.tool.version) },
            "summary": {
                "tests": tests.len(),
                "passed": count("passed"),
                "failed": count("failed"),
                "pending": 0,
                "skipped": count("skipped"),
                "other": count("other"),
                "start": run.started_at.as_millis(),
                "stop": run.finished_at.as_millis(),
            },
            "tests": tests,
            "extra": {
                "verdict": view.verdict,
                "because": view.because,
                "excluded": report.plan.excluded,
                "run": run.id,
                "notAfter": run.not_after,
                "transition": report.subject.transition,
                "environment": report.subject.environment,
                "cluster": report.subject.cluster,
                "aws": report.subject.aws,
                "reportSha256": report.integrity.sha256,
            },
        },
    });
    clean_json(&format!("{document:#}\n"))
}

fn of_result(case: &Case<'_>, names: &mut Names) -> Value {
    let result = case.result;
    let status = match (case.kind, result.outcome) {
        (Kind::Passed, _) => "passed",
        (Kind::Failed | Kind::AdvisoryFailed, _) => "failed",
        (Kind::AdvisoryOpen, Outcome::Skipped) => "skipped",
        (Kind::Open | Kind::AdvisoryOpen, _) => "other",
    };
    let start = result.started_at.as_millis();
    let duration = i64::try_from(result.duration_ms).unwrap_or(i64::MAX);
    json!({
        "name": names.unique(one_line(&format!("{} ({})", result.check, result.subject))),
        "status": status,
        "rawStatus": result.outcome,
        "duration": duration,
        "start": start,
        "stop": start.saturating_add(duration),
        "suite": [case.area()],
        "message": case.text(),
        "tags": [case.level],
        "extra": { "check": result.check, "subject": result.subject, "level": case.level, "reason": result.reason },
    })
}

fn of_gate(gate: &Gate, at: i64) -> Value {
    let status = match gate.kind {
        Kind::Passed => "passed",
        Kind::Failed => "failed",
        _ => "other",
    };
    json!({
        "name": gate.name,
        "status": status,
        "rawStatus": gate.word,
        "duration": 0,
        "start": at,
        "stop": at,
        "suite": ["gate"],
        "message": gate.text,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PLAIN, assert_committed, sample};
    use super::super::{Format, render};
    use serde_json::Value;

    #[test]
    fn the_generated_samples_of_ctrf_are_current() {
        assert_committed("no-go.ctrf.json", &render(Format::Ctrf, &sample("no-go"), PLAIN));
    }

    #[test]
    fn the_counts_are_those_of_the_tests() {
        let document: Value = serde_json::from_str(&render(Format::Ctrf, &sample("no-go"), PLAIN)).unwrap();
        let summary = &document["results"]["summary"];
        let numbers = ["tests", "passed", "failed", "skipped", "pending", "other"].map(|key| summary[key].as_u64());
        // 12 results and two gates: 5 + completeness passed; 4 + verdict failed; 2 unknown and 1 required skipped.
        assert_eq!(numbers, [14, 6, 5, 0, 0, 3].map(Some));
    }
}
