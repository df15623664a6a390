//! Who connects to an endpoint, with how many connections: a pure function of the inventory and the settings.

use crate::address::Names;
use crate::headroom::{Contributor, Instances, Side};
use crate::pools::{self, Pool, Reference};
use crate::settings::{Endpoint, Engine, Use};
use crate::variables::{Variable, normalised};
use preflight_cluster::EnvVar;

/// One workload on one side, as far as connections are concerned.
#[derive(Clone, Debug)]
pub(crate) struct Deployed {
    /// Its name: that of the pair, if both sides are known to belong together.
    pub workload: String,
    pub side: Side,
    /// How many there are; or why that cannot be told.
    pub instances: Result<Instances, String>,
    /// Where it is written.
    pub at: String,
    pub containers: Vec<Container>,
}

/// One container, with everything that [`crate::variables::expand`] found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Container {
    pub variables: Vec<Variable>,
    pub arguments: Vec<Variable>,
}

/// The demand on one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub contributors: Vec<Contributor>,
    /// Whose share cannot be told, and why. As long as there is any, the contributors are a lower bound.
    pub unclear: Vec<String>,
}

/// Adds up who connects to `endpoint`. `endpoints` are all of them, `uses` what the settings say by workload.
pub(crate) fn demand(
    endpoint: &Endpoint,
    endpoints: &[Endpoint],
    deployed: &[Deployed],
    uses: &[(String, Use)],
) -> Demand {
    let names = Names::of(endpoint);
    let rivals: Vec<Names> = endpoints
        .iter()
        .filter(|other| other.name != endpoint.name && other.engine == endpoint.engine)
        .map(Names::of)
        .collect();
    let siblings: Vec<&str> =
        endpoints.iter().filter(|other| other.engine == endpoint.engine).map(|other| other.name.as_str()).collect();
    let mut demand = Demand::default();
    for workload in deployed {
        let own_uses = uses.iter().filter(|(name, _)| *name == workload.workload).map(|(_, one)| one);
        let declared = own_uses.clone().find(|one| one.endpoint == endpoint.name);
        let is_explained = own_uses.clone().any(|one| siblings.contains(&one.endpoint.as_str()));
        let mut share = Share { endpoint, workload, declared, demand: &mut demand };
        let mut found = false;
        for container in &workload.containers {
            found |= share.of_container(container, &names, &rivals);
        }
        if !found && declared.is_some() {
            share.of_declaration();
        }
        if !found && !is_explained {
            share.of_secrets();
        }
        if !found && own_uses.clone().next().is_none() {
            share.of_unknown_names();
        }
    }
    demand
}

/// The share of one workload on one side.
struct Share<'a> {
    endpoint: &'a Endpoint,
    workload: &'a Deployed,
    declared: Option<&'a Use>,
    demand: &'a mut Demand,
}

impl Share<'_> {
    /// Whether the container names the endpoint.
    fn of_container(&mut self, container: &Container, names: &Names, rivals: &[Names]) -> bool {
        let variables = &container.variables;
        let references: Vec<Reference<'_>> =
            variables.iter().filter(|variable| mentions(names, variable, variables)).map(reference).collect();
        if references.is_empty() {
            return false;
        }
        let alone = !rivals.iter().any(|rival| variables.iter().any(|variable| mentions(rival, variable, variables)));
        let processes = pools::processes(variables, &container.arguments);
        for reference in pools::data_sources(references) {
            let pool = pools::pool_of(self.endpoint.engine, &reference, variables, alone);
            let account = account_of(&reference, variables);
            self.add(pool, processes, account, &reference.variable.at);
        }
        true
    }

    /// The settings say that the endpoint is used, and nothing in the workload names it.
    fn of_declaration(&mut self) {
        let containers = &self.workload.containers;
        let nowhere = Variable { name: String::new(), value: None, at: self.workload.at.clone() };
        let reference = Reference { variable: &nowhere, source: String::new() };
        let told = containers.iter().find_map(|container| {
            match pools::pool_of(self.endpoint.engine, &reference, &container.variables, true) {
                Pool::Assumed { .. } => None,
                told => Some((told, pools::processes(&container.variables, &container.arguments))),
            }
        });
        let processes =
            containers.iter().map(|container| pools::processes(&container.variables, &container.arguments)).max();
        let (pool, processes) = told.unwrap_or_else(|| (pools::assumed(self.endpoint.engine), processes.unwrap_or(1)));
        let at = self.workload.at.clone();
        self.add(pool, processes, None, &at);
    }

    /// Addresses that stand in secrets might be this endpoint's.
    fn of_secrets(&mut self) {
        let variables = self.workload.containers.iter().flat_map(|container| &container.variables);
        let hidden = variables.filter(|variable| variable.value.is_none()).find(|variable| {
            let name = normalised(&variable.name);
            pools::source_of(&variable.name) != name && may_be_for(self.endpoint.engine, &name)
        });
        if let Some(variable) = hidden {
            self.demand.unclear.push(format!(
                "{}: {} at {} is not written down and may be the address of {}; say so with `uses`",
                self.title(),
                variable.name,
                variable.at,
                self.endpoint.name
            ));
        }
    }

    /// Variables whose very names are not here might hold this endpoint's address, unless the settings say what the
    /// workload uses.
    fn of_unknown_names(&mut self) {
        let mut variables = self.workload.containers.iter().flat_map(|container| &container.variables);
        if let Some(variable) = variables.find(|variable| variable.name.ends_with(EnvVar::ANY)) {
            self.demand.unclear.push(format!(
                "{}: the names of the variables from {} are not known, and one may be the address of {}; add their source \
                 (of a Secret, the names of its keys are enough), or say with `uses` what the workload connects to",
                self.title(),
                variable.at,
                self.endpoint.name
            ));
        }
    }

    fn add(&mut self, pool: Pool, processes: u64, account: Option<String>, at: &str) {
        let declared = self.declared.and_then(|declared| declared.pool);
        let by_declaration = |size| (size, "`uses` of the settings".to_owned(), false);
        let (size, source, assumed) = match (pool, declared) {
            (Pool::Size { size, at }, _) => (size, at, false),
            (_, Some(size)) => by_declaration(size),
            (Pool::Assumed { size, client }, None) => {
                (size, format!("assumed default of {client}; used at {at}"), true)
            }
            (Pool::Unbounded { why } | Pool::Unreadable { why }, None) => {
                self.demand.unclear.push(format!("{}: {why}; give the size with `uses`", self.title()));
                return;
            }
        };
        match &self.workload.instances {
            Ok(instances) => self.demand.contributors.push(Contributor {
                workload: self.workload.workload.clone(),
                side: self.workload.side,
                pool: size,
                processes,
                instances: *instances,
                source,
                assumed,
                account,
            }),
            Err(why) => self.demand.unclear.push(format!("{}: {why}", self.title())),
        }
    }

    fn title(&self) -> String {
        format!("{} ({})", self.workload.workload, self.workload.side)
    }
}

fn reference(variable: &Variable) -> Reference<'_> {
    Reference { variable, source: pools::source_of(&variable.name) }
}

fn mentions(names: &Names, variable: &Variable, variables: &[Variable]) -> bool {
    let Some(value) = &variable.value else {
        return false;
    };
    names.are_in(value, || sibling(&pools::source_of(&variable.name), &["port"], variables)?.trim().parse().ok())
}

/// The value of another variable of the same data source.
fn sibling<'a>(source: &str, ends: &[&str], variables: &'a [Variable]) -> Option<&'a str> {
    let is_sibling = |variable: &&Variable| {
        let name = normalised(&variable.name);
        name.strip_prefix(source).is_some_and(|end| ends.contains(&end))
    };
    variables.iter().find(is_sibling)?.value.as_deref()
}

/// The account with which a data source logs in: in its URL, or in a variable beside it.
fn account_of(reference: &Reference<'_>, variables: &[Variable]) -> Option<String> {
    let value = reference.variable.value.as_deref().unwrap_or_default();
    let after = value.split_once("://").map_or(value, |(_, after)| after);
    let of_url = after.split_once('@').map(|(user, _)| user.split(':').next().unwrap_or_default());
    let of_url = of_url.filter(|user| !user.is_empty() && !user.contains(['/', '?', '=', ',']));
    let account = of_url.or_else(|| sibling(&reference.source, &["username", "user"], variables))?;
    (!account.contains(['$', '%'])).then(|| account.to_owned())
}

/// Whether a variable of this name could hold an address of such a server.
fn may_be_for(engine: Engine, name: &str) -> bool {
    let words: &[&str] = match engine {
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
    use crate::settings::Scenario;
    use crate::variables::expand;
    use serde_json::json;

    fn endpoint(name: &str, engine: &str, address: &str) -> Endpoint {
        serde_json::from_value(json!({ "name": name, "engine": engine, "address": address })).unwrap()
    }

    fn deployed(workload: &str, side: Side, variables: &[(&str, Option<&str>)]) -> Deployed {
        let variables: Vec<Variable> = variables
            .iter()
            .map(|(name, value)| Variable {
                name: (*name).to_owned(),
                value: value.map(str::to_owned),
                at: format!("{workload}.yaml:1"),
            })
            .collect();
        Deployed {
            workload: workload.to_owned(),
            side,
            instances: Ok(Instances { steady: 2, rollout: 4, worst: 5 }),
            at: format!("{workload}.yaml"),
            containers: vec![Container { variables: expand(&variables, &[]), arguments: vec![] }],
        }
    }

    const URL: (&str, Option<&str>) = ("SPRING_DATASOURCE_URL", Some("jdbc:mysql://db.internal:3306/shop"));
    const POOL: (&str, Option<&str>) = ("SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", Some("20"));

    fn of(endpoints: &[Endpoint], deployed: &[Deployed], uses: &[(String, Use)]) -> Demand {
        demand(&endpoints[0], endpoints, deployed, uses)
    }

    fn uses(workload: &str, endpoint: &str, pool: Option<u64>) -> Vec<(String, Use)> {
        vec![(workload.to_owned(), Use { endpoint: endpoint.to_owned(), pool })]
    }

    #[test]
    fn both_sides_count() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let both = [deployed("orders", Side::Ecs, &[URL, POOL]), deployed("orders", Side::Eks, &[URL])];
        let found = of(&db, &both, &[]);
        assert_eq!(found.unclear, Vec::<String>::new());
        let sizes: Vec<_> = found.contributors.iter().map(|one| (one.side, one.pool, one.assumed)).collect();
        assert_eq!(sizes, [(Side::Ecs, 20, false), (Side::Eks, 10, true)]);
        assert_eq!(found.contributors[0].connections(Scenario::Rollout), 80);
    }

    #[test]
    fn a_workload_that_does_not_name_the_endpoint_does_not_count() {
        let db = [endpoint("db", "mysql", "other.internal")];
        assert_eq!(of(&db, &[deployed("orders", Side::Eks, &[URL, POOL])], &[]), Demand::default());
    }

    #[test]
    fn the_port_beside_a_host_tells_servers_on_one_host_apart() {
        let servers = [endpoint("a", "mysql", "127.0.0.1:3307"), endpoint("b", "mysql", "127.0.0.1:3308")];
        let variables = [("DB_HOST", Some("127.0.0.1")), ("DB_PORT", Some("3307"))];
        let orders = [deployed("orders", Side::Eks, &variables)];
        assert_eq!(of(&servers, &orders, &[]).contributors.len(), 1);
        assert_eq!(demand(&servers[1], &servers, &orders, &[]), Demand::default());
        let usual = [endpoint("c", "mysql", "127.0.0.1:3306")];
        assert_eq!(of(&usual, &orders, &[]), Demand::default());
    }

    #[test]
    fn two_data_sources_are_two_pools() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let variables = [
            ("ORDERS_DATASOURCE_URL", URL.1),
            ("ORDERS_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", Some("5")),
            ("REPORT_DATASOURCE_URL", URL.1),
            ("REPORT_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", Some("2")),
        ];
        let found = of(&db, &[deployed("orders", Side::Eks, &variables)], &[]);
        assert_eq!(found.contributors.iter().map(|one| one.pool).collect::<Vec<_>>(), [5, 2]);
    }

    #[test]
    fn settings_give_what_manifests_do_not_tell() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let silent = [deployed("orders", Side::Eks, &[])];
        let found = of(&db, &silent, &uses("orders", "db", Some(7)));
        assert_eq!((found.contributors[0].pool, found.contributors[0].assumed), (7, false));
        let found = of(&db, &silent, &uses("orders", "db", None));
        assert_eq!((found.contributors[0].pool, found.contributors[0].assumed), (10, true));
        // What a manifest tells comes before what the settings say.
        let found = of(&db, &[deployed("orders", Side::Eks, &[URL, POOL])], &uses("orders", "db", Some(7)));
        assert_eq!(found.contributors[0].pool, 20);
    }

    #[test]
    fn a_pool_without_a_bound_is_unclear_until_the_settings_bound_it() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let go = [deployed("orders", Side::Eks, &[("DSN", Some("app:pw@tcp(db.internal:3306)/shop"))])];
        let found = of(&db, &go, &[]);
        assert!(found.contributors.is_empty() && found.unclear[0].contains("SetMaxOpenConns"));
        let found = of(&db, &go, &uses("orders", "db", Some(7)));
        assert_eq!((found.contributors[0].pool, found.contributors[0].account.as_deref()), (7, Some("app")));
    }

    #[test]
    fn an_address_in_a_secret_might_be_this_one() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let hidden = [deployed("orders", Side::Eks, &[("DATABASE_URL", None), ("DATABASE_PASSWORD", None)])];
        let found = of(&db, &hidden, &[]);
        assert!(found.contributors.is_empty() && found.unclear[0].contains("DATABASE_URL"));
        assert_eq!(of(&db, &hidden, &uses("orders", "db", Some(7))).unclear, Vec::<String>::new());
        let cache = [endpoint("cache", "redis", "cache.internal")];
        assert_eq!(of(&cache, &hidden, &[]), Demand::default());
    }

    #[test]
    fn an_unknown_number_of_pods_is_unclear() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let mut agent = deployed("agent", Side::Eks, &[URL, POOL]);
        agent.instances = Err("a DaemonSet runs on every node, and the nodes are not known".to_owned());
        let found = of(&db, &[agent], &[]);
        assert!(found.contributors.is_empty() && found.unclear[0].starts_with("agent (eks): a DaemonSet"));
    }

    #[test]
    fn the_account_is_found_in_the_url_or_beside_it() {
        let account = |variables: &[(&str, Option<&str>)]| {
            let cache = [endpoint("cache", "redis", "cache.internal")];
            let found = of(&cache, &[deployed("orders", Side::Eks, variables)], &[]);
            found.contributors[0].account.clone()
        };
        assert_eq!(account(&[("REDIS_URL", Some("redis://app:pw@cache.internal/0"))]).as_deref(), Some("app"));
        assert_eq!(
            account(&[("REDIS_HOST", Some("cache.internal")), ("REDIS_USERNAME", Some("app"))]).as_deref(),
            Some("app")
        );
        assert_eq!(account(&[("REDIS_URL", Some("redis://:pw@cache.internal/0"))]), None);
        assert_eq!(account(&[("REDIS_HOST", Some("cache.internal"))]), None);
    }
}
