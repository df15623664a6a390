//! RabbitMQ: one test queue for each side, copies by publishing again.
//!
//! A copy with the same id carries the same `message_id` property; the broker's `redelivered` flag stays false, because
//! nothing was returned to the queue. That a copy arrived is seen from the queue: it is empty again and has a consumer.
//! AMQP does not tell how many messages a consumer holds unacknowledged, nor where an exchange routes to; both are read
//! from the management API.

use super::lever::{CONNECT_LIMIT, WITHDRAW_MAX, carries_any};
use super::management::Management;
use super::{BrokerError, Depth, Lever, Outgoing, Sides, Withdrawn};
use crate::env::{Endpoint, Env, Tls};
use crate::schedule::{Identity, Side};
use futures::future::BoxFuture;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind};
use preflight_core::Right;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Large enough for any test message's frames, and small enough that a connection stays light.
const FRAME_BYTES_MAX: u32 = 131_072;

/// RabbitMQ.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rabbitmq {
    /// The endpoint of engine `rabbitmq`.
    pub endpoint: String,
    /// The test queue of each side.
    pub queues: Sides<String>,
    /// The exchange to publish to; absent means the default one, which takes a queue's name as routing key. It must
    /// route to the side's test queue and to nothing else.
    #[serde(default)]
    pub exchange: String,
    /// The routing key of each side; absent means the name of its queue.
    #[serde(default)]
    pub routing_keys: Option<Sides<String>>,
    /// Queues that rejected messages end in. A message that arrives there during the check fails it. One to which the
    /// default exchange leads is watched without being named here.
    #[serde(default)]
    pub dead_letters: Vec<String>,
}

struct RabbitmqLever {
    settings: Rabbitmq,
    connection: Connection,
    publisher: Channel,
    observer: Channel,
    endpoint: Endpoint,
    /// There after [`Lever::prepare`]: removing does without it.
    management: Option<Management>,
}

impl Rabbitmq {
    pub(crate) fn endpoint(&self) -> Option<&str> {
        Some(&self.endpoint)
    }

    /// None: the broker is asked with an account of its own.
    pub(crate) fn rights(&self, _region: Option<&str>) -> Vec<Right> {
        vec![]
    }

    pub(crate) async fn open(&self, env: &Env) -> Result<Box<dyn Lever>, BrokerError> {
        let endpoint =
            env.endpoint(&self.endpoint).ok_or_else(|| BrokerError::EndpointMissing(self.endpoint.clone()))?;
        let name = endpoint.name.as_str();
        let connecting = async {
            let connection = connect(endpoint).await?;
            let publisher = connection.create_channel().await.map_err(|error| broker_error(name, &error))?;
            publisher
                .confirm_select(ConfirmSelectOptions::default())
                .await
                .map_err(|error| broker_error(name, &error))?;
            let observer = connection.create_channel().await.map_err(|error| broker_error(name, &error))?;
            let (settings, endpoint) = (self.clone(), endpoint.clone());
            Ok(RabbitmqLever { settings, connection, publisher, observer, endpoint, management: None })
        };
        match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
            Ok(lever) => lever.map(|lever| Box::new(lever) as Box<dyn Lever>),
            Err(_) => Err(BrokerError::Unreachable {
                broker: name.to_owned(),
                detail: format!("no AMQP connection within {} ms", CONNECT_LIMIT.as_millis()),
            }),
        }
    }
}

async fn connect(endpoint: &Endpoint) -> Result<Connection, BrokerError> {
    let userinfo = AMQPUserInfo {
        username: endpoint.username.clone().unwrap_or_default(),
        password: endpoint.password.as_ref().map(|secret| secret.reveal().to_owned()).unwrap_or_default(),
    };
    let uri = AMQPUri {
        scheme: if endpoint.tls == Tls::Off { AMQPScheme::AMQP } else { AMQPScheme::AMQPS },
        authority: AMQPAuthority { userinfo, host: endpoint.host.clone(), port: endpoint.port },
        vhost: endpoint.vhost.clone().unwrap_or_else(|| "/".to_owned()),
        query: AMQPQueryString { frame_max: Some(FRAME_BYTES_MAX), ..AMQPQueryString::default() },
    };
    let mut tls = OwnedTLSConfig::default();
    if let Tls::Authority(path) = &endpoint.tls {
        let pem = tokio::fs::read_to_string(path).await.map_err(|error| BrokerError::Unsendable {
            what: format!("the authority `{}` of {}", path.display(), endpoint.name),
            detail: error.to_string(),
        })?;
        tls.cert_chain = Some(pem);
    }
    let properties = ConnectionProperties::default().with_connection_name("eks-preflight".into());
    let runtime = lapin::runtime::default_runtime().map_err(|error| broker_error(&endpoint.name, &error))?;
    let connecting = Connection::connect_uri_with_config(uri, properties, tls, runtime);
    connecting.await.map_err(|error| broker_error(&endpoint.name, &error))
}

fn broker_error(broker: &str, error: &lapin::Error) -> BrokerError {
    let (broker, detail) = (broker.to_owned(), error.to_string());
    match error.kind() {
        ErrorKind::ProtocolError(answer) => match answer.get_id() {
            404 => BrokerError::Queue { queue: broker, detail: answer.get_message().to_string() },
            403 | 530 => BrokerError::Refused { broker, detail: answer.get_message().to_string() },
            _ => BrokerError::Unreachable { broker, detail },
        },
        ErrorKind::AuthProviderError(_) => BrokerError::Refused { broker, detail },
        _ => BrokerError::Unreachable { broker, detail },
    }
}

fn short(what: &str, text: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(text.to_owned()).map_err(|_| BrokerError::Unsendable {
        what: format!("{what} `{text}`"),
        detail: "AMQP allows 255 bytes".to_owned(),
    })
}

impl RabbitmqLever {
    fn routing_key(&self, side: Side) -> &str {
        self.settings.routing_keys.as_ref().map_or(self.settings.queues.of(side), |keys| keys.of(side))
    }

    /// Refuses an exchange that routes anywhere else than to the test queue of the side: a copy for one side would reach
    /// the other, or a service that has nothing to do with the test. The default exchange takes a queue's name alone.
    async fn follow_exchange(&self, management: &Management) -> Result<(), BrokerError> {
        for side in Side::BOTH {
            let (queue, key) = (self.settings.queues.of(side), self.routing_key(side));
            let routed = match self.settings.exchange.as_str() {
                "" => [key.to_owned()].into(),
                exchange => management.routed(exchange, key).await?,
            };
            if !routed.iter().eq([queue]) {
                let routed: Vec<String> = routed.iter().map(|name| format!("`{name}`")).collect();
                let routed = if routed.is_empty() { "nothing".to_owned() } else { routed.join(", ") };
                return Err(BrokerError::Queue {
                    queue: queue.clone(),
                    detail: format!(
                        "exchange `{}` routes `{key}` to {routed}, and not to this queue alone",
                        self.settings.exchange
                    ),
                });
            }
        }
        Ok(())
    }

    /// Where a queue puts what is rejected, where that is one queue that is not watched yet.
    async fn dead_letter_queue(&self, management: &Management, side: Side) -> Result<Option<String>, BrokerError> {
        let queue = self.settings.queues.of(side);
        let Some(letters) = management.dead_letters(queue).await? else { return Ok(None) };
        let key = letters.routing_key.as_deref().unwrap_or(self.routing_key(side));
        let is_watched = |name: &String| self.settings.dead_letters.contains(name);
        if letters.exchange.is_empty() {
            let target = key.to_owned();
            if is_watched(&target) {
                return Ok(None);
            }
            let there = management.exists(&target).await;
            return there
                .map(|()| Some(target.clone()))
                .map_err(|error| error.of_dead_letters(queue, &format!("queue `{target}`")));
        }
        let target = format!("exchange `{}` with routing key `{key}`", letters.exchange);
        let routed = management.routed(&letters.exchange, key).await;
        let routed = routed.map_err(|error| error.of_dead_letters(queue, &target))?;
        if !routed.is_empty() && routed.iter().all(is_watched) {
            return Ok(None);
        }
        let unlisted: Vec<String> =
            routed.iter().filter(|name| !is_watched(name)).map(|name| format!("`{name}`")).collect();
        let to = if unlisted.is_empty() { "nothing".to_owned() } else { unlisted.join(", ") };
        Err(BrokerError::DeadLetters(format!("it routes to {to}")).of_dead_letters(queue, &target))
    }

    async fn publish_confirmed(&self, side: Side, copy: &Outgoing) -> Result<(), BrokerError> {
        let queue = self.settings.queues.of(side);
        let routing_key = self.routing_key(side);
        let mut headers = FieldTable::default();
        for (name, value) in &copy.headers {
            headers.insert(short("header", name)?, AMQPValue::LongString(value.as_str().into()));
        }
        let properties = BasicProperties::default()
            .with_content_type(short("content type", &copy.content_type)?)
            .with_message_id(short("message id", &copy.message_id)?)
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (short("exchange", &self.settings.exchange)?, short("routing key", routing_key)?);
        let sent = self.publisher.basic_publish(exchange, key, options, copy.body.as_bytes(), properties);
        let error = |error| broker_error(queue, &error);
        let confirmation = sent.await.map_err(error)?.await.map_err(error)?;
        if !confirmation.is_ack() {
            return Err(BrokerError::Queue {
                queue: queue.clone(),
                detail: "the broker did not take a message".to_owned(),
            });
        }
        match confirmation.take_message() {
            None => Ok(()),
            Some(returned) => Err(BrokerError::Queue {
                queue: queue.clone(),
                detail: format!(
                    "a message to exchange `{}` with routing key `{routing_key}` was returned: {}",
                    self.settings.exchange, returned.reply_text
                ),
            }),
        }
    }

    async fn declared(&self, queue: &str) -> Result<Depth, BrokerError> {
        let passive = QueueDeclareOptions::default().passive();
        let declared = self.observer.queue_declare(short("queue", queue)?, passive, FieldTable::default());
        let state = declared.await.map_err(|error| broker_error(queue, &error))?;
        Ok(Depth {
            waiting: state.message_count().into(),
            in_flight: None,
            consumers: Some(state.consumer_count().into()),
        })
    }

    /// Looks through a queue on a channel of its own: closing it puts everything back that was not acknowledged.
    async fn withdraw_from(&self, queue: &str, keys: &[String]) -> Result<Withdrawn, BrokerError> {
        let error = |error: lapin::Error| broker_error(queue, &error);
        let channel = self.connection.create_channel().await.map_err(error)?;
        let mut found = Withdrawn::default();
        for _ in 0..WITHDRAW_MAX {
            let next = channel.basic_get(short("queue", queue)?, BasicGetOptions::default()).await.map_err(error)?;
            let Some(message) = next else { break };
            if carries_any(&message.delivery.data, keys) {
                message.delivery.ack(BasicAckOptions::default()).await.map_err(error)?;
                found.own += 1;
            } else {
                found.others += 1;
            }
        }
        channel.close(200, "OK".into()).await.map_err(error)?;
        Ok(found)
    }
}

impl Lever for RabbitmqLever {
    fn identities(&self) -> &'static [Identity] {
        &[Identity::NewId, Identity::SameId]
    }

    fn floor(&self) -> Duration {
        Duration::from_millis(300)
    }

    fn prepare(&mut self) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async {
            let management = Management::open(&self.endpoint).await?;
            self.follow_exchange(&management).await?;
            // Asked for here, so that nothing is sent if it will not answer at the end.
            management.messages(&self.settings.queues.ecs).await?;
            management.readers(&self.settings.queues.ecs).await?;
            self.management = Some(management);
            Ok(())
        })
    }

    fn follow_dead_letters(&mut self) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async {
            let management = Management::open(&self.endpoint).await?;
            for side in Side::BOTH {
                if let Some(queue) = self.dead_letter_queue(&management, side).await? {
                    self.settings.dead_letters.push(queue);
                }
            }
            Ok(())
        })
    }

    fn last_floor(&self) -> Option<Duration> {
        Some(Duration::from_secs(6))
    }

    fn witness(&self) -> &'static str {
        "every publish was confirmed by the broker and routed; after each round both queues were empty and each had a consumer, and at the end no consumer held a message"
    }

    fn queue(&self, side: Side) -> &str {
        self.settings.queues.of(side)
    }

    fn publish<'a>(&'a self, side: Side, copy: &'a Outgoing) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(self.publish_confirmed(side, copy))
    }

    fn depth(&self, side: Side) -> BoxFuture<'_, Result<Depth, BrokerError>> {
        Box::pin(self.declared(self.settings.queues.of(side)))
    }

    fn is_read(&self) -> BoxFuture<'_, Result<bool, BrokerError>> {
        Box::pin(async {
            let Some(management) = &self.management else { return Ok(false) };
            let queues = &self.settings.queues;
            let (ecs, eks) = (management.readers(&queues.ecs).await?, management.readers(&queues.eks).await?);
            if let Some(both) = ecs.intersection(&eks).next() {
                return Err(BrokerError::Queue {
                    queue: queues.eks.clone(),
                    detail: format!(
                        "it is read over the same connection as `{}`, {both}: one consumer is not two sides",
                        queues.ecs
                    ),
                });
            }
            Ok(!ecs.is_empty() && !eks.is_empty())
        })
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Option<u64>, BrokerError>> {
        Box::pin(async {
            let Some(management) = &self.management else { return Ok(None) };
            let queues = &self.settings.queues;
            let messages = (management.messages(&queues.ecs).await?, management.messages(&queues.eks).await?);
            Ok(messages.0.zip(messages.1).map(|(ecs, eks)| ecs + eks))
        })
    }

    fn dead_letters(&self) -> BoxFuture<'_, Result<u64, BrokerError>> {
        Box::pin(async {
            let mut total = 0;
            for queue in &self.settings.dead_letters {
                total += self.declared(queue).await?.waiting;
            }
            Ok(total)
        })
    }

    fn places(&self) -> Vec<&str> {
        let queues = &self.settings.queues;
        [&queues.ecs, &queues.eks].into_iter().chain(&self.settings.dead_letters).map(String::as_str).collect()
    }

    fn waiting<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Result<u64, BrokerError>> {
        Box::pin(async { Ok(self.declared(place).await?.waiting) })
    }

    fn withdraw<'a>(&'a self, place: &'a str, keys: &'a [String]) -> BoxFuture<'a, Result<Withdrawn, BrokerError>> {
        Box::pin(self.withdraw_from(place, keys))
    }
}
