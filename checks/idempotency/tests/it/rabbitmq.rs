//! RabbitMQ: what each way of dealing with duplicates comes to.

use crate::bench::{Bench, HARMLESS, OBSERVABLE, noted};
use crate::task::{Message, Tasks};
use serde_json::json;

const NEW_ID: [&str; 6] = [
    "A→ecs ; A'→ecs",
    "A→eks ; A'→eks",
    "A→ecs ; A'→eks",
    "A→eks ; A'→ecs",
    "A→ecs ; A'→ecs ; A''→ecs",
    "A→eks ; A'→eks ; A''→eks",
];

#[tokio::test]
async fn a_consumer_that_deduplicates_in_its_transaction_passes_both_checks() {
    let bench = Bench::rabbitmq().await;
    let _consumers = bench.consumers("correct").await;
    let observable = bench.judge(OBSERVABLE).await;
    observable.assert_passes();
    bench.assert_nothing_left().await;
    let harmless = bench.judge(HARMLESS).await;
    harmless.assert_passes();
    assert!(harmless.result.observed.contains("10 schedules"));
    assert_eq!(harmless.measurement["schedules"].as_array().unwrap().len(), 10);
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_consumer_without_deduplication_fails_with_the_smallest_schedule() {
    let bench = Bench::rabbitmq().await;
    let _consumers = bench.consumers("faulty").await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_fails("A→ecs ; A'→ecs: payments has 2 rows, once gives 1");
    assert_eq!(judged.failed_schedules().len(), 10);
    assert_eq!(judged.measurement["counterexamples"][0]["reproducedAlone"], true);
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_consumer_that_keys_on_the_message_id_fails_for_new_ids_alone() {
    let bench = Bench::rabbitmq().await;
    let _consumers = bench.consumers("message-id").await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_fails("A→ecs ; A'→ecs: payments has 2 rows, once gives 1");
    assert_eq!(judged.failed_schedules(), NEW_ID);
    assert!(judged.result.remediation.as_ref().unwrap().text.contains("broker's id"));
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_consumer_whose_sides_do_not_share_their_keys_fails_across_both_alone() {
    let bench = Bench::rabbitmq().await;
    let _consumers = bench.consumers("per-side").await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_fails("A→ecs ; A'→eks: payments has 2 rows, once gives 1");
    assert_eq!(judged.failed_schedules(), ["A→ecs ; A'→eks", "A→eks ; A'→ecs", "A→ecs ; A°→eks", "A→eks ; A°→ecs"]);
    assert!(judged.result.remediation.as_ref().unwrap().text.contains("across both"));
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_consumer_that_deduplicates_on_a_header_with_the_key_passes() {
    let mut bench = Bench::rabbitmq().await;
    bench.settings["message"]["headers"] = json!({ "idempotency-key": "order-{key}" });
    let mut effect = noted();
    effect["redis"]["cleanup"] = json!(["seen:order-{key}:{key}"]);
    bench.settings["effects"] = json!([effect]);
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        let header = message.header("idempotency-key").unwrap();
        if message.is_first(&header).await {
            message.book().await;
        }
        message.ack().await;
    })
    .await;
    bench.judge(HARMLESS).await.assert_passes();
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_counter_in_redis_alone_shows_the_duplicate() {
    let mut bench = Bench::rabbitmq().await;
    bench.settings["effects"] = json!([noted()]);
    let _consumers = bench.consumers("faulty").await;
    bench.judge(HARMLESS).await.assert_fails("A→ecs ; A'→ecs: order:{key}:payments: value is 2, once gives 1");
}
