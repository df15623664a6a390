//! Consumers and set-ups that are made to get a pass that they do not deserve.

use crate::bench::{Bench, HARMLESS, noted};
use crate::task::{Message, Tasks};
use preflight_core::Reason;
use serde_json::json;
use std::time::Duration;

/// A bench whose only effect is the counter in Redis.
async fn counting() -> Bench {
    let mut bench = Bench::rabbitmq().await;
    let mut effect = noted();
    effect["redis"]["cleanup"] = json!(["seen:*:{key}"]);
    bench.settings["effects"] = json!([effect]);
    bench
}

#[tokio::test]
async fn a_second_effect_that_comes_long_after_the_copy_was_acknowledged_fails() {
    let mut bench = counting().await;
    bench.settings["settle"] = json!({});
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        let first = message.is_first("all").await;
        message.ack().await;
        if !first {
            tokio::time::sleep(Duration::from_millis(800)).await;
        }
        message.book().await;
    })
    .await;
    bench.judge(HARMLESS).await.assert_fails("value is 2, once gives 1");
}

#[tokio::test]
async fn effects_that_always_come_after_the_acknowledgement_are_waited_for() {
    let bench = counting().await;
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        message.ack().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        message.book().await;
    })
    .await;
    bench.judge(HARMLESS).await.assert_fails("A→ecs ; A'→ecs: order:{key}:payments: value is 2, once gives 1");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_copy_that_a_consumer_never_finishes_is_no_pass() {
    let bench = counting().await;
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        if !message.is_first("all").await {
            return std::future::pending().await;
        }
        message.book().await;
        message.ack().await;
    })
    .await;
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::Timeout, "in a consumer's hands");
}

#[tokio::test]
async fn a_copy_that_is_returned_again_and_again_is_no_pass() {
    let bench = counting().await;
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        if !message.is_first("all").await {
            tokio::time::sleep(Duration::from_millis(50)).await;
            return message.reject(true).await;
        }
        message.book().await;
        message.ack().await;
    })
    .await;
    let judged = bench.judge(HARMLESS).await;
    assert_ne!(judged.result.outcome, preflight_core::Outcome::Pass);
}
