//! Exit codes: the table of the contract.

use crate::any::{go, item, report, result_of};
use preflight_report::*;

#[test]
fn the_numbers_are_those_of_the_contract() {
    let table = [
        (ExitCode::Go, 0),
        (ExitCode::Internal, 1),
        (ExitCode::Usage, 2),
        (ExitCode::NoGo, 10),
        (ExitCode::Inconclusive, 11),
        (ExitCode::GoWithFailedAdvisory, 12),
        (ExitCode::NothingReached, 20),
        (ExitCode::Interrupted, 21),
        (ExitCode::NotWritten, 22),
        (ExitCode::NotVerified, 30),
    ];
    for (code, number) in table {
        assert_eq!(code.code(), number, "{code:?}");
    }
}

/// One item of the plan and its result: level, whether it has a target, outcome, reason.
type Row = (Level, bool, Outcome, Option<Reason>);

const REQUIRED: Level = Level::Required;
const ADVISORY: Level = Level::Advisory;
const PASS: Row = (REQUIRED, true, Outcome::Pass, None);
const FAIL: Row = (REQUIRED, true, Outcome::Fail, None);
const SHUT: Row = (REQUIRED, true, Outcome::Unknown, Some(Reason::Unreachable));
const REFUSED: Row = (REQUIRED, true, Outcome::Unknown, Some(Reason::Forbidden));
const SLOW: Row = (REQUIRED, true, Outcome::Unknown, Some(Reason::Timeout));
const LEFT_OUT: Row = (REQUIRED, true, Outcome::Skipped, Some(Reason::NotSelected));
const FILE_PASS: Row = (REQUIRED, false, Outcome::Pass, None);
const ADVISORY_FAIL: Row = (ADVISORY, true, Outcome::Fail, None);

fn of(rows: &[Row], fail_on_advisory: bool, interrupted: bool) -> ExitCode {
    let items: Vec<PlanItem> = rows
        .iter()
        .enumerate()
        .map(|(i, (level, target, ..))| PlanItem {
            targets: target.then(|| "db:3306".to_owned()).into_iter().collect(),
            ..item("area.property", &i.to_string(), *level)
        })
        .collect();
    let results = rows
        .iter()
        .zip(&items)
        .map(|((_, _, outcome, reason), item)| CheckResult { reason: *reason, ..result_of(item, *outcome) })
        .collect();
    let mut report = report(items, results);
    report.run.interrupted_by = interrupted.then(|| "SIGINT".to_owned());
    ExitCode::of(&seal(report), fail_on_advisory)
}

#[test]
fn a_report_has_the_code_of_the_table() {
    let table: &[(&[Row], bool, bool, ExitCode)] = &[
        (&[PASS], false, false, ExitCode::Go),
        (&[PASS], true, false, ExitCode::Go),
        (&[PASS, ADVISORY_FAIL], false, false, ExitCode::Go),
        (&[PASS, ADVISORY_FAIL], true, false, ExitCode::GoWithFailedAdvisory),
        (&[PASS, FAIL], false, false, ExitCode::NoGo),
        (&[FAIL, SHUT, ADVISORY_FAIL], true, false, ExitCode::NoGo),
        (&[], false, false, ExitCode::Inconclusive),
        (&[PASS, SLOW], false, false, ExitCode::Inconclusive),
        (&[PASS, SHUT], false, false, ExitCode::Inconclusive),
        (&[SLOW, SLOW], false, false, ExitCode::Inconclusive),
        (&[LEFT_OUT], false, false, ExitCode::Inconclusive),
        (&[SHUT, SHUT], false, false, ExitCode::NothingReached),
        (&[REFUSED, SLOW], false, false, ExitCode::NothingReached),
        (&[SHUT, FILE_PASS], false, false, ExitCode::NothingReached),
        (&[PASS], false, true, ExitCode::Interrupted),
        (&[FAIL], false, true, ExitCode::Interrupted),
        (&[SHUT], true, true, ExitCode::Interrupted),
    ];
    for (rows, fail_on_advisory, interrupted, expected) in table {
        let found = of(rows, *fail_on_advisory, *interrupted);
        assert_eq!(found, *expected, "{rows:?}, fail on advisory {fail_on_advisory}, interrupted {interrupted}");
    }
}

#[test]
fn a_summary_made_up_has_not_the_code_of_a_go() {
    let mut report = go();
    report.results[0].outcome = Outcome::Fail;
    assert_eq!((report.summary.verdict, ExitCode::of(&report, false)), (Verdict::Go, ExitCode::Inconclusive));
}
