//! Consumers and set-ups that are made to get a pass that they do not deserve.

use crate::bench::{Bench, HARMLESS, OBSERVABLE, dead_lettering_to, noted};
use crate::task::{Message, Tasks, connect};
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::{AMQPValue, FieldTable};
use preflight_core::Reason;
use serde_json::json;
use std::sync::Arc;
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
    bench.settings["settle"] = json!({ "floorMs": 50, "lastMs": 2_000 });
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        let first = message.is_first("all").await;
        message.ack().await;
        if !first {
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        message.book().await;
    })
    .await;
    bench.judge(HARMLESS).await.assert_fails("value is 2, once gives 1");
}

#[tokio::test]
async fn effects_that_always_come_after_the_acknowledgement_are_waited_for() {
    let mut bench = counting().await;
    bench.settings["settle"]["floorMs"] = json!(50);
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        message.ack().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        message.book().await;
    })
    .await;
    bench.judge(HARMLESS).await.assert_fails("A→ecs ; A'→ecs: order:{key}:payments: value is 2, once gives 1");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_copy_that_a_consumer_never_finishes_is_no_pass() {
    let mut bench = counting().await;
    bench.settings["settle"]["limitMs"] = json!(1_000);
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
    let mut bench = counting().await;
    bench.settings["settle"]["limitMs"] = json!(1_000);
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

#[tokio::test]
async fn a_memory_of_each_process_fails_across_both_sides_alone() {
    let bench = counting().await;
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        if message.is_first(message.side).await {
            message.book().await;
        }
        message.ack().await;
    })
    .await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_fails("A→ecs ; A'→eks: order:{key}:payments: value is 2, once gives 1");
    assert_eq!(judged.failed_schedules().len(), 4);
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_memory_that_a_duplicate_erases_fails_at_the_third_copy() {
    let bench = counting().await;
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        if message.is_first("all").await {
            message.book().await;
        } else {
            let memory = format!("seen:all:{}", message.key);
            message.redis::<u64>(&["DEL", &memory]).await;
        }
        message.ack().await;
    })
    .await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_fails("A→ecs ; A'→ecs ; A''→ecs: order:{key}:payments: value is 2, once gives 1");
    assert_eq!(judged.failed_schedules().len(), 2);
}

#[tokio::test]
async fn effects_that_vanish_between_two_looks_are_no_pass() {
    let mut bench = counting().await;
    bench.settings["settle"]["limitMs"] = json!(1_000);
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        message.book().await;
        let name = format!("order:{}:payments", message.key);
        message.redis::<u64>(&["PEXPIRE", &name, "200"]).await;
        message.ack().await;
    })
    .await;
    bench.judge(OBSERVABLE).await.assert_cannot_tell(Reason::ControlFailed, "order:{key}:payments");
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::ControlFailed, "did not change");
}

#[tokio::test]
async fn effects_that_are_gone_at_the_end_are_no_pass() {
    let bench = counting().await;
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        message.book().await;
        let name = format!("order:{}:payments", message.key);
        message.redis::<u64>(&["PEXPIRE", &name, "700"]).await;
        message.ack().await;
    })
    .await;
    let judged = bench.judge(HARMLESS).await;
    assert_eq!(judged.result.reason, Some(Reason::ControlFailed), "{}", judged.shown());
}

#[tokio::test]
async fn clocks_that_are_an_hour_apart_hide_nothing_and_accuse_nobody() {
    let write = |deduplicates: bool| {
        move |mut message: Message| async move {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
            let skew = if message.side == "eks" { 3_600_000 } else { 0 };
            let times = if !deduplicates || message.is_first("all").await { 1 } else { 0 };
            let name = format!("order:{}:payments", message.key);
            for _ in 0..times {
                let entry = json!({ "at": now - skew, "amount": 10 }).to_string();
                message.redis::<u64>(&["RPUSH", &name, &entry]).await;
            }
            message.ack().await;
        }
    };
    let (correct, faulty) = tokio::join!(counting(), counting());
    let _correct = Tasks::start(&correct, write(true)).await;
    let _faulty = Tasks::start(&faulty, write(false)).await;
    let (passed, failed) = tokio::join!(correct.judge(HARMLESS), faulty.judge(HARMLESS));
    passed.assert_passes();
    failed.assert_fails("A→ecs ; A'→ecs: order:{key}:payments: ");
    assert_eq!(failed.failed_schedules().len(), 10);
}

/// A bench whose only effect is a pattern of keys, and consumers that add an amount to a sum, whatever the message.
async fn adding(amount: impl Fn(&Message, u64) -> u64 + Clone + Send + Sync + 'static) -> (Bench, Tasks) {
    let mut bench = counting().await;
    bench.settings["effects"][0]["redis"]["keys"] = json!(["order:{key}:*"]);
    let consumers = Tasks::start(&bench, move |mut message: Message| {
        let amount = amount.clone();
        async move {
            let number = message.redis::<u64>(&["INCR", "numbers"]).await;
            let added = amount(&message, number).to_string();
            let name = format!("order:{}:payments", message.key);
            message.redis::<u64>(&["HINCRBY", &name, "amount", &added]).await;
            message.ack().await;
        }
    })
    .await;
    (bench, consumers)
}

#[tokio::test]
async fn a_sum_that_differs_between_the_sides_hides_no_second_effect() {
    let (bench, _consumers) = adding(|message, _| if message.side == "ecs" { 10 } else { 11 }).await;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_fails("amount is 20, once gives 10");
    assert_eq!(judged.failed_schedules().len(), 10);
}

#[tokio::test]
async fn a_sum_that_is_never_the_same_is_no_pass() {
    let (bench, _consumers) = adding(|_, number| 1_000 + number).await;
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::ControlFailed, "a second effect would not show");
}

#[tokio::test]
async fn a_key_that_holds_nothing_but_the_last_id_is_no_pass() {
    let bench = counting().await;
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        let id = message.redis::<u64>(&["INCR", "last-payment"]).await.to_string();
        let name = format!("order:{}:payments", message.key);
        message.redis::<()>(&["SET", &name, &id]).await;
        message.ack().await;
    })
    .await;
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::ControlFailed, "a second effect would not show");
}

#[tokio::test]
async fn a_number_of_effects_that_varies_by_itself_is_no_pass() {
    let bench = counting().await;
    let _consumers = Tasks::start(&bench, |mut message: Message| async move {
        if message.is_first("all").await {
            message.book().await;
            // The key's last digit is that of a counter, and the sides take turns.
            if message.key.ends_with(['1', '2', '5', '6', '9']) {
                message.book().await;
            }
        }
        message.ack().await;
    })
    .await;
    let judged = bench.judge(HARMLESS).await;
    assert_eq!(judged.result.reason, Some(Reason::ControlFailed), "{}", judged.shown());
}

#[tokio::test]
async fn two_runs_at_the_same_time_do_not_disturb_each_other() {
    let (correct, faulty) = tokio::join!(Bench::rabbitmq(), Bench::rabbitmq());
    let _correct = correct.consumers("correct").await;
    let _faulty = faulty.consumers("faulty").await;
    let runs =
        tokio::join!(correct.judge(HARMLESS), correct.judge(HARMLESS), faulty.judge(HARMLESS), faulty.judge(HARMLESS));
    // A run may refuse a queue in which it meets the other's messages; what it says otherwise is right.
    for judged in [&runs.0, &runs.1] {
        if judged.result.reason != Some(Reason::PrerequisiteFailed) {
            judged.assert_passes();
        }
    }
    for judged in [&runs.2, &runs.3] {
        if judged.result.reason != Some(Reason::PrerequisiteFailed) {
            judged.assert_fails("A→ecs ; A'→ecs: payments has 2 rows, once gives 1");
        }
    }
    correct.assert_nothing_left().await;
    faulty.assert_nothing_left().await;
}

#[tokio::test]
async fn one_connection_that_reads_both_queues_is_not_two_sides() {
    let bench = counting().await;
    let connection = Arc::new(connect(&bench).await);
    let mut consumer = Tasks::default();
    for queue in &bench.queues {
        let once_per_queue = |mut message: Message| async move {
            if message.is_first("all").await {
                message.book().await;
            }
            message.ack().await;
        };
        consumer.consume(&bench, &connection, ("ecs", queue), once_per_queue).await;
    }
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::PrerequisiteFailed, "over the same connection");
}

#[tokio::test]
async fn one_queue_for_both_sides_is_refused() {
    let mut bench = Bench::rabbitmq().await;
    bench.settings["broker"]["rabbitmq"]["queues"]["eks"] = json!(bench.queues[0]);
    let _consumers = bench.consumers("per-side").await;
    for check in [OBSERVABLE, HARMLESS] {
        bench.judge(check).await.assert_cannot_tell(Reason::PrerequisiteFailed, "each side needs its own");
    }
}

#[tokio::test]
async fn an_exchange_is_used_only_if_each_key_leads_to_the_queue_of_its_side() {
    let mut bench = Bench::rabbitmq().await;
    let [ecs, eks] = bench.queues.clone();
    let exchange = format!("{ecs}-exchange");
    let connection = connect(&bench).await;
    let channel = connection.create_channel().await.unwrap();
    let (durable, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
    channel.exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, durable, none.clone()).await.unwrap();
    let bind = async |queue: &str, key: &str| {
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), exchange.as_str().into(), key.into(), options, none.clone()).await.unwrap();
    };
    bind(&ecs, "orders.ecs").await;
    bench.settings["broker"]["rabbitmq"]["exchange"] = json!(exchange);
    bench.settings["broker"]["rabbitmq"]["routingKeys"] = json!({ "ecs": "orders.ecs", "eks": "orders.eks" });
    let _consumers = bench.consumers("correct").await;
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::PrerequisiteFailed, "routes `orders.eks` to nothing");
    bind(&eks, "orders.eks").await;
    bench.judge(HARMLESS).await.assert_passes();
    bind(&ecs, "orders.#").await;
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::PrerequisiteFailed, "and not to this queue alone");
    bench.assert_nothing_left().await;
}

/// A bench whose queues reject to `dead`, with a message of others in it, and consumers that reject all after the first.
async fn rejecting(name: bool) -> (Bench, String, Tasks) {
    let mut bench = counting().await;
    let dead = format!("{}-dead", bench.queues[0]);
    bench.declare(&dead, FieldTable::default()).await;
    bench.send(&dead, "theirs").await;
    let queues = ["ecs", "eks"].map(|side| format!("{dead}-of-{side}"));
    for queue in &queues {
        bench.declare(queue, dead_lettering_to(&dead)).await;
    }
    bench.settings["broker"]["rabbitmq"]["queues"] = json!({ "ecs": queues[0], "eks": queues[1] });
    if name {
        bench.settings["broker"]["rabbitmq"]["deadLetters"] = json!([dead]);
    }
    bench.queues = queues;
    let consumers = Tasks::start(&bench, |mut message: Message| async move {
        if !message.is_first("all").await {
            return message.reject(false).await;
        }
        message.book().await;
        message.ack().await;
    })
    .await;
    (bench, dead, consumers)
}

#[tokio::test]
async fn a_copy_that_is_dead_lettered_fails_and_is_taken_back_from_there() {
    for name in [true, false] {
        let (bench, dead, _consumers) = rejecting(name).await;
        bench.judge(HARMLESS).await.assert_fails("ended in a dead-letter queue");
        bench.assert_nothing_left().await;
        let left: Vec<String> = bench.take(&dead).await.into_iter().map(|(body, _)| body).collect();
        assert_eq!(left, ["theirs"]);
    }
}

#[tokio::test]
async fn a_dead_letter_exchange_that_leads_to_a_queue_nobody_named_is_no_pass() {
    let mut bench = counting().await;
    let queues = ["ecs", "eks"].map(|side| format!("{}-rejecting-{side}", bench.queues[0]));
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("amq.fanout".into()));
    for queue in &queues {
        bench.declare(queue, arguments.clone()).await;
    }
    bench.settings["broker"]["rabbitmq"]["queues"] = json!({ "ecs": queues[0], "eks": queues[1] });
    let judged = bench.judge(HARMLESS).await;
    judged.assert_cannot_tell(Reason::PrerequisiteFailed, "rejects to exchange `amq.fanout`").assert_journal_empty();
    assert!(judged.result.observed.contains("`deadLetters`"), "{}", judged.result.observed);
}
