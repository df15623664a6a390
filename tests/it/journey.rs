//! The main job, as the acceptance of the whole names it: one run, one verdict, and nothing left.

use crate::lab::{Ground, Turn};
use crate::tool::{Ran, World};
use preflight_fixtures::lab::{Fault, Server};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::{Duration, Instant};

/// The results of a report with an outcome, as `CHECK (SUBJECT)`.
fn with(report: &Value, outcome: &str) -> BTreeSet<String> {
    let results = report["results"].as_array().unwrap().iter().filter(|one| one["outcome"] == outcome);
    results.map(|one| format!("{} ({})", one["check"].as_str().unwrap(), one["subject"].as_str().unwrap())).collect()
}

fn planted(faults: &[Fault]) -> BTreeSet<String> {
    let results = faults.iter().flat_map(|fault| fault.results());
    results.map(|(check, subject)| format!("{check} ({subject})")).collect()
}

/// Every plan item has one result and the other way round.
fn is_complete(report: &Value) -> bool {
    let keys = |list: &Value| -> Vec<(String, String)> {
        let one = |item: &Value| (item["check"].to_string(), item["subject"].to_string());
        list.as_array().unwrap().iter().map(one).collect()
    };
    let (plan, results) = (keys(&report["plan"]["items"]), keys(&report["results"]));
    !plan.is_empty() && plan == results && plan.iter().collect::<BTreeSet<_>>().len() == plan.len()
}

/// Runs the program until the machine lets its load generator keep up, three times at most: that it rightly cannot tell
/// on a busy machine is not what the journeys are about.
fn run(turn: &Turn<'_>, arguments: &[&str]) -> Ran {
    let attempt = || turn.tool(&[&["run", "--to", "traffic-1"], arguments].concat());
    let mut ran = attempt();
    for _ in 0..2 {
        if !ran.out.contains("did not keep up") {
            break;
        }
        ran = attempt();
    }
    ran
}

fn ended(mut child: Child, within: Duration) -> Ran {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < within, "it still runs after {} ms", within.as_millis());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ran::of(child.wait_with_output().unwrap())
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_faulty_lab_is_no_go_and_exactly_what_was_planted_is_named() {
    let ground = Ground::shared();
    let turn = ground.with(&Fault::ALL);
    let formats = ["text", "json=r.json", "junit=r.xml", "ctrf=c.json", "markdown=r.md", "github=g.md", "html=r.html"];
    let output = formats.join(",");
    let ran = run(&turn, &["--output", &output]);
    assert_eq!(ran.code, 10, "{ran:?}");
    let report = turn.report();
    assert_eq!(with(&report, "fail"), planted(&Fault::ALL), "{}", ran.out);
    assert_eq!((with(&report, "unknown"), with(&report, "skipped")), (BTreeSet::new(), BTreeSet::new()), "{}", ran.out);
    assert!(is_complete(&report));
    for one in report["results"].as_array().unwrap().iter().filter(|one| one["outcome"] == "fail") {
        let texts = [&one["observed"], &one["expected"], &one["remediation"]["text"]];
        assert!(texts.iter().all(|text| text.as_str().is_some_and(|text| text.len() > 10)), "{one:#}");
    }
    let last = ran.out.trim_end().lines().rev().take(4).collect::<Vec<_>>().join("\n");
    assert!(last.contains("NO-GO"), "the verdict comes last:\n{}", ran.out);
    let verified = turn.tool(&["report", "verify", "preflight-report.json", "--to", "traffic-1"]);
    assert_eq!((verified.code, verified.out.trim()), (10, "no-go"), "{verified:?}");
    for file in ["r.xml", "c.json", "r.md", "r.html"] {
        assert!(turn.read(file).contains("duplicates-harmless"), "{file} does not name a fault");
    }
    turn.leaves_nothing(&[&ran, &verified]);
}

#[test]
fn each_fault_alone_is_named_alone() {
    let ground = Ground::shared();
    for (fault, only) in [(Fault::Trust, "irsa.*"), (Fault::Limit, "connections.*"), (Fault::Slow, "load.*")] {
        let turn = ground.with(&[fault]);
        let ran = run(&turn, &["--only", only]);
        assert_eq!(ran.code, 10, "{fault}: {ran:?}");
        assert_eq!(with(&turn.report(), "fail"), planted(&[fault]), "{fault}: {}", ran.out);
        turn.leaves_nothing(&[&ran]);
    }
}

#[test]
fn a_healthy_lab_is_go_and_its_report_cannot_be_used_for_anything_else() {
    let ground = Ground::shared();
    let turn = ground.with(&[]);
    let ran = run(&turn, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = turn.report();
    assert_eq!(with(&report, "pass").len(), report["plan"]["items"].as_array().unwrap().len());
    assert!(is_complete(&report));
    for area in ["irsa.", "idempotency.", "connections.", "load."] {
        assert!(with(&report, "pass").iter().any(|one| one.starts_with(area)), "{area}");
    }
    let expected = ["--environment", "lab", "--to", "traffic-1", "--cluster", "shop", "--account", "111122223333"];
    let verify = |file: &str, changed: &[&str]| {
        let rest = expected.chunks(2).filter(|pair| changed.first() != pair.first()).flatten().copied();
        let arguments: Vec<&str> = ["report", "verify", file].into_iter().chain(rest).chain(changed.to_vec()).collect();
        turn.tool(&arguments)
    };
    let verified = verify("preflight-report.json", &[]);
    assert_eq!((verified.code, verified.out.trim()), (0, "go"), "{verified:?}");

    for other in [
        ["--cluster", "other"],
        ["--to", "traffic-5"],
        ["--from", "deployed"],
        ["--environment", "production"],
        ["--account", "999900001111"],
    ] {
        assert_eq!(verify("preflight-report.json", &other).code, 30, "{other:?}");
    }
    let tampered = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut report = report.clone();
        change(&mut report);
        assert_ne!(report, turn.report(), "{name} changes nothing");
        std::fs::write(turn.path("tampered.json"), report.to_string()).unwrap();
        let ran = verify("tampered.json", &[]);
        assert_eq!((ran.code, ran.out.as_str()), (30, ""), "{name}: {ran:?}");
        assert!(!ran.err.trim().is_empty(), "{name} is refused without a word");
    };
    tampered("a result removed", &|report| drop(report["results"].as_array_mut().unwrap().remove(3)));
    tampered("an outcome edited", &|report| report["results"][0]["outcome"] = json!("fail"));
    tampered("a digest edited", &|report| report["plan"]["sha256"] = json!("0".repeat(64)));
    tampered("the whole digest edited", &|report| report["integrity"]["sha256"] = json!("0".repeat(64)));
    tampered("a longer life", &|report| report["run"]["notAfter"] = json!("2099-01-01T00:00:00Z"));
    tampered("another cluster written in", &|report| report["subject"]["cluster"]["name"] = json!("other"));

    let text = turn.read("preflight-report.json");
    for length in [0, 1, text.len() / 2, text.trim_end().len() - 1] {
        std::fs::write(turn.path("truncated.json"), &text[..length]).unwrap();
        assert_eq!(verify("truncated.json", &[]).code, 30, "{length} bytes");
    }
    turn.leaves_nothing(&[&ran, &verified]);
}

#[test]
fn a_report_past_its_time_is_refused_though_nobody_touched_it() {
    let ground = Ground::shared();
    let turn = ground.with(&[]);
    let ran = turn.tool(&["run", "--to", "deployed", "--only", "irsa.*"]);
    let mut report = preflight_report::read(&turn.read("preflight-report.json")).unwrap();
    report.run.not_after = report.run.finished_at;
    let sealed = serde_json::to_string(&preflight_report::seal(report)).unwrap();
    std::fs::write(turn.path("expired.json"), sealed).unwrap();
    let verified = turn.tool(&["report", "verify", "expired.json"]);
    assert_eq!((verified.code, verified.out.as_str()), (30, ""), "{verified:?}");
    assert!(verified.err.contains("expired") || verified.err.contains("not to be acted on"), "{verified:?}");
    turn.leaves_nothing(&[&ran, &verified]);
}

#[test]
fn without_consent_nothing_is_written_and_nothing_passes() {
    let ground = Ground::shared();
    let mut turn = ground.with(&[]);
    let before = turn.lab().web("eks").requests();
    let ran = turn.tool(&["run", "--to", "traffic-1", "--consent", "orders-sqs", "--only", "load.*"]);
    assert_eq!(ran.code, 11, "{ran:?}");
    let report = turn.report();
    assert!(with(&report, "skipped").contains("load.slo-holds (shop)"), "{}", ran.out);
    assert!(turn.lab().web("eks").requests() - before < 50, "the target was loaded");
    turn.leaves_nothing(&[&ran]);
}

#[test]
fn a_stopped_run_removes_what_it_created_and_leaves_a_complete_report() {
    let ground = Ground::shared();
    for name in ["TERM", "INT", "HUP"] {
        let turn = ground.with(&[]);
        let child = turn.start(&["run", "--to", "traffic-1"]);
        turn.wait_until_something_was_created();
        signal(&child, name);
        let ran = ended(child, Duration::from_secs(10));
        assert_eq!(ran.code, 21, "{name}: {ran:?}");
        let report = turn.report();
        assert_eq!(report["summary"]["verdict"], "inconclusive");
        assert!(is_complete(&report));
        assert!(with(&report, "unknown").contains("idempotency.duplicates-harmless (orders-sqs)"), "{}", ran.out);
        let verified = turn.tool(&["report", "verify", "preflight-report.json"]);
        assert_ne!(verified.code, 0, "{verified:?}");
        turn.leaves_nothing(&[&ran]);
    }
}

#[test]
fn what_a_killed_run_created_is_removed_by_cleanup() {
    let ground = Ground::shared();
    let turn = ground.with(&[]);
    let mut child = turn.start(&["run", "--to", "traffic-1"]);
    turn.wait_until_something_was_created();
    let during = turn.tool(&["cleanup"]);
    assert!(during.code == 0 && during.err.contains("still goes on"), "{during:?}");
    child.kill().unwrap();
    let killed = child.wait_with_output().unwrap();
    assert_eq!(killed.status.signal(), Some(9));
    assert!(!turn.path("preflight-report.json").exists(), "a report that nobody finished");
    let cleaned = turn.tool(&["cleanup"]);
    assert_eq!(cleaned.code, 0, "{cleaned:?}");
    assert!(cleaned.err.contains("removed"), "{cleaned:?}");
    let again = turn.tool(&["cleanup"]);
    assert_eq!((again.code, again.err.contains("nothing to remove")), (0, true), "{again:?}");
    turn.leaves_nothing(&[&cleaned, &again]);
}

#[test]
fn a_broken_configuration_is_exit_2_with_its_place_and_writes_nothing() {
    let world = World::new("environment: lab\nendpoint: []\n");
    for arguments in [&["run", "--to", "traffic-1"][..], &["lint"], &["plan", "--to", "traffic-1"]] {
        let ran = world.tool(arguments);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("preflight.yaml:2:1") && ran.err.contains("did you mean `endpoints`"), "{ran:?}");
    }
    assert!(!world.path("preflight-report.json").exists());
}

#[test]
fn what_is_down_is_never_passed_and_everything_down_is_exit_20() {
    let ground = Ground::new();
    let mut turn = ground.with(&[]);
    turn.stop(Server::MariaDb);
    let ran = turn.tool(&["run", "--to", "traffic-1"]);
    assert_eq!(ran.code, 11, "{ran:?}");
    let report = turn.report();
    assert_eq!(with(&report, "fail"), BTreeSet::new(), "{}", ran.out);
    let unknown = with(&report, "unknown");
    for one in [
        "connections.limit-covers-demand (orders-db)",
        "connections.path-admits (orders-db)",
        "idempotency.effects-observable (orders-rabbitmq)",
        "idempotency.duplicates-harmless (orders-sqs)",
    ] {
        assert!(unknown.contains(one), "{one} is not unknown:\n{}", ran.out);
    }
    assert!(with(&report, "pass").contains("connections.path-admits (cache)"), "{}", ran.out);

    let doctor = turn.tool(&["doctor", "--output", "json"]);
    let gaps = crate::doctor::gaps(&doctor);
    assert!(gaps.keys().any(|what| what.contains("orders-db") && what.ends_with("logging in as `app`")), "{gaps:#?}");
    assert!(!gaps.keys().any(|what| what.contains("cache")), "{gaps:#?}");

    for server in Server::ALL {
        turn.stop(server);
    }
    let nothing = turn.tool(&["run", "--to", "traffic-1"]);
    assert_eq!(nothing.code, 20, "{nothing:?}");
    assert_eq!(turn.report()["summary"]["verdict"], "inconclusive");
    turn.leaves_nothing(&[&ran, &doctor, &nothing]);
}
