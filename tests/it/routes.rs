//! A result leaves a pod by every route, and is fetched by each of them.

use crate::store::Store;
use crate::tool::{Ran, World, command};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

const RESULT: &str = "/api/v1/namespaces/ops/configmaps/gate-result";
const PODS: &str = "/api/v1/namespaces/ops/pods";
const LOG: &str = "/api/v1/namespaces/ops/pods/gate-1/log";
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
    world.tool(&["run", "--to", "deployed", "--deliver", routes])
}

fn fetch(world: &World, from: &str) -> Ran {
    world.tool(&["report", "fetch", from, "--kubeconfig", "kube", "--report", "fetched.json"])
}

fn text(world: &World, name: &str) -> String {
    std::fs::read_to_string(world.path(name)).unwrap_or_default()
}

/// The Job as the cluster shows it after a run.
fn finish(cluster: &Store, world: &World, ran: &Ran) {
    let plan = world.report()["plan"]["sha256"].clone();
    let annotations = json!({ "eks-preflight/result": "gate-result", "eks-preflight/plan-sha256": plan });
    let pod = |name: &str, at: &str, message: &str| {
        json!({
            "metadata": { "name": name, "creationTimestamp": at },
            "status": { "containerStatuses": [{
                "name": "preflight", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": 20, "message": message } },
            }] },
        })
    };
    let pods =
        [pod("gate-0", "2026-11-25T00:00:00Z", "Killed"), pod("gate-1", "2026-11-25T00:01:00Z", &text(world, "last"))];
    cluster.put(JOB, json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "annotations": annotations } }));
    cluster.put(PODS, json!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": pods }));
    cluster.put(LOG, format!("{}{}", ran.err, ran.out));
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
    let delivered = last["delivered"].as_array().unwrap();
    assert!(delivered.contains(&json!("log")) && delivered.contains(&json!("configmap=gate-result")), "{last:#}");
    assert!(!format!("{last} {} {}", ran.out, ran.err).contains("canary"), "a signature was shown");
    let map: Value = serde_json::from_str(&cluster.get(RESULT).unwrap()).unwrap();
    assert_eq!(map["data"]["sha256"], last["reportSha256"]);
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
    cluster.put(PODS, json!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [] }));
    let mut job: Value = serde_json::from_str(&cluster.get(JOB).unwrap()).unwrap();
    for (created, code) in [("2020-01-01T00:00:00Z", 0), ("2999-01-01T00:00:00Z", 20)] {
        job["metadata"]["creationTimestamp"] = json!(created);
        cluster.put(JOB, &job);
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

#[test]
fn a_job_that_still_runs_is_waited_for_if_that_is_asked_for() {
    let cluster = Store::start();
    let world = world(&cluster);
    let ran = run(&world, "termination=last,log,configmap=gate-result");
    finish(&cluster, &world, &ran);
    let mut job: Value = serde_json::from_str(&cluster.get(JOB).unwrap()).unwrap();
    let result = cluster.get(RESULT).unwrap();
    cluster.remove(RESULT);
    cluster.put(PODS, json!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [] }));
    assert_eq!(fetch(&world, "job/gate").code, 20, "nothing is there yet");

    let mut waiting = command(&world.path(""));
    waiting.args(["report", "fetch", "job/gate", "--kubeconfig", "kube", "--report", "fetched.json", "--wait"]);
    let mut waiting = waiting.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("waiting for the Job ops/gate to end"), "{said}");
    cluster.put(RESULT, result);
    job["status"] = json!({ "conditions": [{ "type": "Failed", "status": "True" }] });
    cluster.put(JOB, job);
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
