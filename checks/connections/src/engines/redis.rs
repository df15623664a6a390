//! Redis, Valkey, ElastiCache.
//!
//! The limit is compared with clients of every type and the links of the cluster, while `connected_clients` leaves out
//! replicas; so the parts are added up again here. A server with TLS drops a client over the limit before the handshake.

use super::{Adapter, Admission, Answer, Reading, Target};
use crate::account::Account;
use crate::headroom::{Counted, Limit, Usage};
use crate::line::{Failure, Line, millis};
use crate::refusal::{End, Trace, classify};
use crate::settings::Engine;
use crate::tap::{Door, Tap};
use ::redis::aio::MultiplexedConnection;
use ::redis::io::AsyncDNSResolver;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, RedisFuture, cmd,
};
use preflight_core::{CannotTell, Reason, Secret};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const FAREWELL: Duration = Duration::from_secs(1);

pub(crate) struct Redis;

impl Adapter for Redis {
    fn read<'a>(&'a self, target: Target<'a>) -> Answer<'a, Reading> {
        Box::pin(async move {
            let mut session = Session::open(target, &Account::of_reader(target.endpoint)?).await?;
            let reading = session.reading().await;
            session.close().await;
            reading
        })
    }

    fn admit<'a>(&'a self, target: Target<'a>) -> Answer<'a, Admission> {
        Box::pin(async move {
            let mut session = Session::open(target, &Account::of_apps(target.endpoint)?).await?;
            let answer = session.ask::<String>(&cmd("PING")).await;
            session.close().await;
            match answer {
                Ok(_) => Ok(Admission { server: "Redis, which answered PING".to_owned() }),
                // The account may not PING; it was let in all the same.
                Err(error) if error.code() == Some("NOPERM") => {
                    Ok(Admission { server: "Redis, in which the account may not PING".to_owned() })
                }
                Err(error) => Err(Failure::Refused(classify(&Trace {
                    engine: Engine::Redis,
                    tls: target.endpoint.tls.is_on(),
                    received: 1,
                    end: end_of(&error, ""),
                }))),
            }
        })
    }
}

/// Sends the library to the door, whatever host it looks up.
struct ToTheDoor(SocketAddr);

impl AsyncDNSResolver for ToTheDoor {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _host: &'b str,
        _port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        let door: Box<dyn Iterator<Item = SocketAddr> + Send> = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(door)))
    }
}

struct Session {
    connection: MultiplexedConnection,
    tap: Tap,
    account: String,
}

impl Session {
    async fn open(target: Target<'_>, account: &Account<'_>) -> Result<Self, Failure> {
        let endpoint = target.endpoint;
        let client = client(target, account)?;
        let door = Door::open().await?;
        let patience = target.patience.handshake;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience))
            .set_dns_resolver(ToTheDoor(door.local()));
        // TLS ends at the door: the library's own could not tell a dropped client from a broken one.
        let tap = door.lead_to(Line::open(Engine::Redis, &account.address, &endpoint.tls, target.patience).await?);
        let refused = |end| {
            let received = tap.received();
            classify(&Trace { engine: Engine::Redis, tls: endpoint.tls.is_on(), received, end })
        };
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let connection = match tokio::time::timeout(patience, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) if !error.is_timeout() => {
                let refusal = refused(end_of(&error, &tap.first_words()));
                tap.finish(FAREWELL).await;
                return Err(Failure::Refused(refusal));
            }
            _ => return Err(Failure::Refused(refused(End::TimedOut { after_ms: millis(patience) }))),
        };
        let mut session = Self { connection, tap, account: account.name().to_owned() };
        // A name may hold no space. An account without the right to give itself one goes without.
        let mut name = cmd("CLIENT");
        name.arg("SETNAME").arg(format!("preflight-{}", target.run_id));
        let _ = session.ask::<()>(&name).await;
        Ok(session)
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisError> {
        command.query_async(&mut self.connection).await
    }

    async fn reading(&mut self) -> Result<Reading, Failure> {
        let mut info = cmd("INFO");
        let clients: String =
            self.ask(info.arg("clients")).await.map_err(|error| unreadable("INFO clients", &error))?;
        let mut info = cmd("INFO");
        let replication: String =
            self.ask(info.arg("replication")).await.map_err(|error| unreadable("INFO replication", &error))?;
        let mut notes = vec![];
        let limit = match field(&clients, "maxclients") {
            Some(limit) => limit,
            None => self.configured_limit().await?,
        };
        let mut list = cmd("CLIENT");
        let by_account = match self.ask::<String>(list.arg("LIST")).await {
            Ok(list) => Some(self.without_own(accounts(&list))),
            Err(error) => {
                notes.push(format!(
                    "accounts cannot be told apart, so every current connection counts as somebody else's: \
                     CLIENT LIST: {error}"
                ));
                None
            }
        };
        let usage = Usage { total: taken(&clients, &replication).saturating_sub(1), by_account };
        if field(&replication, "connected_slaves").is_none() {
            notes.push("replicas are not told".to_owned());
        }
        let limit = Limit {
            name: "maxclients".to_owned(),
            value: limit,
            after_loss: None,
            counted: Counted::Everybody,
            usage: Some(usage.clone()),
            source: "INFO: maxclients, connected_clients + connected_slaves + cluster_connections".to_owned(),
            raise: "CONFIG SET maxclients {}".to_owned(),
        };
        Ok(Reading { limits: vec![limit], usage: Some(usage), notes, limits_elsewhere: None, gap: None })
    }

    /// Before 6.2 the limit is not part of `INFO`.
    async fn configured_limit(&mut self) -> Result<u64, Failure> {
        let mut get = cmd("CONFIG");
        let found: Vec<String> = self
            .ask(get.arg("GET").arg("maxclients"))
            .await
            .map_err(|error| unreadable("CONFIG GET maxclients", &error))?;
        found.get(1).and_then(|value| value.parse().ok()).ok_or_else(|| {
            Failure::Unclear(CannotTell::new(Reason::Unsupported, "the server does not tell maxclients"))
        })
    }

    fn without_own(&self, mut accounts: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let own = if self.account.is_empty() { "default" } else { &self.account };
        if let Some(count) = accounts.get_mut(own) {
            *count = count.saturating_sub(1);
        }
        accounts
    }

    async fn close(mut self) {
        let _ = tokio::time::timeout(FAREWELL, self.ask::<()>(&cmd("QUIT"))).await;
        drop(self.connection);
        self.tap.finish(FAREWELL).await;
    }
}

fn client(target: Target<'_>, account: &Account<'_>) -> Result<Client, Failure> {
    let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(username) = account.username {
        settings = settings.set_username(username);
    }
    // With a name alone the library would not log in at all, and be let in as whoever needs no login.
    if account.username.is_some() || account.password.is_some() {
        settings = settings.set_password(account.password.map_or("", Secret::reveal));
    }
    if let Some(database) = &target.endpoint.database {
        let number = database.parse().map_err(|_| {
            let why = format!("`database` of endpoint {} is `{database}`, not a number", target.endpoint.name);
            Failure::Unclear(CannotTell::prerequisite(why))
        })?;
        settings = settings.set_db(number);
    }
    ConnectionAddr::Tcp(account.address.host.clone(), account.address.port)
        .into_connection_info()
        .and_then(|info| Client::open(info.set_redis_settings(settings)))
        .map_err(|error| Failure::Unclear(CannotTell::prerequisite(format!("no client of Redis: {error}"))))
}

fn unreadable(what: &str, error: &RedisError) -> Failure {
    let detail = format!("{what}: {error}");
    Failure::Unclear(match error.code() {
        Some("NOPERM") => CannotTell::forbidden(detail),
        _ => CannotTell::unreachable(detail),
    })
}

/// What an error of the library says about the wire. A server that is full says so and hangs up at once; the library may
/// notice the second before it reads the first, but the tap has heard it.
fn end_of(error: &RedisError, first_words: &str) -> End {
    if let Some(words) = first_words.strip_prefix('-') {
        return End::Said { code: 0, text: words.lines().next().unwrap_or_default().to_owned() };
    }
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    if error.is_io_error() || error.is_connection_dropped() {
        End::Closed { text }
    } else if error.code().is_some() || error.kind() == ::redis::ErrorKind::AuthenticationFailed {
        End::Said { code: 0, text }
    } else {
        End::Garbled { text }
    }
}

/// A number in the answer to `INFO`.
fn field(info: &str, name: &str) -> Option<u64> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':')?.parse().ok())
}

/// The number that the server compares with its limit.
fn taken(clients: &str, replication: &str) -> u64 {
    let part = |info, name| field(info, name).unwrap_or(0);
    part(clients, "connected_clients")
        .saturating_add(part(clients, "cluster_connections"))
        .saturating_add(part(replication, "connected_slaves"))
}

/// The connections by account in the answer to `CLIENT LIST`. Replicas and masters are no pools of anybody, whichever
/// account they use.
fn accounts(list: &str) -> BTreeMap<String, u64> {
    let mut accounts = BTreeMap::new();
    let is_of_replication = |line: &&str| {
        let flags = line.split(' ').find_map(|part| part.strip_prefix("flags=")).unwrap_or_default();
        flags.contains(['S', 'M'])
    };
    for line in list.lines().filter(|line| !line.trim().is_empty() && !is_of_replication(line)) {
        let user = line.split(' ').find_map(|part| part.strip_prefix("user=")).unwrap_or("default");
        *accounts.entry(user.trim_end().to_owned()).or_insert(0) += 1;
    }
    accounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_and_links_of_the_cluster_take_seats() {
        let clients = "# Clients\r\nconnected_clients:12\r\ncluster_connections:10\r\nmaxclients:100\r\n";
        let replication = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\nslave0:ip=10.0.0.1\r\n";
        assert_eq!((field(clients, "maxclients"), taken(clients, replication)), (Some(100), 24));
        assert_eq!(field("connected_clients:12\r\n", "maxclients"), None);
    }

    #[test]
    fn clients_are_counted_by_account() {
        let list = "id=3 addr=10.0.0.1:1 name= user=app redir=-1\nid=4 name=x user=app\nid=5 name=y user=default\nid=6 name=\n";
        let replica = format!("{list}id=7 name= flags=S user=app\nid=8 name= flags=M user=app\n");
        assert_eq!(accounts(&replica), accounts(list));
        assert_eq!(accounts(list), BTreeMap::from([("app".to_owned(), 2), ("default".to_owned(), 2)]));
    }

    #[test]
    fn a_refusal_that_only_the_tap_has_heard_counts() {
        let dropped = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        let words = "-ERR max number of clients reached\r\n";
        assert_eq!(
            end_of(&dropped, words),
            End::Said { code: 0, text: "ERR max number of clients reached".to_owned() }
        );
        assert!(matches!(end_of(&dropped, ""), End::Closed { .. }));
    }
}
