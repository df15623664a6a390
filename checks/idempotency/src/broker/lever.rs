//! What every broker's lever can do, and the list of brokers.

use super::{rabbitmq, sqs};
use crate::env::Env;
use crate::schedule::{Identity, Side};
use futures::future::BoxFuture;
use preflight_core::{CannotTell, Reason, Right};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest that connecting to a broker may take.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The most messages that one call takes out of a queue to look for its own.
pub(crate) const WITHDRAW_MAX: usize = 200;

/// One value for each side.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sides<T> {
    /// That of the old cluster.
    pub ecs: T,
    /// That of the new cluster.
    pub eks: T,
}

impl<T> Sides<T> {
    /// The value of a side.
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Ecs => &self.ecs,
            Side::Eks => &self.eks,
        }
    }
}

/// One copy of a message, ready to be published.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The business key in the body.
    pub key: String,
    /// The id that the publisher gives it, where the broker lets it.
    pub message_id: String,
    /// The body.
    pub body: String,
    /// Headers or attributes.
    pub headers: BTreeMap<String, String>,
    /// The content type.
    pub content_type: String,
}

/// What a broker says about the queue of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that wait for a consumer.
    pub waiting: u64,
    /// Messages that a consumer took and did not finish, where the broker tells.
    pub in_flight: Option<u64>,
    /// Attached consumers, where the broker tells.
    pub consumers: Option<u64>,
}

impl Depth {
    /// Whether nothing waits and nothing is known to be in a consumer's hands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0 && self.in_flight.unwrap_or(0) == 0
    }

    /// Whether the broker knows that nobody consumes.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        self.consumers == Some(0)
    }
}

/// How duplicates are forced through one broker.
pub trait Lever: Send + Sync {
    /// Looks at everything that must hold before anything is published.
    fn prepare(&mut self) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// Looks up where the broker puts what the queues of both sides reject, and watches that like a configured
    /// dead-letter queue.
    ///
    /// # Errors
    /// If that cannot be watched: a copy that ends there would be taken for one that was handled.
    fn follow_dead_letters(&mut self) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// Under which ids a further copy can be delivered.
    fn identities(&self) -> &'static [Identity];

    /// The shortest quiet time that means anything with this broker.
    fn floor(&self) -> Duration;

    /// The same after the last copy of all, where [`Lever::unfinished`] lags: not shorter than that.
    fn last_floor(&self) -> Option<Duration>;

    /// How it is seen that a copy reached a consumer, for people.
    fn witness(&self) -> &'static str;

    /// The queue of a side, as the broker calls it.
    fn queue(&self, side: Side) -> &str;

    /// Publishes exactly one copy to a side, or nothing. An error may leave it open which of the two it was.
    fn publish<'a>(&'a self, side: Side, copy: &'a Outgoing) -> BoxFuture<'a, Result<(), BrokerError>>;

    /// The queue of a side.
    fn depth(&self, side: Side) -> BoxFuture<'_, Result<Depth, BrokerError>>;

    /// Whether each queue is known to have a reader. It may lag.
    ///
    /// # Errors
    /// Also if both queues are read by the same consumer.
    fn is_read(&self) -> BoxFuture<'_, Result<bool, BrokerError>>;

    /// How many messages of both queues wait or are in a consumer's hands; nothing while that is not known. It may lag.
    fn unfinished(&self) -> BoxFuture<'_, Result<Option<u64>, BrokerError>>;

    /// How many messages the dead-letter queues hold: those configured and those followed.
    fn dead_letters(&self) -> BoxFuture<'_, Result<u64, BrokerError>>;

    /// Where messages may lie: the queues of both sides, then the dead-letter queues.
    fn places(&self) -> Vec<&str>;

    /// How many messages wait in such a place.
    fn waiting<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Result<u64, BrokerError>>;

    /// Takes back the messages with these keys that nobody consumed, and leaves all others there. The broker counts that
    /// those were looked at, so look no more often than needed.
    fn withdraw<'a>(&'a self, place: &'a str, keys: &'a [String]) -> BoxFuture<'a, Result<Withdrawn, BrokerError>>;
}

/// What was found in a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Withdrawn {
    /// Own messages, which are gone now.
    pub own: u64,
    /// Messages of others, which are still there.
    pub others: u64,
}

/// Why a broker did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The configuration names an endpoint that is not there.
    #[error("no endpoint is called `{0}`")]
    EndpointMissing(String),
    /// It cannot be reached.
    #[error("{broker} cannot be reached: {detail}")]
    Unreachable {
        /// The broker.
        broker: String,
        /// What was seen.
        detail: String,
    },
    /// It refuses the account.
    #[error("{broker} refused: {detail}")]
    Refused {
        /// The broker or the queue.
        broker: String,
        /// The broker's answer.
        detail: String,
    },
    /// The queue is not there, or a message does not get there.
    #[error("queue `{queue}`: {detail}")]
    Queue {
        /// The queue.
        queue: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The management API is not configured as it has to be.
    #[error("the management API of {broker}: {detail}")]
    Management {
        /// The broker.
        broker: String,
        /// What is wrong.
        detail: String,
    },
    /// What is rejected cannot be followed.
    #[error("{0}")]
    DeadLetters(String),
    /// Something in the settings cannot be sent.
    #[error("{what} cannot be sent: {detail}")]
    Unsendable {
        /// The setting.
        what: String,
        /// Why not.
        detail: String,
    },
}

impl BrokerError {
    /// The same, told of a queue that rejects to a place which cannot be watched.
    pub(super) fn of_dead_letters(self, queue: &str, target: &str) -> Self {
        let text = |detail: String| {
            format!("queue `{queue}` rejects to {target}, which cannot be watched: {detail}; name it in `deadLetters`")
        };
        match self {
            Self::Unreachable { broker, detail } => Self::Unreachable { broker, detail: text(detail) },
            Self::Refused { broker, detail } => Self::Refused { broker, detail: text(detail) },
            other => Self::DeadLetters(text(other.to_string())),
        }
    }
}

impl From<BrokerError> for CannotTell {
    fn from(error: BrokerError) -> Self {
        let reason = match &error {
            BrokerError::Unreachable { .. } => Reason::Unreachable,
            BrokerError::Refused { .. } => Reason::Forbidden,
            BrokerError::EndpointMissing(_)
            | BrokerError::Queue { .. }
            | BrokerError::Management { .. }
            | BrokerError::DeadLetters(_)
            | BrokerError::Unsendable { .. } => Reason::PrerequisiteFailed,
        };
        Self::new(reason, error.to_string())
    }
}

macro_rules! brokers {
    ($($(#[$doc:meta])* $variant:ident($settings:ty)),+ $(,)?) => {
        /// The broker, with the test queue of each side.
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub enum Broker { $($(#[$doc])* $variant($settings)),+ }

        impl Broker {
            /// The endpoint that it names, if it is one of the configuration's.
            #[must_use]
            pub fn endpoint(&self) -> Option<&str> {
                match self { $(Self::$variant(settings) => settings.endpoint()),+ }
            }

            /// The test queue of each side.
            #[must_use]
            pub fn queues(&self) -> &Sides<String> {
                match self { $(Self::$variant(settings) => &settings.queues),+ }
            }

            /// The rights on AWS that a check of it needs.
            pub(crate) fn rights(&self, region: Option<&str>) -> Vec<Right> {
                match self { $(Self::$variant(settings) => settings.rights(region)),+ }
            }

            pub(crate) async fn open(&self, env: &Env) -> Result<Box<dyn Lever>, BrokerError> {
                match self { $(Self::$variant(settings) => settings.open(env).await),+ }
            }
        }
    };
}

brokers! {
    /// RabbitMQ.
    Rabbitmq(rabbitmq::Rabbitmq),
    /// Amazon SQS.
    Sqs(sqs::Sqs),
}

/// Whether a message is one of this run's own.
pub(crate) fn carries_any(body: &[u8], keys: &[String]) -> bool {
    let text = String::from_utf8_lossy(body);
    keys.iter().any(|key| text.contains(key.as_str()))
}
