//! A run that is stopped in the middle says nothing, and takes back what it brought.

use crate::bench::{Bench, HARMLESS, OBSERVABLE};
use crate::task::{Message, Tasks};
use preflight_core::Reason;
use std::time::Duration;

#[tokio::test]
async fn a_run_that_is_cancelled_between_two_copies_leaves_nothing() {
    let bench = Bench::rabbitmq().await;
    let _consumers = bench.consumers("faulty").await;
    let judged = bench.judge_while(HARMLESS, |done, scope| {
        if done == 2 {
            scope.cancel();
        }
    });
    judged.await.assert_cannot_tell(Reason::Interrupted, "interrupted").assert_journal_empty();
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_at_its_first_effect_leaves_nothing() {
    for check in [OBSERVABLE, HARMLESS] {
        let bench = Bench::rabbitmq().await;
        let _consumers = bench.consumers("correct").await;
        let effect = async {
            while bench.payments().await == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let judged = bench.judge_until(check, effect).await;
        judged.assert_cannot_tell(Reason::Interrupted, "interrupted").assert_journal_empty();
        bench.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn effects_of_messages_that_were_in_a_consumers_hands_are_removed_too() {
    let bench = Bench::rabbitmq().await;
    let (took, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let _consumers = Tasks::start(&bench, move |mut message: Message| {
        let took = took.clone();
        async move {
            let _ = took.send(());
            tokio::time::sleep(Duration::from_millis(300)).await;
            message.book().await;
            message.ack().await;
        }
    })
    .await;
    let judged = bench.judge_until(HARMLESS, async { taken.recv().await.unwrap() }).await;
    judged.assert_cannot_tell(Reason::Interrupted, "interrupted").assert_journal_empty();
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn messages_that_nobody_took_yet_are_taken_back_on_sqs() {
    let bench = Bench::sqs().await;
    let handle = bench.sqs.as_ref().unwrap().handle();
    let sent = async {
        let all = |handle: &preflight_fixtures::sqs::SqsHandle| !handle.messages("orders-eks").is_empty();
        assert!(handle.wait_until(Duration::from_secs(10), all).await);
    };
    let judged = bench.judge_until(OBSERVABLE, sent).await;
    judged.assert_cannot_tell(Reason::Interrupted, "interrupted").assert_journal_empty();
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn messages_of_somebody_else_stay_when_own_ones_are_taken_back() {
    let mut bench = Bench::rabbitmq().await;
    bench.settings["settle"]["limitMs"] = serde_json::json!(1_000);
    let queue = bench.queues[1].clone();
    let consumers = bench.consumers("correct").await;
    let (first_round, mut is_done) = tokio::sync::mpsc::unbounded_channel();
    let judged = bench.judge_while(HARMLESS, move |done, _| {
        if done == 1 {
            let _ = first_round.send(());
        }
    });
    let (judged, ()) = tokio::join!(judged, async {
        is_done.recv().await.unwrap();
        drop(consumers);
        for body in ["theirs 1", "theirs 2"] {
            bench.send(&queue, body).await;
        }
    });
    judged.assert_cannot_tell(Reason::PrerequisiteFailed, "no consumer is attached").assert_journal_empty();
    let left: Vec<String> = bench.take(&queue).await.into_iter().map(|(body, _)| body).collect();
    assert_eq!(left, ["theirs 1", "theirs 2"]);
    bench.assert_nothing_left().await;
}
