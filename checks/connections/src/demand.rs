//! Who connects to an endpoint, with how many connections: a pure function of the inventory and the settings.

use crate::headroom::{Contributor, Instances, Side};
use crate::pools;
use crate::server::Server;
use crate::settings::{Endpoint, Use};
use crate::share::Share;
use crate::unseen::Unread;
use crate::variables::{Variable, in_file};
use std::collections::BTreeMap;

/// One workload on one side, as far as connections are concerned.
#[derive(Clone, Debug)]
pub(crate) struct Deployed {
    /// Its name: that of the pair, if both sides are known to belong together.
    pub workload: String,
    pub side: Side,
    /// How many there are; or why that cannot be told.
    pub instances: Result<Instances, String>,
    /// Why there may be more than that, if there may.
    pub more: Option<String>,
    /// Where it is written.
    pub at: String,
    pub containers: Vec<Container>,
}

impl Deployed {
    fn parts(&self, part: Part) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(move |container| container.part == part)
    }
}

/// One container, with everything that [`crate::variables::expand`] found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Container {
    pub part: Part,
    pub variables: Vec<Variable>,
    pub arguments: Vec<Variable>,
    /// The configuration files that can be read: their names and texts.
    pub files: Vec<Variable>,
    /// The variables and files that cannot.
    pub unread: Vec<Unread>,
}

impl Container {
    /// The sizes of pools that its files tell.
    pub(crate) fn sizes_in_files(&self) -> impl Iterator<Item = Variable> {
        self.files.iter().flat_map(in_file).filter(|one| pools::is_size(&one.name))
    }
}

/// When a container runs in the life of its pod or task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// After the init containers.
    #[default]
    Main,
    /// Beside all others.
    Sidecar,
    /// Alone but for sidecars, and then it ends.
    Init,
}

/// The demand on one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub contributors: Vec<Contributor>,
    /// Whose share cannot be told, and why. As long as there is any, the contributors are a lower bound.
    pub unclear: Vec<String>,
    /// Whose account stands elsewhere, and where.
    pub hidden_accounts: Vec<String>,
    /// Who is taken not to use the endpoint only because nothing is seen of it.
    pub unseen: Vec<String>,
    /// What the settings say although it looks otherwise.
    pub notes: Vec<String>,
    /// Which variables name a server of this kind that is no endpoint.
    pub strangers: Vec<String>,
}

/// Adds up who connects to the server of `endpoint`. `endpoints` are all of them, `uses` what the settings say by
/// workload, which is complete for those that are there. Another endpoint with the same address is another name for the
/// same limits, so what uses it counts as well.
pub(crate) fn demand(
    endpoint: &Endpoint,
    endpoints: &[Endpoint],
    deployed: &[Deployed],
    uses: &BTreeMap<String, Vec<Use>>,
) -> Demand {
    let server = Server::of(endpoint, endpoints);
    let mut demand = Demand::default();
    let (mut seen, mut unseen) = (vec![], vec![]);
    for workload in deployed {
        let told = uses.get(&workload.workload);
        let is_declared = |one: &&Use| server.same.contains(&one.endpoint.as_str());
        let declared: Vec<&Use> = told.into_iter().flatten().filter(is_declared).collect();
        let is_declared = !declared.is_empty();
        let mut share = Share { server: &server, workload, declared, demand: &mut demand };
        let mut is_named = false;
        for container in workload.parts(Part::Sidecar) {
            is_named |= share.of_container(container);
        }
        let from = share.demand.contributors.len();
        for container in workload.parts(Part::Main) {
            is_named |= share.of_container(container);
        }
        for container in workload.parts(Part::Init) {
            is_named |= share.of_init_container(container, from);
        }
        if !is_named {
            share.of_declaration();
        }
        let is_seen = is_named || is_declared;
        let is_doubtful = told.is_none() && share.of_the_unseen(is_named);
        if is_seen {
            seen.push(workload);
        } else if told.is_some() {
            share.of_denial();
        } else if !is_doubtful {
            unseen.push(workload);
        }
    }
    demand.strangers = strangers(&server, deployed);
    for workload in unseen {
        match one_sided(&server, workload, &seen) {
            Some(why) => demand.unclear.push(why),
            None => demand.unseen.push(title(workload)),
        }
    }
    demand.unclear.extend(growing(&seen));
    demand
}

/// The variables that name a server of the kind of this one that is no endpoint, each with its place.
fn strangers(server: &Server<'_>, deployed: &[Deployed]) -> Vec<String> {
    let of_container = |container: &Container| -> Vec<String> {
        let variables = &container.variables;
        let is_stranger = |one: &&Variable| server.is_stranger(one, variables);
        variables.iter().filter(is_stranger).map(|one| format!("{} at {}", one.name, one.at)).collect()
    };
    let containers = deployed.iter().flat_map(|workload| workload.containers.iter().map(move |one| (workload, one)));
    containers
        .flat_map(|(workload, one)| {
            let title = title(workload);
            of_container(one).into_iter().map(move |what| format!("{what} ({title})"))
        })
        .collect()
}

/// Workloads that count, and of which there may be more.
fn growing(seen: &[&Deployed]) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in seen {
        if let Some(why) = &one.more {
            by_reason.entry(why).or_default().push(title(one));
        }
    }
    by_reason.into_iter().map(|(why, titles)| format!("{}: {why}", titles.join(", "))).collect()
}

pub(crate) fn title(workload: &Deployed) -> String {
    format!("{} ({})", workload.workload, workload.side)
}

/// That a workload uses the endpoint on one side, while nothing is seen of it on the other: an alias is missing there, or
/// it was forgotten. Not where it names another server of the engine.
fn one_sided(server: &Server<'_>, one: &Deployed, seen: &[&Deployed]) -> Option<String> {
    let twin = seen.iter().find(|twin| twin.workload == one.workload && twin.side != one.side)?;
    (!one.containers.iter().any(|container| server.has_rival_in(container))).then(|| {
        format!(
            "{}: nothing at {} names {}, which {} uses; add the address that it uses to `aliases`, or say with `uses` what \
             it connects to",
            title(one),
            one.at,
            server.endpoint.name,
            title(twin)
        )
    })
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
        let unread = variables.iter().filter(|one| one.value.is_none()).map(|one| Unread {
            name: one.name.clone(),
            is_file: false,
            why: "key k of Secret s".to_owned(),
            at: one.at.clone(),
        });
        let container =
            Container { unread: unread.collect(), variables: expand(&variables, &[]), ..Container::default() };
        Deployed {
            workload: workload.to_owned(),
            side,
            instances: Ok(Instances { steady: 2, rollout: 4, worst: 5 }),
            more: None,
            at: format!("{workload}.yaml"),
            containers: vec![container],
        }
    }

    const URL: (&str, Option<&str>) = ("SPRING_DATASOURCE_URL", Some("jdbc:mysql://db.internal:3306/shop"));
    const POOL: (&str, Option<&str>) = ("SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", Some("20"));

    type Uses = BTreeMap<String, Vec<Use>>;

    fn of(endpoints: &[Endpoint], deployed: &[Deployed], uses: &Uses) -> Demand {
        demand(&endpoints[0], endpoints, deployed, uses)
    }

    /// The demand without `uses`.
    fn seen(endpoints: &[Endpoint], deployed: &[Deployed]) -> Demand {
        of(endpoints, deployed, &Uses::new())
    }

    fn uses(workload: &str, endpoint: &str, pool: Option<u64>) -> Uses {
        Uses::from([(
            workload.to_owned(),
            vec![Use { endpoint: endpoint.to_owned(), pool, processes: None, account: None }],
        )])
    }

    /// `orders` uses no endpoint.
    fn nothing() -> Uses {
        Uses::from([("orders".to_owned(), vec![])])
    }

    /// Nobody counts, and these are not seen.
    #[track_caller]
    fn unseen(found: &Demand, titles: &[&str]) {
        assert!(found.contributors.is_empty() && found.unclear.is_empty(), "{found:?}");
        assert_eq!(found.unseen, titles);
    }

    #[test]
    fn both_sides_count() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let both = [deployed("orders", Side::Ecs, &[URL, POOL]), deployed("orders", Side::Eks, &[URL])];
        let found = of(&db, &both, &Uses::new());
        assert_eq!(found.unclear, Vec::<String>::new());
        let sizes: Vec<_> = found.contributors.iter().map(|one| (one.side, one.pool, one.assumed)).collect();
        assert_eq!(sizes, [(Side::Ecs, 20, false), (Side::Eks, 10, true)]);
        assert_eq!(found.contributors[0].connections(Scenario::Rollout), 80);
    }

    #[test]
    fn a_workload_that_does_not_name_the_endpoint_does_not_count_and_is_named() {
        let db = [endpoint("db", "mysql", "other.internal")];
        unseen(&seen(&db, &[deployed("orders", Side::Eks, &[URL, POOL])]), &["orders (eks)"]);
        unseen(&of(&db, &[deployed("orders", Side::Eks, &[])], &nothing()), &[]);
    }

    #[test]
    fn the_port_beside_a_host_tells_servers_on_one_host_apart() {
        let servers = [endpoint("a", "mysql", "127.0.0.1:3307"), endpoint("b", "mysql", "127.0.0.1:3308")];
        let variables = [("DB_HOST", Some("127.0.0.1")), ("DB_PORT", Some("3307"))];
        let orders = [deployed("orders", Side::Eks, &variables)];
        assert_eq!(seen(&servers, &orders).contributors.len(), 1);
        unseen(&demand(&servers[1], &servers, &orders, &Uses::new()), &["orders (eks)"]);
        let usual = [endpoint("c", "mysql", "127.0.0.1:3306")];
        unseen(&seen(&usual, &orders), &["orders (eks)"]);
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
        let found = seen(&db, &[deployed("orders", Side::Eks, &variables)]);
        assert_eq!(found.contributors.iter().map(|one| one.pool).collect::<Vec<_>>(), [5, 2]);
    }

    #[test]
    fn a_pod_holds_what_its_init_containers_or_those_after_them_open_whichever_is_more() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let with = |parts: &[(Part, &str, &str)]| {
            let mut pod = deployed("orders", Side::Eks, &[]);
            let container = |(part, user, size): &(Part, &str, &str)| {
                let settings = [URL, ("DB_POOL_SIZE", Some(*size)), ("DB_USER", Some(*user))];
                Container { part: *part, ..deployed("orders", Side::Eks, &settings).containers.remove(0) }
            };
            pod.containers = parts.iter().map(container).collect();
            seen(&db, &[pod]).contributors.iter().map(|one| one.pool).collect::<Vec<_>>()
        };
        let (init, main, sidecar) = (Part::Init, Part::Main, Part::Sidecar);
        assert_eq!(with(&[(init, "app", "500"), (main, "app", "5")]), [5, 495]);
        assert_eq!(with(&[(init, "app", "5"), (main, "app", "5")]), [5]);
        assert_eq!(with(&[(init, "app", "9"), (init, "app", "7"), (main, "app", "5")]), [5, 4]);
        assert_eq!(with(&[(init, "app", "9"), (main, "app", "5"), (sidecar, "app", "4")]), [4, 5, 4]);
        assert_eq!(with(&[(init, "admin", "5"), (main, "app", "5")]), [5, 5], "each account has its limits");
        assert_eq!(with(&[(init, "app", "5")]), [5]);
    }

    #[test]
    fn a_mounted_file_tells_sizes_and_a_second_use_beside_an_address_in_a_variable() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let with = |text: &str| {
            let mut orders = deployed("orders", Side::Eks, &[URL]);
            orders.containers[0].files = vec![Variable {
                name: "application.yaml".to_owned(),
                value: Some(text.to_owned()),
                at: "map.yaml:7".to_owned(),
            }];
            let found = seen(&db, &[orders]);
            (found.contributors.iter().map(|one| (one.pool, one.assumed)).collect::<Vec<_>>(), found.unclear)
        };
        let hikari = "spring:\n  datasource:\n    hikari:\n      maximum-pool-size: 3000\n";
        assert_eq!(with(hikari), (vec![(3000, false)], vec![]));
        assert!(with(&hikari.replace("3000", "${POOL:10}")).1[0].contains("is not a number"));
        assert_eq!(with("server:\n  port: 8080\n"), (vec![(10, true)], vec![]));
        let (pools, unclear) = with("report:\n  url: jdbc:mysql://db.internal/report\n  pool-size: 300\n");
        assert_eq!(pools.len(), 1);
        assert!(unclear[0].starts_with("orders (eks): the file application.yaml at map.yaml:7 names db; say with"));
    }

    #[test]
    fn settings_give_what_manifests_do_not_tell() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let silent = [deployed("orders", Side::Eks, &[])];
        let found = of(&db, &silent, &uses("orders", "db", Some(7)));
        assert_eq!((found.contributors[0].pool, found.contributors[0].assumed), (7, false));
        let found = of(&db, &silent, &uses("orders", "db", None));
        assert_eq!((found.contributors[0].pool, found.contributors[0].assumed), (10, true));
        // Of what a manifest tells and what the settings say, the larger one counts.
        let told = [deployed("orders", Side::Eks, &[URL, POOL, ("NO_PROXY", Some("localhost,db.internal"))])];
        let pools = |pool| -> Vec<u64> {
            of(&db, &told, &uses("orders", "db", Some(pool))).contributors.iter().map(|one| one.pool).collect()
        };
        assert_eq!((pools(7), pools(30)), (vec![20], vec![30]));
    }

    #[test]
    fn a_pool_without_a_bound_is_unclear_until_the_settings_bound_it() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let go = [deployed("orders", Side::Eks, &[("DSN", Some("app:pw@tcp(db.internal:3306)/shop"))])];
        let found = seen(&db, &go);
        assert!(found.contributors.is_empty() && found.unclear[0].contains("SetMaxOpenConns"));
        let found = of(&db, &go, &uses("orders", "db", Some(7)));
        assert_eq!((found.contributors[0].pool, found.contributors[0].account.as_deref()), (7, Some("app")));
    }

    #[test]
    fn an_address_in_a_secret_might_be_this_one() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let hidden = [deployed("orders", Side::Eks, &[("DATABASE_URL", None), ("DATABASE_PASSWORD", None)])];
        let found = seen(&db, &hidden);
        assert!(found.contributors.is_empty() && found.unclear[0].contains("DATABASE_URL"));
        assert_eq!(of(&db, &hidden, &uses("orders", "db", Some(7))).unclear, Vec::<String>::new());
        let cache = [endpoint("cache", "redis", "cache.internal")];
        unseen(&seen(&cache, &hidden), &["orders (eks)"]);
    }

    #[test]
    fn a_workload_that_names_an_endpoint_may_hide_a_second_address_of_it() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let both = [deployed("orders", Side::Eks, &[URL, POOL, ("REPORT_DATABASE_URL", None)])];
        let found = seen(&db, &both);
        assert!(found.contributors.len() == 1 && found.unclear[0].contains("REPORT_DATABASE_URL"));
        assert_eq!(of(&db, &both, &uses("orders", "db", None)).unclear, Vec::<String>::new());
        let other = [deployed("orders", Side::Eks, &[URL, POOL, ("MONGODB_URI", None)])];
        assert_eq!(seen(&db, &other).unclear, Vec::<String>::new());
    }

    #[test]
    fn whoever_has_something_that_cannot_be_read_may_use_the_endpoint_until_the_settings_say() {
        let db = [endpoint("db", "mysql", "db.internal"), endpoint("cache", "redis", "cache.internal")];
        let hidden = [deployed("orders", Side::Eks, &[("REDIS_HOST", Some("cache.internal")), ("APP_CONFIG", None)])];
        let found = seen(&db, &hidden);
        assert_eq!(
            found.unclear,
            [
                "orders (eks): APP_CONFIG at orders.yaml:1 cannot be read (key k of Secret s) and may hold the address of db; \
                 add it to the files (of a Secret, the names of its keys are enough), or say with `uses` all that the \
                 workload connects to (`uses: []`: to no endpoint)"
            ]
        );
        assert!(found.contributors.is_empty() && found.unseen.is_empty());
        unseen(&of(&db, &hidden, &nothing()), &[]);
        unseen(&of(&db, &hidden, &uses("orders", "cache", None)), &[]);
        assert_eq!(of(&db, &hidden, &uses("orders", "db", Some(3))).contributors[0].pool, 3);
        // Another workload's `uses` says nothing about this one.
        assert_eq!(of(&db, &hidden, &uses("billing", "db", None)).unclear.len(), 1);
        // Whoever names the endpoint may use it twice.
        let named = [deployed("orders", Side::Eks, &[URL, POOL, ("APP_CONFIG", None)])];
        let found = seen(&db, &named);
        assert!(found.contributors.len() == 1 && found.unclear[0].contains("APP_CONFIG"), "{found:?}");
        assert_eq!(of(&db, &named, &uses("orders", "db", None)).unclear, Vec::<String>::new());
        let password = [deployed("orders", Side::Eks, &[URL, POOL, ("SPRING_DATASOURCE_PASSWORD", None)])];
        assert_eq!(seen(&db, &password).unclear, Vec::<String>::new());
    }

    #[test]
    fn a_side_that_may_use_the_endpoint_is_no_use_that_the_other_side_must_show() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let both = [deployed("orders", Side::Ecs, &[("APP_CONFIG", None)]), deployed("orders", Side::Eks, &[])];
        let found = seen(&db, &both);
        assert!(found.unclear.len() == 1 && found.unclear[0].contains("APP_CONFIG"), "{found:?}");
        assert_eq!(found.unseen, ["orders (eks)"]);
    }

    #[test]
    fn a_mounted_file_that_names_the_endpoint_tells_of_a_use_and_not_how_much() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let mut orders = deployed("orders", Side::Eks, &[]);
        let text = "spring:\n  datasource:\n    url: jdbc:mysql://db.internal:3306/shop\n".to_owned();
        let file = Variable { name: "application.yaml".to_owned(), value: Some(text), at: "map.yaml:7".to_owned() };
        orders.containers[0].files.push(file);
        let found = seen(&db, std::slice::from_ref(&orders));
        let expected =
            "orders (eks): the file application.yaml at map.yaml:7 names db; say with `uses` how many connections";
        assert!(found.unclear[0].starts_with(expected), "{found:?}");
        let other = [endpoint("db", "mysql", "other.internal")];
        unseen(&seen(&other, std::slice::from_ref(&orders)), &["orders (eks)"]);
        let denied = of(&db, &[orders], &nothing());
        unseen(&denied, &[]);
        assert_eq!(
            denied.notes,
            ["orders (eks): the file application.yaml at map.yaml:7 names db; `uses` says that it is not used"]
        );
    }

    #[test]
    fn an_address_in_an_argument_tells_of_a_use_and_not_how_much() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let with = |arguments: &[&str]| {
            let mut orders = deployed("orders", Side::Eks, &[]);
            let argument = |text: &&str| Variable {
                name: String::new(),
                value: Some((*text).to_owned()),
                at: "orders.yaml:9".to_owned(),
            };
            let arguments: Vec<Variable> = arguments.iter().map(argument).collect();
            let container = &mut orders.containers[0];
            container.variables = expand(&[], &arguments);
            container.arguments = arguments;
            [orders]
        };
        for arguments in [
            &["app", "--dsn", "app:pw@tcp(db.internal:3306)/shop"][..],
            &["mysql://app:pw@db.internal/shop"],
            &["-host=db.internal"],
        ] {
            let found = seen(&db, &with(arguments));
            assert_eq!(
                found.unclear,
                [
                    "orders (eks): an argument at orders.yaml:9 names db; say with `uses` how many connections one process \
                     opens to it"
                ]
            );
            assert_eq!(of(&db, &with(arguments), &uses("orders", "db", Some(3))).contributors[0].pool, 3);
            let denied = of(&db, &with(arguments), &nothing());
            unseen(&denied, &[]);
            assert!(denied.notes[0].contains("an argument at orders.yaml:9 names db"), "{denied:?}");
        }
        for other in ["db.internal:3307", "redis://db.internal/0", "old-db.internal", "serve"] {
            unseen(&seen(&db, &with(&[other])), &["orders (eks)"]);
        }
        // A property counts with a pool.
        for property in ["--db.url=mysql://db.internal/shop", "sh -c 'DB_HOST=db.internal exec app'"] {
            let property = seen(&db, &with(&[property]));
            assert!(property.unclear.is_empty() && property.contributors.len() == 1, "{property:?}");
        }
        let elsewhere = [endpoint("db", "mysql", "db.internal:3307"), endpoint("other", "mysql", "db.internal")];
        assert!(seen(&elsewhere[..1], &with(&["-h", "db.internal"])).unclear[0].contains("names db"));
        unseen(&seen(&elsewhere, &with(&["-h", "db.internal"])), &["orders (eks)"]);
    }

    #[test]
    fn the_size_of_a_server_that_is_no_endpoint_is_not_taken() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let pools = |variables: &[(&str, Option<&str>)], uses: &Uses| -> Vec<(u64, bool)> {
            let found = of(&db, &[deployed("orders", Side::Eks, variables)], uses);
            found.contributors.iter().map(|one| (one.pool, one.assumed)).collect()
        };
        for host in ["REPORTING_DB_HOST", "REPORTING_PG_HOST"] {
            let variables = [URL, (host, Some("pg.internal")), ("REPORTING_DB_POOL_SIZE", Some("1"))];
            assert_eq!(pools(&variables, &Uses::new()), [(10, true)], "{host}");
            assert_eq!(pools(&variables[1..], &uses("orders", "db", None)), [(10, true)], "{host}");
        }
        // What refers to the host of this server is no other one.
        let parts = [
            ("DB_HOST", Some("db.internal")),
            ("DATABASE_URL", Some("mysql://${DB_HOST}/shop")),
            ("DATABASE_POOL_SIZE", Some("50")),
        ];
        assert_eq!(pools(&parts, &Uses::new()), [(50, false)]);
    }

    #[test]
    fn each_address_with_a_name_of_its_own_is_a_pool() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let variables = [
            ("DATABASE_URL", Some("mysql://db.internal/shop?pool_size=5")),
            ("REPORTS_DB_HOST", Some("db.internal")),
            ("ARCHIVE_DB_HOST", Some("db.internal")),
            ("ARCHIVE_DB_POOL_SIZE", Some("2")),
        ];
        let found = seen(&db, &[deployed("orders", Side::Eks, &variables)]);
        let pools: Vec<_> = found.contributors.iter().map(|one| (one.pool, one.assumed)).collect();
        assert_eq!(pools, [(5, false), (10, true), (2, false)]);
    }

    #[test]
    fn a_server_that_is_no_endpoint_is_named() {
        let servers = [endpoint("db", "mysql", "db.internal:3307"), endpoint("other", "mysql", "other.internal")];
        let strangers = |name, value| {
            let variables = [(name, Some(value)), ("DB_PASSWORD", Some("secret")), ("NO_PROXY", Some("db"))];
            seen(&servers, &[deployed("orders", Side::Eks, &variables)]).strangers
        };
        assert_eq!(strangers("DB_HOST", "billing-db.internal"), ["DB_HOST at orders.yaml:1 (orders (eks))"]);
        assert_eq!(strangers("DSN", "jdbc:mysql://billing-db/shop"), ["DSN at orders.yaml:1 (orders (eks))"]);
        for known in ["db.internal:3307", "db.internal", "other.internal", "$HOST", "", "redis://cache", "postgres://x"]
        {
            assert_eq!(strangers("DB_HOST", known), Vec::<String>::new(), "{known}");
        }
        assert_eq!(strangers("REDIS_HOST", "cache"), Vec::<String>::new());
    }

    #[test]
    fn a_scheme_says_more_than_a_name() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let with = |name, value| seen(&db, &[deployed("orders", Side::Eks, &[(name, Some(value))])]);
        assert_eq!(with("QUERY_CACHE_URL", "jdbc:mysql://db.internal/shop").contributors.len(), 1);
        unseen(&with("QUERY_CACHE_URL", "redis://db.internal/0"), &["orders (eks)"]);
        unseen(&with("DB_CACHE_URL", "redis://db.internal/0"), &["orders (eks)"]);
        assert_eq!(with("QUERY_CACHE_HOST", "db.internal").contributors.len(), 1, "so does a host that is configured");
    }

    #[test]
    fn a_hidden_address_that_the_settings_deny_is_noted() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let hidden = [deployed("orders", Side::Eks, &[("DATABASE_URL", None)])];
        let found = of(&db, &hidden, &nothing());
        unseen(&found, &[]);
        assert!(found.notes[0].starts_with("orders (eks): DATABASE_URL at orders.yaml:1"), "{found:?}");
        assert!(found.notes[0].ends_with("`uses` says that it is not used"), "{found:?}");
    }

    #[test]
    fn workloads_of_which_there_may_be_more_are_unclear_together_and_only_where_they_count() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let may_grow = |name, variables| Deployed {
            more: Some("nobody tells how far autoscaling may go".to_owned()),
            ..deployed(name, Side::Ecs, variables)
        };
        let fleet = [may_grow("orders", &[URL, POOL]), may_grow("billing", &[URL, POOL]), may_grow("mail", &[])];
        let found = seen(&db, &fleet);
        assert_eq!(found.unclear, ["orders (ecs), billing (ecs): nobody tells how far autoscaling may go"]);
        assert_eq!(found.contributors.len(), 2, "as a lower bound");
        unseen(&seen(&[endpoint("x", "mysql", "x")], &fleet), &["orders (ecs)", "billing (ecs)", "mail (ecs)"]);
    }

    #[test]
    fn a_side_on_which_nothing_is_seen_is_unclear_unless_it_is_explained() {
        let servers = [endpoint("db", "mysql", "db.internal"), endpoint("new", "mysql", "new.internal")];
        let eks = |variables| [deployed("orders", Side::Ecs, &[URL, POOL]), deployed("orders", Side::Eks, variables)];
        let silent = eks(&[("SPRING_DATASOURCE_URL", Some("jdbc:mysql://db.shop.svc/shop"))]);
        let found = seen(&servers, &silent);
        assert!(found.unclear[0].starts_with("orders (eks): nothing at orders.yaml names db"), "{:?}", found.unclear);
        assert_eq!(of(&servers, &silent, &uses("orders", "db", Some(3))).unclear, Vec::<String>::new());
        let moved = eks(&[("SPRING_DATASOURCE_URL", Some("jdbc:mysql://new.internal/shop"))]);
        assert_eq!(seen(&servers, &moved).unclear, Vec::<String>::new());
        // Nobody uses it at all, or it runs on one side alone.
        unseen(&seen(&[endpoint("x", "mysql", "x")], &silent), &["orders (ecs)", "orders (eks)"]);
        assert_eq!(seen(&servers, &silent[..1]).unclear, Vec::<String>::new());
    }

    #[test]
    fn two_endpoints_with_one_address_share_its_limits() {
        let servers =
            [endpoint("orders-db", "mysql", "db.internal"), endpoint("billing-db", "mysql", "DB.internal:3306")];
        let both = [deployed("orders", Side::Eks, &[]), deployed("billing", Side::Eks, &[])];
        let mut used = uses("orders", "orders-db", Some(5));
        used.extend(uses("billing", "billing-db", Some(7)));
        used.get_mut("billing").unwrap().push(Use {
            endpoint: "orders-db".to_owned(),
            pool: Some(1),
            processes: None,
            account: None,
        });
        for one in &servers {
            let pools: Vec<u64> = demand(one, &servers, &both, &used).contributors.iter().map(|one| one.pool).collect();
            assert_eq!(pools, [5, 7, 1]);
        }
        // The other one is no rival, whose pool could be meant.
        let named = [deployed("orders", Side::Eks, &[URL, ("DB_POOL", Some("30"))])];
        assert_eq!(seen(&servers, &named).contributors[0].pool, 30);
    }

    #[test]
    fn a_host_whose_port_is_written_nowhere_may_be_this_server() {
        let db = [endpoint("db", "mysql", "db.internal:3307"), endpoint("other", "mysql", "both.internal:3308")];
        let host = |name, value| [deployed("orders", Side::Eks, &[(name, Some(value))])];
        assert!(seen(&db, &host("DB_HOST", "db.internal")).unclear[0].contains("without a port"));
        assert!(seen(&db, &host("REDIS_HOST", "db.internal")).unclear[0].contains("without a port"));
        let [one, _] = db;
        let both = [one, endpoint("cache", "redis", "db.internal")];
        unseen(&seen(&both, &host("REDIS_HOST", "db.internal")), &["orders (eks)"]);
        let usual = [endpoint("a", "mysql", "db.internal:3307"), endpoint("b", "mysql", "db.internal")];
        unseen(&seen(&usual, &host("DB_HOST", "db.internal")), &["orders (eks)"]);
    }

    #[test]
    fn two_kinds_of_servers_on_one_host_are_told_apart() {
        let variables = [("DB_HOST", Some("shared")), ("REDIS_HOST", Some("shared"))];
        let orders = [deployed("orders", Side::Eks, &variables)];
        let [db, cache] =
            [("mysql", 10), ("redis", 8)].map(|(engine, pool)| (endpoint(engine, engine, "shared"), pool));
        for servers in [[db.clone(), cache.clone()], [cache, db]] {
            let pool = servers[0].1;
            let servers = servers.map(|(server, _)| server);
            let pools: Vec<u64> = seen(&servers, &orders).contributors.iter().map(|one| one.pool).collect();
            assert_eq!(pools, [pool]);
        }
    }

    #[test]
    fn a_configured_host_tells_more_than_the_name_of_the_variable() {
        let servers = [endpoint("db", "mysql", "db.internal"), endpoint("cache", "redis", "cache.internal")];
        let orders = [deployed("orders", Side::Eks, &[("CACHE_HOST", Some("db.internal"))])];
        assert_eq!(seen(&servers, &orders).contributors.len(), 1);
        let by_scheme = [deployed("orders", Side::Eks, &[("CACHE_URL", Some("redis://db.internal"))])];
        unseen(&seen(&servers, &by_scheme), &["orders (eks)"]);
    }

    #[test]
    fn two_addresses_of_one_source_are_two() {
        let db =
            [Endpoint { aliases: vec!["reader.internal:3306".to_owned()], ..endpoint("db", "mysql", "db.internal") }];
        let count = |one: (&str, &str), two: (&str, &str)| {
            let variables = [(one.0, Some(one.1)), (two.0, Some(two.1))];
            seen(&db, &[deployed("orders", Side::Eks, &variables)]).contributors.len()
        };
        let (url, uri) = (("DB_URL", "jdbc:mysql://db.internal/a"), ("DB_URI", "jdbc:mysql://db.internal/b"));
        assert_eq!(count(url, uri), 2);
        assert_eq!(count(("DB_HOST", "db.internal"), ("DB_SERVER", "reader.internal:3306")), 2);
        // The same once more, an argument in the place of a variable, and a part of a URL.
        assert_eq!(count(url, ("DB_URI", url.1)), 1);
        assert_eq!(count(url, ("db.url", uri.1)), 1);
        assert_eq!(count(url, ("DB_HOST", "reader.internal")), 1);
        assert_eq!(count(("DB_HOST", "db.internal"), ("DB_ADDRESS", "db.internal:3306")), 1);
    }

    #[test]
    fn a_virtual_host_of_which_no_endpoint_tells_is_unclear() {
        let root = endpoint("mq", "rabbitmq", "mq.internal");
        let orders = Endpoint { vhost: Some("orders".to_owned()), ..endpoint("orders-mq", "rabbitmq", "mq.internal") };
        let found =
            |endpoints: &[Endpoint], variables| seen(endpoints, &[deployed("orders", Side::Eks, variables)]).unclear;
        let urls = [("AMQP_URL", Some("amqp://app:x@mq.internal:5672/orders")), ("AMQP_POOL_SIZE", Some("1"))];
        let parts = [
            ("SPRING_RABBITMQ_HOST", Some("mq.internal")),
            ("SPRING_RABBITMQ_VIRTUAL_HOST", Some("orders")),
            ("SPRING_RABBITMQ_CACHE_CONNECTION_SIZE", Some("1")),
        ];
        for variables in [&urls[..], &parts] {
            let unclear = found(std::slice::from_ref(&root), variables);
            assert!(unclear[0].starts_with("orders (eks): it opens the virtual host `orders`"), "{unclear:?}");
            assert_eq!(found(&[root.clone(), orders.clone()], variables), Vec::<String>::new());
            assert_eq!(found(std::slice::from_ref(&orders), variables), Vec::<String>::new());
        }
        let hidden = [parts[0], ("SPRING_RABBITMQ_VIRTUAL_HOST", None), parts[2]];
        assert!(found(std::slice::from_ref(&root), &hidden)[0].contains("is not written down"));
        assert_eq!(found(&[root], &[parts[0], parts[2]]), Vec::<String>::new());
    }

    #[test]
    fn a_number_of_processes_that_cannot_be_read_is_unclear() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let found = seen(&db, &[deployed("orders", Side::Eks, &[URL, POOL, ("WEB_CONCURRENCY", None)])]);
        assert_eq!(found.contributors.len(), 1, "as a lower bound");
        assert!(found.unclear[0].contains("WEB_CONCURRENCY"));
        let mut told = uses("orders", "db", None);
        told.get_mut("orders").unwrap()[0].processes = Some(4);
        let hidden = [deployed("orders", Side::Eks, &[URL, POOL, ("WEB_CONCURRENCY", None)])];
        let found = of(&db, &hidden, &told);
        assert_eq!((found.contributors[0].processes, found.unclear.len()), (4, 0));
    }

    #[test]
    fn an_unknown_number_of_pods_is_unclear() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let mut agent = deployed("agent", Side::Eks, &[URL, POOL]);
        agent.instances = Err("a DaemonSet runs on every node, and the nodes are not known".to_owned());
        let found = seen(&db, &[agent]);
        assert!(found.contributors.is_empty() && found.unclear[0].starts_with("agent (eks): a DaemonSet"));
    }

    #[test]
    fn the_account_is_found_in_the_url_or_beside_it() {
        let account = |variables: &[(&str, Option<&str>)]| {
            let cache = [endpoint("cache", "redis", "cache.internal")];
            let found = seen(&cache, &[deployed("orders", Side::Eks, variables)]);
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

    #[test]
    fn an_account_in_a_secret_is_noted_unless_the_settings_tell_it() {
        let db = [endpoint("db", "mysql", "db.internal")];
        let hidden = [deployed("orders", Side::Eks, &[URL, POOL, ("SPRING_DATASOURCE_USERNAME", None)])];
        let found = seen(&db, &hidden);
        assert_eq!(found.hidden_accounts.len(), 1);
        assert!(found.hidden_accounts[0].starts_with("orders (eks): the account in SPRING_DATASOURCE_USERNAME at"));
        let mut told = uses("orders", "db", None);
        told.get_mut("orders").unwrap()[0].account = Some("report".to_owned());
        let found = of(&db, &hidden, &told);
        assert_eq!((found.contributors[0].account.as_deref(), found.hidden_accounts.len()), (Some("report"), 0));
    }
}
