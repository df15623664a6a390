//! The servers that variables and arguments of containers name.

use super::quoted;
use preflight_cluster::{Container, EnvVar, Inventory, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How a URL of a server begins, its engine, its usual port, and whether it is encrypted.
const SCHEMES: &[(&str, &str, u16, bool)] = &[
    ("mysql://", "mysql", 3306, false),
    ("mariadb://", "mysql", 3306, false),
    ("redis://", "redis", 6379, false),
    ("rediss://", "redis", 6379, true),
    ("amqp://", "rabbitmq", 5672, false),
    ("amqps://", "rabbitmq", 5671, true),
    ("failover:(tcp://", "activemq", 61_616, false),
    ("failover:(ssl://", "activemq", 61_617, true),
    ("tcp://", "activemq", 61_616, false),
    ("ssl://", "activemq", 61_617, true),
];

/// What the name of a variable with a bare host says about its engine, with the usual ports without and with TLS. The last
/// ones are guesses.
const ENGINES: &[(&[&str], Engine)] = &[
    (&["MYSQL", "MARIADB"], Engine { word: "mysql", port: 3306, tls_port: 3306, is_guess: false }),
    (&["REDIS", "VALKEY"], Engine { word: "redis", port: 6379, tls_port: 6379, is_guess: false }),
    (&["RABBITMQ", "RABBIT", "AMQP"], Engine { word: "rabbitmq", port: 5672, tls_port: 5671, is_guess: false }),
    (&["ACTIVEMQ"], Engine { word: "activemq", port: 61_616, tls_port: 61_617, is_guess: false }),
    (&["DB", "DATABASE", "DATASOURCE"], Engine { word: "mysql", port: 3306, tls_port: 3306, is_guess: true }),
    (&["CACHE"], Engine { word: "redis", port: 6379, tls_port: 6379, is_guess: true }),
];

/// How the name of a variable ends that holds a host.
const HOSTS: &[&str] = &["HOST", "HOSTNAME", "ADDR", "ADDRESS", "ENDPOINT", "SERVER"];

/// How the name of a variable ends that may hold the address of a server, too.
const URLS: &[&str] = &["URL", "URI", "DSN", "BROKER"];

/// Usual ports of servers that this tool does not know.
const OTHERS: &[u16] = &[1433, 1521, 5432, 9092, 11_211, 27_017];

/// The most values that the starter lists as not read.
const UNREAD_MAX: usize = 50;

#[derive(Clone, Copy)]
struct Engine {
    word: &'static str,
    port: u16,
    tls_port: u16,
    is_guess: bool,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    engine: &'static str,
    host: String,
    port: u16,
}

/// What was seen of a server.
#[derive(Clone, Debug, Default)]
struct Seen {
    at: String,
    tls: bool,
    /// What is not written and was filled in.
    remarks: Vec<&'static str>,
}

/// Everything that an inventory tells about servers.
#[derive(Default)]
pub(super) struct Servers {
    seen: BTreeMap<Address, Seen>,
    /// Values that may name one and cannot be read, each with its place.
    unread: BTreeSet<String>,
}

impl Servers {
    pub(super) fn of(inventory: &Inventory) -> Self {
        let eks = inventory.workloads.iter().filter_map(|workload| workload.eks.as_ref());
        let ecs = inventory.workloads.iter().filter_map(|workload| workload.ecs.as_ref());
        let of_pods = eks.flat_map(|eks| eks.pod.init_containers.iter().chain(&eks.pod.containers));
        let mut servers = Self::default();
        for container in of_pods.chain(ecs.flat_map(|ecs| &ecs.containers)) {
            servers.add(container);
        }
        servers
    }

    fn add(&mut self, container: &Container) {
        let variables = variables(container);
        for variable in &variables {
            let Some(value) = variable.plain() else {
                self.unreadable(variable);
                continue;
            };
            let found = of_url(value).or_else(|| of_host(variable, value, &variables));
            let Some((address, tls, remarks)) = found else { continue };
            if address.host.contains(['$', '{', '(']) {
                self.unread.insert(format!("{} at {} names another variable", variable.name, variable.at));
                continue;
            }
            let seen = self.seen.entry(address).or_insert_with(|| Seen { at: variable.at.clone(), tls, remarks });
            seen.tls |= tls;
        }
    }

    fn unreadable(&mut self, variable: &EnvVar) {
        let (Value::Secret(source) | Value::Unresolved(source)) = &variable.value else { return };
        let may_name_one = ends_with(&variable.name, HOSTS) || ends_with(&variable.name, URLS);
        if variable.is_any() || may_name_one {
            self.unread.insert(format!("{} at {}: {source}", variable.name, variable.at));
        }
    }

    /// The section `endpoints`.
    pub(super) fn section(&self) -> String {
        let mut text = String::new();
        if self.seen.is_empty() {
            text.push_str(
                "# No server's address stands in the manifests. One looks like this:\n# endpoints:\n#   - {name: orders-db, \
                 engine: mysql, address: db.internal:3306, username: app, password: \"${DB_PASSWORD}\"}\n",
            );
        } else {
            text.push_str(
                "# Accounts are missing: `username` and `password` of the applications, and an `observer` that may read \
                 limits.\nendpoints:\n",
            );
        }
        let mut names = BTreeSet::new();
        for (address, seen) in &self.seen {
            let Address { engine, host, port } = address;
            let remarks: String = seen.remarks.iter().map(|remark| format!("; {remark}")).collect();
            let tls = if seen.tls { ", tls: true" } else { "" };
            let (name, address) = (quoted(&name(address, &mut names)), quoted(&format!("{host}:{port}")));
            let _ = writeln!(text, "  # seen at {}{remarks}", seen.at);
            let _ = writeln!(text, "  - {{name: {name}, engine: {engine}, address: {address}{tls}}}");
        }
        if !self.unread.is_empty() {
            text.push_str("# Not read; if one of these names a server, add it:\n");
        }
        for one in self.unread.iter().take(UNREAD_MAX) {
            let _ = writeln!(text, "#   {}", one.replace('\n', " "));
        }
        if self.unread.len() > UNREAD_MAX {
            let _ = writeln!(text, "#   … and {} more", self.unread.len() - UNREAD_MAX);
        }
        text.push('\n');
        text
    }
}

/// The first part of the host's name, or the engine where it has none; no name comes twice.
fn name(address: &Address, used: &mut BTreeSet<String>) -> String {
    let label = address.host.split('.').next().unwrap_or_default();
    let is_number = label.bytes().all(|byte| byte.is_ascii_digit()) || label.contains(':');
    let base = if is_number { address.engine } else { label };
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let name = std::iter::once(base.to_owned()).chain(numbered).find(|name| !used.contains(name));
    let name = name.unwrap_or_default();
    used.insert(name.clone());
    name
}

/// The variables of a container, and what its arguments set (`--a.b=c`, `-Da.b=c`), in the spelling of variables.
fn variables(container: &Container) -> Vec<EnvVar> {
    let argument = |one: &preflight_cluster::Sited<String>| {
        let setting = one.value.strip_prefix("--").or_else(|| one.value.strip_prefix("-D"))?;
        let (name, value) = setting.split_once('=')?;
        Some(EnvVar { name: name.to_owned(), value: Value::Plain(value.to_owned()), at: one.at.clone() })
    };
    container.env.iter().cloned().chain(container.arguments.iter().filter_map(argument)).collect()
}

/// A name in capitals, its words parted by `_`.
fn words(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn ends_with(name: &str, words_of: &[&str]) -> bool {
    words(name).rsplit('_').next().is_some_and(|last| words_of.contains(&last))
}

type Found = (Address, bool, Vec<&'static str>);

const USUAL_PORT: &str = "no port stands there, so it is the usual one";

fn of_url(value: &str) -> Option<Found> {
    let value = value.strip_prefix("jdbc:").unwrap_or(value);
    let (rest, engine, usual, tls) = SCHEMES
        .iter()
        .find_map(|(scheme, engine, port, tls)| Some((value.strip_prefix(scheme)?, *engine, *port, *tls)))?;
    let authority = rest.split(['/', '?', ',', ')']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = split(place)?;
    let remarks = if port.is_none() { vec![USUAL_PORT] } else { vec![] };
    Some((Address { engine, host, port: port.unwrap_or(usual) }, tls, remarks))
}

/// A bare host in a variable that is called after an engine; its port and TLS may stand in variables beside it.
fn of_host(variable: &EnvVar, value: &str, beside: &[EnvVar]) -> Option<Found> {
    let name = words(&variable.name);
    if !ends_with(&name, HOSTS) || value.contains(['/', '@', ',']) || value.contains(char::is_whitespace) {
        return None;
    }
    let parts: Vec<&str> = name.split('_').collect();
    let (_, engine) = ENGINES.iter().find(|(known, _)| known.iter().any(|word| parts.contains(word)))?;
    let (host, port) = split(value)?;
    let prefix = name.rsplit_once('_').map_or("", |(prefix, _)| prefix);
    let of = |ends: &[&str]| {
        let names: Vec<String> = ends.iter().map(|end| format!("{prefix}_{end}")).collect();
        beside.iter().find(|one| names.contains(&words(&one.name))).and_then(EnvVar::plain)
    };
    let port = port.or_else(|| of(&["PORT"])?.parse().ok().filter(|port| *port > 0));
    if port.is_some_and(|port| OTHERS.contains(&port)) {
        return None;
    }
    let is_on = of(&["TLS", "SSL", "TLS_ENABLED", "SSL_ENABLED"]).is_some_and(|value| value == "true");
    let tls = is_on || (engine.tls_port != engine.port && port == Some(engine.tls_port));
    let usual = if tls { engine.tls_port } else { engine.port };
    let mut remarks = vec![];
    if port.is_none() {
        remarks.push(USUAL_PORT);
    }
    if engine.is_guess {
        remarks.push("the engine is a guess from the variable's name");
    }
    Some((Address { engine: engine.word, host, port: port.unwrap_or(usual) }, tls, remarks))
}

/// Host and port of `host`, `host:port` or `[ipv6]:port`; the host keeps its brackets.
fn split(place: &str) -> Option<(String, Option<u16>)> {
    let at = if place.starts_with('[') { place.find(']')? + 1 } else { place.find(':').unwrap_or(place.len()) };
    let (host, rest) = place.split_at(at);
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use preflight_cluster::Sited;

    fn section(env: &[(&str, Value)], arguments: &[&str]) -> String {
        let variable = |(name, value): &(&str, Value)| EnvVar {
            name: (*name).to_owned(),
            value: value.clone(),
            at: "a.yaml:7".to_owned(),
        };
        let argument = |text: &&str| Sited { value: (*text).to_owned(), at: "a.yaml:9".to_owned() };
        let container = Container {
            env: env.iter().map(variable).collect(),
            arguments: arguments.iter().map(argument).collect(),
            ..Container::default()
        };
        let mut servers = Servers::default();
        servers.add(&container);
        servers.section()
    }

    fn of(name: &str, value: &str) -> String {
        section(&[(name, Value::Plain(value.to_owned()))], &[])
    }

    #[test]
    fn a_server_without_a_port_has_the_usual_one_of_its_scheme() {
        for (value, line) in [
            ("mysql://app@db.internal/shop", r#"{name: "db", engine: mysql, address: "db.internal:3306"}"#),
            ("jdbc:mariadb://db/shop", r#"{name: "db", engine: mysql, address: "db:3306"}"#),
            ("redis://cache", r#"{name: "cache", engine: redis, address: "cache:6379"}"#),
            ("rediss://:x@cache/0", r#"{name: "cache", engine: redis, address: "cache:6379", tls: true}"#),
            ("amqp://rabbit", r#"{name: "rabbit", engine: rabbitmq, address: "rabbit:5672"}"#),
            ("amqps://rabbit/", r#"{name: "rabbit", engine: rabbitmq, address: "rabbit:5671", tls: true}"#),
            ("tcp://mq", r#"{name: "mq", engine: activemq, address: "mq:61616"}"#),
            ("failover:(ssl://mq,ssl://mq2)", r#"{name: "mq", engine: activemq, address: "mq:61617", tls: true}"#),
            ("mysql://[fd00::1]/shop", r#"{name: "mysql", engine: mysql, address: "[fd00::1]:3306"}"#),
        ] {
            let found = of("URL", value);
            assert!(found.contains(line), "{value}: {found}");
            assert!(found.contains("# seen at a.yaml:7; no port stands there, so it is the usual one\n"), "{found}");
        }
        let with_port = of("URL", "mysql://db:3307/shop");
        assert!(with_port.contains("\"db:3307\"") && with_port.contains("# seen at a.yaml:7\n"), "{with_port}");
    }

    #[test]
    fn a_bare_host_is_a_server_of_the_engine_that_its_variable_is_called_after() {
        for (name, line) in [
            ("MYSQL_HOST", r#"engine: mysql, address: "h.internal:3306"}"#),
            ("SPRING_DATA_REDIS_HOST", r#"engine: redis, address: "h.internal:6379"}"#),
            ("RABBITMQ_ADDR", r#"engine: rabbitmq, address: "h.internal:5672"}"#),
            ("ACTIVEMQ_HOSTNAME", r#"engine: activemq, address: "h.internal:61616"}"#),
        ] {
            let found = of(name, "h.internal");
            assert!(found.contains(line) && found.contains("usual one\n"), "{name}: {found}");
        }
        let guess = of("DB_HOST", "h");
        assert!(guess.contains("engine: mysql") && guess.contains("the engine is a guess"), "{guess}");
        for (name, value) in [
            ("HOST", "h"),
            ("KAFKA_HOST", "h"),
            ("DB_NAME", "h"),
            ("DB_HOST", "h:5432"),
            ("MYSQL_HOST", "http://h/"),
            ("MYSQL_HOST", ""),
        ] {
            assert!(of(name, value).contains("No server's address"), "{name}={value}");
        }
    }

    #[test]
    fn port_and_tls_may_stand_in_variables_beside_the_host() {
        let plain = |text: &str| Value::Plain(text.to_owned());
        let found = section(&[("DB_HOST", plain("db")), ("DB_PORT", plain("3307"))], &[]);
        assert!(found.contains("\"db:3307\"") && !found.contains("usual one"), "{found}");
        let postgres = section(&[("DB_HOST", plain("db")), ("DB_PORT", plain("5432"))], &[]);
        assert!(postgres.contains("No server's address"), "{postgres}");
        let tls = section(&[("RABBITMQ_HOST", plain("r")), ("RABBITMQ_SSL_ENABLED", plain("true"))], &[]);
        assert!(tls.contains("\"r:5671\", tls: true"), "{tls}");
        let argument = section(&[], &["--spring.redis.host=cache", "-Dspring.redis.port=6380"]);
        assert!(argument.contains("\"cache:6380\"") && argument.contains("a.yaml:9"), "{argument}");
    }

    #[test]
    fn no_name_comes_twice() {
        let plain = |text: &str| Value::Plain(text.to_owned());
        let urls = ["redis://db", "mysql://db", "mysql://db-2", "mysql://db.other"].map(plain);
        let env: Vec<(&str, Value)> = ["A", "B", "C", "D"].into_iter().zip(urls).collect();
        let found = section(&env, &[]);
        let names: BTreeSet<&str> = found.lines().filter_map(|line| line.split('"').nth(1)).collect();
        assert_eq!(names.len(), 4, "{found}");
    }

    #[test]
    fn what_cannot_be_read_is_listed_if_it_may_name_a_server() {
        let found = section(
            &[
                ("DATABASE_URL", Value::Secret("key url of the Secret shop/db".to_owned())),
                ("API_TOKEN", Value::Secret("key t of the Secret shop/db".to_owned())),
                ("*", Value::Unresolved("the ConfigMap shop/settings".to_owned())),
                ("REDIS_URL", Value::Plain("redis://$(CACHE)/0".to_owned())),
            ],
            &[],
        );
        assert!(found.contains("#   DATABASE_URL at a.yaml:7: key url of the Secret shop/db\n"), "{found}");
        assert!(found.contains("#   * at a.yaml:7: the ConfigMap shop/settings\n"), "{found}");
        assert!(found.contains("#   REDIS_URL at a.yaml:7 names another variable\n"), "{found}");
        assert!(!found.contains("API_TOKEN"), "{found}");
    }
}
