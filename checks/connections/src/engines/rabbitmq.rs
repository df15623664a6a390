//! RabbitMQ with AMQP 0-9-1; limits and usage through the management API.
//!
//! Limits of virtual hosts and users are refused at `connection.open`, after TLS and the login were paid for. A node's own
//! `connection_max` is not told by the API; what is told is how many sockets or file handles a node has, and whoever has
//! the number declares it as `limit`.

use super::{Adapter, Admission, Answer, Reading, Target};
use crate::account::Account;
use crate::headroom::{Counted, Limit, Usage};
use crate::http::{Management, segment};
use crate::line::{Failure, Line, millis};
use crate::refusal::{End, Trace, classify};
use crate::settings::Engine;
use crate::tap::Door;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties, ErrorKind};
use preflight_core::{CannotTell, Reason, Secret};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const FAREWELL: Duration = Duration::from_secs(1);

/// The smallest frame that the protocol allows; the library reserves memory for the largest otherwise.
const FRAME_BYTES_MAX: u32 = 4_096;

/// AMQP's "everything went well".
const REPLY_SUCCESS: u16 = 200;

pub(crate) struct RabbitMq;

impl Adapter for RabbitMq {
    fn read<'a>(&'a self, target: Target<'a>) -> Answer<'a, Reading> {
        Box::pin(async move {
            let endpoint = target.endpoint;
            let Some(url) = &endpoint.management else {
                let note = "no `management` is configured, so the broker is not asked; what counts is `limit` and \
                            `others` of the endpoint";
                return Ok(Reading { notes: vec![note.to_owned()], ..Reading::default() });
            };
            let reader = Account::of_reader(endpoint)?;
            let api = Management {
                engine: Engine::RabbitMq,
                url,
                tls: &endpoint.tls,
                username: reader.username.unwrap_or("guest"),
                password: reader.password,
                patience: target.patience,
            };
            read(&api, endpoint.vhost.as_deref().unwrap_or("/"), target.accounts).await
        })
    }

    fn admit<'a>(&'a self, target: Target<'a>) -> Answer<'a, Admission> {
        Box::pin(admit(target))
    }
}

async fn read(api: &Management<'_>, vhost: &str, users: &BTreeSet<String>) -> Result<Reading, Failure> {
    let vhost_limits = format!("/api/vhost-limits/{}", segment(vhost));
    // Alone: a wrong password is to be refused once.
    let open = open_connections(&api.get("/api/connections?columns=user,vhost").await?);
    let (vhost_limits, user_limits, nodes) = futures::join!(
        api.get(&vhost_limits),
        api.get("/api/user-limits"),
        api.get("/api/nodes?columns=name,running,sockets_used,sockets_total,fd_used,fd_total"),
    );
    let mut reading = Reading { usage: Some(usage(&open, |_, _| true)), ..Reading::default() };
    reading.notes.push("a node's own `connection_max` is not told; declare it with `limit`".to_owned());
    if let Some(value) = connection_limit(&vhost_limits?) {
        reading.limits.push(of_vhost(vhost, value, &open));
    }
    match user_limits {
        Ok(answer) => {
            let of_user = |user: &String| Some(of_user(user, connection_limit_of(user, &answer)?, &open));
            reading.limits.extend(users.iter().filter_map(of_user));
            reading.limits_elsewhere = limited_beside(users, &answer);
        }
        Err(Failure::Unclear(reason)) if reason.reason == Reason::Forbidden => {
            let why = format!("users may have limits of their own: {}", reason.detail);
            reading.gap = Some(CannotTell::forbidden(why));
        }
        Err(failure) => return Err(failure),
    }
    match of_nodes(&nodes?, &open) {
        Some(limit) => reading.limits.push(limit),
        None => reading.notes.push("the nodes tell neither sockets nor file handles".to_owned()),
    }
    Ok(reading)
}

/// Open connections by virtual host and user.
type Open = BTreeMap<(String, String), u64>;

fn open_connections(answer: &Value) -> Open {
    let mut open = Open::new();
    for connection in answer.as_array().into_iter().flatten() {
        let field = |name: &str| connection.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        *open.entry((field("vhost"), field("user"))).or_insert(0) += 1;
    }
    open
}

/// `max-connections` in an answer about limits; none and negative ones stand for no limit.
fn connection_limit(answer: &Value) -> Option<u64> {
    let limits = answer.as_array()?.iter().filter_map(|entry| entry.get("value")?.get("max-connections")?.as_i64());
    limits.filter_map(|limit| u64::try_from(limit).ok()).min()
}

/// That of one user in an answer about the limits of all of them.
fn connection_limit_of(user: &str, answer: &Value) -> Option<u64> {
    let of_user = |entry: &&Value| entry.get("user").and_then(Value::as_str) == Some(user);
    connection_limit(&answer.as_array()?.iter().filter(of_user).cloned().collect())
}

/// Why a user that is not among these may have a limit, if one may.
fn limited_beside(users: &BTreeSet<String>, answer: &Value) -> Option<String> {
    let mut named = answer.as_array()?.iter().filter_map(|entry| entry.get("user")?.as_str());
    let other = named.find(|user| !users.contains(*user) && connection_limit_of(user, answer).is_some())?;
    Some(format!("`{other}` has limits of its own"))
}

fn usage(open: &Open, counts: impl Fn(&str, &str) -> bool) -> Usage {
    let mut by_account = BTreeMap::new();
    for ((vhost, user), count) in open {
        if counts(vhost, user) {
            *by_account.entry(user.clone()).or_insert(0) += count;
        }
    }
    Usage { total: by_account.values().sum(), by_account: Some(by_account) }
}

fn of_vhost(vhost: &str, value: u64, open: &Open) -> Limit {
    Limit {
        name: format!("max-connections of virtual host `{vhost}`"),
        value,
        after_loss: None,
        counted: Counted::Everybody,
        usage: Some(usage(open, |of, _| of == vhost)),
        source: "/api/vhost-limits and /api/connections".to_owned(),
        raise: format!("rabbitmqctl set_vhost_limits -p {vhost} '{{\"max-connections\": {{}}}}'"),
    }
}

fn of_user(user: &str, value: u64, open: &Open) -> Limit {
    Limit {
        name: format!("max-connections of user `{user}`"),
        value,
        after_loss: None,
        counted: Counted::Account(user.to_owned()),
        usage: Some(usage(open, |_, of| of == user)),
        source: "/api/user-limits and /api/connections".to_owned(),
        raise: format!("rabbitmqctl set_user_limits {user} '{{\"max-connections\": {{}}}}'"),
    }
}

/// The sockets of all nodes together, or from version 4 on, which tells no sockets any more, their file handles.
fn of_nodes(answer: &Value, open: &Open) -> Option<Limit> {
    let running = || {
        let nodes = answer.as_array().into_iter().flatten();
        nodes.filter(|node| node.get("running").and_then(Value::as_bool).unwrap_or(true))
    };
    let number = |node: &Value, name: &str| node.get(name).and_then(Value::as_u64).unwrap_or(0);
    let has_sockets = running().any(|node| number(node, "sockets_total") > 0);
    let (total, used, what) = if has_sockets {
        ("sockets_total", "sockets_used", "sockets of the nodes")
    } else {
        ("fd_total", "fd_used", "file handles of the nodes")
    };
    let value: u64 = running().map(|node| number(node, total)).sum();
    let taken: u64 = running().map(|node| number(node, used)).sum();
    let largest = running().map(|node| number(node, total)).max()?;
    let Usage { total: clients, by_account } = usage(open, |_, _| true);
    (value > 0).then(|| Limit {
        name: what.to_owned(),
        value,
        after_loss: (running().count() > 1).then(|| value - largest),
        counted: Counted::Everybody,
        // Replication and the files of queues take their share as well.
        usage: Some(Usage { total: taken.max(clients), by_account }),
        source: format!("{total} and {used} in /api/nodes"),
        raise: "ulimit -n, for {} together".to_owned(),
    })
}

async fn admit(target: Target<'_>) -> Result<Admission, Failure> {
    let endpoint = target.endpoint;
    let account = Account::of_apps(endpoint)?;
    let door = Door::open().await?;
    let patience = target.patience.handshake;
    let unnamed = if account.username.is_some() { "" } else { "guest" };
    let uri = AMQPUri {
        // TLS ends at the door, where the line begins.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: account.username.unwrap_or("guest").to_owned(),
                password: account.password.map_or(unnamed, Secret::reveal).to_owned(),
            },
            host: door.local().ip().to_string(),
            port: door.local().port(),
        },
        vhost: endpoint.vhost.clone().unwrap_or_else(|| "/".to_owned()),
        query: AMQPQueryString {
            frame_max: Some(FRAME_BYTES_MAX),
            channel_max: Some(1),
            connection_timeout: Some(millis(patience)),
            ..AMQPQueryString::default()
        },
    };
    let name = format!("preflight {}", target.run_id);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let tap = door.lead_to(Line::open(Engine::RabbitMq, &account.address, &endpoint.tls, target.patience).await?);
    let refused = |end| {
        let received = tap.received();
        Failure::Refused(classify(&Trace { engine: Engine::RabbitMq, tls: endpoint.tls.is_on(), received, end }))
    };
    match tokio::time::timeout(patience, Connection::connect_uri(uri, properties)).await {
        Ok(Ok(connection)) => {
            let closed = tokio::time::timeout(FAREWELL, connection.close(REPLY_SUCCESS, "preflight is done".into()));
            let closed = closed.await;
            drop(connection);
            tap.finish(FAREWELL).await;
            match closed {
                Ok(Ok(())) => Ok(Admission { server: "AMQP 0-9-1, opened and closed".to_owned() }),
                _ => Err(Failure::Unclear(CannotTell::unreachable("let in, but the farewell was not answered"))),
            }
        }
        Ok(Err(error)) => {
            let failure = refused(end_of(&error));
            tap.finish(FAREWELL).await;
            Err(failure)
        }
        Err(_) => Err(refused(End::TimedOut { after_ms: millis(patience) })),
    }
}

fn end_of(error: &lapin::Error) -> End {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => {
            End::Said { code: refusal.get_id(), text: refusal.get_message().to_string() }
        }
        ErrorKind::IOError(error) => End::Closed { text: error.to_string() },
        _ => End::Garbled { text: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn open() -> Open {
        open_connections(&json!([
            { "user": "app", "vhost": "/" },
            { "user": "app", "vhost": "/" },
            { "user": "report", "vhost": "/" },
            { "user": "app", "vhost": "other" },
            {}
        ]))
    }

    #[test]
    fn a_limit_below_zero_or_left_out_is_none() {
        let limit = |value| connection_limit(&json!([{ "vhost": "/", "value": value }]));
        assert_eq!(limit(json!({ "max-connections": 20 })), Some(20));
        assert_eq!(limit(json!({ "max-connections": 0 })), Some(0));
        assert_eq!(limit(json!({ "max-connections": -1 })), None);
        assert_eq!(limit(json!({ "max-queues": 5 })), None);
        assert_eq!(connection_limit(&json!([])), None);
        let users = json!([
            { "user": "app", "value": { "max-connections": 20 } },
            { "user": "report", "value": { "max-connections": 5 } },
        ]);
        assert_eq!(["app", "report", "other"].map(|user| connection_limit_of(user, &users)), [Some(20), Some(5), None]);
        let beside = |known: &[&str]| limited_beside(&known.iter().map(|user| (*user).to_owned()).collect(), &users);
        assert_eq!(beside(&["app"]).as_deref(), Some("`report` has limits of its own"));
        assert_eq!(beside(&["app", "report"]), None);
    }

    #[test]
    fn a_virtual_host_counts_its_own_connections_and_a_user_those_everywhere() {
        let vhost = of_vhost("/", 20, &open()).usage.unwrap();
        assert_eq!((vhost.total, vhost.by_account.unwrap()["app"]), (3, 2));
        assert_eq!(of_user("app", 20, &open()).usage.unwrap().total, 3);
        assert_eq!(
            of_vhost("/", 20, &open()).raise.replace("{}", "40"),
            "rabbitmqctl set_vhost_limits -p / '{\"max-connections\": 40}'"
        );
    }

    #[test]
    fn the_largest_node_may_be_lost_and_a_dead_one_is() {
        let node = |total: u64, running: bool| json!({ "sockets_total": total, "sockets_used": 5, "running": running });
        let limit = of_nodes(&json!([node(100, true), node(60, true), node(100, false)]), &open()).unwrap();
        assert_eq!((limit.value, limit.after_loss, limit.usage.unwrap().total), (160, Some(60), 10));
        let single = of_nodes(&json!([node(100, true)]), &open()).unwrap();
        assert_eq!((single.value, single.after_loss), (100, None));
    }

    #[test]
    fn version_4_tells_file_handles_alone() {
        let node = json!([{ "sockets_total": 0, "sockets_used": 0, "fd_total": 1024, "fd_used": 40 }]);
        let limit = of_nodes(&node, &open()).unwrap();
        assert_eq!((limit.name.as_str(), limit.value), ("file handles of the nodes", 1024));
        assert_eq!(of_nodes(&json!([{ "sockets_total": 0 }]), &open()), None);
    }
}
