//! How many connections one process opens to an endpoint, as far as its settings tell.

use crate::address::Address;
use crate::settings::Engine;
use crate::variables::{Variable, normalised};

/// A setting that holds the size of a pool: its normalised name ends with `owner` and `size` together. What is left when
/// `size` is taken away is the name of the data source that it belongs to.
struct Key {
    engine: Engine,
    owner: &'static str,
    size: &'static str,
}

const fn key(engine: Engine, owner: &'static str, size: &'static str) -> Key {
    Key { engine, owner, size }
}

/// Every setting that is known. A longer one is the better match, so the order does not matter.
const KEYS: &[Key] = &[
    key(Engine::MySql, "", "hikarimaximumpoolsize"),
    key(Engine::MySql, "", "tomcatmaxactive"),
    key(Engine::MySql, "", "dbcp2maxtotal"),
    key(Engine::MySql, "datasource", "jdbcmaxsize"),
    key(Engine::MySql, "datasource", "maxpoolsize"),
    key(Engine::MySql, "datasource", "maximumpoolsize"),
    key(Engine::MySql, "db", "maxopenconns"),
    key(Engine::MySql, "db", "maxopenconnections"),
    key(Engine::MySql, "db", "maxconnections"),
    key(Engine::MySql, "db", "maxconns"),
    key(Engine::MySql, "db", "connectionlimit"),
    key(Engine::MySql, "db", "pool"),
    key(Engine::MySql, "db", "poolmax"),
    key(Engine::MySql, "db", "poolsize"),
    key(Engine::MySql, "db", "maxpoolsize"),
    key(Engine::MySql, "database", "maxconnections"),
    key(Engine::MySql, "database", "maxopenconns"),
    key(Engine::MySql, "database", "pool"),
    key(Engine::MySql, "database", "poolmax"),
    key(Engine::MySql, "database", "poolsize"),
    key(Engine::MySql, "database", "connectionlimit"),
    key(Engine::MySql, "mysql", "maxconnections"),
    key(Engine::MySql, "mysql", "maxopenconns"),
    key(Engine::MySql, "mysql", "poolsize"),
    key(Engine::MySql, "mysql", "connectionlimit"),
    key(Engine::MySql, "sqlalchemy", "poolsize"),
    key(Engine::MySql, "rails", "maxthreads"),
    key(Engine::Redis, "redis", "lettucepoolmaxactive"),
    key(Engine::Redis, "redis", "jedispoolmaxactive"),
    key(Engine::Redis, "redis", "poolmaxactive"),
    key(Engine::Redis, "redis", "maxconnections"),
    key(Engine::Redis, "redis", "poolsize"),
    key(Engine::Redis, "redis", "connectionpoolsize"),
    key(Engine::RabbitMq, "rabbitmq", "cacheconnectionsize"),
    key(Engine::RabbitMq, "rabbitmq", "maxconnections"),
    key(Engine::RabbitMq, "rabbitmq", "poolsize"),
    key(Engine::RabbitMq, "amqp", "maxconnections"),
    key(Engine::RabbitMq, "amqp", "poolsize"),
    key(Engine::ActiveMq, "activemq", "poolmaxconnections"),
    key(Engine::ActiveMq, "activemq", "maxconnections"),
    key(Engine::ActiveMq, "jms", "poolmaxconnections"),
];

/// Ends of the names of variables that hold an address; what is left names the data source. Longer ones first.
const ADDRESS_ENDS: &[&str] = &[
    "connectionstring",
    "bootstrapservers",
    "brokerurl",
    "addresses",
    "hostname",
    "endpoint",
    "jdbcurl",
    "address",
    "servers",
    "server",
    "nodes",
    "hosts",
    "host",
    "url",
    "uri",
    "dsn",
];

/// What names of data sources begin and end with that tells nothing about which one it is. Longer ones first.
const FRAMES: &[&str] = &["springdatasource", "springdata", "spring", "quarkus", "app"];
const KINDS: &[&str] = &[
    "datasource",
    "sqlalchemy",
    "database",
    "rabbitmq",
    "activemq",
    "mariadb",
    "mysql",
    "rails",
    "redis",
    "amqp",
    "jms",
    "db",
];

/// The same of other databases, which do tell something where they stand alone.
const OTHER_KINDS: &[&str] = &["postgresql", "postgres", "mongodb", "mongo", "pg"];

/// Parameters of a connection URL that hold the size of a pool, normalised.
const PARAMETERS: &[&str] =
    &["connectionlimit", "maxpoolsize", "maximumpoolsize", "poolsize", "poolmaxsize", "maxopenconns", "poolmax"];

/// What the settings tell about one data source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Its size, and where that is written.
    Size { size: u64, at: String },
    /// There is no upper bound.
    Unbounded { why: String },
    /// There is a setting, but its value cannot be read.
    Unreadable { why: String },
    /// Nothing; what the usual client of this kind does by itself.
    Assumed { size: u64, client: &'static str },
}

impl Pool {
    /// Its size; without a bound that is known the largest.
    fn rank(&self) -> u64 {
        match self {
            Self::Size { size, .. } | Self::Assumed { size, .. } => *size,
            Self::Unbounded { .. } | Self::Unreadable { .. } => u64::MAX,
        }
    }
}

/// A variable that names the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    pub variable: &'a Variable,
    /// The name of the data source, normalised: `SPRING_DATASOURCE_URL` is of `springdatasource`.
    pub source: String,
}

/// The name of the data source that a variable with an address belongs to.
pub(crate) fn source_of(name: &str) -> String {
    let name = normalised(name);
    let end = ADDRESS_ENDS.iter().find(|end| name.ends_with(**end));
    end.and_then(|end| name.strip_suffix(end)).map_or_else(|| name.clone(), str::to_owned)
}

/// The data sources among the variables that name an endpoint: those with a whole URL if there are any, because a host
/// beside them is one of their parts, unless it has a name of its own.
pub(crate) fn data_sources(references: Vec<Reference<'_>>) -> Vec<Reference<'_>> {
    let is_url = |reference: &Reference<'_>| {
        reference.variable.value.as_deref().is_some_and(|value| value.contains("://") || value.contains("@tcp("))
    };
    let urls: Vec<String> = references.iter().filter(|one| is_url(one)).map(|one| one.source.clone()).collect();
    let is_its_own = |Reference { variable, source }: &Reference<'_>| {
        let is_address = *source != normalised(&variable.name);
        is_address && has_telling_name(source) && !urls.iter().any(|url| stem(url) == stem(source))
    };
    // Under one name there may be two addresses: variables with names of their own that lead elsewhere.
    let is_another = |one: &Reference<'_>, two: &Reference<'_>| {
        let [first, second] = [one, two].map(|one| one.variable.value.as_deref().unwrap_or_default());
        let host = |text| Address::parse(text, 0).map(|address| address.host);
        let leads_elsewhere = match (is_url(one), is_url(two)) {
            (true, true) => first != second,
            (false, false) => host(first).zip(host(second)).is_some_and(|(one, two)| one != two),
            _ => false,
        };
        leads_elsewhere && normalised(&one.variable.name) != normalised(&two.variable.name)
    };
    let mut kept: Vec<Reference<'_>> = vec![];
    for reference in references {
        let is_known = kept.iter().any(|known| known.source == reference.source && !is_another(known, &reference));
        if !is_known && (urls.is_empty() || is_url(&reference) || is_its_own(&reference)) {
            kept.push(reference);
        }
    }
    kept
}

/// The pool of one data source. `others` are further data sources in the container: what is theirs is not taken. What may
/// be theirs, or is named after nobody who is seen, is taken only where it is no less than the default.
pub(crate) fn pool_of(engine: Engine, reference: &Reference<'_>, variables: &[Variable], others: &[String]) -> Pool {
    let value = reference.variable.value.as_deref().unwrap_or_default();
    let of_url = |size: String| pool_from(&size, &reference.variable.name, &reference.variable.at);
    let of_url = parameters(value).map(of_url).max_by_key(Pool::rank);
    if is_migration(&reference.source) {
        let one = Pool::Size { size: 1, at: format!("one connection for the migration of {}", reference.variable.at) };
        return of_url.unwrap_or(one);
    }
    let mut best: Option<(u8, Pool, bool)> = None;
    let stems: Vec<(&str, &str)> = others.iter().map(|other| (other.as_str(), stem(other))).collect();
    for variable in variables {
        let Some((source, key)) = key_of(engine, &variable.name) else { continue };
        let own = closeness(&source, &reference.source);
        let short = stem(&source);
        let of_others = stems.iter().map(|other| closeness_of((&source, short), *other)).max().unwrap_or_default();
        if of_others > own {
            continue;
        }
        let (tier, _) = own;
        let is_doubtful = if tier < SAME_NAME { has_telling_name(&source) } else { of_others == own };
        let (tier, pool) = (tier.min(SAME_NAME), of_variable(variable, key, variables));
        // Of two that can both be meant, the larger one is taken, and one without a bound that is known before both.
        if best.as_ref().is_none_or(|(known, largest, _)| (tier, pool.rank()) > (*known, largest.rank())) {
            best = Some((tier, pool, is_doubtful));
        }
    }
    // Whoever reads a setting may not read the URL, and the other way round.
    let is_smaller_in_url = |pool: &Pool| of_url.as_ref().is_none_or(|of_url| pool.rank() > of_url.rank());
    let default = by_default(engine, value, variables);
    match best.filter(|(_, pool, _)| is_smaller_in_url(pool)) {
        Some((_, pool, is_doubtful)) if !is_doubtful || pool.rank() >= default.rank() => pool,
        _ => of_url.unwrap_or(default),
    }
}

/// Whether a variable of this name holds the size of a pool of such a server.
pub(crate) fn is_size_for(engine: Engine, name: &str) -> bool {
    key_of(engine, name).is_some()
}

/// The same for a server of any kind.
pub(crate) fn is_size(name: &str) -> bool {
    let name = normalised(name);
    KEYS.iter().any(|key| is_of(key, &name))
}

fn key_of(engine: Engine, name: &str) -> Option<(String, &'static Key)> {
    let name = normalised(name);
    let keys = KEYS.iter().filter(|key| key.engine == engine);
    let matching = keys.filter(|key| is_of(key, &name));
    let best = matching.max_by_key(|key| key.owner.len() + key.size.len())?;
    Some((name.strip_suffix(best.size)?.to_owned(), best))
}

/// Whether a normalised name is one that a key describes.
fn is_of(key: &Key, name: &str) -> bool {
    name.strip_suffix(key.size).is_some_and(|source| source.ends_with(key.owner))
}

/// The tier of names that say the same: `DB` and `DATABASE`, `ORDERS_DB` and `ORDERS_DATASOURCE`.
pub(crate) const SAME_NAME: u8 = 2;

/// How well the name of a setting fits a data source; the larger the better.
pub(crate) fn closeness(setting: &str, source: &str) -> (u8, usize) {
    closeness_of((setting, stem(setting)), (source, stem(source)))
}

/// The same of both with their stems.
fn closeness_of((setting, short): (&str, &str), (source, other): (&str, &str)) -> (u8, usize) {
    if setting == source {
        (SAME_NAME + 1, 0)
    } else if short == other {
        (SAME_NAME, 0)
    } else if is_related(setting, source) {
        (1, setting.len().min(source.len()))
    } else if is_related(short, other) {
        (1, short.len().min(other.len()))
    } else {
        (0, 0)
    }
}

/// Whether the name of a data source tells it apart from others.
pub(crate) fn has_telling_name(source: &str) -> bool {
    !stem(source).is_empty()
}

/// The name of a data source without what tells nothing.
fn stem(source: &str) -> &str {
    let of_another = OTHER_KINDS.iter().find_map(|kind| source.strip_suffix(kind)).filter(|rest| !rest.is_empty());
    let mut stem = of_another.unwrap_or(source);
    while let Some(rest) = KINDS.iter().find_map(|kind| stem.strip_suffix(kind)) {
        stem = rest;
    }
    FRAMES.iter().find_map(|frame| stem.strip_prefix(frame)).unwrap_or(stem)
}

fn is_related(one: &str, other: &str) -> bool {
    !one.is_empty() && !other.is_empty() && (one.starts_with(other) || other.starts_with(one))
}

fn is_migration(source: &str) -> bool {
    source.ends_with("flyway") || source.ends_with("liquibase")
}

fn of_variable(variable: &Variable, key: &Key, variables: &[Variable]) -> Pool {
    let Some(value) = &variable.value else {
        return Pool::Unreadable { why: format!("{} at {} is not written down", variable.name, variable.at) };
    };
    let (size, at) = match pool_from(value, &variable.name, &variable.at) {
        Pool::Size { size, at } => (size, at),
        other => return other,
    };
    match overflow(key, variables) {
        Ok(0) => Pool::Size { size, at },
        Ok(overflow) => {
            Pool::Size { size: size.saturating_add(overflow), at: format!("{at}, with an overflow of {overflow}") }
        }
        Err(other) => other,
    }
}

/// What SQLAlchemy opens beyond its pool: 10, unless settings say otherwise, of which the largest counts.
fn overflow(key: &Key, variables: &[Variable]) -> Result<u64, Pool> {
    let all = variables.iter().filter(|known| normalised(&known.name).ends_with("maxoverflow"));
    let largest = all.map(overflow_of).reduce(|one, two| Ok(one?.max(two?)));
    largest.unwrap_or(Ok(if key.owner == "sqlalchemy" { 10 } else { 0 }))
}

fn overflow_of(Variable { name, value, at }: &Variable) -> Result<u64, Pool> {
    let Some(value) = value else {
        return Err(Pool::Unreadable { why: format!("{name} at {at} is not written down") });
    };
    match value.trim().parse::<i64>() {
        Ok(number) => u64::try_from(number)
            .map_err(|_| Pool::Unbounded { why: format!("{name}={number} at {at} stands for no bound") }),
        Err(_) => Err(Pool::Unreadable { why: format!("{name} at {at} is not a number") }),
    }
}

fn pool_from(value: &str, name: &str, at: &str) -> Pool {
    match value.trim().parse::<i64>() {
        Ok(size) if size > 0 => Pool::Size { size: size.unsigned_abs(), at: format!("{name}={size} at {at}") },
        Ok(size) => Pool::Unbounded { why: format!("{name}={size} at {at} stands for no bound") },
        Err(_) => Pool::Unreadable { why: format!("{name} at {at} is not a number") },
    }
}

fn parameters(url: &str) -> impl Iterator<Item = String> {
    let pairs = url.split_once('?').into_iter().flat_map(|(_, query)| query.split('&'));
    pairs
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| PARAMETERS.contains(&normalised(name).as_str()))
        .map(|(_, value)| value.to_owned())
}

fn by_default(engine: Engine, value: &str, variables: &[Variable]) -> Pool {
    let is_spring = variables.iter().any(|variable| normalised(&variable.name).starts_with("spring"));
    let (size, client) = match engine {
        Engine::MySql if value.contains("@tcp(") => {
            return Pool::Unbounded {
                why: "Go's database/sql opens any number unless SetMaxOpenConns is called".to_owned(),
            };
        }
        Engine::MySql => (10, "HikariCP, like most pools"),
        Engine::Redis if is_spring => (1, "Lettuce, which shares one"),
        Engine::Redis => (8, "Jedis"),
        Engine::RabbitMq if is_spring => (1, "Spring's CachingConnectionFactory"),
        Engine::RabbitMq => (2, "one to publish and one to consume"),
        Engine::ActiveMq => (1, "one shared connection, as CachingConnectionFactory and pooled-jms do"),
    };
    Pool::Assumed { size, client }
}

/// What the usual client of a kind does when nothing at all is known about it.
pub(crate) fn assumed(engine: Engine) -> Pool {
    by_default(engine, "", &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.to_owned(), value: Some(value.to_owned()), at: "pod.yaml:7".to_owned() }
    }

    fn pool(engine: Engine, address: (&str, &str), others: &[(&str, &str)], rivals: &[&str]) -> Pool {
        let address = variable(address.0, address.1);
        let others: Vec<Variable> = others.iter().map(|(name, value)| variable(name, value)).collect();
        let reference = Reference { source: source_of(&address.name), variable: &address };
        let rivals: Vec<String> = rivals.iter().map(|rival| (*rival).to_owned()).collect();
        pool_of(engine, &reference, &others, &rivals)
    }

    fn size(engine: Engine, address: (&str, &str), others: &[(&str, &str)]) -> Option<u64> {
        match pool(engine, address, others, &[]) {
            Pool::Size { size, .. } => Some(size),
            _ => None,
        }
    }

    const JDBC: (&str, &str) = ("SPRING_DATASOURCE_URL", "jdbc:mysql://db:3306/shop");

    #[test]
    fn the_settings_that_people_use_are_known() {
        let db = ("DATABASE_URL", "mysql://app@db/shop");
        let redis = ("SPRING_DATA_REDIS_HOST", "cache");
        for (engine, address, name) in [
            (Engine::MySql, JDBC, "SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE"),
            (Engine::MySql, JDBC, "SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE"),
            (Engine::MySql, JDBC, "spring.datasource.hikari.maximum-pool-size"),
            (Engine::MySql, JDBC, "spring.datasource.hikari.maximumPoolSize"),
            (Engine::MySql, JDBC, "SPRING_DATASOURCE_TOMCAT_MAXACTIVE"),
            (Engine::MySql, JDBC, "SPRING_DATASOURCE_TOMCAT_MAX_ACTIVE"),
            (Engine::MySql, JDBC, "SPRING_DATASOURCE_DBCP2_MAXTOTAL"),
            (Engine::MySql, JDBC, "SPRING_DATASOURCE_DBCP2_MAX_TOTAL"),
            (
                Engine::MySql,
                ("QUARKUS_DATASOURCE_JDBC_URL", "jdbc:mysql://db/shop"),
                "QUARKUS_DATASOURCE_JDBC_MAX_SIZE",
            ),
            (Engine::MySql, db, "DB_POOL"),
            (Engine::MySql, db, "DB_POOL_SIZE"),
            (Engine::MySql, db, "DB_MAX_OPEN_CONNS"),
            (Engine::MySql, db, "DB_CONNECTION_LIMIT"),
            (Engine::MySql, db, "DATABASE_MAX_CONNECTIONS"),
            (Engine::MySql, db, "DATABASE_POOL_SIZE"),
            (Engine::MySql, db, "MYSQL_CONNECTION_LIMIT"),
            (Engine::MySql, db, "RAILS_MAX_THREADS"),
            (Engine::Redis, redis, "SPRING_DATA_REDIS_LETTUCE_POOL_MAXACTIVE"),
            (Engine::Redis, redis, "SPRING_DATA_REDIS_LETTUCE_POOL_MAX_ACTIVE"),
            (Engine::Redis, redis, "SPRING_REDIS_JEDIS_POOL_MAXACTIVE"),
            (Engine::Redis, ("REDIS_URL", "redis://cache:6379"), "REDIS_MAX_CONNECTIONS"),
            (Engine::RabbitMq, ("SPRING_RABBITMQ_ADDRESSES", "rabbit:5672"), "SPRING_RABBITMQ_CACHE_CONNECTION_SIZE"),
            (Engine::ActiveMq, ("SPRING_ACTIVEMQ_BROKER_URL", "tcp://mq:61616"), "SPRING_ACTIVEMQ_POOL_MAXCONNECTIONS"),
            (Engine::ActiveMq, ("SPRING_ACTIVEMQ_BROKERURL", "tcp://mq:61616"), "SPRING_ACTIVEMQ_POOL_MAX_CONNECTIONS"),
        ] {
            assert_eq!(size(engine, address, &[(name, "17")]), Some(17), "{name}");
        }
    }

    #[test]
    fn of_a_size_in_the_url_and_one_in_a_setting_the_larger_one_is_taken() {
        let prisma = ("DATABASE_URL", "mysql://app@db/shop?connection_limit=5&pool_timeout=2");
        for (setting, expected) in [(("DB_POOL", "9"), 9), (("DB_POOL", "3"), 5), (("REPORTS_DB_POOL", "6"), 5)] {
            assert_eq!(size(Engine::MySql, prisma, &[setting]), Some(expected), "{setting:?}");
        }
        let hikari = [("SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE", "200")];
        assert_eq!(size(Engine::MySql, (JDBC.0, "jdbc:mysql://db/shop?maxPoolSize=1"), &hikari), Some(200));
        assert!(matches!(pool(Engine::MySql, prisma, &[("DB_POOL", "many")], &[]), Pool::Unreadable { .. }));
        assert_eq!(size(Engine::MySql, ("SPRING_FLYWAY_URL", "jdbc:mysql://db/shop?maxPoolSize=3"), &hikari), Some(3));
    }

    #[test]
    fn each_data_source_has_its_own_pool() {
        let settings =
            [("ORDERS_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", "20"), ("BILLING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", "3")];
        let address = |name| (name, "jdbc:mysql://db/x");
        assert_eq!(size(Engine::MySql, address("ORDERS_DATASOURCE_URL"), &settings), Some(20));
        assert_eq!(size(Engine::MySql, address("BILLING_DATASOURCE_JDBCURL"), &settings), Some(3));
        // A source without a setting of its own, where another database is there too: nobody's pool is borrowed.
        let found =
            pool(Engine::MySql, address("AUDIT_DATASOURCE_URL"), &settings, &["ordersdatasource", "billingdatasource"]);
        assert!(matches!(found, Pool::Assumed { size: 10, .. }));
        // What is named after nobody may be meant for it.
        let found =
            pool(Engine::MySql, address("AUDIT_URL"), &[("HIKARI_MAXIMUM_POOL_SIZE", "50")], &["ordersdatasource"]);
        assert!(matches!(found, Pool::Size { size: 50, .. }));
        // Where this is the only database, the larger one is.
        assert_eq!(size(Engine::MySql, address("AUDIT_DATASOURCE_URL"), &settings), Some(20));
    }

    #[test]
    fn the_pool_of_another_engine_is_not_borrowed() {
        let found = pool(Engine::Redis, ("REDIS_URL", "redis://cache"), &[("DB_POOL", "50")], &[]);
        assert_eq!(found, Pool::Assumed { size: 8, client: "Jedis" });
    }

    #[test]
    fn no_bound_is_said_and_never_guessed() {
        let go = ("DSN", "app:pw@tcp(db:3306)/shop");
        assert!(matches!(pool(Engine::MySql, go, &[], &[]), Pool::Unbounded { .. }));
        assert_eq!(size(Engine::MySql, go, &[("DB_MAX_OPEN_CONNS", "25")]), Some(25));
        assert!(matches!(pool(Engine::MySql, go, &[("DB_MAX_OPEN_CONNS", "0")], &[]), Pool::Unbounded { .. }));
        let lettuce = [("SPRING_DATA_REDIS_LETTUCE_POOL_MAXACTIVE", "-1")];
        assert!(matches!(pool(Engine::Redis, ("SPRING_DATA_REDIS_HOST", "c"), &lettuce, &[]), Pool::Unbounded { .. }));
    }

    #[test]
    fn a_size_that_cannot_be_read_is_said() {
        let settings = [("SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", "${POOL:10}")];
        assert!(matches!(pool(Engine::MySql, JDBC, &settings, &[]), Pool::Unreadable { .. }));
        let hidden = Variable { value: None, ..variable("SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", "") };
        let address = variable(JDBC.0, JDBC.1);
        let reference = Reference { source: source_of(JDBC.0), variable: &address };
        assert!(matches!(pool_of(Engine::MySql, &reference, &[hidden], &[]), Pool::Unreadable { .. }));
    }

    #[test]
    fn of_two_settings_that_say_the_same_the_larger_one_is_taken() {
        let settings =
            [("SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE", "40"), ("spring.datasource.hikari.maximum-pool-size", "5")];
        assert_eq!(size(Engine::MySql, JDBC, &settings), Some(40));
    }

    #[test]
    fn of_two_settings_that_can_both_be_meant_the_larger_one_is_taken() {
        let db = |settings: &[(&str, &str)]| pool(Engine::MySql, ("DB_HOST", "db"), settings, &[]);
        for other in ["DB_POOL_SIZE", "DATABASE_POOL_SIZE", "HIKARI_MAXIMUM_POOL_SIZE", "RAILS_MAX_THREADS"] {
            let found = db(&[("DB_MAX_OPEN_CONNS", "1"), (other, "100")]);
            assert!(matches!(found, Pool::Size { size: 100, .. }), "{other}: {found:?}");
        }
        let unbounded = db(&[("DB_POOL_SIZE", "100"), ("DB_MAX_OPEN_CONNS", "0")]);
        assert!(matches!(unbounded, Pool::Unbounded { .. }));
        assert!(matches!(db(&[("DB_POOL_SIZE", "auto"), ("DB_POOL", "5")]), Pool::Unreadable { .. }));
        // An exact name goes before one of which nobody is known.
        let settings = [("DB_POOL_SIZE", "5"), ("REPORT_DB_POOL_SIZE", "50")];
        assert!(matches!(db(&settings), Pool::Size { size: 5, .. }));
        let both = ("DATABASE_URL", "mysql://db/shop?connection_limit=1&pool_size=100");
        assert_eq!(size(Engine::MySql, both, &[]), Some(100));
        let overflows = [("DB_POOL_SIZE", "5"), ("DB_MAX_OVERFLOW", "0"), ("SQLALCHEMY_MAX_OVERFLOW", "30")];
        assert!(matches!(db(&overflows), Pool::Size { size: 35, .. }));
    }

    #[test]
    fn the_size_of_another_data_source_makes_no_pool_smaller() {
        let with = |name, size, others: &[&str]| pool(Engine::MySql, JDBC, &[(name, size)], others);
        let default = Pool::Assumed { size: 10, client: "HikariCP, like most pools" };
        for size in ["1", "100"] {
            assert_eq!(with("REPORTING_DB_POOL_SIZE", size, &["reportingdb"]), default);
            assert_eq!(with("REPORTING_DB_POOL_SIZE", size, &["reportingpg"]), default);
            assert_eq!(with("DB_POOL_SIZE", size, &["db"]), default);
        }
        // Whose it is cannot be told.
        assert_eq!(with("REPORTING_DB_POOL_SIZE", "1", &[]), default);
        assert_eq!(with("DATABASE_POOL_SIZE", "1", &["db"]), default);
        assert!(matches!(with("DATABASE_POOL_SIZE", "100", &["db"]), Pool::Size { size: 100, .. }));
        assert!(matches!(with("DB_POOL_SIZE", "1", &["reportingdb"]), Pool::Size { size: 1, .. }));
        let writer = pool(Engine::MySql, ("DB_WRITER_HOST", "db"), &[("DB_POOL_SIZE", "5")], &["dbreader"]);
        assert!(matches!(writer, Pool::Size { size: 5, .. }), "one for both");
    }

    #[test]
    fn an_overflow_without_a_bound_or_from_a_secret_is_said() {
        let db = ("DB_HOST", "db");
        let with = |overflow| pool(Engine::MySql, db, &[("DB_POOL_SIZE", "5"), ("DB_MAX_OVERFLOW", overflow)], &[]);
        assert!(matches!(with("7"), Pool::Size { size: 12, .. }));
        assert!(matches!(with("-1"), Pool::Unbounded { .. }));
        assert!(matches!(with("many"), Pool::Unreadable { .. }));
    }

    #[test]
    fn sqlalchemy_overflows_and_flyway_takes_one() {
        let db = ("SQLALCHEMY_DATABASE_URI", "mysql+pymysql://db/shop");
        assert_eq!(size(Engine::MySql, db, &[("SQLALCHEMY_POOL_SIZE", "5")]), Some(15));
        let settings = [("SQLALCHEMY_POOL_SIZE", "5"), ("SQLALCHEMY_MAX_OVERFLOW", "0")];
        assert_eq!(size(Engine::MySql, db, &settings), Some(5));
        assert_eq!(size(Engine::MySql, ("SPRING_FLYWAY_URL", JDBC.1), &[]), Some(1));
    }

    #[test]
    fn a_host_beside_a_url_is_the_same_source() {
        let variables =
            [variable("DB_HOST", "db"), variable("DB_URL", "mysql://db/x"), variable("READER_URL", "mysql://db/y")];
        let references = variables.iter().map(|variable| Reference { source: source_of(&variable.name), variable });
        let found = data_sources(references.collect());
        assert_eq!(found.iter().map(|found| found.source.as_str()).collect::<Vec<_>>(), ["db", "reader"]);
    }

    #[test]
    fn a_host_with_a_name_of_its_own_is_another_source() {
        let sources = |names: &[&str]| -> Vec<String> {
            let variables: Vec<Variable> = names
                .iter()
                .map(|name| variable(name, if name.ends_with("URL") { "mysql://db/x" } else { "db" }))
                .collect();
            let named = variables.iter().filter(|one| one.name.ends_with("URL") || one.name.ends_with("HOST"));
            let named = named.map(|variable| Reference { source: source_of(&variable.name), variable });
            data_sources(named.collect()).into_iter().map(|one| one.source).collect()
        };
        assert_eq!(sources(&["DATABASE_URL", "REPORT_DB_HOST", "REPORT_DB_POOL_SIZE"]), ["database", "reportdb"]);
        assert_eq!(
            sources(&["DATABASE_URL", "REPORTS_DB_HOST", "ARCHIVE_DB_HOST"]),
            ["database", "reportsdb", "archivedb"]
        );
        assert_eq!(sources(&["ORDERS_DATASOURCE_URL", "ORDERS_DB_HOST"]), ["ordersdatasource"]);
        assert_eq!(sources(&["DATABASE_URL", "DB_HOST", "DB_POOL_SIZE"]), ["database"]);
    }
}
