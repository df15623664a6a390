//! JUnit XML, as GitLab, Jenkins and others read it.
//!
//! Those readers know `<failure>`, `<error>` and `<skipped>`; a case with anything else in it counts as passed. So:
//!
//! | result | element |
//! |---|---|
//! | `fail`, of any level | `<failure type="fail">`, `type="advisory"` if it does not decide |
//! | `unknown`, of any level | `<error type=REASON>` |
//! | required `skipped` | `<error type=REASON>` |
//! | advisory `skipped` | `<skipped>` |
//! | `pass` | no element but `<system-out>` |
//!
//! A failed advisory result is red here although the verdict may be `go`: it was looked at and does not hold. The case
//! `gate.verdict` carries the verdict, `gate.completeness` whether every planned item has a result; both are in the last
//! suite, `gate`. The job that publishes the file is judged by the exit code, never by this file.

use super::clean::{clean, disobeyed, one_line};
use super::view::{Case, Gate, Kind, Names, View};
use preflight_report::{Excluded, Outcome, Timestamp};
use std::fmt::Write;

pub(super) fn render(view: &View<'_>) -> String {
    let mut names = Names::default();
    // The gate's names are given first, so that no result can take them.
    let gates = view.gates().map(|gate| {
        names.unique(gate.name.to_owned());
        of_gate(&gate)
    });
    let mut suites: Vec<Suite> = view
        .areas()
        .into_iter()
        .map(|(area, cases)| Suite {
            name: area.to_owned(),
            cases: cases.iter().map(|case| of_result(case, &mut names)).collect(),
        })
        .collect();
    let excluded: Vec<TestCase> = view.report.plan.excluded.iter().map(|one| of_excluded(one, &mut names)).collect();
    if !excluded.is_empty() {
        suites.push(Suite { name: "not in the plan".to_owned(), cases: excluded });
    }
    suites.push(Suite { name: "gate".to_owned(), cases: gates.into() });
    document(view, &suites)
}

struct Suite {
    name: String,
    cases: Vec<TestCase>,
}

struct TestCase {
    class: String,
    name: String,
    duration_ms: u64,
    child: Child,
    /// `message` of the child, or nothing for a pass.
    message: String,
    text: String,
}

enum Child {
    Pass,
    Failure(&'static str),
    Error(&'static str),
    Skipped,
}

fn of_result(case: &Case<'_>, names: &mut Names) -> TestCase {
    let result = case.result;
    let reason = result.reason.map_or("other", |reason| reason.as_str());
    let child = match (result.outcome, case.kind) {
        (_, Kind::Passed) => Child::Pass,
        (_, Kind::Failed) => Child::Failure("fail"),
        (_, Kind::AdvisoryFailed) => Child::Failure("advisory"),
        (Outcome::Skipped, Kind::AdvisoryOpen) => Child::Skipped,
        (_, Kind::Open | Kind::AdvisoryOpen) => Child::Error(reason),
    };
    let observed = result.observed.lines().next().unwrap_or_default();
    TestCase {
        class: result.check.clone(),
        name: names.unique(one_line(&format!("{} ({})", result.check, result.subject))),
        duration_ms: result.duration_ms,
        child,
        message: format!("{}: {observed}", case.state()),
        text: case.text(),
    }
}

fn of_excluded(one: &Excluded, names: &mut Names) -> TestCase {
    TestCase {
        class: one.check.clone(),
        name: names.unique(one_line(&format!("{} ({})", one.check, one.subject))),
        duration_ms: 0,
        child: Child::Skipped,
        message: format!("not in the plan: {}", one_line(&one.reason)),
        text: one.reason.clone(),
    }
}

fn of_gate(gate: &Gate) -> TestCase {
    TestCase {
        class: "gate".to_owned(),
        name: gate.name.to_owned(),
        duration_ms: 0,
        child: match gate.kind {
            Kind::Passed => Child::Pass,
            Kind::Failed => Child::Failure(gate.word),
            _ => Child::Error(gate.word),
        },
        message: gate.word.to_owned(),
        text: format!("{}\n{}", gate.word, gate.text),
    }
}

fn document(view: &View<'_>, suites: &[Suite]) -> String {
    let run = &view.report.run;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let elapsed = run.finished_at.since(run.started_at).as_millis();
    let all = || suites.iter().flat_map(|suite| &suite.cases);
    let _ = writeln!(
        out,
        "<testsuites name=\"eks-preflight\" {} time=\"{}\">",
        counts(all()),
        seconds(u64::try_from(elapsed).unwrap_or(u64::MAX))
    );
    for suite in suites {
        let total = suite.cases.iter().fold(0_u64, |sum, case| sum.saturating_add(case.duration_ms));
        let (name, counts, time) = (attribute(&suite.name), counts(suite.cases.iter()), seconds(total));
        let at = clock(run.started_at);
        let _ = writeln!(out, "  <testsuite name=\"{name}\" {counts} time=\"{time}\" timestamp=\"{at}\">");
        properties(view, &mut out);
        for case in &suite.cases {
            test_case(case, &mut out);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn properties(view: &View<'_>, out: &mut String) {
    let run = &view.report.run;
    let mut properties = vec![
        ("verdict", view.verdict.to_string()),
        ("transition", view.transition()),
        ("run", run.id.clone()),
        ("notAfter", run.not_after.to_string()),
    ];
    properties.extend(view.places().into_iter().map(|(name, value)| (name, value.to_owned())));
    out.push_str("    <properties>\n");
    for (name, value) in properties {
        let _ = writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", attribute(&value));
    }
    out.push_str("    </properties>\n");
}

fn test_case(case: &TestCase, out: &mut String) {
    let (class, name, time) = (attribute(&case.class), attribute(&case.name), seconds(case.duration_ms));
    let _ = writeln!(out, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{time}\">");
    let (message, text) = (attribute(&case.message), content(&case.text));
    let _ = match case.child {
        Child::Pass => writeln!(out, "      <system-out>{text}</system-out>"),
        Child::Failure(kind) => {
            writeln!(out, "      <failure type=\"{kind}\" message=\"{message}\">{text}</failure>")
        }
        Child::Error(kind) => writeln!(out, "      <error type=\"{kind}\" message=\"{message}\">{text}</error>"),
        Child::Skipped => writeln!(out, "      <skipped message=\"{message}\"/>"),
    };
    out.push_str("    </testcase>\n");
}

fn counts<'a>(cases: impl Iterator<Item = &'a TestCase>) -> String {
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for case in cases {
        tests += 1;
        match case.child {
            Child::Pass => {}
            Child::Failure(_) => failures += 1,
            Child::Error(_) => errors += 1,
            Child::Skipped => skipped += 1,
        }
    }
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// The schema that Jenkins and others publish wants neither fraction nor zone; it is UTC.
fn clock(time: Timestamp) -> String {
    time.to_string().chars().take("2026-11-24T09:18:44".len()).collect()
}

fn content(text: &str) -> String {
    let escaped = clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    disobeyed(&escaped, "&#58;", "&#35;")
}

fn attribute(text: &str) -> String {
    content(&one_line(text)).replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PLAIN, assert_committed, python, sample};
    use super::super::{Format, render};

    #[test]
    fn the_generated_samples_of_junit_are_current() {
        for name in ["go", "no-go", "inconclusive", "interrupted"] {
            assert_committed(&format!("{name}.junit.xml"), &render(Format::Junit, &sample(name), PLAIN));
        }
    }

    /// Reads as GitLab and Jenkins do: error and failure are red, skipped is neither, everything else is a pass.
    const READER: &str = r#"
import sys, xml.etree.ElementTree as tree
root = tree.fromstring(sys.stdin.buffer.read())
def status(case):
    kinds = {child.tag for child in case}
    return "red" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "green"
cases = list(root.iter("testcase"))
assert len({(c.get("classname"), c.get("name")) for c in cases}) == len(cases)
assert len({c.get("name") for c in cases}) == len(cases)
for node in [root, *root.iter("testsuite")]:
    inner = list(node.iter("testcase"))
    count = lambda tag: sum(1 for c in inner if c.find(tag) is not None)
    assert (int(node.get("tests")), int(node.get("failures")), int(node.get("errors")), int(node.get("skipped"))) == \
        (len(inner), count("failure"), count("error"), count("skipped"))
    float(node.get("time"))
for c in cases:
    float(c.get("time"))
    assert {child.tag for child in c} <= {"failure", "error", "skipped", "system-out"}
    print(status(c), c.get("name"))
"#;

    #[test]
    fn another_reader_sees_the_same() {
        let Some(seen) = python(READER, &render(Format::Junit, &sample("no-go"), PLAIN)) else { return };
        let green: Vec<&str> = seen.lines().filter_map(|line| line.strip_prefix("green ")).collect();
        assert_eq!(
            green,
            [
                "irsa.service-account-annotated (shop/Deployment/orders)",
                "irsa.trust-allows (shop/Deployment/orders)",
                "irsa.sdk-capable (orders.jar)",
                "idempotency.effects-observable (orders)",
                "connections.limit-covers-demand (redis.internal:6379)",
                "gate.completeness",
            ]
        );
        assert!(seen.contains("red gate.verdict") && seen.contains("red connections.path-admits"), "{seen}");
        let Some(seen) = python(READER, &render(Format::Junit, &sample("go"), PLAIN)) else { return };
        assert!(seen.lines().all(|line| line.starts_with("green")), "{seen}");
    }
}
