//! Reports of earlier and of later versions. What stands in `golden/` is never changed: readers of those days still read it.

use preflight_report::*;
use serde_json::{Value, json};

pub(crate) const ALL: [(&str, &str); 5] = [
    ("go", include_str!("golden/go.json")),
    ("no-go", include_str!("golden/no-go.json")),
    ("inconclusive", include_str!("golden/inconclusive.json")),
    ("interrupted", include_str!("golden/interrupted.json")),
    ("from-the-future", include_str!("golden/from-the-future.json")),
];

pub(crate) fn text(name: &str) -> &'static str {
    ALL.iter().find(|(known, _)| *known == name).unwrap().1
}

fn golden(name: &str) -> Report {
    read(text(name)).unwrap()
}

/// A moment at which every golden report was still good.
pub(crate) fn then() -> Expected {
    Expected::at("2026-11-24T09:25:00Z".parse().unwrap())
}

/// pass, fail, unknown, skipped; then those planned, and the failed advisory ones.
fn counts(report: &Report) -> [u64; 6] {
    let counts = &report.summary.counts;
    let of = |outcome: &str| counts.outcomes.get(outcome).copied().unwrap_or_default();
    [of("pass"), of("fail"), of("unknown"), of("skipped"), counts.planned, counts.advisory_failed]
}

#[test]
fn a_go_reads_and_verifies() {
    let report = golden("go");
    assert_eq!((report.summary.verdict, report.verdict()), (Verdict::Go, Verdict::Go));
    assert_eq!(counts(&report), [12, 0, 0, 0, 12, 0]);
    assert_eq!(report.run.not_after.to_string(), "2026-11-24T09:34:00.000Z");
    assert_eq!(
        (report.subject.transition.from.as_str(), report.subject.transition.to.as_str()),
        ("traffic-5", "traffic-10")
    );
    assert_eq!(report.results[0].check, "irsa.service-account-annotated");
    assert_eq!(report.pins[1].kind, PinKind::ResourceVersion);
    assert_eq!(report.measurements["load"]["https://eks.shop.example"]["counters"]["requests"], 60_000);
    let expected = Expected {
        environment: Some("production".to_owned()),
        from: Some("traffic-5".to_owned()),
        to: Some("traffic-10".to_owned()),
        cluster: Some("6f1d7c02-1f4e-4a55-9d5f-0d6f4c7f3b21".to_owned()),
        account_id: Some("123456789012".to_owned()),
        region: Some("eu-west-1".to_owned()),
        config_sha256: Some(report.config.sha256.clone()),
        plan_sha256: Some(report.plan.sha256.clone()),
        ..then()
    };
    assert_eq!(verify(text("go"), &expected).unwrap(), report);
    assert_eq!(ExitCode::of(&report, true), ExitCode::Go);
}

#[test]
fn a_no_go_reads_and_verifies_with_what_it_found() {
    let report = verify(text("no-go"), &then()).unwrap();
    assert_eq!((report.summary.verdict, counts(&report)), (Verdict::NoGo, [5, 4, 2, 1, 12, 1]));
    let failed = &report.results[2];
    assert_eq!((failed.outcome, failed.reason), (Outcome::Fail, None));
    assert!(failed.evidence[0].truncated && failed.evidence[0].sha256.is_some());
    assert!(failed.remediation.as_ref().unwrap().command.as_ref().unwrap().starts_with("aws iam"));
    assert_eq!(report.config.waivers[0].owner, "dba@shop.example");
    assert_eq!(report.plan.excluded[0].reason, "no live cluster is configured");
    assert_eq!(report.results[11].reason, Some(Reason::NotConsented));
    assert_eq!(ExitCode::of(&report, false), ExitCode::NoGo);
}

#[test]
fn an_inconclusive_one_reads_and_verifies_with_every_reason() {
    let report = verify(text("inconclusive"), &then()).unwrap();
    assert_eq!((report.summary.verdict, counts(&report)), (Verdict::Inconclusive, [3, 1, 9, 1, 14, 1]));
    let reasons: Vec<_> = report.results.iter().filter_map(|result| result.reason).map(Reason::as_str).collect();
    assert_eq!(
        reasons,
        [
            "timeout",
            "forbidden",
            "unreachable",
            "insufficient-data",
            "control-failed",
            "panicked",
            "prerequisite-failed",
            "unsupported",
            "other",
            "not-selected"
        ]
    );
    assert_eq!(ExitCode::of(&report, false), ExitCode::Inconclusive);
}

#[test]
fn an_interrupted_one_reads_and_verifies() {
    let report = verify(text("interrupted"), &then()).unwrap();
    assert_eq!((report.summary.verdict, counts(&report)), (Verdict::Inconclusive, [6, 0, 6, 0, 12, 0]));
    assert_eq!(report.run.interrupted_by.as_deref(), Some("SIGTERM"));
    assert_eq!(ExitCode::of(&report, false), ExitCode::Interrupted);
}

#[test]
fn one_of_a_later_minor_reads_with_its_unknown_words_as_the_cautious_ones() {
    let report = golden("from-the-future");
    assert_eq!(report.schema_version, "1.7");
    assert_eq!(report.summary.verdict, Verdict::Inconclusive, "`go-ahead` is no word of ours");
    assert_eq!(report.plan.items[1].level, Level::Required, "`blocking` is no word of ours");
    assert_eq!(report.results[1].outcome, Outcome::Unknown, "`flawless` is no word of ours");
    assert_eq!(report.results[2].reason, Some(Reason::Other));
    assert_eq!(report.pins.last().unwrap().kind, PinKind::Other);
    assert_eq!(report.subject.cluster.name, "shop");
    assert_eq!((report.verdict(), ExitCode::of(&report, false)), (Verdict::Inconclusive, ExitCode::Inconclusive));
    let problems = verify(text("from-the-future"), &then()).unwrap_err();
    assert!(
        problems.iter().all(|problem| matches!(problem, Problem::OtherVerdict { .. })) && problems.len() == 1,
        "its digests cover the fields that this version does not know: {problems:?}"
    );
}

fn document(name: &str) -> Value {
    serde_json::from_str(text(name)).unwrap()
}

#[test]
fn another_major_or_another_document_is_refused() {
    for (field, value) in [
        ("schema", json!("eks-preflight/report/v2")),
        ("schema", json!("eks-preflight/report/v11")),
        ("schema", json!("EKS-preflight/report/v1")),
        ("schema", json!(null)),
        ("schemaVersion", json!("2.0")),
        ("schemaVersion", json!("10.1")),
        ("schemaVersion", json!("")),
        ("schemaVersion", json!(1.0)),
    ] {
        let mut other = document("go");
        other[field] = value.clone();
        assert!(matches!(read(&other.to_string()), Err(ReadError::OtherSchema(_))), "{field} {value}");
        other.as_object_mut().unwrap().remove(field);
        assert!(matches!(read(&other.to_string()), Err(ReadError::OtherSchema(_))), "no {field}");
    }
    for text in ["[]", "null", "\"go\"", "0", "{}", r#"{"verdict":"go"}"#] {
        assert!(matches!(read(text), Err(ReadError::OtherSchema(_))), "{text}");
    }
}

#[test]
fn a_minor_of_any_size_is_taken() {
    for version in ["1", "1.0", "1.99", "1.0.3"] {
        let mut later = document("go");
        later["schemaVersion"] = json!(version);
        assert_eq!(read(&later.to_string()).unwrap().verdict(), Verdict::Go, "{version}");
    }
}

/// Adds a field to every object of a document, except where the keys are names of somebody else.
fn with_more_fields(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if !matches!(key.as_str(), "measurements" | "outcomes") {
                    with_more_fields(value);
                }
            }
            map.insert("added".to_owned(), json!({ "in": ["a", "later"], "minor": 1.5 }));
        }
        Value::Array(items) => items.iter_mut().for_each(with_more_fields),
        _ => {}
    }
}

#[test]
fn unknown_fields_anywhere_are_ignored() {
    for (name, _) in ALL {
        let mut more = document(name);
        with_more_fields(&mut more);
        assert_eq!(read(&more.to_string()).unwrap(), golden(name), "{name}");
    }
}

#[test]
fn a_word_of_a_later_version_in_any_place_is_never_go() {
    for (pointer, word) in [
        ("/summary/verdict", "go-with-care"),
        ("/summary/verdict", "GO"),
        ("/summary/verdict", ""),
        ("/results/0/outcome", "passed"),
        ("/results/0/outcome", "Pass"),
        ("/results/0/reason", "rather-good"),
        ("/plan/items/0/level", "optional"),
    ] {
        let mut later = document("go");
        match later.pointer_mut(pointer) {
            Some(place) => *place = json!(word),
            None => later["results"][0]["reason"] = json!(word),
        }
        let report = read(&later.to_string()).unwrap();
        let still_required = pointer.ends_with("level") && report.plan.items[0].level == Level::Required;
        assert!(report.verdict() == Verdict::Inconclusive || still_required, "{pointer} {word}");
        assert!(verify(&later.to_string(), &then()).is_err(), "{pointer} {word}");
    }
}

#[test]
fn what_every_report_has_must_be_there() {
    for pointer in ["run", "tool", "subject", "config", "plan", "results", "summary", "integrity"] {
        let mut less = document("go");
        less.as_object_mut().unwrap().remove(pointer);
        assert!(matches!(read(&less.to_string()), Err(ReadError::Malformed(_))), "{pointer}");
        less[pointer] = Value::Null;
        assert!(matches!(read(&less.to_string()), Err(ReadError::Malformed(_))), "{pointer}: null");
    }
    for (part, field) in [
        ("run", "notAfter"),
        ("run", "startedAt"),
        ("subject", "environment"),
        ("subject", "transition"),
        ("plan", "items"),
        ("plan", "sha256"),
        ("summary", "verdict"),
        ("summary", "complete"),
        ("summary", "counts"),
        ("integrity", "sha256"),
    ] {
        let mut less = document("go");
        less[part].as_object_mut().unwrap().remove(field);
        assert!(matches!(read(&less.to_string()), Err(ReadError::Malformed(_))), "{part}.{field}");
    }
    let mut less = document("go");
    less["results"][0].as_object_mut().unwrap().remove("outcome");
    assert!(matches!(read(&less.to_string()), Err(ReadError::Malformed(_))), "an outcome");
    let mut less = document("go");
    less["plan"]["items"][0].as_object_mut().unwrap().remove("level");
    assert_eq!(read(&less.to_string()).unwrap().plan.items[0].level, Level::Required, "no level is required");
}
