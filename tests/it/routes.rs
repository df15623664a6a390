//! A result leaves a pod by every route, and is fetched by each of them.

use crate::store::Store;
use crate::tool::{Ran, World, command};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use preflight_report::{Outcome, Report};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

const RESULT: &str = "/api/v1/namespaces/ops/configmaps/gate-result";
const PODS: &str = "/api/v1/namespaces/ops/pods";
const POD: &str = "gate-abcde";
const LOG: &str = "/api/v1/namespaces/ops/pods/gate-abcde/log";
const JOB: &str = "/apis/batch/v1/namespaces/ops/jobs/gate";

/// Nobody listens on the endpoint, so that every run exits with 20.
fn world(cluster: &Store) -> World {
    let endpoint = "  - {name: cache, engine: redis, address: '127.0.0.1:1'}\n";
    let world = World::new(&format!("environment: test\ncluster: {{kubeconfig: kube}}\nendpoints:\n{endpoint}"));
    world.write("kube", &cluster.kubeconfig());
    cluster.put(RESULT, json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "gate-result" } }));
    world
}

fn run(world: &World, routes: &str) -> Ran {
    world.tool(&["run", "--to", "deployed", "--deliver", routes, "--pod", POD])
}

fn fetch(world: &World, from: &str) -> Ran {
    world.tool(&["report", "fetch", from, "--kubeconfig", "kube", "--report", "fetched.json"])
}

fn text(world: &World, name: &str) -> String {
    std::fs::read_to_string(world.path(name)).unwrap_or_default()
}

/// The Job as the cluster shows it after a run.
fn finish(cluster: &Store, world: &World, ran: &Ran) {
    let report = world.report();
    let annotations = json!({
        "eks-preflight/result": "gate-result",
        "eks-preflight/transition": "the start to deployed",
        "eks-preflight/items-sha256": preflight_report::sha256_of(&report["plan"]["items"]),
        "eks-preflight/files-sha256": preflight_report::sha256_of(&json!([report["config"]["sources"][0]["sha256"]])),
        "eks-preflight/config-sha256": report["config"]["sha256"],
    });
    cluster.put(JOB, json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "annotations": annotations } }));
    let last = text(world, "last");
    put_pods(
        cluster,
        &[pod("gate-0", "2026-11-25T00:00:00Z", 137, "Killed"), pod(POD, "2026-11-25T00:01:00Z", 20, &last)],
    );
    cluster.put(LOG, format!("{}{}", ran.err, ran.out));
}

fn put_pods(cluster: &Store, pods: &[Value]) {
    cluster.put(PODS, json!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": pods }));
}

/// A pod whose container has ended.
fn pod(name: &str, created: &str, exit_code: i32, message: &str) -> Value {
    let end = json!({ "terminated": { "exitCode": exit_code, "message": message } });
    let container =
        json!({ "name": "preflight", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": end });
    json!({ "metadata": { "name": name, "creationTimestamp": created }, "status": { "containerStatuses": [container] } })
}

/// Changes the Job.
fn change_job(cluster: &Store, change: impl FnOnce(&mut Value)) {
    let mut job = serde_json::from_str(&cluster.get(JOB).unwrap()).unwrap();
    change(&mut job);
    cluster.put(JOB, job);
}

/// Puts a report of the same plan into the ConfigMap in which everything passed, as one of this pod.
fn put_go(cluster: &Store, world: &World, pod: &str) {
    let mut report: Report = preflight_report::read(&text(world, "preflight-report.json")).unwrap();
    for result in &mut report.results {
        (result.outcome, result.reason) = (Outcome::Pass, None);
    }
    let report = preflight_report::to_json(&preflight_report::seal(report));
    assert!(report.contains("\"verdict\": \"go\""), "{report}");
    let mut zipped = GzEncoder::new(vec![], Compression::fast());
    zipped.write_all(report.as_bytes()).unwrap();
    let mut map: Value = serde_json::from_str(&cluster.get(RESULT).unwrap()).unwrap();
    map["data"] = json!({ "pod": pod, "sha256": preflight_report::sha256_hex(report.as_bytes()) });
    map["binaryData"] = json!({ "report.json.gz": STANDARD.encode(zipped.finish().unwrap()) });
    cluster.put(RESULT, map);
}

#[test]
fn every_route_carries_the_report_and_the_last_words_say_where_it_is() {
    let cluster = Store::start();
    let world = world(&cluster);
    let put = format!("put={}/bucket/report.json?signature=canary", cluster.url);
    let ran = run(&world, &format!("termination=last,log,configmap=gate-result,file=copy.json,{put}"));
    assert_eq!(ran.code, 20, "{ran:?}");
    let report = text(&world, "preflight-report.json");
    assert_eq!(text(&world, "copy.json"), report);
    assert_eq!(cluster.get("/bucket/report.json").as_deref(), Some(report.as_str()));
    let last: Value = serde_json::from_str(&text(&world, "last")).unwrap();
    assert_eq!(
        (&last["verdict"], &last["counts"]["planned"]),
        (&json!("inconclusive"), &world.report()["summary"]["counts"]["planned"])
    );
    assert_eq!(last["reportSha256"], preflight_report::sha256_hex(report.as_bytes()));
    let observed = last["observed"].as_str().unwrap();
    assert!(observed.contains("127.0.0.1:1"), "{last:#}");
    let delivered = last["delivered"].as_array().unwrap();
    assert!(delivered.contains(&json!("log")) && delivered.contains(&json!("configmap=gate-result")), "{last:#}");
    assert!(!format!("{last} {} {}", ran.out, ran.err).contains("canary"), "a signature was shown");
    let map: Value = serde_json::from_str(&cluster.get(RESULT).unwrap()).unwrap();
    assert_eq!(map["data"]["sha256"], last["reportSha256"]);
    assert_eq!((&map["data"]["runId"], &map["data"]["pod"]), (&world.report()["run"]["id"], &json!(POD)));
    assert!(ran.out.contains("-----BEGIN EKS-PREFLIGHT REPORT run="), "{}", ran.out);
}

#[test]
fn a_report_is_fetched_from_whatever_has_it_whole() {
    let cluster = Store::start();
    let world = world(&cluster);
    let ran = run(&world, "termination=last,log,configmap=gate-result");
    assert_eq!(ran.code, 20, "{ran:?}");
    finish(&cluster, &world, &ran);
    let report = text(&world, "preflight-report.json");
    let is_fetched = |ran: &Ran| ran.code == 0 && text(&world, "fetched.json") == report;

    let got = fetch(&world, "job/gate");
    assert!(is_fetched(&got) && !got.err.contains("note"), "the ConfigMap has it: {got:?}");
    let got = fetch(&world, "configmap/gate-result");
    assert!(is_fetched(&got), "without a Job: {got:?}");

    // The ConfigMap has the result of a later run by now.
    assert_eq!(run(&world, "configmap=gate-result").code, 20);
    world.write("fetched.json", "");
    let got = fetch(&world, "job/gate");
    assert!(is_fetched(&got) && got.err.contains("of another run"), "the log has it: {got:?}");

    cluster.put(LOG, &ran.out[..ran.out.len() - 100]);
    let got = fetch(&world, "job/gate");
    assert_eq!(got.code, 22, "the last words are left: {got:?}");
    assert!(got.err.contains("no whole report") && got.json()["verdict"] == "inconclusive", "{got:?}");

    // A later Job with the same plan, whose pods said nothing: what is there is not its report.
    put_pods(&cluster, &[]);
    for (created, code) in [("2020-01-01T00:00:00Z", 0), ("2999-01-01T00:00:00Z", 20)] {
        change_job(&cluster, |job| job["metadata"]["creationTimestamp"] = json!(created));
        let got = fetch(&world, "job/gate");
        assert_eq!((got.code, got.err.contains("before the Job was created")), (code, code == 20), "{got:?}");
    }
    cluster.remove(RESULT);
    std::fs::write(world.path("fetched.json"), &report).unwrap();
    assert_eq!(fetch(&world, "job/gate").code, 20);
    assert_eq!(text(&world, "fetched.json"), "", "the report of another run is where this one's would be");
    assert_eq!(fetch(&world, "job/other").code, 20);
    assert_eq!(fetch(&world, "pod/gate").code, 2);
}

fn failed() -> Value {
    json!({ "conditions": [{ "type": "Failed", "status": "True" }] })
}

#[test]
fn a_go_that_is_not_the_jobs_last_word_is_not_fetched() {
    let cluster = Store::start();
    let world = world(&cluster);
    let ran = run(&world, "termination=last,configmap=gate-result");
    finish(&cluster, &world, &ran);
    cluster.remove(LOG);
    let (at, later) = ("2026-11-25T00:01:00Z", "2026-11-25T00:02:00Z");
    let refused = |why: &str| {
        let got = fetch(&world, "job/gate");
        assert!(got.code == 20 && got.err.contains(why), "{why}: {got:?}");
    };
    let taken = |why: &str| assert_eq!(fetch(&world, "job/gate").code, 0, "{why}");
    put_go(&cluster, &world, POD);
    put_pods(&cluster, &[pod(POD, at, 0, "")]);
    taken("the pod that it is of went well");
    put_pods(&cluster, &[pod(POD, at, 22, "")]);
    taken("it is whole here, whatever other route failed");

    put_pods(&cluster, &[pod(POD, at, 10, "")]);
    refused("ended with 10");
    put_pods(&cluster, &[pod(POD, at, 0, ""), pod("gate-fghij", later, 137, "")]);
    refused("the Job began another one, gate-fghij");
    put_go(&cluster, &world, "");
    refused("it does not say which pod it is of");
    put_go(&cluster, &world, POD);
    let mut starting = pod(POD, at, 0, "");
    starting["status"] = json!({});
    put_pods(&cluster, &[starting]);
    taken("its pod is about to end");
    change_job(&cluster, |job| job["status"] = failed());
    refused("the Job has failed before its pod");
    change_job(&cluster, |job| drop(job.as_object_mut().unwrap().remove("status")));

    put_pods(&cluster, &[]);
    taken("nothing speaks against it, and the pods are gone");
    change_job(&cluster, |job| job["status"] = failed());
    refused("the Job has failed");
    change_job(&cluster, |job| {
        job.as_object_mut().unwrap().remove("status");
        job["metadata"]["creationTimestamp"] = json!("2999-01-01T00:00:00Z");
    });
    refused("before the Job was created");
    change_job(&cluster, |job| job["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z"));

    put_go(&cluster, &world, "gate-traffic-1-abcde");
    refused("none of this Job's");
    put_go(&cluster, &world, POD);
    for (key, what) in [
        ("transition", "step"),
        ("items-sha256", "plan"),
        ("config-sha256", "configuration"),
        ("files-sha256", "set of files"),
    ] {
        let key = format!("eks-preflight/{key}");
        let mut other = json!("another");
        change_job(&cluster, |job| std::mem::swap(&mut job["metadata"]["annotations"][&key], &mut other));
        refused(&format!("it is of another {what}"));
        change_job(&cluster, |job| job["metadata"]["annotations"][&key] = other);
    }
    taken("it is as before");
    let verified =
        world.tool(&["report", "fetch", "job/gate", "--kubeconfig", "kube", "--report", "x.json", "--verify"]);
    assert_eq!((verified.code, verified.out.as_str()), (0, "go\n"), "{verified:?}");
}

#[test]
fn what_is_no_go_is_told_even_if_it_planned_otherwise_than_the_job() {
    let cluster = Store::start();
    let world = world(&cluster);
    let ran = run(&world, "termination=last,configmap=gate-result");
    finish(&cluster, &world, &ran);
    change_job(&cluster, |job| job["metadata"]["annotations"]["eks-preflight/items-sha256"] = json!("another"));
    let got = fetch(&world, "job/gate");
    assert!(got.code == 0 && got.err.contains("note: it is of another plan"), "{got:?}");
    assert!(got.err.contains("inconclusive"), "the verdict is said: {got:?}");
    let verified =
        world.tool(&["report", "fetch", "job/gate", "--kubeconfig", "kube", "--report", "x.json", "--verify"]);
    assert_eq!(verified.code, 20, "that of the run: {verified:?}");
    put_pods(&cluster, &[]);
    let got = fetch(&world, "job/gate");
    assert!(got.code == 20 && got.err.contains("it is of another plan"), "nothing says that it is the Job's: {got:?}");
}

#[test]
fn a_run_takes_the_earlier_result_away_and_leaves_that_of_a_later_run() {
    let cluster = Store::start();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!(
        "environment: test\ncluster: {{kubeconfig: kube}}\nendpoints:\n  - {{name: cache, engine: redis, address: '{}'}}\n",
        server.local_addr().unwrap()
    );
    let world = World::new(&silent);
    world.write("kube", &cluster.kubeconfig());
    let map = json!({ "metadata": { "name": "gate-result" }, "data": { "runId": "earlier", "verdict": "go", "kept": "x" },
                      "binaryData": { "report.json.gz": "YQ==" } });
    cluster.put(RESULT, map);
    let mut slow = command(&world.path(""));
    slow.args(["run", "--to", "deployed", "--deliver", "configmap=gate-result", "--pod", POD]);
    let slow = slow.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // It waits for an answer of the endpoint by now.
    let asked = server.accept().unwrap();
    let during = || serde_json::from_str::<Value>(&cluster.get(RESULT).unwrap()).unwrap();
    let began = during()["data"]["runId"].clone();
    assert!(began.is_string() && began != "earlier", "{}", during());
    assert_eq!((&during()["data"]["verdict"], &during()["data"]["kept"]), (&Value::Null, &json!("x")));
    let got = fetch(&world, "configmap/gate-result");
    assert!(got.code == 20 && got.err.contains("has begun and has put no report"), "{got:?}");
    let mut other = during();
    other["data"]["runId"] = json!("later");
    cluster.put(RESULT, &other);
    drop((asked, server));
    let slow = Ran::of(slow.wait_with_output().unwrap());
    assert!(slow.code == 22 && slow.err.contains("a run that began later has claimed it"), "{slow:?}");
    assert_eq!(during(), other);
}

#[test]
fn a_job_that_still_runs_is_waited_for_if_that_is_asked_for() {
    let cluster = Store::start();
    let world = world(&cluster);
    let ran = run(&world, "termination=last,log,configmap=gate-result");
    finish(&cluster, &world, &ran);
    let result = cluster.get(RESULT).unwrap();
    cluster.remove(RESULT);
    put_pods(&cluster, &[]);
    assert_eq!(fetch(&world, "job/gate").code, 20, "nothing is there yet");

    let mut waiting = command(&world.path(""));
    waiting.args(["report", "fetch", "job/gate", "--kubeconfig", "kube", "--report", "fetched.json", "--wait"]);
    let mut waiting = waiting.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("waiting for the Job ops/gate to end"), "{said}");
    cluster.put(RESULT, result);
    change_job(&cluster, |job| job["status"] = failed());
    assert!(waiting.wait().unwrap().success());
    assert_eq!(text(&world, "fetched.json"), text(&world, "preflight-report.json"));
}

#[test]
fn a_job_that_is_not_there_is_not_waited_for() {
    let cluster = Store::start();
    let ran = world(&cluster).tool(&["report", "fetch", "job/gate", "--kubeconfig", "kube", "--wait"]);
    assert!(ran.code == 20 && ran.err.contains("there is no Job"), "{ran:?}");
}

#[test]
fn a_route_that_fails_is_22_and_the_others_are_taken() {
    let cluster = Store::start();
    let world = world(&cluster);
    let closed = format!("put={}/forbidden/r.json", cluster.url);
    for route in [
        "configmap=missing",
        "file=no/such/folder/r.json",
        "termination=no/such/file",
        &closed,
        "put=http://127.0.0.1:1/x?canary",
    ] {
        std::fs::write(world.path("copy.json"), "").unwrap();
        let ran = run(&world, &format!("{route},file=copy.json"));
        assert_eq!(ran.code, 22, "{ran:?}");
        assert!(ran.err.contains("error: --deliver ") && !ran.err.contains("canary"), "{ran:?}");
        assert_eq!(text(&world, "copy.json"), text(&world, "preflight-report.json"));
    }
    let ran = run(&world, "configmap=missing");
    assert!(ran.err.contains("manifest rbac"), "{ran:?}");
    assert_eq!(run(&world, "mail=me").code, 2);
    let ran = run(&world, "put=${REPORT_URL_OF_NOBODY}");
    assert!(ran.code == 2 && ran.err.contains("`REPORT_URL_OF_NOBODY` is not set"), "{ran:?}");
}
