//! MySQL and what speaks its protocol.
//!
//! The limit is compared with every socket, those in the middle of a handshake too, and one socket more than the limit is
//! let in before the login, so that an administrator has a seat: a probe at the limit would take it. Hence [`MySql::admit`]
//! first looks how full the server is. Only broken handshakes block a host; every handshake here is brought to its end.

use super::doors::{Identity, two_servers};
use super::{Adapter, Admission, Answer, Reading, Target};
use crate::account::Account;
use crate::headroom::{Counted, Limit, Usage};
use crate::line::{Failure, Line, millis};
use crate::refusal::{End, Kind, LimitKind, Refusal, Trace, classify};
use crate::settings::{Engine, Tls};
use crate::tap::{Door, Tap};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, IoError, Opts, OptsBuilder, Row, SslOpts};
use preflight_core::{CannotTell, Reason, Secret};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Seats that stay free for administrators and for applications that fail over.
const LAST_SEATS: u64 = 2;

/// How long a server may take to notice that a client has left.
const FAREWELL: Duration = Duration::from_secs(1);

pub(crate) struct MySql;

impl Adapter for MySql {
    fn read<'a>(&'a self, target: Target<'a>) -> Answer<'a, Reading> {
        Box::pin(async move {
            let (reader, apps) = (Account::of_reader(target.endpoint)?, Account::of_apps(target.endpoint)?);
            let mut session = Session::open(target, &reader, false).await?;
            let facts = session.facts(target.accounts).await;
            let behind = session.identity().await;
            session.close().await;
            let mut reading = reading(facts?);
            if reader.address != apps.address {
                let doors = (&reader.address, &apps.address);
                let observer = Account { address: apps.address.clone(), ..reader.clone() };
                let front = match identity(target, &observer).await {
                    Err(_) => identity(target, &apps).await,
                    found => found,
                };
                let gap = two_servers(doors, &behind?, front);
                reading.gap = reading.gap.or(gap);
            }
            Ok(reading)
        })
    }

    fn admit<'a>(&'a self, target: Target<'a>) -> Answer<'a, Admission> {
        Box::pin(async move {
            if target.endpoint.observer.is_some() {
                last_seat_is_free(target).await?;
            }
            let mut session = Session::open(target, &Account::of_apps(target.endpoint)?, true).await?;
            let version = session.conn.query_first::<String, _>("SELECT VERSION()").await;
            session.close().await;
            let version = version.map_err(|error| unreadable(&error))?.unwrap_or_default();
            Ok(Admission { server: format!("MySQL protocol, server version {version}") })
        })
    }
}

/// Who answers an account.
async fn identity(target: Target<'_>, account: &Account<'_>) -> Result<Identity, Failure> {
    let mut session = Session::open(target, account, false).await?;
    let identity = session.identity().await;
    session.close().await;
    identity
}

async fn last_seat_is_free(target: Target<'_>) -> Result<(), Failure> {
    let reader = Account::of_reader(target.endpoint)?;
    let same_door = reader.address == Account::of_apps(target.endpoint)?.address;
    let mut session = Session::open(target, &reader, false).await.map_err(|failure| match &failure {
        Failure::Refused(refusal) if refusal.kind.is_for_everybody(same_door) => failure,
        _ => Failure::Unclear(failure.cannot_tell("the observer")),
    })?;
    let seats = session.seats().await;
    session.close().await;
    let (limit, taken) = seats?;
    if taken >= limit {
        let detail = format!("{taken} of {limit} connections are taken (`max_connections`, read by the observer)");
        return Err(Failure::Refused(Refusal { kind: Kind::Limit(LimitKind::Server), detail }));
    }
    if taken + LAST_SEATS >= limit {
        let detail = format!("{taken} of {limit} connections are taken: a probe might take the administrator's seat");
        return Err(Failure::Unclear(CannotTell::insufficient(detail)));
    }
    Ok(())
}

/// What the server said.
#[derive(Default)]
struct Facts {
    version: String,
    limit: u64,
    /// The global `max_user_connections`; 0 is none.
    limit_per_account: u64,
    taken: u64,
    by_account: BTreeMap<String, u64>,
    /// What is known of each account that the applications use.
    accounts: BTreeMap<String, OwnLimits>,
    /// Why limits of accounts could not be read.
    gap: Option<CannotTell>,
    /// Why other accounts may have limits.
    limits_elsewhere: Option<String>,
}

/// The limits of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OwnLimits {
    /// `MAX_USER_CONNECTIONS` in each of its rows: 0 leaves it to the global limit; a negative one, which MariaDB knows,
    /// lets nobody in.
    at_once: Vec<i64>,
    /// `MAX_CONNECTIONS_PER_HOUR` in each of its rows; 0 is none.
    per_hour: Vec<i64>,
}

impl Facts {
    /// Sessions that the reader may not see; they may be of any account.
    fn hidden(&self) -> u64 {
        self.taken.saturating_sub(self.by_account.values().fold(0, |sum, count| sum.saturating_add(*count)))
    }

    fn usage_of(&self, account: &str) -> Usage {
        let seen = self.by_account.get(account).copied().unwrap_or(0);
        Usage { total: seen.saturating_add(self.hidden()), by_account: None }
    }
}

fn reading(facts: Facts) -> Reading {
    let usage = Usage { total: facts.taken, by_account: Some(facts.by_account.clone()) };
    let mut limits = vec![Limit {
        name: "max_connections".to_owned(),
        value: facts.limit,
        after_loss: None,
        counted: Counted::Everybody,
        usage: Some(usage.clone()),
        source: format!("@@global.max_connections and Threads_connected of {}", facts.version),
        raise: "SET GLOBAL max_connections = {};".to_owned(),
    }];
    for (account, own) in &facts.accounts {
        limits.extend(at_once(account, own, &facts));
        limits.extend(in_an_hour(account, own));
    }
    Reading { limits, usage: Some(usage), notes: vec![], limits_elsewhere: facts.limits_elsewhere, gap: facts.gap }
}

/// The limit on connections of an account at the same time: its own, or the global one.
fn at_once(account: &str, own: &OwnLimits, facts: &Facts) -> Option<Limit> {
    let global = (facts.limit_per_account > 0).then_some(facts.limit_per_account);
    let of_row = |row: &i64| if *row == 0 { global } else { Some(u64::try_from(*row).unwrap_or(0)) };
    let value = own.at_once.iter().filter_map(of_row).min()?;
    let is_own = Some(value) != global;
    let (name, source, raise) = if is_own {
        let raise = format!("ALTER USER '{account}' WITH MAX_USER_CONNECTIONS {{}};");
        (format!("MAX_USER_CONNECTIONS of `{account}`"), "mysql.user", raise)
    } else {
        let raise = "SET GLOBAL max_user_connections = {};".to_owned();
        (format!("max_user_connections for `{account}`"), "@@global.max_user_connections", raise)
    };
    Some(Limit {
        name,
        value,
        after_loss: None,
        counted: Counted::Account(account.to_owned()),
        usage: Some(facts.usage_of(account)),
        source: source.to_owned(),
        raise,
    })
}

/// A rollout opens every one of its connections within the hour.
fn in_an_hour(account: &str, own: &OwnLimits) -> Option<Limit> {
    let value = own.per_hour.iter().filter_map(|row| u64::try_from(*row).ok().filter(|row| *row > 0)).min()?;
    Some(Limit {
        name: format!("MAX_CONNECTIONS_PER_HOUR of `{account}`"),
        value,
        after_loss: None,
        counted: Counted::Account(account.to_owned()),
        usage: Some(Usage::default()),
        source: "mysql.user".to_owned(),
        raise: format!("ALTER USER '{account}' WITH MAX_CONNECTIONS_PER_HOUR {{}};"),
    })
}

/// One login.
struct Session {
    conn: Conn,
    tap: Tap,
    account: String,
    /// Whether this login takes a seat among those of the applications; the administrators' door has its own.
    takes_a_seat: bool,
    patience: Duration,
}

impl Session {
    async fn open(target: Target<'_>, account: &Account<'_>, with_database: bool) -> Result<Self, Failure> {
        let endpoint = target.endpoint;
        let door = Door::open().await?;
        let mut options = OptsBuilder::default()
            .ip_or_hostname(account.address.host.clone())
            .resolved_ips(Some(vec![door.local().ip()]))
            .tcp_port(door.local().port())
            .user(account.username)
            .pass(account.password.map(Secret::reveal))
            .db_name(endpoint.database.as_ref().filter(|_| with_database))
            .prefer_socket(false)
            .stmt_cache_size(0)
            // With both known the library asks nothing on its own.
            .max_allowed_packet(Some(4 * 1024 * 1024))
            .wait_timeout(Some(28_800))
            .connect_attribute("program_name", format!("preflight {}", target.run_id));
        options = match &endpoint.tls {
            Tls::Off => options,
            Tls::System => options.ssl_opts(SslOpts::default()),
            Tls::Authority(path) => {
                let roots = SslOpts::default().with_root_certs(vec![path.clone().into()]);
                options.ssl_opts(roots.with_disable_built_in_roots(true))
            }
        };
        // The server speaks first and agrees on TLS in its own protocol, so the line is a plain one.
        let line = Line::open(Engine::MySql, &account.address, &Tls::Off, target.patience).await?;
        let tap = door.lead_to(line);
        let patience = target.patience.handshake;
        match tokio::time::timeout(patience, Conn::new(Opts::from(options))).await {
            Ok(Ok(conn)) => {
                let takes_a_seat = account.address == Account::of_apps(endpoint)?.address;
                Ok(Self { conn, tap, account: account.name().to_owned(), takes_a_seat, patience })
            }
            Ok(Err(error)) => {
                let trace = Trace {
                    engine: Engine::MySql,
                    tls: endpoint.tls.is_on(),
                    received: tap.received(),
                    end: end_of(&error),
                };
                tap.finish(FAREWELL).await;
                Err(Failure::Refused(classify(&trace)))
            }
            Err(_) => Err(Failure::Refused(classify(&Trace {
                engine: Engine::MySql,
                tls: endpoint.tls.is_on(),
                received: tap.received(),
                end: End::TimedOut { after_ms: millis(patience) },
            }))),
        }
    }

    async fn identity(&mut self) -> Result<Identity, Failure> {
        let names = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('hostname', 'port', 'server_uuid', 'server_uid')";
        let rows: Vec<(String, String)> = within(self.patience, self.conn.query(names)).await?;
        Ok(rows.into_iter().collect())
    }

    /// The limit, and the connections that count towards it without this one.
    async fn seats(&mut self) -> Result<(u64, u64), Failure> {
        let limit: Option<u64> =
            within(self.patience, self.conn.query_first("SELECT @@global.max_connections")).await?;
        let taken = "SHOW GLOBAL STATUS LIKE 'Threads_connected'";
        let taken: Option<(String, u64)> = within(self.patience, self.conn.query_first(taken)).await?;
        match (limit, taken) {
            (Some(limit), Some((_, taken))) => Ok((limit, taken.saturating_sub(u64::from(self.takes_a_seat)))),
            _ => {
                Err(Failure::Unclear(CannotTell::new(Reason::Unsupported, "the server does not tell max_connections")))
            }
        }
    }

    async fn facts(&mut self, accounts: &BTreeSet<String>) -> Result<Facts, Failure> {
        let (limit, taken) = self.seats().await?;
        let patience = self.patience;
        let basics = "SELECT VERSION(), @@global.max_user_connections";
        let (version, limit_per_account): (String, u64) =
            within(patience, self.conn.query_first(basics)).await?.unwrap_or_default();
        let sessions = "SELECT user, COUNT(*) FROM information_schema.processlist \
                        WHERE command <> 'Daemon' AND user NOT IN ('system user', 'event_scheduler') GROUP BY user";
        let rows: Vec<(Option<String>, u64)> = within(patience, self.conn.query(sessions)).await?;
        let mut by_account: BTreeMap<String, u64> =
            rows.into_iter().map(|(user, count)| (user.unwrap_or_default(), count)).collect();
        if let Some(own) = by_account.get_mut(&self.account) {
            *own = own.saturating_sub(1);
        }
        let mut facts = Facts { version, limit, limit_per_account, taken, by_account, ..Facts::default() };
        for account in accounts {
            match self.own_limits(account).await? {
                Some(own) => {
                    if own.at_once.is_empty() {
                        let why = format!("the server has no account `{account}`, so its limits are not known");
                        facts.gap = Some(CannotTell::insufficient(why));
                    }
                    facts.accounts.insert(account.clone(), own);
                }
                None => {
                    // Nothing is known but the global limit, which each account has that has none of its own.
                    facts.accounts.insert(account.clone(), OwnLimits { at_once: vec![0], per_hour: vec![] });
                    facts.gap = Some(CannotTell::forbidden(format!(
                        "`{account}` may have limits of its own, and `{}` may not read them: grant it SELECT on \
                         mysql.user",
                        self.account
                    )));
                }
            }
        }
        facts.limits_elsewhere = self.limits_elsewhere(accounts).await?;
        Ok(facts)
    }

    /// Why an account that is not among these may have limits, if it may.
    async fn limits_elsewhere(&mut self, accounts: &BTreeSet<String>) -> Result<Option<String>, Failure> {
        let limited = "SELECT DISTINCT user FROM mysql.user WHERE max_user_connections <> 0 OR max_connections > 0";
        let limited: Vec<String> = match tokio::time::timeout(self.patience, self.conn.query(limited)).await {
            Ok(Ok(limited)) => limited,
            Ok(Err(Error::Server(_))) => {
                return Ok(Some(format!("`{}` may not read the limits of every account (mysql.user)", self.account)));
            }
            Ok(Err(error)) => return Err(unreadable(&error)),
            Err(_) => return Err(late()),
        };
        let other = limited.into_iter().find(|account| !accounts.contains(account));
        Ok(other.map(|account| format!("`{account}` has limits of its own")))
    }

    /// The limits of an account; none if this login may not read them.
    async fn own_limits(&mut self, account: &str) -> Result<Option<OwnLimits>, Failure> {
        let rows = "SELECT max_user_connections, max_connections FROM mysql.user WHERE user = ?";
        let rows = match tokio::time::timeout(self.patience, self.conn.exec::<Row, _, _>(rows, (account,))).await {
            Ok(Ok(rows)) => rows,
            Ok(Err(Error::Server(_))) if account == self.account => return self.own_limit().await.map(Some),
            // No right to read the table.
            Ok(Err(Error::Server(_))) => return Ok(None),
            Ok(Err(error)) => return Err(unreadable(&error)),
            Err(_) => return Err(late()),
        };
        let mut own = OwnLimits::default();
        for mut row in rows {
            own.at_once.extend(row.take::<i64, _>(0));
            own.per_hour.extend(row.take::<i64, _>(1));
        }
        Ok(Some(own))
    }

    /// What every account may know of itself: the limit of its sessions.
    async fn own_limit(&mut self) -> Result<OwnLimits, Failure> {
        let limit: Option<i64> =
            within(self.patience, self.conn.query_first("SELECT @@session.max_user_connections")).await?;
        Ok(OwnLimits { at_once: limit.into_iter().collect(), per_hour: vec![] })
    }

    /// Says goodbye and waits until the server has heard it.
    async fn close(self) {
        let _ = tokio::time::timeout(FAREWELL, self.conn.disconnect()).await;
        self.tap.finish(FAREWELL).await;
    }
}

async fn within<T>(limit: Duration, query: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(limit, query).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(unreadable(&error)),
        Err(_) => Err(late()),
    }
}

fn unreadable(error: &Error) -> Failure {
    let detail = format!("the server let the client in and did not answer it: {error}");
    Failure::Unclear(match error {
        Error::Server(_) => CannotTell::forbidden(detail),
        _ => CannotTell::unreachable(detail),
    })
}

fn late() -> Failure {
    Failure::Unclear(CannotTell::unreachable("the server let the client in and did not answer it in time"))
}

fn end_of(error: &Error) -> End {
    match error {
        Error::Server(error) => End::Said { code: error.code, text: error.message.clone() },
        Error::Io(IoError::Tls(error)) => End::Tls { text: error.to_string() },
        Error::Io(IoError::Io(error)) => {
            let text = error.to_string();
            // The library hands on what TLS says as an error of the stream.
            let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
            if is_tls { End::Tls { text } } else { End::Closed { text } }
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            End::Tls { text: "the server does not offer it".to_owned() }
        }
        Error::Driver(DriverError::ConnectionClosed) => End::Closed { text: error.to_string() },
        _ => End::Garbled { text: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(limit_per_account: u64, at_once: &[i64]) -> Facts {
        let own = OwnLimits { at_once: at_once.to_vec(), per_hour: vec![] };
        let by_account = BTreeMap::from([("app".to_owned(), 7)]);
        let accounts = BTreeMap::from([("app".to_owned(), own)]);
        Facts { limit: 100, limit_per_account, taken: 9, by_account, accounts, ..Facts::default() }
    }

    fn limits(limit_per_account: u64, at_once: &[i64]) -> Vec<(String, u64)> {
        let Reading { limits, .. } = reading(facts(limit_per_account, at_once));
        limits.into_iter().skip(1).map(|limit| (limit.name, limit.value)).collect()
    }

    #[test]
    fn the_limit_of_an_account_is_its_own_or_the_global_one() {
        let own = |value| vec![("MAX_USER_CONNECTIONS of `app`".to_owned(), value)];
        let global = |value| vec![("max_user_connections for `app`".to_owned(), value)];
        assert_eq!(limits(0, &[0]), []);
        assert_eq!(limits(0, &[20]), own(20));
        assert_eq!(limits(50, &[20]), own(20));
        assert_eq!(limits(50, &[0]), global(50));
        assert_eq!(limits(50, &[-1]), own(0));
        assert_eq!(limits(50, &[60, 0, 30]), own(30));
        assert_eq!(limits(50, &[]), [], "an account that is not there");
    }

    #[test]
    fn sessions_that_cannot_be_seen_count_for_every_account() {
        let Reading { limits, .. } = reading(facts(0, &[20]));
        let totals: Vec<u64> = limits.iter().map(|limit| limit.usage.as_ref().unwrap().total).collect();
        assert_eq!(totals, [9, 9]);
    }

    #[test]
    fn connections_in_an_hour_are_a_limit_of_their_own() {
        let own = |per_hour: &[i64]| OwnLimits { at_once: vec![], per_hour: per_hour.to_vec() };
        assert_eq!(in_an_hour("app", &own(&[0])), None);
        assert_eq!(in_an_hour("app", &own(&[0, 90, 80])).unwrap().value, 80);
    }

    #[test]
    fn a_limit_that_may_not_be_read_is_a_gap() {
        let gap = reading(Facts { gap: Some(CannotTell::forbidden("may not")), ..facts(0, &[0]) }).gap;
        assert_eq!(gap.unwrap().reason, Reason::Forbidden);
    }
}
