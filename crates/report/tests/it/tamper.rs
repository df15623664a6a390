//! `verify` refuses whatever is not, now and for this subject, what a run wrote.

use crate::any::{after, go};
use crate::golden::{text, then};
use preflight_report::*;
use serde_json::{Value, json};
use std::time::Duration;

/// The problems of a text, as one line.
fn refused(text: &str, expected: &Expected) -> String {
    let problems = verify(text, expected).expect_err("it must be refused");
    assert!(!problems.is_empty());
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The problems of a golden go after one change of its JSON.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut document: Value = serde_json::from_str(text("go")).unwrap();
    change(&mut document);
    refused(&document.to_string(), &then())
}

/// The problems of a report that was changed and whose digests were made to fit again.
fn forged(change: impl FnOnce(&mut Report)) -> String {
    let mut report = go();
    change(&mut report);
    refused(&to_json(&seal(report)), &Expected::at(after(20)))
}

#[track_caller]
fn says(problems: &str, part: &str) {
    assert!(problems.contains(part), "`{part}` is not in: {problems}");
}

#[test]
fn an_honest_report_is_taken() {
    assert_eq!(verify(text("go"), &then()).unwrap().summary.verdict, Verdict::Go);
    assert_eq!(verify(&to_json(&go()), &Expected::at(after(20))).unwrap(), go());
    let pretty: Value = serde_json::from_str(text("go")).unwrap();
    verify(&pretty.to_string(), &then()).expect("white space is not part of a report");
}

#[test]
fn an_expired_report_is_refused_from_the_very_moment() {
    let at = |time: &str| Expected::at(time.parse().unwrap());
    verify(text("go"), &at("2026-11-24T09:33:59.999Z")).unwrap();
    says(
        &refused(text("go"), &at("2026-11-24T09:34:00Z")),
        "expired: not to be acted on after 2026-11-24T09:34:00.000Z",
    );
    says(&refused(text("go"), &at("2030-01-01T00:00:00Z")), "expired");
}

#[test]
fn another_subject_is_refused() {
    fn with(set: impl FnOnce(&mut Expected)) -> String {
        let mut expected = then();
        set(&mut expected);
        refused(text("go"), &expected)
    }
    let some = |text: &str| Some(text.to_owned());
    says(&with(|e| e.cluster = some("shop-2")), "cluster is `shop`");
    says(&with(|e| e.cluster = some("SHOP")), "cluster");
    says(&with(|e| e.cluster = some("")), "cluster");
    says(&with(|e| e.account_id = some("123456789013")), "aws.accountId is `123456789012`, expected `123456789013`");
    says(&with(|e| e.region = some("eu-west-2")), "aws.region");
    says(&with(|e| e.environment = some("staging")), "environment is `production`");
    says(&with(|e| e.to = some("traffic-100")), "transition.to is `traffic-10`");
    says(&with(|e| e.from = some("traffic-1")), "transition.from");
    says(&with(|e| e.from = some("")), "transition.from");
    says(&with(|e| e.config_sha256 = some(&sha256_hex(b"other"))), "wrong digest of the configuration");
    says(&with(|e| e.plan_sha256 = some(&sha256_hex(b"other"))), "wrong digest of the approved plan");
    says(&with(|e| e.plan_sha256 = some("")), "wrong digest of the approved plan");
}

#[test]
fn what_the_run_was_not_told_equals_nothing_that_is_expected() {
    let mut report = go();
    report.subject.cluster = Cluster::default();
    report.subject.aws = Aws::default();
    let text = to_json(&seal(report));
    for value in ["", "shop"] {
        let value = Some(value.to_owned());
        let expected = Expected { cluster: value.clone(), ..Expected::at(after(20)) };
        says(&refused(&text, &expected), "cluster");
        says(&refused(&text, &Expected { region: value, ..Expected::at(after(20)) }), "aws.region");
    }
}

#[test]
fn a_step_into_the_first_phase_is_from_nowhere() {
    let mut report = go();
    report.subject.transition.from.clear();
    let text = to_json(&seal(report));
    verify(&text, &Expected { from: Some(String::new()), ..Expected::at(after(20)) }).unwrap();
}

#[test]
fn one_edit_anywhere_is_refused() {
    says(&changed(|d| drop(d["results"].as_array_mut().unwrap().remove(3))), "incomplete");
    says(&changed(|d| d["results"][0]["outcome"] = json!("fail")), "wrong digest of the document");
    says(&changed(|d| d["results"][0]["outcome"] = json!("fail")), "plan and results give `no-go`");
    says(&changed(|d| d["summary"]["verdict"] = json!("no-go")), "the summary says `no-go`");
    says(&changed(|d| d["summary"]["counts"]["planned"] = json!(11)), "other counts");
    says(&changed(|d| d["summary"]["because"] = json!(["x"])), "wrong digest of the document");
    says(&changed(|d| drop(d["plan"]["items"].as_array_mut().unwrap().remove(0))), "wrong digest of the plan");
    says(&changed(|d| d["plan"]["items"][0]["level"] = json!("advisory")), "wrong digest of the plan");
    says(&changed(|d| d["plan"]["items"][0]["maxAgeMs"] = json!(86_400_000)), "wrong digest of the plan");
    says(&changed(|d| d["plan"]["items"][0]["added"] = json!(1)), "wrong digest of the plan");
    says(
        &changed(|d| d["plan"]["excluded"] = json!([{"check": "a.b", "subject": "c", "reason": "d"}])),
        "wrong digest of the plan",
    );
    says(&changed(|d| d["plan"]["sha256"] = json!("0".repeat(64))), "wrong digest of the plan");
    says(&changed(|d| d["integrity"]["sha256"] = json!("0".repeat(64))), "wrong digest of the document");
    says(&changed(|d| d["integrity"]["sha256"] = json!("")), "wrong digest of the document");
    says(&changed(|d| d["run"]["notAfter"] = json!("2027-01-01T00:00:00Z")), "wrong digest of the document");
    says(&changed(|d| d["subject"]["environment"] = json!("staging")), "wrong digest of the document");
    says(&changed(|d| d["pins"][0]["token"] = json!("other")), "wrong digest of the document");
    says(&changed(|d| d["added"] = json!(null)), "wrong digest of the document");
}

#[test]
fn every_beginning_of_a_report_is_refused() {
    let text = to_json(&go());
    let whole = text.trim_end().len();
    for end in (0..whole).filter(|end| text.is_char_boundary(*end)) {
        assert!(matches!(read(&text[..end]), Err(ReadError::NotJson(_))), "the first {end} bytes");
    }
    read(&text[..whole]).expect("a last line break is not needed");
}

#[test]
fn two_reports_in_one_file_are_none() {
    says(&refused(&format!("{0}\n{0}", text("go")), &then()), "not a complete JSON document");
    says(&refused(&format!("{}x", text("go")), &then()), "not a complete JSON document");
}

#[test]
fn a_key_that_stands_twice_is_refused_wherever_it_stands() {
    let go = text("go");
    for (place, added) in [
        ("\"summary\": {", "\"verdict\": \"no-go\","),
        ("\"results\": [\n    {", "\"outcome\": \"fail\","),
        ("\"run\": {", "\"notAfter\": \"2026-11-24T09:00:00.000Z\","),
        ("\"load\": {", "\"https://eks.shop.example\": 1,"),
        ("\"counts\": {", "\"pl\\u0061nned\": 12,"),
    ] {
        let twice = go.replacen(place, &format!("{place} {added}"), 1);
        assert_ne!(twice, go, "{place}");
        assert!(matches!(read(&twice), Err(ReadError::Ambiguous(_))), "{place}");
        says(&refused(&twice, &then()), "stands twice");
    }
    let twice = go.replacen('{', "{\"schema\": \"eks-preflight/report/v2\",", 1);
    says(&refused(&twice, &then()), "the key \"schema\" stands twice");
}

#[test]
fn nothing_at_all_is_refused() {
    for text in ["", " ", "\n", "\u{feff}", "\0"] {
        says(&refused(text, &then()), "not a complete JSON document");
    }
    says(&refused("{}", &then()), "expected schema");
    says(&refused(&format!("\u{feff}{}", text("go")), &then()), "not a complete JSON document");
}

#[test]
fn what_is_huge_or_deep_is_refused_without_a_crash() {
    let huge = text("go").to_owned() + &" ".repeat(REPORT_BYTES_MAX);
    assert!(matches!(read(&huge), Err(ReadError::TooLarge(_))));
    says(&refused(&huge, &then()), "bytes; a report has at most");
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}0{}", open.repeat(100_000), close.repeat(100_000));
        says(&refused(&deep, &then()), "recursion limit");
        let inside = text("go").replacen('{', &format!("{{\"deep\": {deep},"), 1);
        says(&refused(&inside, &then()), "recursion limit");
    }
    for number in ["1e999", "-1e999", "123456789012345678901234567890"] {
        let text = text("go").replacen("\"attempt\": 1", &format!("\"attempt\": {number}"), 1);
        assert!(verify(&text, &then()).is_err(), "{number}");
    }
}

#[test]
fn a_forger_who_fits_the_digests_is_refused_by_what_must_hold() {
    says(&forged(|r| r.run.not_after = after(100_000)), "says, but area.first (orders) is good until");
    says(&forged(|r| r.run.not_after = after(10)), "expired");
    says(&forged(|r| r.run.started_at = after(1_000)), "impossible times");
    says(&forged(|r| r.run.finished_at = after(1_000)), "impossible times");
    says(&forged(|r| r.results[1].started_at = after(500)), "impossible times");
    says(&forged(|r| r.results[1].started_at = after(11)), "impossible times");
    says(&forged(|r| r.plan.items.clear()), "the plan is empty");
    says(&forged(|r| drop(r.results.pop())), "is planned and has no result");
    says(&forged(|r| r.results.push(r.results[0].clone())), "has 2 results");
    says(&forged(|r| r.results[0].reason = Some(Reason::Timeout)), "passed and says why it did not");
    let mut other = go();
    other.summary.verdict = Verdict::NoGo;
    other.integrity.sha256 = digest_of(&other);
    says(&refused(&to_json(&other), &Expected::at(after(20))), "the summary says `no-go`");
}

fn digest_of(report: &Report) -> String {
    let mut document = serde_json::to_value(report).unwrap();
    document.as_object_mut().unwrap().remove("integrity");
    sha256_of(&document)
}

#[test]
fn an_interrupted_run_with_a_go_in_it_is_refused() {
    let mut report = go();
    report.run.interrupted_by = Some("SIGTERM".to_owned());
    report.integrity.sha256 = digest_of(&report);
    says(&refused(&to_json(&report), &Expected::at(after(20))), "the summary says `go`");
    let sealed = to_json(&seal(report));
    assert_eq!(verify(&sealed, &Expected::at(after(20))).unwrap().summary.verdict, Verdict::Inconclusive);
}

#[test]
fn a_required_result_older_than_its_age_is_refused_and_an_advisory_one_is_not() {
    let aged = |index: usize| {
        let mut report = go();
        report.plan.items[index].max_age_ms = 5_000;
        to_json(&seal(report))
    };
    let problems = refused(&aged(1), &Expected::at(after(20)));
    says(&problems, "stale: area.first (payments) was good until 2026-11-25T09:18:50.123Z");
    says(&problems, "but area.first (payments) is good until");
    verify(&aged(3), &Expected::at(after(20))).expect("what does not decide may be old");
    // From the very moment, and not before.
    let mut report = go();
    report.plan.items[1].max_age_ms = 100_000;
    report.run.not_after = after(101);
    let text = to_json(&seal(report));
    verify(&text, &Expected::at(Timestamp::from_millis(after(101).as_millis() - 1))).unwrap();
    says(&refused(&text, &Expected::at(after(101))), "stale");
}

#[test]
fn a_waiver_that_ended_or_ends_first_is_refused() {
    let waived = |expires| {
        let mut report = go();
        report.config.waivers.push(Waiver {
            check: "area.third".to_owned(),
            subject: "orders".to_owned(),
            owner: "ops".to_owned(),
            reason: "known".to_owned(),
            expires,
        });
        to_json(&seal(report))
    };
    verify(&waived(after(600)), &Expected::at(after(20))).unwrap();
    says(&refused(&waived(after(15)), &Expected::at(after(20))), "stale: the waiver of area.third (orders)");
    says(&refused(&waived(after(30)), &Expected::at(after(20))), "but the waiver of area.third (orders) is good until");
}

#[test]
fn clocks_may_differ_by_a_minute_and_no_more() {
    let text = to_json(&go());
    let early = |seconds: i64| Expected::at(Timestamp::from_millis(after(10).as_millis() - seconds * 1_000));
    verify(&text, &early(60)).unwrap();
    says(&refused(&text, &early(61)), "impossible times");
    verify(&text, &Expected { clock_skew: Duration::from_secs(120), ..early(61) }).unwrap();
}
