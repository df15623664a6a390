//! Any report at all, and a good one.

use preflight_report::*;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// When the reports of these tests begin.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_598_324_123);

/// A moment so many seconds after [`START`].
pub(crate) fn after(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

pub(crate) fn item(check: &str, subject: &str, level: Level) -> PlanItem {
    let (check, subject) = (check.to_owned(), subject.to_owned());
    PlanItem { check, subject, level, max_age_ms: 600_000, targets: vec![] }
}

pub(crate) fn result_of(item: &PlanItem, outcome: Outcome) -> CheckResult {
    CheckResult {
        check: item.check.clone(),
        subject: item.subject.clone(),
        outcome,
        reason: matches!(outcome, Outcome::Unknown | Outcome::Skipped).then_some(Reason::Timeout),
        title: "Title".to_owned(),
        observed: "observed".to_owned(),
        expected: "expected".to_owned(),
        evidence: vec![],
        remediation: None,
        started_at: after(1),
        duration_ms: 5,
    }
}

/// A sealed report of a plan and its results, about production, from `traffic-5` to `traffic-10`.
pub(crate) fn report(items: Vec<PlanItem>, results: Vec<CheckResult>) -> Report {
    seal(Report {
        schema: SCHEMA.to_owned(),
        schema_version: SCHEMA_VERSION.to_owned(),
        run: Run {
            id: "0193b0c4-7f3a-7c21-9c1e-5f1d2a3b4c5d".to_owned(),
            attempt: 1,
            started_at: START,
            finished_at: after(10),
            not_after: after(600),
            interrupted_by: None,
        },
        tool: Tool {
            name: "eks-preflight".to_owned(),
            version: "0.1.0".to_owned(),
            commit: "unknown".to_owned(),
            catalogue: String::new(),
        },
        subject: Subject {
            environment: "production".to_owned(),
            transition: Transition { from: "traffic-5".to_owned(), to: "traffic-10".to_owned() },
            aws: Aws { account_id: "123456789012".to_owned(), region: "eu-west-1".to_owned() },
            cluster: Cluster {
                name: "shop".to_owned(),
                arn: "arn:aws:eks:eu-west-1:123456789012:cluster/shop".to_owned(),
                uid: String::new(),
                version: "1.33".to_owned(),
            },
            workloads: vec![],
        },
        config: Config { sha256: sha256_hex(b"configuration"), ..Config::default() },
        plan: Plan { sha256: String::new(), items, excluded: vec![] },
        results,
        pins: vec![],
        measurements: Map::new(),
        summary: Summary { verdict: Verdict::Go, complete: true, counts: Counts::default(), because: vec![] },
        integrity: Integrity::default(),
    })
}

/// Three required items and an advisory one, all passed.
pub(crate) fn go() -> Report {
    let items = vec![
        item("area.first", "orders", Level::Required),
        item("area.first", "payments", Level::Required),
        item("area.second", "orders", Level::Required),
        item("area.third", "orders", Level::Advisory),
    ];
    let results = items.iter().map(|item| result_of(item, Outcome::Pass)).collect();
    report(items, results)
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Pass), Just(Outcome::Fail), Just(Outcome::Unknown), Just(Outcome::Skipped)]
}

pub(crate) fn level() -> impl Strategy<Value = Level> {
    prop_oneof![3 => Just(Level::Required), 1 => Just(Level::Advisory)]
}

/// A plan of different items and their results; mostly passes, so that `go` is common.
pub(crate) fn matching() -> impl Strategy<Value = (Vec<PlanItem>, Vec<CheckResult>)> {
    vec((level(), prop_oneof![6 => Just(Outcome::Pass), 1 => outcome()]), 0..8).prop_map(|all| {
        let name = |i: usize| (format!("area.check{}", i / 2), format!("subject{}", i % 2));
        let items: Vec<_> =
            all.iter().enumerate().map(|(i, (level, _))| item(&name(i).0, &name(i).1, *level)).collect();
        let results = items.iter().zip(&all).map(|(item, (_, outcome))| result_of(item, *outcome)).collect();
        (items, results)
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ -~]{0,12}", 1 => any::<String>()]
}

fn evidence() -> impl Strategy<Value = Evidence> {
    (text(), text(), text(), proptest::option::of(text()), any::<bool>()).prop_map(
        |(kind, reference, detail, sha256, truncated)| Evidence { kind, reference, detail, sha256, truncated },
    )
}

fn remediation() -> impl Strategy<Value = Remediation> {
    (text(), proptest::option::of(text()), proptest::option::of(text())).prop_map(|(text, command, url)| Remediation {
        text,
        command,
        url,
    })
}

fn any_result() -> impl Strategy<Value = CheckResult> {
    let texts = (text(), text(), text(), text(), text());
    let rest = (vec(evidence(), 0..3), proptest::option::of(remediation()), 0_u64..9, any::<u64>());
    (texts, outcome(), rest).prop_map(|((check, subject, title, observed, expected), outcome, rest)| {
        let (evidence, remediation, started, duration_ms) = rest;
        let item = item(&check, &subject, Level::Required);
        let (evidence, started_at) = (evidence, after(started));
        CheckResult {
            title,
            observed,
            expected,
            evidence,
            remediation,
            started_at,
            duration_ms,
            ..result_of(&item, outcome)
        }
    })
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number)),
    ]
}

fn measurements() -> impl Strategy<Value = Map<String, Value>> {
    let leaf =
        prop_oneof![number(), text().prop_map(Value::from), any::<bool>().prop_map(Value::from), Just(Value::Null)];
    let value = leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(Value::from_iter),
        ]
    });
    vec((text(), value), 0..4).prop_map(Map::from_iter)
}

/// A sealed report with anything in it; plan and results need not match.
pub(crate) fn any_report() -> impl Strategy<Value = Report> {
    let items = vec((text(), text(), level(), any::<u64>(), vec(text(), 0..3)), 0..5);
    let texts = (text(), text(), text(), text(), proptest::option::of(text()), any::<u32>());
    (items, vec(any_result(), 0..5), texts, measurements()).prop_map(|(items, results, texts, measurements)| {
        let planned = items.into_iter().map(|(check, subject, level, max_age_ms, targets)| PlanItem {
            max_age_ms,
            targets,
            ..item(&check, &subject, level)
        });
        let mut report = report(planned.collect(), results);
        let (environment, token, reason, path, interrupted_by, attempt) = texts;
        report.subject.environment = environment;
        report.run.interrupted_by = interrupted_by;
        report.run.attempt = attempt;
        report.pins = vec![Pin { resource: token.clone(), kind: PinKind::RecordSet, token }];
        report.plan.excluded = vec![Excluded { check: "area.fourth".to_owned(), subject: String::new(), reason }];
        report.config.sources = vec![ConfigSource { path, sha256: String::new() }];
        report.measurements = measurements;
        seal(report)
    })
}
