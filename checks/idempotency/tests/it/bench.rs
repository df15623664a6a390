//! One consumer under test: its queues, its processes, its settings, and what is on the servers afterwards.

use crate::consumer::Consumer;
use crate::judged::Judged;
use crate::lab::{Hold, Lab};
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use mysql_async::prelude::Queryable;
use preflight_cluster::{AwsAccess, AwsCredentials};
use preflight_core::{Event, ItemKind, Journal, Scope, Secret};
use preflight_fixtures::servers::Account;
use preflight_fixtures::sqs::{QueueSpec, SqsDouble, SqsOptions};
use preflight_idempotency::{CATALOGUE, Endpoint, Env, Management, Tls};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const OBSERVABLE: &str = "idempotency.effects-observable";
pub(crate) const HARMLESS: &str = "idempotency.duplicates-harmless";
pub(crate) const SIDES: [&str; 2] = ["ecs", "eks"];

const AWS_SECRET: &str = "canary-aws-secret";

/// The longest that one run of a check may take here.
const RUN_WITHIN: Duration = Duration::from_secs(60);

/// The queues of one consumer, on one broker.
pub(crate) struct Bench {
    pub(crate) lab: Hold,
    pub(crate) sqs: Option<SqsDouble>,
    /// The name of each side's queue.
    pub(crate) queues: [String; 2],
    pub(crate) endpoints: Vec<Endpoint>,
    /// The entry under `idempotency.consumers`.
    pub(crate) settings: Value,
    runs: Mutex<Vec<String>>,
}

fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:06x}{:06x}", std::process::id() & 0xff_ffff, NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Bench {
    /// A consumer of RabbitMQ.
    pub(crate) async fn rabbitmq() -> Self {
        let lab = Lab::shared().await;
        let tag = unique();
        let queues = SIDES.map(|side| format!("orders-{tag}-{side}"));
        let broker = json!({ "rabbitmq": { "endpoint": "rabbit", "queues": { "ecs": queues[0], "eks": queues[1] } } });
        let bench = Self::with(lab, None, queues, broker);
        for queue in &bench.queues {
            bench.declare(queue, FieldTable::default()).await;
        }
        bench
    }

    /// A consumer of SQS, with counts that do not lag.
    pub(crate) async fn sqs() -> Self {
        Self::sqs_of(
            SIDES.map(|side| QueueSpec::standard(format!("orders-{side}"))),
            SIDES.map(|side| format!("orders-{side}")),
        )
        .await
    }

    pub(crate) async fn sqs_of(specs: impl Into<Vec<QueueSpec>>, queues: [String; 2]) -> Self {
        let lab = Lab::shared().await;
        let double = SqsDouble::start(SqsOptions { queues: specs.into(), ..SqsOptions::default() }).await.unwrap();
        let urls = queues.clone().map(|name| double.queue_url(&name));
        let broker = json!({ "sqs": { "queues": { "ecs": urls[0], "eks": urls[1] } } });
        Self::with(lab, Some(double), queues, broker)
    }

    fn with(lab: Hold, sqs: Option<SqsDouble>, queues: [String; 2], broker: Value) -> Self {
        let endpoints = vec![
            Endpoint {
                management: Some(Management {
                    url: lab.rabbitmq.management().unwrap().to_owned(),
                    username: Some(lab.rabbitmq.observer().username.clone()),
                    password: Some(Secret::new(&lab.rabbitmq.observer().password)),
                }),
                ..endpoint("rabbit", lab.rabbitmq.address(), lab.rabbitmq.app())
            },
            Endpoint {
                database: Some(lab.mariadb.database().to_owned()),
                ..endpoint("orders-db", lab.mariadb.address(), lab.mariadb.app())
            },
            endpoint("cache", lab.redis.address(), lab.redis.app()),
        ];
        let settings = json!({
            "name": "orders",
            "broker": broker,
            "message": { "body": r#"{"orderId":"{key}","amount":10}"#, "headers": { "source": "preflight" } },
            "effects": [payments(), noted()],
            "settle": { "limitMs": 5_000, "floorMs": 250, "lastMs": 250 },
        });
        Self { lab, sqs, queues, endpoints, settings, runs: Mutex::default() }
    }

    /// A consumer for each side, both in this mode.
    pub(crate) async fn consumers(&self, mode: &str) -> [Consumer; 2] {
        let (ecs, eks) = tokio::join!(self.consumer(0, mode), self.consumer(1, mode));
        [ecs, eks]
    }

    /// A consumer for one side.
    pub(crate) async fn consumer(&self, side: usize, mode: &str) -> Consumer {
        Consumer::start(&self.variables(side, mode)).await
    }

    /// What a consumer is told.
    pub(crate) fn variables(&self, side: usize, mode: &str) -> BTreeMap<&'static str, String> {
        let lab = &self.lab;
        let mut variables = BTreeMap::from([
            ("CONSUMER_SIDE", SIDES[side].to_owned()),
            ("CONSUMER_MODE", mode.to_owned()),
            ("CONSUMER_MYSQL_URL", lab.mariadb.url(lab.mariadb.consumer())),
            ("CONSUMER_REDIS_URL", lab.redis.url(lab.redis.consumer())),
        ]);
        match &self.sqs {
            None => variables.extend([
                ("CONSUMER_BROKER", "rabbitmq".to_owned()),
                ("CONSUMER_QUEUE", self.queues[side].clone()),
                ("CONSUMER_RABBITMQ_URL", lab.rabbitmq.url(lab.rabbitmq.consumer())),
            ]),
            Some(double) => variables.extend([
                ("CONSUMER_BROKER", "sqs".to_owned()),
                ("CONSUMER_QUEUE", double.queue_url(&self.queues[side])),
                ("AWS_ENDPOINT_URL_SQS", double.url().to_owned()),
                ("AWS_REGION", "eu-west-1".to_owned()),
                ("AWS_ACCESS_KEY_ID", "AKIACONSUMER".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "consumer-secret".to_owned()),
            ]),
        }
        variables
    }

    /// The endpoint with this name, to change it.
    pub(crate) fn endpoint(&mut self, name: &str) -> &mut Endpoint {
        self.endpoints.iter_mut().find(|endpoint| endpoint.name == name).unwrap()
    }

    pub(crate) fn env(&self) -> Env {
        let credentials = AwsCredentials {
            access_key_id: "AKIATEST".to_owned(),
            secret_access_key: Secret::new(AWS_SECRET),
            session_token: None,
        };
        Env {
            settings: serde_json::from_value(json!({ "consumers": [self.settings] })).unwrap(),
            endpoints: self.endpoints.clone(),
            aws: AwsAccess {
                region: Some("eu-west-1".to_owned()),
                credentials: Some(credentials),
                ..AwsAccess::default()
            },
        }
    }

    /// Runs a check to its end.
    pub(crate) async fn judge(&self, check: &str) -> Judged {
        self.judge_while(check, |_, _| ()).await
    }

    /// Runs a check and calls `told` with every progress, which may cancel it: rounds done, and the scope.
    pub(crate) async fn judge_while(&self, check: &str, told: impl Fn(u64, &Scope) + Send + Sync + 'static) -> Judged {
        self.judge_with(check, told, |_| ()).await
    }

    async fn judge_with(
        &self,
        check: &str,
        told: impl Fn(u64, &Scope) + Send + Sync + 'static,
        begun: impl FnOnce(&Scope),
    ) -> Judged {
        let run_id = format!("0198c9f2-71ab-7000-8000-{}", unique());
        self.runs.lock().unwrap().push(run_id[run_id.len() - 12..].to_owned());
        let journal = Journal::in_memory(&run_id);
        let scope: Arc<Mutex<Option<Scope>>> = Arc::default();
        let events: Arc<Mutex<Vec<String>>> = Arc::default();
        let measurement: Arc<Mutex<Value>> = Arc::default();
        let sink = {
            let (scope, events, measurement) = (scope.clone(), events.clone(), measurement.clone());
            move |_: &str, event: Event| {
                events.lock().unwrap().push(format!("{event:?}"));
                match event {
                    Event::Progress { done, .. } => told(done, scope.lock().unwrap().as_ref().unwrap()),
                    Event::Measurement { value, .. } => *measurement.lock().unwrap() = value,
                    _ => {}
                }
            }
        };
        let own = Scope::new(&run_id, RUN_WITHIN, journal.clone(), sink);
        *scope.lock().unwrap() = Some(own.clone());
        begun(&own);
        let entry = CATALOGUE.iter().find(|entry| entry.meta.id == check).unwrap();
        let item = (entry.items)(&self.env()).remove(0);
        let ItemKind::Planned(work) = item.kind else { panic!("it is not planned") };
        let result = preflight_core::judge(entry.meta, &item.subject, work, &own).await;
        let told = format!("{} {}", serde_json::to_string(&result).unwrap(), events.lock().unwrap().join("\n"));
        for secret in self.secrets() {
            assert!(!told.contains(&secret), "a password was told: {told}");
        }
        let measurement = measurement.lock().unwrap().take();
        Judged { result, measurement, journal }
    }

    /// Runs a check and cancels it when something has happened.
    pub(crate) async fn judge_until(&self, check: &str, happened: impl Future<Output = ()>) -> Judged {
        let (scope, given) = std::sync::mpsc::channel::<Scope>();
        let scope = Mutex::new(scope);
        let run = self.judge_with(check, |_, _| (), move |own| drop(scope.lock().unwrap().send(own.clone())));
        let cancel = async {
            happened.await;
            given.recv().unwrap().cancel();
        };
        tokio::join!(run, cancel).0
    }

    fn runs(&self) -> Vec<String> {
        self.runs.lock().unwrap().clone()
    }

    fn secrets(&self) -> Vec<String> {
        let of_endpoints = self.endpoints.iter().filter_map(|endpoint| endpoint.password.as_ref());
        let mut secrets: Vec<String> = of_endpoints.map(|secret| secret.reveal().to_owned()).collect();
        secrets.push(AWS_SECRET.to_owned());
        secrets
    }

    /// Nothing of any run of this bench is on the servers: no row, no key, no message.
    pub(crate) async fn assert_nothing_left(&self) {
        for run in self.runs() {
            assert_eq!(self.rows("payments", "order_id", &run).await, 0, "rows in payments");
            assert_eq!(self.rows("inbox", "message_key", &run).await, 0, "rows in inbox");
            assert_eq!(self.redis_keys(&run).await, Vec::<String>::new());
        }
        // RabbitMQ's own count of what consumers hold is up to ten seconds old.
        let empty = async {
            while self.messages().await != [0, 0] {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), empty).await.is_ok(), "{:?}", self.messages().await);
    }

    /// Rows of any run of this bench in `payments`.
    pub(crate) async fn payments(&self) -> u64 {
        let mut total = 0;
        for run in self.runs() {
            total += self.rows("payments", "order_id", &run).await;
        }
        total
    }

    /// A session of the database's administrator.
    pub(crate) async fn admin_of_mariadb(&self) -> mysql_async::Conn {
        let lab = &self.lab.mariadb;
        mysql_async::Conn::from_url(lab.url(lab.admin())).await.unwrap()
    }

    async fn rows(&self, table: &str, column: &str, run: &str) -> u64 {
        let mut conn = self.admin_of_mariadb().await;
        let count = format!("SELECT COUNT(*) FROM {table} WHERE {column} LIKE '%pf-{run}%'");
        let exists = format!(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop' AND table_name = '{table}'"
        );
        let there: Option<u64> = conn.query_first(exists).await.unwrap();
        let rows = if there == Some(0) { Some(0) } else { conn.query_first(count).await.unwrap() };
        conn.disconnect().await.unwrap();
        rows.unwrap()
    }

    /// Keys of any run of this bench in Redis.
    pub(crate) async fn left_in_redis(&self) -> Vec<String> {
        let mut left = Vec::new();
        for run in self.runs() {
            left.extend(self.redis_keys(&run).await);
        }
        left
    }

    async fn redis_keys(&self, run: &str) -> Vec<String> {
        let lab = &self.lab.redis;
        let client = redis::Client::open(lab.url(lab.admin())).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("KEYS").arg(format!("*pf-{run}*")).query_async(&mut connection).await.unwrap()
    }

    /// How many messages lie in each side's queue, those in a consumer's hands included.
    pub(crate) async fn messages(&self) -> [u64; 2] {
        let mut counts = [0; 2];
        for (count, queue) in counts.iter_mut().zip(&self.queues) {
            *count = match &self.sqs {
                Some(double) => double.handle().messages(queue).len() as u64,
                None => {
                    let path = format!("/api/queues/%2F/{queue}");
                    let queue = self.lab.rabbitmq.api(http::Method::GET, &path, None).await.unwrap();
                    queue["messages"].as_u64().unwrap_or_default()
                }
            };
        }
        counts
    }

    pub(crate) async fn channel(&self) -> (Connection, Channel) {
        let lab = &self.lab.rabbitmq;
        let connection = Connection::connect(&lab.url(lab.admin()), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        (connection, channel)
    }

    /// Makes a queue on RabbitMQ.
    pub(crate) async fn declare(&self, queue: &str, arguments: FieldTable) {
        let (connection, channel) = self.channel().await;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), durable, arguments).await.unwrap();
        connection.close(200, "OK".into()).await.unwrap();
    }

    /// Puts a message into a queue that this tool has nothing to do with.
    pub(crate) async fn send(&self, queue: &str, body: &str) {
        let (connection, channel) = self.channel().await;
        let published = channel.basic_publish(
            "".into(),
            queue.into(),
            BasicPublishOptions::default(),
            body.as_bytes(),
            BasicProperties::default(),
        );
        assert!(published.await.unwrap().await.unwrap().is_ack());
        connection.close(200, "OK".into()).await.unwrap();
    }

    /// Takes every message out of a queue: its body, and whether anybody had it before.
    pub(crate) async fn take(&self, queue: &str) -> Vec<(String, bool)> {
        let (connection, channel) = self.channel().await;
        let mut taken = Vec::new();
        while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap() {
            taken.push((String::from_utf8(message.delivery.data).unwrap(), message.delivery.redelivered));
        }
        connection.close(200, "OK".into()).await.unwrap();
        taken
    }
}

/// The effect in MariaDB.
pub(crate) fn payments() -> Value {
    json!({ "mysql": {
        "endpoint": "orders-db",
        "query": "SELECT id, amount, side, created_at FROM payments WHERE order_id = :key",
        "cleanup": [
            "DELETE FROM payments WHERE order_id = :key",
            "DELETE FROM inbox WHERE message_key = :key",
            "DELETE FROM inbox WHERE message_key LIKE CONCAT('%/', :key)",
        ],
    } })
}

/// The effect in Redis.
pub(crate) fn noted() -> Value {
    json!({ "redis": { "endpoint": "cache", "keys": ["order:{key}:payments"] } })
}

/// An endpoint in plain text.
pub(crate) fn endpoint(name: &str, address: SocketAddr, account: &Account) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        host: address.ip().to_string(),
        port: address.port(),
        username: Some(account.username.clone()),
        password: Some(Secret::new(&account.password)),
        database: None,
        vhost: None,
        tls: Tls::Off,
        management: None,
    }
}

/// Queue arguments that send what is rejected to another queue.
pub(crate) fn dead_lettering_to(queue: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
    arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(queue.into()));
    arguments
}
