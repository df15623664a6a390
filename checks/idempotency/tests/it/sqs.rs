//! SQS: what each way of dealing with duplicates comes to. The same id cannot be forced there.

use crate::bench::{Bench, HARMLESS, OBSERVABLE, SIDES};
use preflight_core::Reason;
use preflight_fixtures::sqs::{Fault, QueueSpec};
use serde_json::json;

#[tokio::test]
async fn a_consumer_that_deduplicates_in_its_transaction_passes_both_checks() {
    let bench = Bench::sqs().await;
    let _consumers = bench.consumers("correct").await;
    bench.judge(OBSERVABLE).await.assert_passes();
    bench.assert_nothing_left().await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_passes();
    assert!(judged.result.observed.contains("6 schedules"));
    let untested = judged.result.evidence.iter().find(|evidence| evidence.kind == "untested").unwrap();
    assert!(untested.detail.contains("A→ecs ; A°→ecs"), "{}", untested.detail);
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_consumer_without_deduplication_fails_with_the_smallest_schedule() {
    let bench = Bench::sqs().await;
    let _consumers = bench.consumers("faulty").await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_fails("A→ecs ; A'→ecs: payments has 2 rows, once gives 1");
    assert_eq!(judged.failed_schedules().len(), 6);
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_consumer_that_keys_on_the_message_id_fails_because_every_copy_has_a_new_one() {
    let bench = Bench::sqs().await;
    let _consumers = bench.consumers("message-id").await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_fails("A→ecs ; A'→ecs: payments has 2 rows, once gives 1");
    assert_eq!(judged.failed_schedules().len(), 6);
    assert!(judged.result.remediation.as_ref().unwrap().text.contains("broker's id"));
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_consumer_whose_sides_do_not_share_their_keys_fails_across_both_alone() {
    let bench = Bench::sqs().await;
    let _consumers = bench.consumers("per-side").await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_fails("A→ecs ; A'→eks: payments has 2 rows, once gives 1");
    assert_eq!(judged.failed_schedules(), ["A→ecs ; A'→eks", "A→eks ; A'→ecs"]);
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_fifo_queue_does_not_swallow_the_copies() {
    let names = SIDES.map(|side| format!("orders-{side}.fifo"));
    let bench = Bench::sqs_of(names.clone().map(QueueSpec::fifo), names).await;
    let _consumers = bench.consumers("faulty").await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_fails("A→ecs ; A'→ecs: payments has 2 rows, once gives 1");
    assert_eq!(judged.failed_schedules().len(), 6);
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_message_that_no_consumer_takes_is_no_pass_and_is_taken_back() {
    let mut bench = Bench::sqs().await;
    bench.settings["settle"]["limitMs"] = json!(1_000);
    let _ecs = bench.consumer(0, "correct").await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_cannot_tell(Reason::InsufficientData, "eks: ").assert_journal_empty();
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_copy_whose_deletion_failed_is_no_pass() {
    let names = SIDES.map(|side| format!("orders-{side}"));
    let specs = names.clone().map(|name| QueueSpec::standard(name).attribute("VisibilityTimeout", "3"));
    let mut bench = Bench::sqs_of(specs, names).await;
    bench.settings["settle"]["limitMs"] = json!(1_000);
    let _consumers = bench.consumers("correct").await;
    let handle = bench.sqs.as_ref().unwrap().handle();
    assert!(handle.inject(Fault::DropDelete { queue: "orders-eks".to_owned(), times: 2 }));
    let judged = bench.judge(HARMLESS).await;
    judged.assert_cannot_tell(Reason::Timeout, "in a consumer's hands").assert_journal_empty();
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn messages_of_somebody_else_are_neither_consumed_nor_looked_at() {
    let bench = Bench::sqs().await;
    let double = bench.sqs.as_ref().unwrap();
    let client = client(double.url());
    client.send_message().queue_url(double.queue_url("orders-eks")).message_body("theirs").send().await.unwrap();
    for check in [OBSERVABLE, HARMLESS] {
        let judged = bench.judge(check).await;
        judged.assert_cannot_tell(Reason::PrerequisiteFailed, "queue `orders-eks` is not empty (1 waiting");
    }
    let left = double.handle().messages("orders-eks");
    assert_eq!((left.len(), left[0].body.as_str(), left[0].receive_count), (1, "theirs", 0));
    assert!(double.handle().messages("orders-ecs").is_empty());
}

#[tokio::test]
async fn one_queue_under_two_urls_is_not_two_sides() {
    let mut bench = Bench::sqs().await;
    let double = bench.sqs.as_ref().unwrap();
    let url = double.queue_url("orders-ecs");
    let queues = json!({ "ecs": url, "eks": url.replace("127.0.0.1", "localhost") });
    bench.settings["broker"]["sqs"]["queues"] = queues;
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::PrerequisiteFailed, "is the same queue");
    assert!(double_requests(&bench).iter().all(|action| action != "SendMessage"));
}

#[tokio::test]
async fn a_denied_action_is_forbidden() {
    let bench = Bench::sqs().await;
    let _consumers = bench.consumers("correct").await;
    let handle = bench.sqs.as_ref().unwrap().handle();
    let denied =
        Fault::AccessDenied { queue: "orders-eks".to_owned(), action: Some("SendMessage".to_owned()), times: 1 };
    assert!(handle.inject(denied));
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::Forbidden, "orders-eks").assert_journal_empty();
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_send_that_was_stored_and_answered_with_an_error_leaves_nothing() {
    let bench = Bench::sqs().await;
    let _consumers = bench.consumers("correct").await;
    let handle = bench.sqs.as_ref().unwrap().handle();
    assert!(handle.inject(Fault::FailSend { queue: "orders-eks".to_owned(), after: Default::default(), times: 1 }));
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::Unreachable, "orders-eks").assert_journal_empty();
    bench.assert_nothing_left().await;
}

fn double_requests(bench: &Bench) -> Vec<String> {
    let handle = bench.sqs.as_ref().unwrap().handle();
    handle.requests().into_iter().map(|request| request.action).collect()
}

fn client(url: &str) -> aws_sdk_sqs::Client {
    use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("AKIAOTHER", "secret", None, None, "test"))
        .endpoint_url(url);
    aws_sdk_sqs::Client::from_conf(config.build())
}
