//! What holds for every format, and the committed samples.

use super::*;
use preflight_report::{CheckResult, Level, Outcome, PlanItem, Reason, Verdict};
use proptest::prelude::*;

const SAMPLES: [(&str, &str); 5] = [
    ("go", include_str!("../../crates/report/tests/it/golden/go.json")),
    ("no-go", include_str!("../../crates/report/tests/it/golden/no-go.json")),
    ("inconclusive", include_str!("../../crates/report/tests/it/golden/inconclusive.json")),
    ("interrupted", include_str!("../../crates/report/tests/it/golden/interrupted.json")),
    ("from-the-future", include_str!("../../crates/report/tests/it/golden/from-the-future.json")),
];

pub(super) const PLAIN: Style = Style { colour: false, width: 100 };

pub(super) fn sample(name: &str) -> Report {
    let (_, text) = SAMPLES.iter().find(|(known, _)| *known == name).unwrap();
    preflight_report::read(text).unwrap()
}

/// Compares with a committed sample, or writes it for `make generated`.
pub(super) fn assert_committed(file: &str, text: &str) {
    crate::generated::assert_current(&format!("src/output/samples/{file}"), text);
}

/// What another program says about a text on its standard input; nothing if there is no Python here.
pub(super) fn python(program: &str, input: &str) -> Option<String> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .inspect_err(|error| assert!(error.kind() == std::io::ErrorKind::NotFound, "{error}"))
        .ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the other reader refuses it:\n{input}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_generated_samples_of_text_are_current() {
    for (name, _) in SAMPLES {
        assert_committed(&format!("{name}.txt"), &render(Format::Text, &sample(name), PLAIN));
    }
}

/// Everything that could be taken for something else by a terminal, a CI system, a browser or a reader.
const HOSTILE: &str = "\u{1b}[31m\u{7}\u{9b}2J\u{7f}\u{202e}\u{200b}\u{0}\u{ffff}\u{e0041}\r\n::error::x\n  ::stop-commands::y\n\
     ##[error]z ##vso[task.complete]|`*_<script>alert(1)</script><img src=x onerror=\"y\">&amp;'@ops ]]>--><!--%0A\u{85}\r";

/// The no-go sample with that at the end of every text that a target or a configuration may have given.
fn hostile() -> Report {
    fn spoil<'a>(texts: impl IntoIterator<Item = &'a mut String>) {
        texts.into_iter().for_each(|text| text.push_str(HOSTILE));
    }
    let mut report = sample("no-go");
    for item in &mut report.plan.items {
        spoil([&mut item.check, &mut item.subject]);
    }
    for one in &mut report.plan.excluded {
        spoil([&mut one.check, &mut one.subject, &mut one.reason]);
    }
    for result in &mut report.results {
        spoil([&mut result.check, &mut result.subject, &mut result.title, &mut result.observed, &mut result.expected]);
        for piece in &mut result.evidence {
            spoil([&mut piece.kind, &mut piece.reference, &mut piece.detail]);
        }
        if let Some(remediation) = &mut result.remediation {
            spoil([&mut remediation.text].into_iter().chain(&mut remediation.command).chain(&mut remediation.url));
        }
    }
    for one in &mut report.config.waivers {
        spoil([&mut one.check, &mut one.subject, &mut one.owner, &mut one.reason]);
    }
    let subject = &mut report.subject;
    spoil([&mut subject.environment, &mut subject.transition.from, &mut subject.transition.to]);
    spoil([&mut subject.aws.account_id, &mut subject.aws.region, &mut subject.cluster.name, &mut subject.cluster.arn]);
    for one in &mut subject.workloads {
        spoil([&mut one.name, &mut one.ecs, &mut one.eks, &mut one.image_digest]);
    }
    for pin in &mut report.pins {
        spoil([&mut pin.resource, &mut pin.token]);
    }
    let (run, tool) = (&mut report.run, &mut report.tool);
    run.interrupted_by = Some("SIGTERM".to_owned());
    spoil(
        [&mut run.id, &mut tool.name, &mut tool.version, &mut tool.commit].into_iter().chain(&mut run.interrupted_by),
    );
    let measured = report.measurements["connections"].as_object_mut().unwrap();
    let value = measured["mariadb.internal:3306"].take();
    measured.insert(HOSTILE.to_owned(), value);
    preflight_report::seal(report)
}

/// Without the colours that are ours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    first
        + &parts
            .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'))
            .fold(String::new(), |all, part| all + part.strip_prefix('m').unwrap_or("\u{1b}not a colour"))
}

#[test]
fn no_format_hands_on_what_a_terminal_or_a_ci_system_would_obey() {
    let report = hostile();
    for &format in Format::ALL {
        let text = render(format, &report, Style { colour: true, width: 100 });
        let text = if format == Format::Text { without_colours(&text) } else { text };
        let found: Vec<char> = text
            .chars()
            .filter(|&c| (c.is_control() && c != '\n') || "\u{202e}\u{200b}\u{ffff}\u{e0041}".contains(c))
            .collect();
        assert!(found.is_empty(), "{format}: {found:?}");
        if format != Format::Github {
            assert!(!text.contains("##[") && !text.contains("##vso["), "{format}");
            let command = text.lines().find(|line| line.trim_start().starts_with("::"));
            assert_eq!(command, None, "{format}");
        }
    }
    let commands = render(Format::Github, &report, PLAIN);
    assert!(commands.lines().all(|line| line.starts_with("::error ") || line.starts_with("::warning ")), "{commands}");
}

#[test]
fn a_hostile_text_is_text_in_every_format_with_markup() {
    let report = hostile();
    let html = render(Format::Html, &report, PLAIN);
    assert!(!html.contains("<script") && !html.contains("<img") && html.contains("&lt;script&gt;"));
    let markdown = render(Format::Markdown, &report, PLAIN);
    assert!(!markdown.contains("<script>alert(1)</script><img src=x onerror") || markdown.contains("```"));
    let outside: String = markdown.split("```").step_by(2).collect();
    assert!(!outside.contains("<script") && !outside.contains("<img") && !outside.contains("@ops"), "{outside}");
    for row in outside.lines().filter(|line| line.starts_with("| ")) {
        let bars = row.replace("\\\\", "").replace("\\|", "").matches('|').count();
        assert!(bars == 3 || bars == 4, "a cell ends where it must not: {row}");
    }
    for format in [Format::Json, Format::Ctrf] {
        let text = render(format, &report, PLAIN);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
    assert_eq!(preflight_report::read(&render(Format::Json, &report, PLAIN)).unwrap(), report, "JSON keeps every byte");
    let parse = "import sys, xml.dom.minidom as dom; dom.parseString(sys.stdin.buffer.read())";
    python(parse, &render(Format::Junit, &report, PLAIN));
}

/// The names of the cases of a JUnit file that every reader takes for passed.
fn green_of_junit(text: &str) -> Vec<String> {
    let cases = text.split("<testcase ").skip(1);
    let green = cases.filter(|case| !["<failure", "<error", "<skipped"].iter().any(|red| case.contains(red)));
    green.map(|case| case.split("name=\"").nth(2).unwrap().split('"').next().unwrap().to_owned()).collect()
}

fn green_of_ctrf(text: &str) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_str(text).unwrap();
    let tests = document["results"]["tests"].as_array().unwrap().iter();
    tests.filter(|test| test["status"] == "passed").map(|test| test["name"].as_str().unwrap().to_owned()).collect()
}

/// One planned item: level, outcome, and whether its result is there.
type Row = (Level, Outcome, bool);

fn rows() -> impl Strategy<Value = (Vec<Row>, bool, bool)> {
    let level = prop_oneof![3 => Just(Level::Required), 1 => Just(Level::Advisory)];
    let outcome = prop_oneof![
        6 => Just(Outcome::Pass), 1 => Just(Outcome::Fail), 1 => Just(Outcome::Unknown), 1 => Just(Outcome::Skipped)
    ];
    let row = (level, outcome, prop::bool::weighted(0.95));
    (prop::collection::vec(row, 0..14), prop::bool::weighted(0.1), prop::bool::weighted(0.1))
}

fn report_of(rows: &[Row], interrupted: bool) -> Report {
    let mut report = sample("go");
    let (item, result) = (report.plan.items[0].clone(), report.results[0].clone());
    let subject = |n: usize| format!("subject-{n}");
    let item = |(n, row): (usize, &Row)| PlanItem { level: row.0, subject: subject(n), ..item.clone() };
    report.plan.items = rows.iter().enumerate().map(item).collect();
    let reason = |outcome| matches!(outcome, Outcome::Unknown | Outcome::Skipped).then_some(Reason::Timeout);
    let there = rows.iter().enumerate().filter(|(_, row)| row.2);
    report.results = there
        .map(|(n, row)| CheckResult { outcome: row.1, reason: reason(row.1), subject: subject(n), ..result.clone() })
        .collect();
    report.run.interrupted_by = interrupted.then(|| "SIGINT".to_owned());
    preflight_report::seal(report)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_did_not_pass_is_green_in_no_format((rows, interrupted, lies) in rows()) {
        let mut report = report_of(&rows, interrupted);
        if lies {
            report.summary.verdict = Verdict::Go;
        }
        let passed: Vec<String> = report
            .results
            .iter()
            .filter(|result| result.outcome == Outcome::Pass)
            .map(|result| format!("{} ({})", result.check, result.subject))
            .collect();
        let go = !rows.is_empty()
            && !interrupted
            && rows.iter().all(|row| row.2 && (row.1 == Outcome::Pass || row.0 == Level::Advisory));
        let complete = !rows.is_empty() && !interrupted && rows.iter().all(|row| row.2);

        let mut expected = passed.clone();
        expected.extend(go.then(|| "gate.verdict".to_owned()));
        expected.extend(complete.then(|| "gate.completeness".to_owned()));
        prop_assert_eq!(&green_of_junit(&render(Format::Junit, &report, PLAIN)), &expected);
        prop_assert_eq!(&green_of_ctrf(&render(Format::Ctrf, &report, PLAIN)), &expected);

        let markdown = render(Format::Markdown, &report, PLAIN);
        prop_assert_eq!(markdown.starts_with("# ✅ go"), go, "{}", markdown);
        let table = markdown.split("## Passed").nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
        prop_assert_eq!(table.lines().filter(|line| line.contains("subject-")).count(), passed.len());

        let github = render(Format::Github, &report, PLAIN);
        prop_assert_eq!(github.starts_with("::notice title=eks-preflight%3A go::"), go, "{}", github);
        prop_assert!(github.lines().count() <= 10);
        let open = report.results.len() - passed.len();
        prop_assert_eq!(github.lines().count(), (1 + open).min(10));

        let html = render(Format::Html, &report, PLAIN);
        prop_assert_eq!(html.contains("<header class=\"go\">"), go);
        prop_assert_eq!(html.matches("badge pass").count(), passed.len());

        let text = render(Format::Text, &report, PLAIN);
        prop_assert_eq!(text.contains("VERDICT  GO\n"), go, "{}", text);
        prop_assert_eq!(text.lines().filter(|line| line.starts_with("  pass ")).count(), passed.len());
    }
}

#[test]
fn no_two_cases_share_a_name_even_if_what_tells_them_apart_is_invisible() {
    let mut report = sample("go");
    for (at, subject) in ["a\u{200b}", "a\\u{200b}", "a\\u{200b}", " a\n\\u{200b}"].into_iter().enumerate() {
        report.results[at].check = "gate".to_owned();
        report.results[at].subject = subject.to_owned();
    }
    report.results[4].check = "gate.verdict".to_owned();
    let text = render(Format::Junit, &report, PLAIN);
    let names: Vec<&str> = text
        .split("<testcase ")
        .skip(1)
        .map(|case| case.split("name=\"").nth(2).unwrap().split('"').next().unwrap())
        .collect();
    let different: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!((names.len(), different.len()), (14, 14), "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "gate.verdict").count(), 1);
}

#[test]
fn a_pass_that_gives_a_reason_is_not_green() {
    let mut report = sample("go");
    report.results[0].reason = Some(Reason::Interrupted);
    let report = preflight_report::seal(report);
    let first = "irsa.service-account-annotated (shop/Deployment/orders)";
    assert!(!green_of_junit(&render(Format::Junit, &report, PLAIN)).iter().any(|name| name == first));
    assert!(!green_of_ctrf(&render(Format::Ctrf, &report, PLAIN)).iter().any(|name| name == first));
    assert_eq!(render(Format::Html, &report, PLAIN).matches("badge pass").count(), 11);
}

#[test]
fn a_go_that_rests_on_nothing_says_so_in_every_format_for_people() {
    let report = report_of(&[(Level::Advisory, Outcome::Unknown, true)], false);
    for format in [Format::Text, Format::Markdown, Format::Html] {
        let text = render(format, &report, PLAIN);
        assert!(text.contains("nothing in the plan is required"), "{format}: {text}");
        assert!(!text.contains("Every required check passed"), "{format}");
    }
}
