//! What keeps the checks from telling. None of it may read as a pass, and none may touch what belongs to others.

use crate::bench::{Bench, HARMLESS, OBSERVABLE, endpoint, noted};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use mysql_async::prelude::Queryable;
use preflight_core::{Reason, Secret};
use preflight_fixtures::servers::{Redis, RedisOptions};
use serde_json::json;
use std::net::TcpListener;
use std::time::Duration;

#[tokio::test]
async fn a_queue_that_nobody_reads_is_refused_before_anything_is_sent() {
    let bench = Bench::rabbitmq().await;
    let _ecs = bench.consumer(0, "correct").await;
    for check in [OBSERVABLE, HARMLESS] {
        let judged = bench.judge(check).await;
        judged.assert_cannot_tell(Reason::PrerequisiteFailed, "eks: no consumer is attached").assert_journal_empty();
    }
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_consumer_that_dies_on_the_way_is_no_pass_and_its_messages_are_taken_back() {
    let mut bench = Bench::rabbitmq().await;
    bench.settings["settle"]["limitMs"] = json!(1_000);
    let [_ecs, eks] = bench.consumers("correct").await;
    let eks = std::sync::Mutex::new(Some(eks));
    let judged = bench.judge_while(HARMLESS, move |done, _| {
        if done == 1 {
            drop(eks.lock().unwrap().take());
        }
    });
    judged.await.assert_cannot_tell(Reason::PrerequisiteFailed, "eks: no consumer is attached").assert_journal_empty();
    bench.assert_nothing_left().await;
}

/// Waits until a queue has a message that nobody holds.
async fn wait_for_message(bench: &Bench, queue: &str) {
    let (connection, channel) = bench.channel().await;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let there = async {
        while channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap().message_count() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), there).await.is_ok(), "{queue} has no message");
    connection.close(200, "OK".into()).await.unwrap();
}

#[tokio::test]
async fn a_consumer_that_hangs_with_messages_is_no_pass_and_what_it_holds_stays_in_the_journal() {
    let mut bench = Bench::rabbitmq().await;
    bench.settings["settle"]["limitMs"] = json!(1_000);
    let [_ecs, eks] = bench.consumers("correct").await;
    eks.freeze();
    let judged = bench.judge_while(OBSERVABLE, |_, _| ()).await;
    judged.assert_cannot_tell(Reason::Timeout, "in a consumer's hands");
    assert!(!judged.journal.open().is_empty());
    eks.kill().await;
    // The broker hears of its end a moment later, and only then has what it held.
    wait_for_message(&bench, &bench.queues[1]).await;
    let (open, env) = (judged.journal.open(), bench.env());
    // One after the other, as `cleanup` does: to look at a message is to hold it for a moment.
    for entry in &open {
        preflight_idempotency::remove(entry, &env).await.unwrap();
    }
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn messages_of_somebody_else_are_neither_consumed_nor_looked_at() {
    let bench = Bench::rabbitmq().await;
    let queue = bench.queues[1].clone();
    let _ecs = bench.consumer(0, "correct").await;
    bench.send(&queue, "theirs").await;
    for check in [OBSERVABLE, HARMLESS] {
        let judged = bench.judge(check).await;
        judged.assert_cannot_tell(Reason::PrerequisiteFailed, "is not empty (1 waiting").assert_journal_empty();
    }
    assert_eq!(bench.take(&queue).await, [("theirs".to_owned(), false)]);
    assert_eq!(bench.take(&bench.queues[0]).await, []);
}

#[tokio::test]
async fn a_probe_that_looks_in_the_wrong_place_is_no_pass() {
    let mut bench = Bench::rabbitmq().await;
    bench.settings["settle"]["limitMs"] = json!(1_000);
    bench.settings["effects"][0]["mysql"]["query"] =
        json!("SELECT id FROM payments WHERE order_id = CONCAT('other-', :key)");
    bench.settings["effects"][0]["mysql"]["name"] = json!("elsewhere");
    let _consumers = bench.consumers("faulty").await;
    bench.judge(OBSERVABLE).await.assert_cannot_tell(Reason::ControlFailed, "none changed elsewhere");
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::ControlFailed, "elsewhere did not change");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_probe_that_sees_the_messages_of_others_is_no_pass() {
    let mut bench = Bench::rabbitmq().await;
    bench.settings["effects"][0]["mysql"]["query"] =
        json!("SELECT COUNT(*) AS n FROM payments WHERE order_id LIKE CONCAT(LEFT(:key, 15), '%')");
    let _consumers = bench.consumers("correct").await;
    for check in [OBSERVABLE, HARMLESS] {
        bench.judge(check).await.assert_cannot_tell(Reason::ControlFailed, "does not tell messages apart");
    }
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_side_that_writes_elsewhere_fails() {
    let mut bench = Bench::rabbitmq().await;
    bench.settings["settle"]["limitMs"] = json!(1_000);
    let folder = tempfile::tempdir().unwrap();
    let other = Redis::start(folder.path(), RedisOptions::default()).await.unwrap();
    let _ecs = bench.consumer(0, "correct").await;
    let mut variables = bench.variables(1, "correct");
    variables.insert("CONSUMER_REDIS_URL", other.url(other.consumer()));
    let _eks = crate::consumer::Consumer::start(&variables).await;
    bench.judge(OBSERVABLE).await.assert_fails("A→eks was handled and order:{key}:payments did not change");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_wrong_password_is_forbidden_whatever_it_is_for() {
    let mut bench = Bench::rabbitmq().await;
    let _consumers = bench.consumers("correct").await;
    for name in ["orders-db", "cache", "rabbit"] {
        let right = bench.endpoint(name).password.replace(Secret::new("canary-password"));
        let judged = bench.judge(HARMLESS).await;
        judged.assert_cannot_tell(Reason::Forbidden, name).assert_journal_empty();
        bench.endpoint(name).password = right;
    }
    bench.endpoint("rabbit").management.as_mut().unwrap().password = Some(Secret::new("canary-password"));
    let judged = bench.judge(HARMLESS).await;
    judged.assert_cannot_tell(Reason::Forbidden, "management API").assert_journal_empty();
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let mut bench = Bench::rabbitmq().await;
    let _consumers = bench.consumers("correct").await;
    for name in ["orders-db", "cache", "rabbit"] {
        // Nobody listens there once the listener is gone.
        let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let right = std::mem::replace(&mut bench.endpoint(name).port, nowhere);
        let judged = bench.judge(HARMLESS).await;
        judged.assert_cannot_tell(Reason::Unreachable, name).assert_journal_empty();
        bench.endpoint(name).port = right;
    }
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_store_that_stops_on_the_way_is_unreachable_and_the_journal_keeps_what_is_there() {
    let mut bench = Bench::rabbitmq().await;
    let folder = tempfile::tempdir().unwrap();
    let own = Redis::start(folder.path(), RedisOptions::default()).await.unwrap();
    *bench.endpoint("cache") = endpoint("cache", own.address(), own.app());
    bench.settings["effects"] = json!([noted()]);
    let mut consumers = Vec::new();
    for side in 0..2 {
        let mut variables = bench.variables(side, "correct");
        variables.insert("CONSUMER_REDIS_URL", own.url(own.consumer()));
        consumers.push(crate::consumer::Consumer::start(&variables).await);
    }
    let own = std::sync::Mutex::new(Some(own));
    let judged = bench.judge_while(HARMLESS, move |done, _| {
        if done == 1 {
            drop(own.lock().unwrap().take());
        }
    });
    let judged = judged.await;
    judged.assert_cannot_tell(Reason::Unreachable, "cache");
    assert!(judged.result.observed.contains("eks-preflight cleanup"));
    assert!(!judged.journal.open().is_empty());
}

#[tokio::test]
async fn a_table_that_is_not_there_is_a_missing_prerequisite() {
    let mut bench = Bench::rabbitmq().await;
    bench.settings["effects"][0]["mysql"]["query"] = json!("SELECT id FROM nothing WHERE order_id = :key");
    let _consumers = bench.consumers("correct").await;
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::PrerequisiteFailed, "nothing");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_removal_that_fails_stops_no_other_one_and_says_what_was_attempted() {
    let mut bench = Bench::rabbitmq().await;
    let own = bench.settings["effects"][0]["mysql"]["cleanup"].as_array().unwrap().clone();
    let broken = [
        (json!("DELETE FROM nothing WHERE order_id = :key"), Reason::PrerequisiteFailed, "nothing"),
        (json!("DELETE FROM mysql.user WHERE User = :key"), Reason::Forbidden, "denied"),
        (json!("DELETE FROM payments WHERE order_id = :key LIMIT"), Reason::PrerequisiteFailed, "syntax"),
    ];
    let _consumers = bench.consumers("correct").await;
    for (statement, reason, answered) in broken {
        let all = [vec![statement.clone()], own.clone()].concat();
        bench.settings["effects"][0]["mysql"]["cleanup"] = json!(all);
        let judged = bench.judge(HARMLESS).await;
        judged.assert_cannot_tell(reason, statement.as_str().unwrap());
        let said = &judged.result.observed;
        assert!(said.contains("orders-db") && said.contains(answered), "{said}");
        assert!(!said.contains("cannot be reached") && !judged.journal.open().is_empty(), "{said}");
        bench.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn a_removal_that_compares_the_key_with_a_number_takes_no_row_of_others() {
    let mut bench = Bench::rabbitmq().await;
    let _consumers = bench.consumers("correct").await;
    let theirs = format!("theirs-{}", bench.queues[0]);
    let mut conn = bench.admin_of_mariadb().await;
    let booked = format!("INSERT INTO payments (order_id, amount, side) VALUES ('{theirs}', 0, 'ecs')");
    conn.query_drop(booked).await.unwrap();
    let statements = json!(["DELETE FROM payments WHERE amount = :key", "DELETE FROM payments WHERE id IN (:key)"]);
    bench.settings["effects"][0]["mysql"]["cleanup"] = statements;
    bench.judge(HARMLESS).await.assert_cannot_tell(Reason::PrerequisiteFailed, "orders-db");
    let left: Option<u64> =
        conn.query_first(format!("SELECT COUNT(*) FROM payments WHERE order_id = '{theirs}'")).await.unwrap();
    assert_eq!(left, Some(1));
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_removal_that_does_not_answer_stops_no_other_one() {
    let mut bench = Bench::rabbitmq().await;
    let _consumers = bench.consumers("correct").await;
    let slow = "DELETE FROM payments WHERE order_id = :key AND SLEEP(20) = 1";
    bench.settings["effects"][0]["mysql"]["cleanup"] = json!([slow]);
    let judged = bench.judge(HARMLESS).await;
    judged.assert_cannot_tell(Reason::Timeout, "orders-db: not within");
    assert_eq!(bench.left_in_redis().await, Vec::<String>::new());
    assert_eq!(bench.messages().await, [0, 0]);
}

#[tokio::test]
async fn without_the_management_api_nobody_knows_what_a_consumer_holds() {
    let mut bench = Bench::rabbitmq().await;
    bench.endpoint("rabbit").management = None;
    let judged = bench.judge(HARMLESS).await;
    judged.assert_cannot_tell(Reason::PrerequisiteFailed, "management API").assert_journal_empty();
}
