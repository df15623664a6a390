//! What `preflight.yaml` says about endpoints and about this area.

use preflight_core::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// A server that workloads of both sides connect to: one entry of `endpoints`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Endpoint {
    /// The name by which everything else in this file refers to the endpoint.
    pub name: String,
    /// What kind of server it is.
    pub engine: Engine,
    /// `host:port`, as this tool reaches it. The port may be left out where the engine has a usual one.
    pub address: String,
    /// Other spellings of the address, `host` or `host:port`, under which workloads know the endpoint.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The account of the applications. Leave it out if they log in without one.
    #[serde(default)]
    pub username: Option<String>,
    /// The password of that account.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Whether the applications use TLS: `true`, or `{ca: PATH}` if the certificate comes from a private authority.
    #[serde(default)]
    pub tls: Tls,
    /// An account of this tool's own that may read limits and usage. Without it the account of the applications reads.
    #[serde(default)]
    pub observer: Option<Observer>,
    /// MySQL: the database that the applications open. Redis: the number of the database.
    #[serde(default)]
    pub database: Option<String>,
    /// RabbitMQ: the virtual host; `/` if left out.
    #[serde(default)]
    pub vhost: Option<String>,
    /// RabbitMQ: the URL of the management API, for example `http://rabbit.internal:15672`.
    #[serde(default)]
    pub management: Option<String>,
    /// ActiveMQ: the URL of Jolokia, for example `http://mq.internal:8161/api/jolokia`.
    #[serde(default)]
    pub jolokia: Option<String>,
    /// ActiveMQ: the protocol that the applications speak on this address; `openwire` if left out.
    #[serde(default)]
    pub protocol: Option<Protocol>,
    /// A limit that the server itself does not tell, for example that of a proxy or of a managed broker's size. It is
    /// checked in addition to the limits read from the server.
    #[serde(default)]
    pub limit: Option<u64>,
    /// How many connections clients outside the inventory hold at most. Counts where the server does not tell, or shows
    /// fewer now.
    #[serde(default)]
    pub others: Option<u64>,
    /// Objects that make pods in a way which this tool cannot read, as `namespace/Kind/name`, and whose connections are
    /// among `others`. Without `others` nothing is said of them.
    #[serde(default)]
    pub others_include: Vec<String>,
    /// How many connections stay free for administrators and surprises; the larger of 10 and 5 % of the limit if left out.
    #[serde(default)]
    pub reserve: Option<u64>,
}

impl Endpoint {
    /// Host and port of the address, with the engine's usual port where none is written; nothing if it is no address.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(String, u16)> {
        crate::address::Address::of(self).map(|address| (address.host, address.port))
    }
}

/// Whether a text is `host` or `host:port`.
#[must_use]
pub fn is_address(text: &str) -> bool {
    crate::address::Address::parse(text, 1).is_some()
}

/// The kind of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// MySQL and what speaks its protocol: MariaDB, Aurora MySQL, RDS.
    MySql,
    /// Redis, Valkey, ElastiCache.
    Redis,
    /// RabbitMQ with AMQP 0-9-1.
    RabbitMq,
    /// ActiveMQ Classic.
    ActiveMq,
}

impl Engine {
    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MySql => "mysql",
            Self::Redis => "redis",
            Self::RabbitMq => "rabbitmq",
            Self::ActiveMq => "activemq",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is spoken on a connector of ActiveMQ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The broker's own protocol, which JMS clients speak.
    #[default]
    OpenWire,
    /// STOMP 1.2.
    Stomp,
}

impl Protocol {
    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenWire => "openwire",
            Self::Stomp => "stomp",
        }
    }
}

/// An account that reads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Observer {
    /// Its name.
    pub username: String,
    /// Its password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// MySQL: `host:port` of the administrators' own door (`admin_port`, `extra_port`), which has seats of its own.
    #[serde(default)]
    pub address: Option<String>,
}

/// Whether a connection is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// It is not.
    #[default]
    Off,
    /// It is, and the certificate comes from an authority that the system trusts.
    System,
    /// It is, and the certificate comes from an authority in this PEM file.
    Authority(PathBuf),
}

impl Tls {
    /// Whether there is any.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self != Self::Off
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authority {
    ca: PathBuf,
}

impl<'de> Deserialize<'de> for Tls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Tls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or {ca: PATH}")
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Tls, E> {
                Ok(if on { Tls::System } else { Tls::Off })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Tls, A::Error> {
                Authority::deserialize(de::value::MapAccessDeserializer::new(map)).map(|found| Tls::Authority(found.ca))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Tls {
    fn schema_name() -> Cow<'static, str> {
        "Tls".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Whether TLS is used: `true`, `false`, or `{ca: PATH}` for a private authority.",
            "anyOf": [
                { "type": "boolean" },
                {
                    "type": "object",
                    "properties": { "ca": { "type": "string", "description": "PEM file with the authority's certificate." } },
                    "required": ["ca"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// The section `connections`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The situation that limits must cover: `steady` (every workload runs on both sides), `rollout` (and both sides
    /// deploy at the same time; the default) or `worst` (and a second rollout starts before the first has drained, and
    /// a cluster has lost its largest node).
    #[serde(default)]
    pub scenario: Scenario,
    /// That nothing runs in ECS, not yet or not any more. Otherwise a run that reads nothing of ECS cannot tell.
    #[serde(default)]
    pub without_ecs: bool,
}

/// A situation for which demand is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Every workload runs on both sides, at the maximum of its autoscaler.
    Steady,
    /// And both sides deploy at the same time.
    #[default]
    Rollout,
    /// And a second rollout starts before the first has drained, and a cluster has lost its largest node.
    Worst,
}

impl Scenario {
    /// Every scenario, from the mildest to the harshest.
    pub const ALL: [Self; 3] = [Self::Steady, Self::Rollout, Self::Worst];

    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Rollout => "rollout",
            Self::Worst => "worst",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// That a workload uses an endpoint: one entry of `uses` of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Use {
    /// The name of the endpoint.
    pub endpoint: String,
    /// The most connections that one process of the workload opens to it.
    #[serde(default)]
    pub pool: Option<u64>,
    /// The most processes with a pool of their own in one pod or task, where its configuration does not tell.
    #[serde(default)]
    pub processes: Option<u64>,
    /// The account with which it logs in, where that is not written in its configuration.
    #[serde(default)]
    pub account: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_endpoint_needs_a_name_an_engine_and_an_address() {
        let read: Endpoint =
            serde_json::from_value(json!({ "name": "db", "engine": "mysql", "address": "127.0.0.1:3306" })).unwrap();
        assert_eq!((read.engine, read.tls, read.protocol), (Engine::MySql, Tls::Off, None));
    }

    #[test]
    fn every_engine_and_protocol_reads_as_it_prints() {
        for engine in [Engine::MySql, Engine::Redis, Engine::RabbitMq, Engine::ActiveMq] {
            assert_eq!(serde_json::from_value::<Engine>(json!(engine.as_str())).unwrap(), engine);
        }
        for protocol in [Protocol::OpenWire, Protocol::Stomp] {
            assert_eq!(serde_json::from_value::<Protocol>(json!(protocol.as_str())).unwrap(), protocol);
        }
        for scenario in Scenario::ALL {
            assert_eq!(serde_json::from_value::<Scenario>(json!(scenario.as_str())).unwrap(), scenario);
        }
    }

    #[test]
    fn tls_is_a_switch_or_an_authority() {
        let read = |value| serde_json::from_value::<Tls>(value);
        assert_eq!(read(json!(true)).unwrap(), Tls::System);
        assert_eq!(read(json!({ "ca": "ca.pem" })).unwrap(), Tls::Authority("ca.pem".into()));
        assert!(read(json!({ "cert": "ca.pem" })).unwrap_err().to_string().contains("unknown field"));
        assert!(read(json!("yes")).unwrap_err().to_string().contains("true, false or {ca: PATH}"));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let wrong = json!({ "name": "db", "engine": "mysql", "address": "h", "pasword": "x" });
        assert!(serde_json::from_value::<Endpoint>(wrong).unwrap_err().to_string().contains("pasword"));
    }

    #[test]
    fn a_password_is_not_printed() {
        let value = json!({ "name": "db", "engine": "redis", "address": "h", "password": "hunter2",
            "observer": { "username": "watch", "password": "hunter3" } });
        let read: Endpoint = serde_json::from_value(value).unwrap();
        assert!(!format!("{read:?}").contains("hunter"));
    }
}
