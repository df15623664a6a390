//! The program as a Job: under restricted Pod Security, with the generated rights, to every end that a Job can come to.

use crate::audit::{asked, entries};
use crate::live::{audit, host, live, wait};
use crate::shop::{Shop, exit_code, role};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams};
use preflight_core::Timestamp;
use preflight_fixtures::lab::{Fault, Lab, LabOptions};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// How long AWS takes for each answer while a run is to be disturbed.
const SLOW_MS: u64 = 2_500;

/// Waits for the Job's end and gives its condition's type and reason and the exit codes of its pods, oldest first.
async fn end_of(shop: &Shop, job: &str) -> (String, String, Vec<i32>) {
    let (condition, reason) = wait("the Job's end", || shop.ended(job)).await;
    let codes = wait("the pods' end", || async {
        let mut pods = shop.pods(job).await;
        pods.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
        pods.iter().map(exit_code).collect::<Option<Vec<i32>>>()
    });
    (condition, reason, codes.await)
}

fn failed_by_policy(code: i32) -> (String, String, Vec<i32>) {
    ("Failed".to_owned(), "PodFailurePolicy".to_owned(), vec![code])
}

/// The results that are open for a reason.
fn with_reason<'a>(report: &'a Value, reason: &'a str) -> impl Iterator<Item = &'a Value> {
    report["results"].as_array().unwrap().iter().filter(move |one| one["reason"] == reason)
}

/// Check and subject of what a right was missing for.
fn forbidden(report: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    with_reason(report, "forbidden").map(|one| (text(&one["check"]), text(&one["subject"]))).collect()
}

/// The Job's pod, once its container runs.
async fn running(shop: &Shop, job: &str) -> Pod {
    wait("the container's start", || async {
        let pod = shop.pods(job).await.into_iter().next()?;
        let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
        container.state.as_ref()?.running.is_some().then(|| pod.clone())
    })
    .await
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap()
}

/// The exit code with which a pod that is asked to go does.
async fn code_of(shop: &Shop, pod: &str) -> i32 {
    wait("the pod's last state", || async { exit_code(&shop.place.api::<Pod>().get_opt(pod).await.unwrap()?) }).await
}

/// The report that is in the result's ConfigMap at this moment, by its own digest.
fn result_now(shop: &Shop) -> Value {
    let world = shop.world();
    let place = ["--namespace", &shop.place.namespace, "--kubeconfig", "kubeconfig"];
    let got = world.tool(&[&["report", "fetch", "configmap/preflight-result"], place.as_slice()].concat());
    assert_eq!(got.code, 0, "{got:?}");
    world.report()
}

#[test]
fn a_go_completes_the_job_and_its_report_verifies_by_each_route() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        let job = shop.start(|_| ()).await;
        assert_eq!(end_of(&shop, &job).await, ("Complete".to_owned(), "CompletionsReached".to_owned(), vec![0]));
        let by_map = shop.fetched(&job);
        assert_eq!(by_map["summary"]["verdict"], "go", "{by_map:#}");
        let exchange =
            by_map["results"].as_array().unwrap().iter().find(|one| one["check"] == "irsa.exchange-succeeds");
        assert_eq!(exchange.unwrap()["outcome"], "pass", "the cluster's token was not exchanged");
        // Without the ConfigMap the log is left.
        place.api::<ConfigMap>().delete("preflight-result", &DeleteParams::default()).await.unwrap();
        assert_eq!(shop.fetched(&job), by_map, "the log has another report");
    });
}

/// The lab's shop as this cluster has it: its servers where pods reach them, its workloads in the test's namespace.
fn with_lab(shop: &mut Shop, lab: &Lab) {
    let read = |path: &str| std::fs::read_to_string(lab.dir().join(path)).unwrap();
    let mut config: Value = serde_saphyr::from_str(&read("preflight.yaml")).unwrap();
    let own: Value = serde_saphyr::from_str(&shop.config).unwrap();
    config["environment"] = own["environment"].clone();
    config["cluster"] = own["cluster"].clone();
    config["aws"].as_object_mut().unwrap().remove("credentials");
    for service in ["sts", "iam", "eks"] {
        config["aws"]["endpoints"][service] = own["aws"]["endpoints"][service].clone();
    }
    for workload in config["workloads"].as_array_mut().unwrap() {
        workload.as_object_mut().unwrap().remove("artifacts");
    }
    shop.config = config.to_string();
    let named = |folder: &str| -> Vec<String> {
        let files = std::fs::read_dir(lab.dir().join(folder)).unwrap();
        files.map(|file| format!("{folder}/{}", file.unwrap().file_name().into_string().unwrap())).collect()
    };
    let own_namespace = format!("namespace: {}", shop.place.namespace);
    let moved = |path: String| (path.clone(), read(&path).replace("namespace: shop", &own_namespace));
    shop.files = named("manifests").into_iter().chain(named("ecs")).map(moved).collect();
    let secrets = lab.environment().iter().filter(|(name, _)| name.starts_with("LAB_"));
    shop.secrets.extend(secrets.cloned());
}

#[test]
fn a_pod_judges_real_servers_and_writes_to_them_with_consent() {
    live(|place| async move {
        let (Some(mut shop), Some(host)) = (Shop::new(&place).await, host()) else { return };
        let folder = tempfile::tempdir().unwrap();
        let options =
            LabOptions { dir: folder.path().join("lab"), faults: vec![], address: Some(host.parse().unwrap()) };
        let mut lab = Lab::start(options).await.unwrap();
        with_lab(&mut shop, &lab);
        shop.choice = vec!["--to=async".to_owned(), "--consent=orders-rabbitmq,orders-sqs".to_owned()];
        shop.grant().await;
        let job = shop.start(|_| ()).await;
        let end = end_of(&shop, &job).await;
        let report = shop.fetched(&job);
        assert_eq!(end.2, [0], "{report:#}");
        let passed = with_outcome(&report, "pass");
        for check in ["irsa.exchange-succeeds", "connections.limit-covers-demand", "idempotency.duplicates-harmless"] {
            assert!(passed.iter().any(|(passed, _)| passed == check), "{check} has no pass: {report:#}");
        }
        assert_eq!(lab.leftovers().await.unwrap(), Vec::<String>::new());
        lab.plant(Fault::Limit).await.unwrap();
        place.api::<Job>().delete(&job, &DeleteParams::foreground()).await.unwrap();
        wait("the first Job's end", || async {
            place.api::<Job>().get_opt(&job).await.unwrap().is_none().then_some(())
        })
        .await;
        let maps = place.api::<ConfigMap>();
        let config =
            maps.list(&ListParams::default()).await.unwrap().items.into_iter().filter_map(|map| map.metadata.name);
        let config = config.into_iter().find(|name| name.starts_with("preflight-config-")).unwrap();
        maps.delete(&config, &DeleteParams::default()).await.unwrap();
        let job = shop.start(|_| ()).await;
        assert_eq!(end_of(&shop, &job).await, failed_by_policy(10));
        let failed = with_outcome(&shop.fetched(&job), "fail");
        assert_eq!(
            failed,
            Fault::Limit
                .results()
                .iter()
                .map(|(check, subject)| ((*check).to_owned(), (*subject).to_owned()))
                .collect()
        );
        lab.end().await.unwrap();
    });
}

/// Check and subject of the results with an outcome.
fn with_outcome(report: &Value, outcome: &str) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let results = report["results"].as_array().unwrap().iter().filter(|one| one["outcome"] == outcome);
    results.map(|one| (text(&one["check"]), text(&one["subject"]))).collect()
}

#[test]
fn a_no_go_fails_the_job_for_good() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        let other =
            json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": format!("{}-old", role("orders"))}}});
        place.api::<ServiceAccount>().patch("orders", &PatchParams::default(), &Patch::Merge(other)).await.unwrap();
        let job = shop.start(|_| ()).await;
        assert_eq!(end_of(&shop, &job).await, failed_by_policy(10));
        assert_eq!(shop.fetched(&job)["summary"]["verdict"], "no-go");
    });
}

#[test]
fn an_inconclusive_run_fails_the_job_for_good_and_names_the_right_that_is_missing() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        shop.revoke("serviceaccounts", "orders").await;
        let job = shop.start(|_| ()).await;
        let (condition, reason, codes) = end_of(&shop, &job).await;
        assert_eq!((condition, reason, codes), failed_by_policy(11));
        let report = shop.fetched(&job);
        assert_eq!(report["summary"]["verdict"], "inconclusive");
        let hit = forbidden(&report);
        assert!(hit.contains(&("irsa.service-account-annotated".to_owned(), "orders".to_owned())), "{hit:?}");
        assert!(hit.iter().all(|(_, subject)| subject == "orders"), "{hit:?}");
    });
}

#[test]
fn a_broken_configuration_fails_the_job_for_good() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        let job =
            shop.start(|job| job["spec"]["template"]["spec"]["containers"][0]["args"][1] = json!("--to=nowhere")).await;
        assert_eq!(end_of(&shop, &job).await, failed_by_policy(2));
    });
}

/// A run whose pod is told to go leaves an inconclusive report, and the next pod's run completes the Job.
async fn goes_on_without(shop: &Shop, job: &str, tell: impl AsyncFnOnce(&str)) {
    let pod = name(&running(shop, job).await);
    tell(&pod).await;
    assert_eq!(code_of(shop, &pod).await, 21);
    assert_eq!(result_now(shop)["summary"]["verdict"], "inconclusive");
    shop.aws.handle().change_faults(|faults| faults.iam.delay_ms = 0);
    let (condition, ..) = end_of(shop, job).await;
    assert_eq!((condition.as_str(), &shop.fetched(job)["summary"]["verdict"]), ("Complete", &json!("go")));
}

#[test]
fn a_pod_that_is_deleted_writes_its_report_and_another_one_finishes() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        shop.aws.handle().change_faults(|faults| faults.iam.delay_ms = SLOW_MS);
        let job = shop.start(|_| ()).await;
        let delete = async |pod: &str| {
            place.api::<Pod>().delete(pod, &DeleteParams::default()).await.unwrap();
        };
        goes_on_without(&shop, &job, delete).await;
    });
}

#[test]
fn a_pod_that_is_drained_off_its_node_does_not_count() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        shop.aws.handle().change_faults(|faults| faults.iam.delay_ms = SLOW_MS);
        // Not one attempt more: only because an eviction is ignored can the Job complete.
        let job = shop.start(|job| job["spec"]["backoffLimit"] = json!(0)).await;
        let evict = async |pod: &str| {
            place.api::<Pod>().evict(pod, &EvictParams::default()).await.unwrap();
        };
        goes_on_without(&shop, &job, evict).await;
    });
}

#[test]
fn a_job_whose_deadline_passes_leaves_an_inconclusive_report() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        shop.aws.handle().change_faults(|faults| faults.iam.delay_ms = 60_000);
        let job = shop.start(|job| job["spec"]["activeDeadlineSeconds"] = json!(6)).await;
        let pod = name(&running(&shop, &job).await);
        assert_eq!(code_of(&shop, &pod).await, 21);
        let ended = wait("the Job's end", || shop.ended(&job)).await;
        assert_eq!(ended, ("Failed".to_owned(), "DeadlineExceeded".to_owned()));
        let report = result_now(&shop);
        assert_eq!(report["summary"]["verdict"], "inconclusive");
        assert!(with_reason(&report, "interrupted").count() > 0, "{report:#}");
    });
}

#[test]
fn a_run_that_is_killed_is_no_verdict_and_is_attempted_again() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        shop.aws.handle().change_faults(|faults| faults.iam.delay_ms = SLOW_MS);
        let job = shop.start(|_| ()).await;
        let pod = running(&shop, &job).await;
        let process = wait("the run's process", || async { process_of(&pod) }).await;
        let id: i32 = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let killed = std::process::Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(code_of(&shop, &name(&pod)).await, 137);
        shop.aws.handle().change_faults(|faults| faults.iam.delay_ms = 0);
        let (condition, _, codes) = end_of(&shop, &job).await;
        assert_eq!((condition.as_str(), codes), ("Complete", vec![137, 0]));
        assert_eq!(shop.fetched(&job)["summary"]["verdict"], "go");
    });
}

/// The folder below /proc of a pod's run, seen from this host.
fn process_of(pod: &Pod) -> Option<PathBuf> {
    let uid = pod.metadata.uid.as_deref()?;
    let processes = std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    processes.into_iter().find(|path| {
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        // The container's user is not root, as the sandbox's is not either: the name tells them apart.
        read("cmdline").starts_with("/eks-preflight\0") && read("cgroup").contains(uid)
    })
}

#[test]
fn a_job_is_quick_to_begin_and_small() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        shop.aws.handle().change_faults(|faults| faults.iam.delay_ms = SLOW_MS);
        let job = shop.start(|_| ()).await;
        let pod = running(&shop, &job).await;
        let process = wait("the run's process", || async { process_of(&pod) }).await;
        let mut peak_kb = 0;
        while let Ok(status) = std::fs::read_to_string(process.join("status")) {
            let line =
                status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok());
            peak_kb = peak_kb.max(line.unwrap_or(0));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let report = shop.fetched(&job);
        let began =
            report["results"].as_array().unwrap().iter().filter_map(|one| one["startedAt"].as_str()).min().unwrap();
        let since = |text: &str| text.parse::<Timestamp>().unwrap().as_millis();
        let start_ms = since(began) - since(report["run"]["startedAt"].as_str().unwrap());
        eprintln!("Job: first check {start_ms} ms after the start of the run; at most {peak_kb} kB resident");
        assert!((1..=64 * 1024).contains(&peak_kb), "{peak_kb} kB resident");
        // The target is one second; a busy machine is not the program's fault.
        assert!(start_ms <= 10_000, "{start_ms} ms");
    });
}

#[test]
fn a_full_run_asks_for_nothing_outside_its_rights_and_leaves_nothing() {
    live(|place| async move {
        let (Some(shop), Some(log)) = (Shop::new(&place).await, audit()) else { return };
        shop.grant().await;
        let job = shop.start(|_| ()).await;
        assert_eq!(end_of(&shop, &job).await.2, [0]);
        let documents = shop.manifest("rbac");
        let account = (place.namespace.as_str(), "preflight");
        let entries = entries(&log, &format!("system:serviceaccount:{}:{}", account.0, account.1));
        assert!(!entries.is_empty(), "the audit log has nothing of this run");
        let mut written = BTreeSet::new();
        for entry in &entries {
            let one = asked(entry).unwrap_or_else(|| panic!("about no object: {}", entry["requestURI"]));
            assert!(one.is_review() || one.is_granted(&documents, account), "outside of its rights: {one:?}");
            if !one.is_review() && one.is_written() {
                assert_eq!(one.namespace, place.namespace, "{one:?}");
                written.insert((one.verb, one.resource));
            }
        }
        let announced = [("create", "serviceaccounts/token"), ("patch", "configmaps")];
        assert_eq!(written, announced.map(|(verb, what)| (verb.to_owned(), what.to_owned())).into());
    });
}

#[test]
fn each_right_that_is_missing_leaves_its_check_unknown_and_the_verdict_open() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        for (verb, resource) in [("get", "serviceaccounts"), ("create", "serviceaccounts/token")] {
            let whole = shop.revoke(resource, "orders").await;
            let world = shop.world_as("preflight").await;
            // The API server hears of a changed Role a moment later.
            let ran = wait("the right's being gone", || async {
                let ran = Shop::run(&world).await;
                (!forbidden(&world.report()).is_empty()).then_some(ran)
            })
            .await;
            assert_eq!(ran.code, 11, "without {verb} {resource}: {ran:?}");
            let report = world.report();
            let missing = format!("{verb} {resource} orders");
            for one in with_reason(&report, "forbidden") {
                assert_eq!((&one["outcome"], &one["subject"]), (&json!("unknown"), &json!("orders")), "{one:#}");
                assert!(one["observed"].as_str().unwrap().contains(&missing), "{missing}: {one:#}");
            }
            shop.put(whole).await;
            wait("the right's being there", || async { (Shop::run(&world).await.code == 0).then_some(()) }).await;
        }
    });
}
