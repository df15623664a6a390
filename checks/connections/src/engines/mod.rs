//! The engines: how each is asked for its limits, and how each lets a client in. One file each; a new one is that file
//! and its line in [`adapter`].

mod activemq;
mod doors;
mod jolokia;
mod mysql;
mod rabbitmq;
mod redis;
mod stomp;

use crate::headroom::{Limit, Usage};
use crate::line::{Failure, Patience};
use crate::settings::{Endpoint, Engine};
use preflight_core::CannotTell;
use std::collections::BTreeSet;
use std::pin::Pin;

/// One endpoint, and as whom and how patiently it is spoken to.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub endpoint: &'a Endpoint,
    /// The id of the run, under which connections introduce themselves.
    pub run_id: &'a str,
    pub patience: Patience,
    /// Every account with which the applications log in, as far as it is known: each may have a limit of its own.
    pub accounts: &'a BTreeSet<String>,
}

/// What a server tells about its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub limits: Vec<Limit>,
    /// What the declared limit of the settings is compared with, if the server tells.
    pub usage: Option<Usage>,
    /// What could not be read, and why that matters.
    pub notes: Vec<String>,
    /// Why an account that is not among those of the target may have limits of its own, if it may.
    pub limits_elsewhere: Option<String>,
    /// A limit that the server has and does not show: the limits that are known are no reason to pass then.
    pub gap: Option<CannotTell>,
}

/// A client that was let in, and has left again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// What the server said about itself.
    pub server: String,
}

pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// One engine.
pub(crate) trait Adapter: Sync {
    /// Reads every limit with what it is compared with. At most one connection at a time, with the account of
    /// the observer, and with that of the applications where only they are let in at the front.
    fn read<'a>(&'a self, target: Target<'a>) -> Answer<'a, Reading>;

    /// Lets a client in with the account of the applications, and takes leave in the engine's own way.
    fn admit<'a>(&'a self, target: Target<'a>) -> Answer<'a, Admission>;
}

/// The engine behind a word of the configuration.
pub(crate) fn adapter(engine: Engine) -> &'static dyn Adapter {
    match engine {
        Engine::MySql => &mysql::MySql,
        Engine::Redis => &redis::Redis,
        Engine::RabbitMq => &rabbitmq::RabbitMq,
        Engine::ActiveMq => &activemq::ActiveMq,
    }
}
