//! Addresses: how an endpoint is written, and where it stands in the value of a variable.

use crate::settings::{Endpoint, Engine};
use std::fmt;

/// A host with a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    /// A name or an IP address, without brackets, in lower case.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads `host`, `host:port` or `[ipv6]:port`.
    pub(crate) fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = split(text)?;
        Some(Self { host, port: port.unwrap_or(default_port) })
    }

    /// The address of an endpoint.
    pub(crate) fn of(endpoint: &Endpoint) -> Option<Self> {
        Self::parse(&endpoint.address, default_port(endpoint))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The port that is meant where none is written.
pub(crate) fn default_port(endpoint: &Endpoint) -> u16 {
    match (endpoint.engine, endpoint.tls.is_on()) {
        (Engine::MySql, _) => 3306,
        (Engine::Redis, _) => 6379,
        (Engine::RabbitMq, false) => 5672,
        (Engine::RabbitMq, true) => 5671,
        (Engine::ActiveMq, tls) => match (endpoint.protocol.unwrap_or_default(), tls) {
            (crate::settings::Protocol::OpenWire, false) => 61_616,
            (crate::settings::Protocol::OpenWire, true) => 61_617,
            (crate::settings::Protocol::Stomp, false) => 61_613,
            (crate::settings::Protocol::Stomp, true) => 61_614,
        },
    }
}

fn split(text: &str) -> Option<(String, Option<u16>)> {
    let text = text.trim();
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        (host, after.strip_prefix(':').map_or((!after.is_empty()).then_some(after), Some))
    } else {
        match text.rsplit_once(':') {
            // More than one colon without brackets is an IPv6 address without a port.
            Some((host, _)) if host.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(())).transpose().ok()?;
    // A URL is not a host, and might hold a password, which must not go into the name of one.
    let is_host = !host.is_empty() && !host.contains(|part: char| part.is_whitespace() || "@/?#".contains(part));
    is_host.then(|| (host.to_ascii_lowercase(), port))
}

/// The spellings of one endpoint.
pub(crate) struct Names {
    /// Hosts in lower case; without a port every port is meant.
    spellings: Vec<(String, Option<u16>)>,
    default_port: u16,
}

impl Names {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let default_port = default_port(endpoint);
        let own = split(&endpoint.address).map(|(host, port)| (host, Some(port.unwrap_or(default_port))));
        let aliases = endpoint.aliases.iter().filter_map(|alias| split(alias));
        Self { spellings: own.into_iter().chain(aliases).collect(), default_port }
    }

    /// Whether a value names the endpoint. `port_beside` is asked for a host without a port: another variable may have it.
    pub(crate) fn are_in(&self, value: &str, port_beside: impl Fn() -> Option<u16>) -> bool {
        self.any(value, port_beside, |port, found| port == found.unwrap_or(self.default_port))
    }

    /// The same for a value that is of another kind of server by its name: the port must be written.
    pub(crate) fn are_in_with_port(&self, value: &str, port_beside: impl Fn() -> Option<u16>) -> bool {
        self.any(value, port_beside, |port, found| found == Some(port))
    }

    /// Whether a value names the host, with any port.
    pub(crate) fn have_a_host_in(&self, value: &str) -> bool {
        self.any(value, || None, |_, _| true)
    }

    /// Whether a value names the host and no port anywhere, and the usual one is not the endpoint's.
    pub(crate) fn may_be_in(&self, value: &str, port_beside: impl Fn() -> Option<u16>) -> bool {
        self.any(value, port_beside, |port, found| found.is_none() && port != self.default_port)
    }

    fn any(
        &self,
        value: &str,
        port_beside: impl Fn() -> Option<u16>,
        is_it: impl Fn(u16, Option<u16>) -> bool,
    ) -> bool {
        let value = value.to_ascii_lowercase();
        self.spellings.iter().any(|(host, port)| {
            mentions(&value, host).any(|found| port.is_none_or(|port| is_it(port, found.or_else(&port_beside))))
        })
    }

    /// Whether both are spellings of one server.
    pub(crate) fn share_an_address_with(&self, other: &Self) -> bool {
        let with_port = |names: &Self| -> Vec<(String, u16)> {
            names.spellings.iter().filter_map(|(host, port)| Some((host.clone(), (*port)?))).collect()
        };
        with_port(self).iter().any(|one| with_port(other).contains(one))
    }
}

/// Whether the scheme of a URL in a value is one of such servers; none where no scheme tells.
pub(crate) fn is_by_scheme(engine: Engine, value: &str) -> Option<bool> {
    let is_of_a_scheme = |part: char| part.is_ascii_alphanumeric() || ":+-.".contains(part);
    let lower = value.to_ascii_lowercase();
    let urls = lower.match_indices("://").map(|(at, _)| &lower[..at]);
    let schemes = urls.map(|before| &before[before.trim_end_matches(is_of_a_scheme).len()..]);
    let mut known: Vec<Engine> =
        schemes.flat_map(|scheme| scheme.split([':', '+', '-'])).filter_map(of_scheme).collect();
    // Go's driver: `user:password@tcp(host:3306)/name`.
    known.extend(lower.contains("@tcp(").then_some(Engine::MySql));
    let is_broker = |one: Engine| matches!(one, Engine::RabbitMq | Engine::ActiveMq);
    let may_be = |one: &Engine| is_broker(*one) && is_broker(engine);
    if known.contains(&engine) {
        return Some(true);
    }
    // A text that is more than one URL may name others without a scheme.
    let is_more = lower.trim().contains(|part: char| part.is_whitespace() || part == ',');
    (!known.is_empty() && !is_more && !known.iter().any(may_be)).then_some(false)
}

fn of_scheme(part: &str) -> Option<Engine> {
    Some(match part {
        "mysql" | "mysql2" | "mysqlx" | "mariadb" => Engine::MySql,
        "redis" | "rediss" | "valkey" | "valkeys" => Engine::Redis,
        "amqp" | "amqps" => Engine::RabbitMq,
        "activemq" | "stomp" => Engine::ActiveMq,
        _ => return None,
    })
}

/// Every place where `value` names `host`, with the port that follows.
fn mentions<'a>(value: &'a str, host: &'a str) -> impl Iterator<Item = Option<u16>> + 'a {
    value.match_indices(host).filter_map(move |(at, _)| {
        let before = value[..at].chars().next_back();
        let after = &value[at + host.len()..];
        if before.is_some_and(|before| is_of_a_name(before) || before == '.') || continues_a_name(after) {
            return None;
        }
        let after = after.strip_prefix(']').unwrap_or(after).strip_prefix(':').unwrap_or_default();
        let end = after.find(|character: char| !character.is_ascii_digit()).unwrap_or(after.len());
        Some((end > 0).then(|| after[..end].parse().unwrap_or(0)))
    })
}

fn is_of_a_name(character: char) -> bool {
    character.is_alphanumeric() || character == '-' || character == '_'
}

fn continues_a_name(after: &str) -> bool {
    let mut characters = after.chars();
    match characters.next() {
        Some('.') => characters.next().is_some_and(is_of_a_name),
        Some(first) => is_of_a_name(first),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(address: &str, aliases: &[&str]) -> Names {
        let value = serde_json::json!({ "name": "db", "engine": "mysql", "address": address, "aliases": aliases });
        Names::of(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn an_address_is_a_host_and_a_port_or_none() {
        let read = |text| Address::parse(text, 3306).map(|address| address.to_string());
        assert_eq!(read("DB.internal").as_deref(), Some("db.internal:3306"));
        assert_eq!(read("10.0.0.1:3307").as_deref(), Some("10.0.0.1:3307"));
        assert_eq!(read("[::1]:3307").as_deref(), Some("[::1]:3307"));
        assert_eq!(read("::1").as_deref(), Some("[::1]:3306"));
        for wrong in ["", ":3306", "db:port", "db:0", "db:70000", "a b:1", "[::1", "mysql://app:pw@db:3306", "pw@db"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_endpoint_is_found_in_the_ways_that_people_write_it() {
        let names = names("db.internal:3306", &["10.0.0.7:3307", "reader"]);
        for value in [
            "jdbc:mysql://db.internal:3306/shop?useSSL=false",
            "jdbc:mysql://db.internal/shop",
            "mysql://app:pw@DB.INTERNAL:3306/shop",
            "app:pw@tcp(db.internal:3306)/shop",
            "db.internal",
            "db.internal.",
            "other:3306,db.internal:3306",
            "10.0.0.7:3307",
            "reader:9999",
        ] {
            assert!(names.are_in(value, || None), "{value}");
        }
    }

    #[test]
    fn a_longer_name_or_another_port_is_another_server() {
        let names = names("db.internal:3306", &[]);
        for value in [
            "db.internal:3307",
            "db.internal.example.com:3306",
            "old-db.internal:3306",
            "x.db.internal",
            "db.internal-2",
            "db_internal",
            "",
        ] {
            assert!(!names.are_in(value, || None), "{value}");
        }
    }

    #[test]
    fn the_port_may_stand_in_another_variable() {
        let own = names("127.0.0.1:3307", &[]);
        assert!(own.are_in("127.0.0.1", || Some(3307)));
        assert!(!own.are_in("127.0.0.1", || Some(3308)));
        assert!(!own.are_in("127.0.0.1", || None));
        assert!(own.may_be_in("127.0.0.1", || None));
        assert!(!own.may_be_in("127.0.0.1", || Some(3308)) && !own.may_be_in("127.0.0.1:3308", || None));
        let usual = names("127.0.0.1", &[]);
        assert!(usual.are_in("127.0.0.1", || None));
        assert!(!usual.are_in("127.0.0.1", || Some(3307)));
        assert!(!usual.may_be_in("127.0.0.1", || None));
        assert!(usual.are_in_with_port("127.0.0.1:3306", || None) && !usual.are_in_with_port("127.0.0.1", || None));
    }

    #[test]
    fn the_scheme_of_a_url_tells_the_kind_of_server() {
        for value in ["jdbc:mysql://db/x", "mysql+pymysql://db", "jdbc:aws-wrapper:mariadb://db", "a:b@tcp(db)/x"] {
            assert_eq!(is_by_scheme(Engine::MySql, value), Some(true), "{value}");
            assert_eq!(is_by_scheme(Engine::Redis, value), Some(false), "{value}");
        }
        for value in
            ["db.internal", "http://db", "tcp://db:61616", "redis://cache/0,db", "url: redis://cache\nhost: db"]
        {
            assert_eq!(is_by_scheme(Engine::MySql, value), None, "{value}");
        }
        assert_eq!(is_by_scheme(Engine::MySql, "url: redis://cache\nurl: jdbc:mysql://db"), Some(true));
        assert_eq!(is_by_scheme(Engine::ActiveMq, "amqp://mq"), None);
    }

    #[test]
    fn two_endpoints_may_be_one_server() {
        let shop = names("db.internal", &["db.shop:3306"]);
        assert!(shop.share_an_address_with(&names("db.internal:3306", &[])));
        assert!(shop.share_an_address_with(&names("10.0.0.1", &["DB.shop:3306"])));
        assert!(!shop.share_an_address_with(&names("db.internal:3307", &["db.shop"])));
    }
}
