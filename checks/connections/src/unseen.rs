//! What a workload may connect to without being seen to: where its configuration cannot be read.
//!
//! Any value that stands elsewhere may be an address or hold one. Excused by their names are those of other kinds of
//! servers, certificates, and passwords and the like of a server that is seen. A password or the size of a pool without
//! any server tells that the address stands in the image.

use crate::demand::Deployed;
use crate::pools;
use crate::settings::Engine;
use crate::variables::{Variable, normalised};
use preflight_cluster::EnvVar;

/// A variable or a file of a container that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Its name, or one that ends with [`EnvVar::ANY`].
    pub name: String,
    /// Whether it is a file.
    pub is_file: bool,
    /// Where it comes from instead.
    pub why: String,
    pub at: String,
}

/// Databases that are none of MySQL's.
const OTHER_DATABASES: &[&str] = &["mongo", "dynamo", "influx", "couch", "documentdb", "postgres", "elastic"];

/// Further servers that are no endpoints.
const OTHER_SERVERS: &[&str] = &["kafka", "sentry", "webhook", "smtp"];

/// Ends of the names of what lets somebody in and leads nowhere, normalised.
const CREDENTIALS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pass",
    "secret",
    "token",
    "key",
    "keyid",
    "clientid",
    "username",
    "user",
    "salt",
];

/// The same of certificates and their keys.
const CERTIFICATES: &[&str] = &["crt", "cer", "cert", "pem", "jks", "p12", "pfx", "tlskey"];

/// Where Spring is told to read more configuration from:
/// <https://docs.spring.io/spring-boot/reference/features/external-config.html>, Spring Cloud Config.
const IMPORTS: &[&str] =
    &["springconfigimport", "springconfiglocation", "springconfigadditionallocation", "springcloudconfiguri"];

/// What of it lies in the image or is mounted.
const LOCAL: &[&str] = &["classpath", "file:", "configtree:", "env:", "/", "./"];

/// What to do about a suspicion.
pub(crate) const FIX: &str = "add it to the files (of a Secret, the names of its keys are enough), or say with `uses` all \
                              that the workload connects to (`uses: []`: to no endpoint)";

/// Why a workload may use an endpoint of this engine beyond what is seen, if it may: the words before the endpoint's name.
/// `is_named` tells whether it names this endpoint, `names_any` whether it names another.
pub(crate) fn suspicion(
    engine: Engine,
    workload: &Deployed,
    is_named: bool,
    names_any: impl Fn() -> bool,
) -> Option<String> {
    let variables = || workload.containers.iter().flat_map(|container| &container.variables);
    let has_address = || {
        let is_address = |known: &Variable| {
            known.value.as_ref().is_some_and(|value| !value.is_empty()) && is_address_of_its_kind(engine, &known.name)
        };
        is_named || variables().any(is_address)
    };
    let names_any = || is_named || names_any();
    let mut unread = workload.containers.iter().flat_map(|container| &container.unread);
    if let Some(one) = unread.find(|one| may_hold_an_address(engine, &one.name, has_address, names_any)) {
        let Unread { name, is_file, why, at } = one;
        let what = match (name.ends_with(EnvVar::ANY), is_file) {
            (true, true) => format!("the files at {at} are not known"),
            (true, false) => format!("the variables `{name}` at {at} are not known"),
            (false, true) => format!("the file {name} at {at} cannot be read"),
            (false, false) => format!("{name} at {at} cannot be read"),
        };
        return Some(format!("{what} ({why}) and may hold the address of"));
    }
    if let Some(Variable { name, at, .. }) = variables().find(|known| reads_elsewhere(known)) {
        return Some(format!(
            "{name} at {at} has more configuration read from elsewhere, which may hold the address of"
        ));
    }
    let mut pools = variables().filter(|known| pools::is_size_for(engine, &known.name));
    let Variable { name, at, .. } = pools.next().filter(|_| !has_address())?;
    Some(format!("{name} at {at} is the size of a pool whose server is written nowhere and may be"))
}

fn may_hold_an_address(
    engine: Engine,
    name: &str,
    has_address: impl Fn() -> bool,
    names_any: impl Fn() -> bool,
) -> bool {
    if name.ends_with(EnvVar::ANY) {
        return true;
    }
    let (is_other, name) = (is_of_another_engine(engine, name), normalised(name));
    let is_for_this = may_be_for(engine, &name);
    let contains = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let ends = |words: &[&str]| words.iter().any(|word| name.ends_with(word));
    if is_other || ends(CERTIFICATES) || (!is_for_this && (contains(OTHER_DATABASES) || contains(OTHER_SERVERS))) {
        return false;
    }
    // A password is that of a server: of one that is seen, or of one that is not.
    !ends(CREDENTIALS) || !(if is_for_this { has_address() } else { names_any() })
}

fn reads_elsewhere(variable: &Variable) -> bool {
    let places = || variable.value.iter().flat_map(|value| value.split([',', ';'])).map(str::trim);
    let is_local = |place: &str| {
        let place = place.strip_prefix("optional:").unwrap_or(place);
        place.is_empty() || LOCAL.iter().any(|local| place.starts_with(local))
    };
    IMPORTS.contains(&normalised(&variable.name).as_str()) && places().any(|place| !is_local(place))
}

/// Whether a variable of this name holds an address of such a server, or of another database in its place.
pub(crate) fn is_address_of_its_kind(engine: Engine, name: &str) -> bool {
    let normal = normalised(name);
    let is_another = engine == Engine::MySql && OTHER_DATABASES.iter().any(|other| normal.contains(other));
    is_address_for(engine, name) || (is_another && pools::source_of(name) != normal)
}

/// Whether a variable of this name holds an address of such a server.
pub(crate) fn is_address_for(engine: Engine, name: &str) -> bool {
    let normal = normalised(name);
    pools::source_of(name) != normal && may_be_for(engine, &normal)
}

/// Whether a variable is one of another kind of server by its name.
pub(crate) fn is_of_another_engine(engine: Engine, name: &str) -> bool {
    let name = normalised(name);
    let all = [Engine::MySql, Engine::Redis, Engine::RabbitMq, Engine::ActiveMq];
    !may_be_for(engine, &name) && all.into_iter().any(|other| may_be_for(other, &name))
}

/// Whether a variable of this normalised name could be about such a server.
pub(crate) fn may_be_for(engine: Engine, name: &str) -> bool {
    let words: &[&str] = match engine {
        Engine::MySql if OTHER_DATABASES.iter().any(|other| name.contains(other)) => &[],
        Engine::MySql => &["datasource", "database", "mysql", "mariadb", "aurora", "jdbc", "db"],
        Engine::Redis => &["redis", "valkey", "cache"],
        Engine::RabbitMq => &["rabbit", "amqp"],
        Engine::ActiveMq => &["activemq", "jms", "brokerurl", "stomp"],
    };
    words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::Container;
    use crate::headroom::{Instances, Side};

    /// A workload with these variables, those without a value in a Secret, and these files in a Secret.
    fn workload(variables: &[(&str, Option<&str>)], files: &[&str]) -> Deployed {
        let at = "a.yaml:7".to_owned();
        let unread = |name: &str, is_file| Unread {
            name: name.to_owned(),
            is_file,
            why: "key k of Secret s".to_owned(),
            at: at.clone(),
        };
        let variable = |(name, value): &(&str, Option<&str>)| Variable {
            name: (*name).to_owned(),
            value: value.map(str::to_owned),
            at: at.clone(),
        };
        let hidden = variables.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| unread(name, false));
        let container = Container {
            unread: hidden.chain(files.iter().map(|name| unread(name, true))).collect(),
            variables: variables.iter().map(variable).collect(),
            ..Container::default()
        };
        let (instances, containers) = (Ok(Instances::default()), vec![container]);
        Deployed { workload: "orders".to_owned(), side: Side::Eks, instances, more: None, at: at.clone(), containers }
    }

    fn suspects(engine: Engine, variables: &[(&str, Option<&str>)], names_any: bool) -> bool {
        suspicion(engine, &workload(variables, &[]), false, || names_any).is_some()
    }

    #[test]
    fn what_cannot_be_read_may_hold_an_address_and_says_where_it_stands() {
        let said = |variables: &[(&str, Option<&str>)], files: &[&str]| {
            suspicion(Engine::MySql, &workload(variables, files), false, || true)
        };
        assert_eq!(said(&[("A", Some("1"))], &[]), None);
        let why = "(key k of Secret s) and may hold the address of";
        assert_eq!(said(&[("CONFIG", None)], &[]), Some(format!("CONFIG at a.yaml:7 cannot be read {why}")));
        assert_eq!(
            said(&[("APP_*", None)], &[]),
            Some(format!("the variables `APP_*` at a.yaml:7 are not known {why}"))
        );
        assert_eq!(said(&[], &["*"]), Some(format!("the files at a.yaml:7 are not known {why}")));
        let file = format!("the file application.yaml at a.yaml:7 cannot be read {why}");
        assert_eq!(said(&[], &["tls.crt", "tls.key", "ca.pem", "store.jks", "application.yaml"]), Some(file));
        assert_eq!(said(&[], &["tls.crt", "tls.key", "ca.pem", "store.jks"]), None);
    }

    #[test]
    fn a_name_of_another_kind_of_server_is_no_suspicion() {
        for name in ["REDIS_URL", "MONGODB_URI", "SENTRY_DSN", "KAFKA_BROKERS", "SPRING_RABBITMQ_ADDRESSES"] {
            assert!(!suspects(Engine::MySql, &[(name, None)], false), "{name}");
        }
        assert!(suspects(Engine::Redis, &[("ELASTICACHE_SETTINGS", None)], false));
    }

    #[test]
    fn a_password_is_one_of_a_server_that_is_seen_or_of_one_that_is_not() {
        let password = ("DB_PASSWORD", None);
        assert!(suspects(Engine::MySql, &[password], true), "its server stands nowhere");
        assert!(suspects(Engine::MySql, &[password, ("DB_HOST", Some(""))], true));
        assert!(!suspects(Engine::MySql, &[password, ("DB_HOST", Some("other.internal"))], true));
        assert!(!suspects(Engine::Redis, &[password], false), "it is none of Redis");
        assert!(!suspects(Engine::MySql, &[("APP_TOKEN", None)], true));
        assert!(suspects(Engine::MySql, &[("APP_TOKEN", None)], false), "nothing is seen that it could be for");
    }

    #[test]
    fn whoever_names_the_endpoint_may_hide_more_of_it_but_not_in_a_password() {
        let named = |variables: &[(&str, Option<&str>)], files: &[&str]| {
            suspicion(Engine::MySql, &workload(variables, files), true, || false).is_some()
        };
        assert!(named(&[("*", None)], &[]) && named(&[("APP_CONFIG", None)], &[]) && named(&[], &["application.yaml"]));
        assert!(!named(&[("DB_PASSWORD", None), ("APP_TOKEN", None), ("REDIS_URL", None)], &["tls.crt"]));
        assert!(!named(&[("DB_POOL_SIZE", Some("5"))], &[]));
    }

    #[test]
    fn the_size_of_a_pool_without_a_server_is_one_of_a_server_in_the_image() {
        let pool = ("SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", Some("20"));
        let said = suspicion(Engine::MySql, &workload(&[pool], &[]), false, || true).unwrap();
        assert!(said.ends_with("is the size of a pool whose server is written nowhere and may be"), "{said}");
        assert!(!suspects(Engine::Redis, &[pool], true));
        for server in ["SPRING_DATASOURCE_URL", "POSTGRES_HOST"] {
            assert!(!suspects(Engine::MySql, &[pool, (server, Some("other"))], true), "{server}");
        }
    }

    #[test]
    fn spring_may_be_told_to_read_more_from_elsewhere() {
        let import = |value| suspects(Engine::MySql, &[("SPRING_CONFIG_IMPORT", Some(value))], true);
        assert!(import("optional:aws-secretsmanager:/shop/orders") && import("file:/a.yml;configserver:http://config"));
        assert!(!import("optional:classpath:/more.yml,file:./a.yml,configtree:/etc/config/") && !import(""));
        assert!(suspects(Engine::MySql, &[("spring.cloud.config.uri", Some("http://config:8888"))], true));
    }
}
