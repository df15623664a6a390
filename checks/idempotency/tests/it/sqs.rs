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

/// Queues of which what was received twice goes to a queue that the settings do not name.
async fn dead_lettering() -> Bench {
    let names = SIDES.map(|side| format!("orders-{side}"));
    let double = |name: &String| QueueSpec::standard(name).visibility_seconds(1).dead_letter("orders-dead", 1);
    let specs = [QueueSpec::standard("orders-dead"), double(&names[0]), double(&names[1])];
    let mut bench = Bench::sqs_of(specs, names).await;
    bench.settings["effects"] = json!([crate::bench::noted()]);
    bench.settings["settle"]["limitMs"] = json!(10_000);
    bench
}

/// A consumer that books a payment once and never deletes the copies.
fn keeping_duplicates(bench: &Bench, side: usize) -> tokio::task::JoinHandle<()> {
    let double = bench.sqs.as_ref().unwrap();
    let (client, url) = (client(double.url()), double.queue_url(&bench.queues[side]));
    let lab = &bench.lab.redis;
    let store = redis::Client::open(lab.url(lab.admin())).unwrap();
    tokio::spawn(async move {
        let mut store = store.get_multiplexed_async_connection().await.unwrap();
        while let Ok(answer) = client.receive_message().queue_url(&url).wait_time_seconds(1).send().await {
            for message in answer.messages() {
                let order: serde_json::Value = serde_json::from_str(message.body().unwrap()).unwrap();
                let name = format!("order:{}:payments", order["orderId"].as_str().unwrap());
                let first: Option<String> =
                    redis::cmd("SET").arg(&[&name, "1", "NX"]).query_async(&mut store).await.unwrap();
                if first.is_some() {
                    let handle = message.receipt_handle().unwrap();
                    client.delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap();
                }
            }
        }
    })
}

#[tokio::test]
async fn a_copy_that_goes_to_a_dead_letter_queue_nobody_named_fails_and_is_taken_back_from_there() {
    let bench = dead_lettering().await;
    let consumers = [0, 1].map(|side| keeping_duplicates(&bench, side));
    bench.judge(HARMLESS).await.assert_fails("8 copies ended in a dead-letter queue");
    consumers.iter().for_each(tokio::task::JoinHandle::abort);
    bench.assert_nothing_left().await;
    assert_eq!(bench.sqs.as_ref().unwrap().handle().messages("orders-dead").len(), 0);
}

#[tokio::test]
async fn a_dead_letter_queue_that_cannot_be_read_is_named() {
    let bench = dead_lettering().await;
    let handle = bench.sqs.as_ref().unwrap().handle();
    assert!(handle.inject(Fault::AccessDenied { queue: "orders-dead".to_owned(), action: None, times: 1 }));
    let judged = bench.judge(HARMLESS).await;
    judged.assert_cannot_tell(Reason::Forbidden, ":orders-dead`, which cannot be watched").assert_journal_empty();
    assert!(judged.result.observed.contains("`deadLetters`"), "{}", judged.result.observed);
    assert!(double_requests(&bench).iter().all(|action| action != "SendMessage"));
}
