//! What the checks of this area need to know: the settings, and how to reach the endpoints they name.

use crate::settings::{Consumer, Settings};
use preflight_cluster::AwsAccess;
use preflight_core::{Check, Item, Secret};
use std::path::PathBuf;
use std::sync::Arc;

/// The facts of this area.
#[derive(Clone, Debug, Default)]
pub struct Env {
    /// The section `idempotency` of the configuration.
    pub settings: Settings,
    /// The endpoints that the settings may name.
    pub endpoints: Vec<Endpoint>,
    /// How to reach AWS.
    pub aws: AwsAccess,
}

/// A server and the account to use on it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The name in the configuration.
    pub name: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The account, if the server asks for one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// The database: a name for MySQL, a number for Redis.
    pub database: Option<String>,
    /// The RabbitMQ virtual host; `/` if absent.
    pub vhost: Option<String>,
    /// Whether and how the connection is encrypted.
    pub tls: Tls,
    /// The management API of a RabbitMQ broker.
    pub management: Option<Management>,
}

/// The management API of a RabbitMQ broker, and the account that reads it.
#[derive(Clone, Debug)]
pub struct Management {
    /// Its URL, without an account.
    pub url: String,
    /// The account.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
}

/// Whether a connection is encrypted, and which authority vouches for the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Plain text.
    #[default]
    Off,
    /// The authorities of the system.
    System,
    /// The authority in this PEM file.
    Authority(PathBuf),
}

/// One consumer with everything a check of it needs.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// The place in the configuration, which keeps the keys of two consumers of one run apart.
    pub(crate) index: usize,
    pub(crate) consumer: Consumer,
    pub(crate) env: Arc<Env>,
}

impl Env {
    /// The endpoint with this name.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name == name)
    }

    pub(crate) fn subjects(&self) -> Vec<Subject> {
        let env = Arc::new(self.clone());
        let consumers = self.settings.consumers.iter().enumerate();
        consumers.map(|(index, consumer)| Subject { index, consumer: consumer.clone(), env: env.clone() }).collect()
    }

    /// One item for each consumer.
    pub(crate) fn items<C: Check + 'static>(&self, check: fn(Subject) -> C) -> Vec<Item> {
        if self.settings.consumers.is_empty() {
            return vec![Item::excluded("consumers", "no consumer is configured under `idempotency.consumers`")];
        }
        let planned = |subject: Subject| {
            let name = subject.consumer.name.clone();
            let mut targets = vec![name.clone()];
            targets.extend(subject.consumer.endpoints().map(str::to_owned));
            let rights = subject.consumer.broker.rights(self.aws.region.as_deref());
            Item::planned(name, targets, check(subject)).needing(rights)
        };
        self.subjects().into_iter().map(planned).collect()
    }
}
