//! Does every connection limit of an endpoint cover what the workloads may ask for while they run on both sides?
//!
//! Twice the pools is the steady state of a migration and not its peak: a deployment on either side holds old and new
//! instances at once. The limit is read from the live server, each in its own scope (server, account, virtual host,
//! connector), together with the number that the server compares it with. The demand is computed from manifests and task
//! definitions, because pools that have not filled yet show in no counter.
//!
//! Connections that are open now count on top as far as they are somebody else's: those of accounts that no workload
//! uses, and those of the workloads' own accounts beyond what the workloads can explain. Where the server does not tell
//! accounts apart, all of them count, unless `others` is declared.
//!
//! A workload counts where its configuration names the endpoint, or `uses` says so. Who may use it unseen or twice, because
//! values of the configuration cannot be read, is no reason to pass; nor is a list of services without their autoscaling, an
//! autoscaler of a workload that is not in the files, or a workload that now has pods of another template than its own. Who is not seen to use it with everything readable is named in the
//! evidence: what stands inside an image shows nowhere.
//!
//! A pool whose size nobody tells is taken to be of the usual size, which is a guess. It is enough for a fail. For a pass a
//! pool ten times as large must fit as well: what a library does by itself is often changed inside the image.

use crate::Env;
use crate::demand::{Demand, Deployed};
use crate::engines::{Reading, Target, adapter};
use crate::explain::{Comparison, situation};
use crate::headroom::{Contributor, Counted, Limit, Side};
use crate::line::{Failure, Patience};
use crate::refusal::{Kind, LimitKind};
use crate::settings::{Endpoint, Engine, Scenario};
use crate::twins;
use preflight_cluster::Stray;
use preflight_core::{
    CannotTell, Check, Disruption, Entry, Event, Evidence, Finding, Item, Levels, Meta, Permission, Reason, Run, Scope,
};
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) const META: Meta = Meta {
    id: "connections.limit-covers-demand",
    title: "Connection limits cover every workload running on both sides",
    proves: "Each limit that the server or the settings tell covers, in the configured scenario (by default a rollout on \
             both sides), the pools of all workloads on ECS and EKS that are seen or said to use the endpoint, at the \
             maximum of their autoscalers, the connections of other clients and a reserve. Who is not seen to use it \
             is named in the evidence.",
    fails_when: "A limit is smaller than that sum, or the server is full right now.",
    unknown_when: "No limit is known; no workload is seen to use the endpoint, or only one side of a workload; nothing of ECS was read, \
                   and no `withoutEcs`; a \
                   workload has configuration that cannot be read (Secrets, ConfigMaps and environment files that are \
                   not in the files, mounted ones too), and no `uses`; a mounted file or an argument that is no \
                   property names it, and no `uses`; nobody bounds the processes or the runs of a workload; an autoscaler scales a workload that is not in the files, or \
                   is of a kind that this tool does not know; a workload has pods of another template than its own (a \
                   rollout that goes on, is paused or waits, as with `OnDelete`), or a CronJob jobs beyond its own; the scalable targets of ECS were not read; a pool has \
                   no bound or stands in a secret; the account of an application of MySQL is not known, or stands in a \
                   secret while an account has limits of its own; a workload opens a virtual host of RabbitMQ that no \
                   endpoint has; nobody tells the size \
                   of a pool, and one ten times the usual size would not fit; the number of instances is not known; \
                   nobody tells what other clients hold; another endpoint leads to the same server \
                   under another name; `observer.address` leads to another server; the observer is refused, may not read every limit, or the \
                   server cannot be reached.",
    fix: "Raise the limit, or make pools smaller; the finding says to which number. The reserve is the larger of 10 and \
          5 % of the limit unless `reserve` says otherwise. Where it cannot tell: add what is missing to the files, or \
          say with `uses` all that a workload connects to.",
    permissions: &[
        Permission::Engine { engine: "mysql", grant: "PROCESS" },
        Permission::Engine { engine: "mysql", grant: "SELECT ON mysql.user" },
        Permission::Engine { engine: "redis", grant: "+info +client|list +config|get" },
        Permission::Engine { engine: "rabbitmq", grant: "tag monitoring" },
        Permission::Engine { engine: "activemq", grant: "Jolokia: read, exec connectionCount" },
    ],
    disruption: Disruption::Reads,
    levels: Levels::required(),
    limit_ms: 25_000,
    max_age_ms: 3_600_000,
};

/// How many times larger than guessed a pool may be.
const GUESS_MARGIN: u64 = 10;

/// The most reasons, and the most workloads, that are named before the rest is counted.
const NAMED_MAX: usize = 20;

/// The facts of one endpoint.
pub(crate) struct LimitCoversDemand {
    endpoint: Endpoint,
    demand: Demand,
    scenario: Scenario,
    /// Other endpoints of the engine, which may be this server.
    candidates: Vec<Endpoint>,
}

pub(crate) const ENTRY: Entry<Env> = Entry { meta: &META, items };

fn items(env: &Env) -> Vec<Item> {
    let deployed = env.deployed();
    let item =
        |endpoint: &Endpoint| Item::planned(&endpoint.name, targets(endpoint), of_endpoint(env, endpoint, &deployed));
    env.endpoints.iter().map(item).collect()
}

fn of_endpoint(env: &Env, endpoint: &Endpoint, deployed: &[Deployed]) -> LimitCoversDemand {
    let mut demand = crate::demand::demand(endpoint, &env.endpoints, deployed, &env.uses);
    // Whoever is not in the files may use any endpoint.
    let strays = env.inventory.strays.iter().filter(|stray| !is_among_others(stray, endpoint));
    demand.unclear.extend(strays.map(|stray| stray.text.clone()));
    demand.unclear.extend(without_ecs(env).filter(|_| !demand.contributors.is_empty()));
    let candidates = twins::candidates(endpoint, &env.endpoints);
    LimitCoversDemand { endpoint: endpoint.clone(), demand, scenario: env.settings.scenario, candidates }
}

/// Whether the number of others is said to hold the connections of an object's pods.
fn is_among_others(stray: &Stray, endpoint: &Endpoint) -> bool {
    endpoint.others.is_some() && stray.reference.as_ref().is_some_and(|one| endpoint.others_include.contains(one))
}

/// Half of a migration is missing where nothing of ECS was read.
fn without_ecs(env: &Env) -> Option<String> {
    let is_read = env.inventory.workloads.iter().any(|workload| workload.ecs.is_some());
    (!is_read && !env.settings.without_ecs).then(|| {
        "nothing of ECS was read, where workloads may connect as well; give its task definitions and services with `ecs`, or \
         say `withoutEcs: true` under `connections` if nothing runs there"
            .to_owned()
    })
}

/// What is touched: nothing where the settings alone tell the limit.
fn targets(endpoint: &Endpoint) -> Vec<String> {
    let reads = match endpoint.engine {
        Engine::MySql | Engine::Redis => true,
        Engine::RabbitMq => endpoint.management.is_some(),
        Engine::ActiveMq => endpoint.jolokia.is_some(),
    };
    if reads { vec![endpoint.name.clone()] } else { vec![] }
}

impl Check for LimitCoversDemand {
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            let (run_id, patience, accounts) = (scope.run_id(), Patience::default(), self.accounts());
            let target = Target { endpoint: &self.endpoint, run_id, patience, accounts: &accounts };
            let reading = adapter(self.endpoint.engine).read(target).await;
            let twins = twins::twins(&self.endpoint, &self.candidates, patience.dial).await;
            let Assessment { findings, measurement } = self.assess(reading, &twins);
            if let Some(value) = measurement {
                scope.emit(Event::Measurement { area: "connections", name: self.endpoint.name.clone(), value });
            }
            findings
        })
    }
}

/// What the facts come to.
struct Assessment {
    findings: Result<Vec<Finding>, CannotTell>,
    measurement: Option<Value>,
}

impl LimitCoversDemand {
    fn assess(&self, reading: Result<Reading, Failure>, twins: &[String]) -> Assessment {
        let nothing = |findings| Assessment { findings, measurement: None };
        let mut reading = match reading {
            Ok(reading) => reading,
            Err(failure) => return nothing(self.of_failure(failure)),
        };
        reading.limits.extend(self.declared_limit(&reading));
        if reading.limits.is_empty() {
            let notes = reading.notes.join("; ");
            let detail = format!("no limit of {} is known; declare it with `limit`: {notes}", self.endpoint.name);
            return nothing(Err(CannotTell::insufficient(detail)));
        }
        let Demand { contributors, unclear, .. } = &self.demand;
        if contributors.is_empty() && unclear.is_empty() {
            let detail = format!(
                "no workload is seen to use {}; add the address that they use to `aliases`, or the endpoint to `uses`",
                self.endpoint.name
            );
            return nothing(Err(CannotTell::insufficient(detail)));
        }
        let comparisons: Vec<Comparison<'_>> =
            reading.limits.iter().map(|limit| self.compare(limit, contributors)).collect();
        let measurement = Some(comparisons.iter().map(Comparison::measurement).collect());
        Assessment { findings: self.findings(comparisons, &reading, twins), measurement }
    }

    fn findings(
        &self,
        mut comparisons: Vec<Comparison<'_>>,
        reading: &Reading,
        twins: &[String],
    ) -> Result<Vec<Finding>, CannotTell> {
        // What binds comes first: the limit with the least to spare.
        comparisons.sort_by_key(|comparison| {
            let headroom = comparison.headroom();
            i128::from(headroom.limit) - i128::from(headroom.needed())
        });
        let mut unclear = [&self.demand.unclear, twins].concat();
        unclear.extend(self.guesses(&reading.limits));
        unclear.extend(self.nameless(reading));
        unclear.extend(comparisons.iter().filter(|comparison| comparison.others().is_none()).map(|comparison| {
            format!("nobody tells what other clients hold of {}; declare it with `others`", comparison.limit.name)
        }));
        let mut findings: Vec<Finding> = comparisons.iter().map(Comparison::finding).collect();
        let is_met = findings.iter().all(|finding| finding.met);
        // What is known is a lower bound: too much already is too much, but enough so far is not enough.
        let reason = reading.gap.as_ref().map(|gap| gap.reason);
        unclear.extend(reading.gap.as_ref().map(|gap| gap.detail.clone()));
        if is_met && !unclear.is_empty() {
            let needed: Vec<&str> = findings.iter().map(|finding| finding.observed.as_str()).collect();
            let detail = format!("{}. As far as is known, {}", named(&unclear, "; "), needed.join("; "));
            return Err(CannotTell::new(reason.unwrap_or(Reason::InsufficientData), detail));
        }
        if let Some(first) = findings.first_mut() {
            let unclear = (!unclear.is_empty()).then(|| named(&unclear, "; "));
            let demand = unclear.into_iter().chain(self.unseen()).chain(self.strangers());
            let demand = demand.chain(self.unused_side());
            for note in reading.notes.iter().chain(&self.demand.notes).cloned().chain(demand) {
                first.evidence.push(Evidence::new("note", self.endpoint.name.as_str(), note));
            }
        }
        Ok(findings)
    }

    /// Whose pools are guessed, if pools that are larger by the margin would not fit.
    fn guesses(&self, limits: &[Limit]) -> Vec<String> {
        let larger = |known: &Contributor| Contributor {
            pool: if known.assumed { known.pool.saturating_mul(GUESS_MARGIN) } else { known.pool },
            ..known.clone()
        };
        let larger: Vec<Contributor> = self.demand.contributors.iter().map(larger).collect();
        if limits.iter().all(|limit| self.compare(limit, &larger).headroom().covers()) {
            return vec![];
        }
        let guessed = self.demand.contributors.iter().filter(|known| known.assumed);
        guessed
            .map(|known| {
                format!(
                    "{} ({}): the size of the pool is not told, and {} is a guess ({}); give the size with `uses`",
                    known.workload, known.side, known.pool, known.source
                )
            })
            .collect()
    }

    /// MySQL limits accounts, and whose account nobody tells may be limited too. One that is written elsewhere may be any
    /// of the server's.
    fn nameless(&self, reading: &Reading) -> Vec<String> {
        let nameless = self.demand.contributors.iter().find(|known| known.account.is_none());
        if let Some(Contributor { workload, side, .. }) = nameless
            && (self.endpoint.engine, &self.endpoint.username) == (Engine::MySql, &None)
        {
            let name = &self.endpoint.name;
            return vec![format!(
                "{workload} ({side}): its account is not known, and so are the limits of that; set `username` of {name}"
            )];
        }
        let Some(why) = &reading.limits_elsewhere else { return vec![] };
        let hidden = self.demand.hidden_accounts.iter();
        hidden.map(|hidden| format!("{hidden}, and {why}; give the `account` with `uses`")).collect()
    }

    /// Whom a reader should look at before trusting a pass.
    fn unseen(&self) -> Option<String> {
        let unseen = &self.demand.unseen;
        (!unseen.is_empty()).then(|| format!("not seen to use it, and not counted: {}", named(unseen, ", ")))
    }

    /// What is checked by nobody.
    fn strangers(&self) -> Option<String> {
        let strangers = &self.demand.strangers;
        (!strangers.is_empty()).then(|| {
            format!(
                "another {} server that is no endpoint, and is not checked: {}",
                self.endpoint.engine,
                named(strangers, ", ")
            )
        })
    }

    /// What a reader should know who expects every workload twice.
    fn unused_side(&self) -> Option<String> {
        let uses = |side| self.demand.contributors.iter().any(|known| known.side == side);
        let unused = [Side::Ecs, Side::Eks].into_iter().find(|side| !uses(*side))?;
        Some(format!("no workload on {unused} is seen to use {}", self.endpoint.name))
    }

    /// The accounts whose limits matter.
    fn accounts(&self) -> BTreeSet<String> {
        let of_workloads = self.demand.contributors.iter().filter_map(|known| known.account.as_deref());
        of_workloads.chain(account(&self.endpoint)).map(str::to_owned).collect()
    }

    fn compare<'a>(&'a self, limit: &'a Limit, contributors: &'a [Contributor]) -> Comparison<'a> {
        Comparison {
            endpoint: &self.endpoint,
            limit,
            contributors,
            account: account(&self.endpoint),
            scenario: self.scenario,
        }
    }

    fn declared_limit(&self, reading: &Reading) -> Option<Limit> {
        self.endpoint.limit.map(|value| Limit {
            name: "the declared limit".to_owned(),
            value,
            after_loss: None,
            counted: Counted::Everybody,
            usage: reading.usage.clone(),
            source: format!("`limit` of endpoint {} in the settings", self.endpoint.name),
            raise: format!("raise the real limit and `limit: {{}}` of endpoint {}", self.endpoint.name),
        })
    }

    /// A server that is too full for the observer is too full.
    fn of_failure(&self, failure: Failure) -> Result<Vec<Finding>, CannotTell> {
        match failure {
            Failure::Refused(refusal) if refusal.kind == Kind::Limit(LimitKind::Server) => {
                let observed = format!("{} is full right now: it {}", self.endpoint.name, refusal.detail);
                let expected = format!("{} has room for {}", self.endpoint.name, situation(self.scenario));
                Ok(vec![Finding::unmet(observed, expected).fix(format!(
                    "Find out who holds the connections of {} and raise its limit before anything else connects.",
                    self.endpoint.name
                ))])
            }
            failure => Err(failure.cannot_tell(&format!("reading the limits of {}", self.endpoint.name))),
        }
    }
}

/// The first ones, and how many there are beside.
fn named(all: &[String], between: &str) -> String {
    let first = all[..all.len().min(NAMED_MAX)].join(between);
    match all.len().saturating_sub(NAMED_MAX) {
        0 => first,
        rest => format!("{first} and {rest} more"),
    }
}

/// The account of the applications, as the server names it.
fn account(endpoint: &Endpoint) -> Option<&str> {
    let unnamed = match endpoint.engine {
        Engine::Redis => Some("default"),
        Engine::RabbitMq => Some("guest"),
        Engine::MySql | Engine::ActiveMq => None,
    };
    endpoint.username.as_deref().or(unnamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headroom::{Instances, Usage};
    use crate::refusal::Refusal;
    use std::collections::BTreeMap;

    fn contributor(workload: &str, side: Side, pool: u64) -> Contributor {
        Contributor {
            workload: workload.to_owned(),
            side,
            pool,
            processes: 1,
            instances: Instances { steady: 2, rollout: 4, worst: 5 },
            source: format!("{workload}.yaml:7"),
            assumed: false,
            account: None,
        }
    }

    fn check(endpoint: serde_json::Value, demand: Demand) -> LimitCoversDemand {
        let mut value = serde_json::json!({ "name": "db", "engine": "mysql", "address": "db", "username": "app" });
        value.as_object_mut().unwrap().extend(endpoint.as_object().unwrap().clone());
        let (endpoint, scenario) = (serde_json::from_value(value).unwrap(), Scenario::Rollout);
        LimitCoversDemand { endpoint, demand, scenario, candidates: vec![] }
    }

    /// Needs 4 × 10 + 4 × 5 = 60 in a rollout.
    fn demand() -> Demand {
        let contributors = vec![contributor("orders", Side::Ecs, 10), contributor("orders", Side::Eks, 5)];
        Demand { contributors, ..Demand::default() }
    }

    fn limit(value: u64) -> Limit {
        let by_account = BTreeMap::from([("app".to_owned(), 20), ("report".to_owned(), 4)]);
        Limit {
            name: "max_connections".to_owned(),
            value,
            after_loss: None,
            counted: Counted::Everybody,
            usage: Some(Usage { total: 24, by_account: Some(by_account) }),
            source: "@@global.max_connections".to_owned(),
            raise: "SET GLOBAL max_connections = {};".to_owned(),
        }
    }

    fn read(limits: Vec<Limit>) -> Result<Reading, Failure> {
        Ok(Reading { limits, ..Reading::default() })
    }

    fn assess(check: &LimitCoversDemand, reading: Result<Reading, Failure>) -> Result<Vec<Finding>, CannotTell> {
        check.assess(reading, &[]).findings
    }

    fn plain() -> serde_json::Value {
        serde_json::json!({})
    }

    #[test]
    fn a_limit_that_covers_workloads_others_and_reserve_is_a_pass() {
        let check = check(plain(), demand());
        let findings = assess(&check, read(vec![limit(74)])).unwrap();
        assert!(findings[0].met, "{}", findings[0].observed);
        assert!(findings[0].observed.contains("60 for workloads, 4 for others, 10 in reserve"));
    }

    #[test]
    fn one_connection_less_is_a_fail_that_says_what_to_do() {
        let check = check(plain(), demand());
        let findings = assess(&check, read(vec![limit(73)])).unwrap();
        assert!(!findings[0].met);
        assert!(findings[0].observed.ends_with("1 too few. Largest: orders (ecs) 40, orders (eks) 20"));
        let fix = findings[0].remediation.clone().unwrap();
        assert_eq!(
            fix.text,
            "Raise max_connections of db from 73 to 74, or set the maximum pool size (maximumPoolSize) to 9 on orders \
             (ecs) (now 10)."
        );
        assert_eq!(fix.command.as_deref(), Some("SET GLOBAL max_connections = 74;"));
    }

    #[test]
    fn the_limit_that_binds_comes_first() {
        let account = Limit {
            name: "MAX_USER_CONNECTIONS".to_owned(),
            counted: Counted::Account("app".to_owned()),
            usage: Some(Usage { total: 20, by_account: None }),
            ..limit(40)
        };
        let findings = assess(&check(plain(), demand()), read(vec![limit(200), account])).unwrap();
        assert_eq!(findings.iter().map(|finding| finding.met).collect::<Vec<_>>(), [false, true]);
        assert!(findings[0].observed.starts_with("MAX_USER_CONNECTIONS"));
    }

    #[test]
    fn a_declared_limit_counts_beside_those_of_the_server() {
        let check = check(serde_json::json!({ "limit": 50, "reserve": 0 }), demand());
        let findings = assess(&check, read(vec![limit(200)])).unwrap();
        assert!(!findings[0].met && findings[0].observed.starts_with("the declared limit of db is 50"));
    }

    #[test]
    fn without_a_limit_a_user_or_a_bound_nothing_can_be_told() {
        let reason = |check: &LimitCoversDemand, limits| assess(check, read(limits)).unwrap_err();
        assert!(reason(&check(plain(), demand()), vec![]).detail.contains("declare it with `limit`"));
        assert!(reason(&check(plain(), Demand::default()), vec![limit(500)]).detail.contains("no workload"));
        let unclear = vec!["billing (eks): no bound".to_owned()];
        let partial = Demand { unclear, ..demand() };
        let found = reason(&check(plain(), partial.clone()), vec![limit(500)]);
        assert_eq!(found.reason, Reason::InsufficientData);
        assert!(found.detail.starts_with("billing (eks): no bound"));
        // What is known is too much already: that is an answer.
        assert!(!assess(&check(plain(), partial), read(vec![limit(60)])).unwrap()[0].met);
    }

    #[test]
    fn a_limit_that_the_settings_alone_tell_touches_nothing() {
        let targets = |value| targets(&check(value, demand()).endpoint);
        assert_eq!(targets(plain()), ["db"]);
        assert_eq!(targets(serde_json::json!({ "engine": "activemq" })), Vec::<String>::new());
        assert_eq!(targets(serde_json::json!({ "engine": "rabbitmq", "management": "http://h" })), ["db"]);
    }

    #[test]
    fn a_guessed_pool_passes_only_where_a_much_larger_one_would() {
        let mut guessed = demand();
        guessed.contributors[1].assumed = true;
        let check = check(plain(), guessed);
        // 40 + 20 are known and guessed, 4 are others'; with ten times the guess it would be 240 + 4 + 13.
        assert!(assess(&check, read(vec![limit(257)])).unwrap()[0].met);
        let found = assess(&check, read(vec![limit(256)])).unwrap_err();
        assert_eq!(found.reason, Reason::InsufficientData);
        assert!(found.detail.starts_with("orders (eks): the size of the pool is not told, and 5 is a guess"));
        assert!(!assess(&check, read(vec![limit(73)])).unwrap()[0].met, "the guess is enough for a fail");
    }

    #[test]
    fn a_limit_that_may_not_be_read_is_no_pass_and_does_not_hide_a_fail() {
        let check = check(plain(), demand());
        let read = |value| {
            let gap = Some(CannotTell::forbidden("mysql.user is not readable"));
            Ok(Reading { limits: vec![limit(value)], gap, ..Reading::default() })
        };
        let found = assess(&check, read(500)).unwrap_err();
        assert_eq!(found.reason, Reason::Forbidden);
        assert!(found.detail.starts_with("mysql.user is not readable"));
        assert!(!assess(&check, read(60)).unwrap()[0].met);
    }

    #[test]
    fn an_account_that_nobody_tells_may_be_limited() {
        let found =
            assess(&check(serde_json::json!({ "username": null }), demand()), read(vec![limit(500)])).unwrap_err();
        assert!(found.detail.starts_with("orders (ecs): its account is not known"), "{}", found.detail);
    }

    #[test]
    fn an_account_that_is_written_elsewhere_may_be_one_with_limits_of_its_own() {
        let hidden_accounts = vec!["orders (eks): the account in DB_USER at a.yaml:7 is not written down".to_owned()];
        let check = check(plain(), Demand { hidden_accounts, ..demand() });
        let read = |limits_elsewhere| {
            assess(&check, Ok(Reading { limits_elsewhere, limits: vec![limit(500)], ..Reading::default() }))
        };
        assert!(read(None).unwrap()[0].met);
        let found = read(Some("`report` has limits of its own".to_owned())).unwrap_err();
        assert!(
            found.detail.starts_with(
                "orders (eks): the account in DB_USER at a.yaml:7 is not written down, and `report` has limits of its own; \
                 give the `account` with `uses`"
            ),
            "{}",
            found.detail
        );
    }

    #[test]
    fn a_side_that_does_not_use_the_endpoint_is_mentioned() {
        let mut alone = demand();
        alone.contributors.truncate(1);
        let evidence = assess(&check(plain(), alone), read(vec![limit(500)])).unwrap()[0].evidence.clone();
        assert_eq!(evidence.last().unwrap().detail, "no workload on eks is seen to use db");
    }

    #[test]
    fn who_is_not_seen_to_use_the_endpoint_is_named_in_a_pass() {
        let unseen = (0..25).map(|index| format!("job-{index} (eks)")).collect();
        let notes = vec!["mail (eks): `uses` says that it is not used".to_owned()];
        let strangers = vec!["DB_HOST at a.yaml:7 (orders (eks))".to_owned()];
        let quiet = Demand { unseen, notes, strangers, ..demand() };
        let mut finding = assess(&check(plain(), quiet), read(vec![limit(500)])).unwrap().remove(0);
        assert!(finding.met);
        assert_eq!(
            finding.evidence.pop().unwrap().detail,
            "another mysql server that is no endpoint, and is not checked: DB_HOST at a.yaml:7 (orders (eks))"
        );
        let notes: Vec<&str> = finding.evidence.iter().rev().take(2).map(|one| one.detail.as_str()).collect();
        assert!(notes[0].starts_with("not seen to use it, and not counted: job-0 (eks), job-1 (eks), "), "{notes:?}");
        assert!(notes[0].ends_with("job-19 (eks) and 5 more") && notes[1].starts_with("mail (eks)"), "{notes:?}");
    }

    #[test]
    fn eks_alone_is_half_of_the_demand_unless_the_settings_say_that_it_is_all() {
        let used = vec![crate::settings::Use { endpoint: "db".into(), pool: Some(5), processes: None, account: None }];
        let unclear = |has_ecs: bool, without_ecs| {
            let eks = preflight_cluster::EksWorkload {
                namespace: "shop".into(),
                kind: "Deployment".into(),
                name: "orders".into(),
                at: "a.yaml:1".into(),
                controller: preflight_cluster::Controller::Job {
                    parallelism: preflight_cluster::Sited { value: 2, at: String::new() },
                },
                autoscaler: None,
                selector: None,
                pod: preflight_cluster::Pod { containers: vec![Default::default()], ..Default::default() },
            };
            let sited = |value| preflight_cluster::Sited { value, at: String::new() };
            let ecs = preflight_cluster::EcsTask {
                service: "mail".into(),
                at: "s.json:1".into(),
                desired: Some(sited(1)),
                autoscaled_max: None,
                maximum_percent: sited(200),
                task_definition: None,
                task_role_arn: None,
                containers: vec![Default::default()],
            };
            let eks = preflight_cluster::Workload { name: "orders".into(), ecs: None, eks: Some(eks) };
            let mail = preflight_cluster::Workload { name: "mail".into(), ecs: Some(ecs), eks: None };
            let workloads = [Some(eks), has_ecs.then_some(mail)].into_iter().flatten().collect();
            let env = Env {
                inventory: std::sync::Arc::new(preflight_cluster::Inventory { workloads, ..Default::default() }),
                endpoints: vec![check(plain(), demand()).endpoint],
                settings: crate::settings::Settings { without_ecs, ..Default::default() },
                uses: BTreeMap::from([("orders".to_owned(), used.clone())]),
            };
            of_endpoint(&env, &env.endpoints[0], &env.deployed()).demand.unclear
        };
        assert!(unclear(false, false)[0].starts_with("nothing of ECS was read"));
        assert_eq!([unclear(false, true), unclear(true, false)], [Vec::<String>::new(), vec![]]);
    }

    #[test]
    fn whoever_is_not_in_the_files_may_use_any_endpoint() {
        let etl = "shop/KafkaConnect/etl";
        let stray = Stray { reference: Some(etl.to_owned()), text: format!("shop.yaml:9: {etl} makes or scales pods") };
        let nameless = Stray { reference: None, text: "a.json:1: AWS could not describe it".to_owned() };
        let of = |endpoint: Value, strays: &[&Stray]| {
            let strays = strays.iter().map(|&stray| stray.clone()).collect();
            let inventory = preflight_cluster::Inventory { strays, ..Default::default() };
            let env = Env {
                inventory: std::sync::Arc::new(inventory),
                endpoints: vec![check(endpoint, demand()).endpoint],
                settings: crate::settings::Settings::default(),
                uses: BTreeMap::new(),
            };
            let LimitCoversDemand { demand: found, .. } = of_endpoint(&env, &env.endpoints[0], &env.deployed());
            let known = Demand { unclear: found.unclear, ..demand() };
            assess(&check(plain(), known), read(vec![limit(500)]))
        };
        assert!(of(plain(), &[]).unwrap()[0].met);
        let found = of(plain(), &[&stray]).unwrap_err();
        assert_eq!(found.reason, Reason::InsufficientData);
        assert!(found.detail.starts_with(&stray.text), "{}", found.detail);
        let included =
            |others: Value| serde_json::json!({ "engine": "mysql", "others": others, "othersInclude": [etl] });
        assert!(of(included(8.into()), &[&stray]).unwrap()[0].met);
        assert!(of(included(Value::Null), &[&stray]).is_err(), "nobody says how many they are");
        assert!(of(included(8.into()), &[&stray, &nameless]).unwrap_err().detail.starts_with(&nameless.text));
    }

    #[test]
    fn where_the_settings_alone_tell_the_limit_the_evidence_says_so() {
        let check = check(serde_json::json!({ "engine": "activemq", "limit": 200, "others": 5 }), demand());
        let evidence = assess(&check, read(vec![])).unwrap()[0].evidence.clone();
        assert_eq!(evidence[0].reference, "`limit` of endpoint db in the settings");
        assert_eq!(
            evidence[0].detail,
            "the declared limit = 200; nobody tells how many are open now; 5 of others, from `others`"
        );
    }

    #[test]
    fn a_usage_that_nobody_tells_must_be_declared() {
        let silent = || read(vec![Limit { usage: None, ..limit(200) }]);
        let found = assess(&check(plain(), demand()), silent()).unwrap_err();
        assert!(found.detail.contains("declare it with `others`"));
        assert!(assess(&check(serde_json::json!({ "others": 5 }), demand()), silent()).unwrap()[0].met);
    }

    #[test]
    fn a_server_too_full_for_the_observer_fails_and_other_refusals_do_not_tell() {
        let check = check(plain(), demand());
        let refused = |kind| assess(&check, Err(Failure::Refused(Refusal { kind, detail: "refused".to_owned() })));
        assert!(!refused(Kind::Limit(LimitKind::Server)).unwrap()[0].met);
        assert_eq!(refused(Kind::Authentication).unwrap_err().reason, Reason::Forbidden);
        assert_eq!(refused(Kind::Limit(LimitKind::Account)).unwrap_err().reason, Reason::Forbidden);
        assert_eq!(refused(Kind::Unreachable).unwrap_err().reason, Reason::Unreachable);
        assert_eq!(refused(Kind::Hang).unwrap_err().reason, Reason::Unreachable);
    }
}
