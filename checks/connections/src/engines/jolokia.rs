//! What ActiveMQ tells about its connectors over Jolokia.
//!
//! `maximumConnections` is part of a connector's URI and no attribute of its own. The number that it is compared with,
//! accepted sockets, is an attribute since 6.3 and an operation before; the broker's own `CurrentConnectionsCount` leaves
//! out every client that has not logged in yet.

use crate::http::Management;
use crate::line::Failure;
use crate::settings::Protocol;
use preflight_core::{CannotTell, Reason};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use url::Url;

/// One transport connector of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connector {
    pub broker: String,
    pub name: String,
    /// `maximumConnections`; none if the URI does not say.
    pub limit: Option<u64>,
    /// For example `nio+ssl`.
    pub scheme: String,
    pub port: Option<u16>,
}

impl Connector {
    /// Whether clients of this protocol may come to it.
    pub(super) fn speaks(&self, protocol: Protocol) -> bool {
        let has = |part: &str| self.scheme.split('+').any(|one| one == part);
        has("auto")
            || match protocol {
                Protocol::Stomp => has("stomp"),
                Protocol::OpenWire => !["stomp", "amqp", "mqtt", "ws", "wss", "http", "https"].into_iter().any(has),
            }
    }
}

/// The connectors of every broker that answers.
pub(super) async fn connectors(api: &Management<'_>) -> Result<Vec<Connector>, Failure> {
    let question = json!({
        "type": "read", "mbean": "org.apache.activemq:type=Broker,brokerName=*", "attribute": "TransportConnectors"
    });
    Ok(parse_connectors(&ask(api, &question).await?))
}

/// Sockets that a connector has accepted and not closed.
pub(super) async fn connections(api: &Management<'_>, connector: &Connector) -> Result<u64, Failure> {
    let mbean = format!(
        "org.apache.activemq:type=Broker,brokerName={},connector=clientConnectors,connectorName={}",
        connector.broker, connector.name
    );
    let read = json!({ "type": "read", "mbean": mbean, "attribute": "ConnectionCount" });
    let answer = match ask(api, &read).await {
        Ok(answer) => answer,
        Err(_) => ask(api, &json!({ "type": "exec", "mbean": mbean, "operation": "connectionCount" })).await?,
    };
    answer.as_u64().ok_or_else(|| unclear(Reason::Unsupported, "the number of connections is not a number"))
}

/// Connections by account, of clients that have logged in on a connector. None if the broker keeps the names to itself,
/// as it does unless `populateUserNameInMBeans` is set.
pub(super) async fn accounts(
    api: &Management<'_>,
    connector: &Connector,
) -> Result<Option<BTreeMap<String, u64>>, Failure> {
    let mbean = format!(
        "org.apache.activemq:type=Broker,brokerName={},connector=clientConnectors,connectorName={},\
         connectionViewType=clientId,connectionName=*",
        connector.broker, connector.name
    );
    match ask(api, &json!({ "type": "read", "mbean": mbean, "attribute": "UserName" })).await {
        Ok(answer) => Ok(parse_accounts(&answer)),
        // A pattern that nothing matches is answered with 404.
        Err(Failure::Unclear(reason)) if reason.reason == Reason::PrerequisiteFailed => Ok(Some(BTreeMap::new())),
        Err(failure) => Err(failure),
    }
}

/// Jolokia answers 200 and says in the body how it went.
async fn ask(api: &Management<'_>, question: &Value) -> Result<Value, Failure> {
    let answer = api.post("", question).await?;
    match answer.get("status").and_then(Value::as_u64) {
        Some(200) => Ok(answer.get("value").cloned().unwrap_or(Value::Null)),
        Some(status) => {
            let said = answer.get("error").and_then(Value::as_str).unwrap_or_default();
            let reason = match status {
                401 | 403 => Reason::Forbidden,
                404 => Reason::PrerequisiteFailed,
                _ => Reason::Unsupported,
            };
            Err(unclear(reason, &format!("{status} {}", said.chars().take(200).collect::<String>())))
        }
        None => Err(unclear(Reason::Unsupported, "the answer is not one of Jolokia")),
    }
}

fn unclear(reason: Reason, what: &str) -> Failure {
    Failure::Unclear(CannotTell::new(reason, format!("asking Jolokia: {what}")))
}

/// `{"org.apache.activemq:brokerName=B,type=Broker": {"TransportConnectors": {"openwire": "tcp://…?…"}}}`.
fn parse_connectors(answer: &Value) -> Vec<Connector> {
    let mut found = vec![];
    for (object, attributes) in answer.as_object().into_iter().flatten() {
        let broker = key_property(object, "brokerName").unwrap_or_default();
        let connectors = attributes.get("TransportConnectors").and_then(Value::as_object);
        for (name, uri) in connectors.into_iter().flatten() {
            let uri = Url::parse(uri.as_str().unwrap_or_default()).ok();
            let limit = uri.as_ref().and_then(|uri| {
                let limit = uri.query_pairs().find(|(name, _)| name == "maximumConnections")?.1.parse::<i64>().ok()?;
                // What the connector has by default stands for no limit. One below zero lets nobody in, as 0 does.
                (limit < 2_147_483_647).then(|| u64::try_from(limit).unwrap_or(0))
            });
            found.push(Connector {
                broker: broker.to_owned(),
                name: name.clone(),
                limit,
                port: uri.as_ref().and_then(Url::port),
                scheme: uri.as_ref().map(|uri| uri.scheme().to_owned()).unwrap_or_default(),
            });
        }
    }
    found
}

fn parse_accounts(answer: &Value) -> Option<BTreeMap<String, u64>> {
    let mut accounts = BTreeMap::new();
    for (_, attributes) in answer.as_object()? {
        let name = attributes.get("UserName").and_then(Value::as_str)?;
        *accounts.entry(name.to_owned()).or_insert(0) += 1;
    }
    Some(accounts)
}

fn key_property<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let (_, properties) = object.split_once(':')?;
    properties
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_in_the_uris_of_connectors() {
        let answer = json!({ "org.apache.activemq:brokerName=lab,type=Broker": { "TransportConnectors": {
            "openwire": "tcp://h:61616?maximumConnections=5&wireFormat.maxFrameSize=104857600",
            "stomp": "stomp://h:61613?maximumConnections=2147483647",
            "amqp": "amqp://h:5672",
            "closed": "tcp://h:61618?maximumConnections=-1"
        } } });
        let connector = |name: &str, limit, port| Connector {
            broker: "lab".to_owned(),
            name: name.to_owned(),
            limit,
            scheme: if name == "closed" || name == "openwire" { "tcp" } else { name }.to_owned(),
            port: Some(port),
        };
        assert_eq!(
            parse_connectors(&answer),
            [
                connector("openwire", Some(5), 61_616),
                connector("stomp", None, 61_613),
                connector("amqp", None, 5_672),
                connector("closed", Some(0), 61_618)
            ]
        );
        assert_eq!(parse_connectors(&json!("no")), []);
    }

    #[test]
    fn a_scheme_tells_the_protocol() {
        let speaks = |scheme: &str| {
            let connector = Connector {
                broker: String::new(),
                name: String::new(),
                limit: None,
                scheme: scheme.to_owned(),
                port: None,
            };
            [Protocol::OpenWire, Protocol::Stomp].map(|protocol| connector.speaks(protocol))
        };
        for scheme in ["tcp", "nio", "ssl", "nio+ssl"] {
            assert_eq!(speaks(scheme), [true, false], "{scheme}");
        }
        assert_eq!(
            ["stomp", "stomp+nio+ssl", "auto+nio", "amqp+ssl", "ws"].map(speaks),
            [[false, true], [false, true], [true, true], [false, false], [false, false]]
        );
    }

    #[test]
    fn clients_are_counted_by_account() {
        let named = json!({ "a": { "UserName": "app" }, "b": { "UserName": "app" } });
        assert_eq!(parse_accounts(&named), Some(BTreeMap::from([("app".to_owned(), 2)])));
        let unnamed = json!({ "a": { "UserName": "app" }, "b": { "UserName": null } });
        assert_eq!(parse_accounts(&unnamed), None);
    }
}
