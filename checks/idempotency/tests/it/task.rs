//! Consumers as tasks of a test, for what the sample consumer does not do: they do to each message what the test says.

use crate::bench::{Bench, SIDES};
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicRejectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use tokio::task::{JoinHandle, JoinSet};

/// One delivery, and what a consumer needs to deal with it.
pub(crate) struct Message {
    pub(crate) side: &'static str,
    /// The business key.
    pub(crate) key: String,
    redis: MultiplexedConnection,
    delivery: Delivery,
}

impl Message {
    /// Sends a command to Redis.
    pub(crate) async fn redis<T: redis::FromRedisValue>(&mut self, command: &[&str]) -> T {
        let mut sent = redis::cmd(command[0]);
        sent.arg(&command[1..]);
        sent.query_async(&mut self.redis).await.unwrap()
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let headers = self.delivery.properties.headers().as_ref()?;
        Some(headers.inner().get(name)?.as_long_string()?.to_string())
    }

    /// Remembers the key for ever. True the first time; `place` keeps memories apart.
    pub(crate) async fn is_first(&mut self, place: &str) -> bool {
        let name = format!("seen:{place}:{}", self.key);
        self.redis::<Option<String>>(&["SET", &name, "1", "NX"]).await.is_some()
    }

    /// Counts the payment.
    pub(crate) async fn book(&mut self) {
        let name = format!("order:{}:payments", self.key);
        self.redis::<u64>(&["INCR", &name]).await;
    }

    pub(crate) async fn ack(&self) {
        // The broker may have been left in the meantime: the test is over.
        let _ = self.delivery.ack(BasicAckOptions::default()).await;
    }

    pub(crate) async fn reject(&self, requeue: bool) {
        let _ = self.delivery.reject(BasicRejectOptions { requeue }).await;
    }
}

/// Consumers that end when this is dropped.
#[derive(Default)]
pub(crate) struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Tasks {
    /// One consumer for each side, on a connection of its own; messages are handled at the same time.
    pub(crate) async fn start<F, D>(bench: &Bench, does: D) -> Self
    where
        D: Fn(Message) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut tasks = Self::default();
        for (side, queue) in SIDES.into_iter().zip(&bench.queues) {
            let connection = Arc::new(connect(bench).await);
            tasks.consume(bench, &connection, (side, queue), does.clone()).await;
        }
        tasks
    }

    /// One more consumer, on this connection: what it calls itself, and what it reads.
    pub(crate) async fn consume<F, D>(
        &mut self,
        bench: &Bench,
        connection: &Arc<Connection>,
        (side, queue): (&'static str, &str),
        does: D,
    ) where
        D: Fn(Message) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let lab = &bench.lab.redis;
        let client = redis::Client::open(lab.url(lab.admin())).unwrap();
        let redis = client.get_multiplexed_async_connection().await.unwrap();
        let channel: Channel = connection.create_channel().await.unwrap();
        let consuming =
            channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
        let mut deliveries = consuming.await.unwrap();
        let connection = Arc::clone(connection);
        self.0.push(tokio::spawn(async move {
            let _alive = (connection, channel);
            let mut working = JoinSet::new();
            while let Some(Ok(delivery)) = deliveries.next().await {
                let order: serde_json::Value = serde_json::from_slice(&delivery.data).unwrap();
                let key = order["orderId"].as_str().unwrap().to_owned();
                working.spawn(does(Message { side, key, redis: redis.clone(), delivery }));
            }
        }));
    }
}

/// A connection as the administrator, who may consume everything.
pub(crate) async fn connect(bench: &Bench) -> Connection {
    let lab = &bench.lab.rabbitmq;
    Connection::connect(&lab.url(lab.admin()), ConnectionProperties::default()).await.unwrap()
}
