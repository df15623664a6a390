//! The ConfigMap that results are put into, as the API server patches it, and a Job that cannot put one there.

use crate::live::{live, wait};
use crate::shop::{Shop, exit_code};
use k8s_openapi::api::core::v1::ConfigMap;
use preflight_cluster::{ResultMap, result_bytes};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn a_result_is_put_only_where_no_later_run_has_claimed_it() {
    live(|place| async move {
        let earlier = json!({"metadata": {"name": "result"}, "data": {"verdict": "go", "kept": "x"}});
        place.create::<ConfigMap>(earlier).await;
        let client = &place.client;
        let map = ResultMap { client, namespace: Some(&place.namespace), name: "result", key: "report" };
        let seen = async || result_bytes(client, &place.namespace, "result", "report").await.unwrap().unwrap();
        let texts = |run: &str| [("kept", "x"), ("runId", run)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        map.claim("first", &["verdict"]).await.unwrap();
        assert_eq!(seen().await, (vec![], texts("first").into()), "the earlier result is still there");
        map.claim("second", &["verdict"]).await.unwrap();
        let verdict = BTreeMap::from([("verdict", "no-go".to_owned())]);
        let late = map.put("first", true, &verdict, b"first".to_vec()).await.unwrap_err();
        assert!(late.detail.contains("a run that began later has claimed it"), "{late}");
        assert_eq!(seen().await, (vec![], texts("second").into()), "something of it was put");
        map.put("second", true, &verdict, b"second".to_vec()).await.unwrap();
        let (bytes, text) = seen().await;
        assert_eq!((bytes.as_slice(), text["verdict"].as_str()), (b"second".as_slice(), "no-go"));
        map.put("third", false, &verdict, b"third".to_vec()).await.unwrap();
        assert_eq!((seen().await.0.as_slice(), seen().await.1["runId"].as_str()), (b"third".as_slice(), "third"));
    });
}

#[test]
fn a_job_that_cannot_put_its_result_fails_for_good_and_its_report_is_in_the_log() {
    live(|place| async move {
        let Some(shop) = Shop::new(&place).await else { return };
        shop.grant().await;
        let job = shop.start(|job| {
            let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array_mut().unwrap();
            let to_map = |one: &&mut Value| one.as_str().is_some_and(|one| one.starts_with("--deliver=configmap="));
            *arguments.iter_mut().find(to_map).unwrap() = json!("--deliver=configmap=missing");
        });
        let job = job.await;
        let (condition, reason) = wait("the Job's end", || shop.ended(&job)).await;
        assert_eq!((condition.as_str(), reason.as_str()), ("Failed", "PodFailurePolicy"));
        let codes: Vec<_> = shop.pods(&job).await.iter().map(exit_code).collect();
        assert_eq!(codes, [Some(22)]);
        assert_eq!(shop.fetched(&job)["summary"]["verdict"], "go");
    });
}
