//! The arithmetic: how much of a limit is left once every workload runs on both sides, and what would make it fit.
//!
//! ```text
//! headroom = limit - reserve - others - Σ pool × processes × instances
//! ```
//!
//! Pure; every sum saturates, so that an absurd number is too much and never too little.

use crate::settings::Scenario;
use std::collections::BTreeMap;
use std::fmt;

/// The least reserve, in connections.
const RESERVE_MIN: u64 = 10;

/// The part of a limit that is reserve: one in so many, rounded up.
const RESERVE_DIVISOR: u64 = 20;

/// On which side a workload runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The old one.
    Ecs,
    /// The new one.
    Eks,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ecs => "ecs",
            Self::Eks => "eks",
        })
    }
}

/// How many pods or tasks of a workload hold connections at the same instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instances {
    /// Between deployments, at the maximum of the autoscaler.
    pub steady: u64,
    /// During one deployment.
    pub rollout: u64,
    /// During two that overlap.
    pub worst: u64,
}

impl Instances {
    /// The number in one scenario.
    #[must_use]
    pub fn during(self, scenario: Scenario) -> u64 {
        match scenario {
            Scenario::Steady => self.steady,
            Scenario::Rollout => self.rollout,
            Scenario::Worst => self.worst,
        }
    }
}

/// One workload on one side that connects to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// The workload.
    pub workload: String,
    /// Where it runs.
    pub side: Side,
    /// The most connections that one process opens.
    pub pool: u64,
    /// Processes in one pod or task.
    pub processes: u64,
    /// Pods or tasks.
    pub instances: Instances,
    /// Where the size of the pool comes from.
    pub source: String,
    /// Whether that is a guess, because nothing tells the size.
    pub assumed: bool,
    /// The account with which it logs in, if that could be told.
    pub account: Option<String>,
}

impl Contributor {
    /// The processes that hold a pool.
    #[must_use]
    pub fn pools(&self, scenario: Scenario) -> u64 {
        self.processes.saturating_mul(self.instances.during(scenario))
    }

    /// The connections that it may hold.
    #[must_use]
    pub fn connections(&self, scenario: Scenario) -> u64 {
        self.pool.saturating_mul(self.pools(scenario))
    }
}

/// One limit of a server, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The limit in the server's own words, for example `max_connections`.
    pub name: String,
    /// The most connections.
    pub value: u64,
    /// The most connections once the largest node of a cluster is lost, where there is more than one.
    pub after_loss: Option<u64>,
    /// Whose connections are counted.
    pub counted: Counted,
    /// The connections that are open now, as the server counts them for this limit and without this tool's own.
    pub usage: Option<Usage>,
    /// Where limit and usage were read.
    pub source: String,
    /// How an operator raises the limit, with `{}` for the new value.
    pub raise: String,
}

/// Whose connections a limit counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Those of everybody.
    Everybody,
    /// Those of one account.
    Account(String),
}

/// The connections that are open now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All that the limit counts.
    pub total: u64,
    /// By account, where the server tells.
    pub by_account: Option<BTreeMap<String, u64>>,
}

impl Limit {
    /// The value that holds in a scenario.
    #[must_use]
    pub fn during(&self, scenario: Scenario) -> u64 {
        match (scenario, self.after_loss) {
            (Scenario::Worst, Some(remaining)) => remaining.min(self.value),
            _ => self.value,
        }
    }

    /// Whether it counts the connections of a workload. One whose account is not known may use any.
    #[must_use]
    pub fn counts(&self, contributor: &Contributor) -> bool {
        match (&self.counted, &contributor.account) {
            (Counted::Account(limited), Some(account)) => limited == account,
            _ => true,
        }
    }
}

/// The reserve of a limit: what was configured, or the larger of 10 and 5 %.
#[must_use]
pub fn reserve(limit: u64, configured: Option<u64>) -> u64 {
    configured.unwrap_or_else(|| RESERVE_MIN.max(limit.div_ceil(RESERVE_DIVISOR)))
}

/// The connections among the current ones that do not belong to the given workloads.
///
/// - Where the server tells accounts apart, those of an account are taken for connections that demand already holds, up to
///   what the workloads that use this account need between deployments; what goes beyond that is of somebody else, and
///   counts, as do all those of accounts that no workload uses. A workload whose account is not known uses `app_account`.
/// - Where it does not, `declared` counts, or what no workload can explain if that is more, and without `declared` every
///   current connection.
/// - Where the usage is unknown too and nothing is declared, the answer is unknown.
///
/// For a limit of everybody it is never less than `declared`: what runs at night alone shows in no counter by day.
#[must_use]
pub fn others(
    limit: &Limit,
    contributors: &[Contributor],
    app_account: Option<&str>,
    declared: Option<u64>,
) -> Option<u64> {
    let Some(usage) = &limit.usage else {
        return declared;
    };
    let at_most = demand(limit, contributors, Scenario::Steady);
    match (&limit.counted, &usage.by_account) {
        (Counted::Account(_), _) => Some(usage.total.saturating_sub(at_most)),
        (Counted::Everybody, Some(by_account)) => {
            let explained = explained(by_account, contributors, app_account);
            Some(usage.total.saturating_sub(explained).max(declared.unwrap_or(0)))
        }
        (Counted::Everybody, None) => {
            Some(declared.map_or(usage.total, |declared| declared.max(usage.total.saturating_sub(at_most))))
        }
    }
}

/// The current connections that the workloads explain, account by account: what one account holds too much, the pools of
/// another one do not explain.
fn explained(by_account: &BTreeMap<String, u64>, contributors: &[Contributor], app_account: Option<&str>) -> u64 {
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for known in contributors {
        if let Some(account) = known.account.as_deref().or(app_account) {
            let sum = wanted.entry(account).or_insert(0);
            *sum = sum.saturating_add(known.connections(Scenario::Steady));
        }
    }
    let of_account = |(account, wanted): (&str, u64)| by_account.get(account).copied().unwrap_or(0).min(wanted);
    wanted.into_iter().map(of_account).fold(0, u64::saturating_add)
}

/// What the workloads that a limit counts may hold.
#[must_use]
pub fn demand(limit: &Limit, contributors: &[Contributor], scenario: Scenario) -> u64 {
    let counted = contributors.iter().filter(|known| limit.counts(known));
    counted.fold(0, |sum: u64, known| sum.saturating_add(known.connections(scenario)))
}

/// One limit in one scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// The limit.
    pub limit: u64,
    /// What stays free.
    pub reserve: u64,
    /// What clients outside the inventory hold.
    pub others: u64,
    /// What the workloads may hold.
    pub demand: u64,
}

impl Headroom {
    /// Everything that the limit must cover.
    #[must_use]
    pub fn needed(&self) -> u64 {
        self.demand.saturating_add(self.others).saturating_add(self.reserve)
    }

    /// Whether it does.
    #[must_use]
    pub fn covers(&self) -> bool {
        self.needed() <= self.limit
    }

    /// What is left for the workloads, or `None` if not even reserve and others fit.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        self.limit.checked_sub(self.reserve)?.checked_sub(self.others)
    }
}

/// The smallest limit that covers the demand and the reserve that such a limit has itself.
#[must_use]
pub fn smallest_limit(demand: u64, others: u64, configured_reserve: Option<u64>) -> u64 {
    let used = demand.saturating_add(others);
    if let Some(reserve) = configured_reserve {
        return used.saturating_add(reserve);
    }
    // Above 200 the reserve is one in twenty, rounded up: limit - ceil(limit / 20) >= used.
    let scaled = used.saturating_mul(RESERVE_DIVISOR).div_ceil(RESERVE_DIVISOR - 1);
    used.saturating_add(RESERVE_MIN).max(scaled)
}

/// The largest pool that fits if no workload has a larger one, or `None` if not even one connection each fits.
#[must_use]
pub fn fitting_pool<'a>(
    contributors: impl Iterator<Item = &'a Contributor> + Clone,
    scenario: Scenario,
    room: u64,
) -> Option<u64> {
    let fits = |cap: u64| {
        let sum = contributors
            .clone()
            .fold(0, |sum: u64, known| sum.saturating_add(known.pool.min(cap).saturating_mul(known.pools(scenario))));
        sum <= room
    };
    if !fits(1) {
        return None;
    }
    let (mut fitting, mut too_large) = (1, contributors.clone().map(|known| known.pool).max()?.saturating_add(1));
    while too_large - fitting > 1 {
        let middle = fitting + (too_large - fitting) / 2;
        if fits(middle) { fitting = middle } else { too_large = middle }
    }
    Some(fitting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contributor(pool: u64, instances: u64) -> Contributor {
        Contributor {
            workload: "orders".to_owned(),
            side: Side::Eks,
            pool,
            processes: 1,
            instances: Instances { steady: instances, rollout: 2 * instances, worst: 3 * instances },
            source: "test".to_owned(),
            assumed: false,
            account: None,
        }
    }

    fn limit(value: u64, usage: Option<Usage>) -> Limit {
        Limit {
            name: "max_connections".to_owned(),
            value,
            after_loss: None,
            counted: Counted::Everybody,
            usage,
            source: "test".to_owned(),
            raise: "set it to {}".to_owned(),
        }
    }

    fn usage(total: u64, by_account: &[(&str, u64)]) -> Option<Usage> {
        let by_account = by_account.iter().map(|(account, count)| ((*account).to_owned(), *count)).collect();
        Some(Usage { total, by_account: Some(by_account) })
    }

    #[test]
    fn the_reserve_is_ten_or_five_percent_or_what_was_configured() {
        assert_eq!([20, 200, 201, 1_000].map(|limit| reserve(limit, None)), [10, 10, 11, 50]);
        assert_eq!(reserve(1_000, Some(3)), 3);
    }

    #[test]
    fn others_are_accounts_of_nobody_in_the_inventory_and_what_goes_beyond_the_model() {
        let orders = [contributor(10, 4)];
        let other = |limit: &Limit| others(limit, &orders, Some("app"), None);
        assert_eq!(other(&limit(100, usage(25, &[("app", 20), ("report", 5)]))), Some(5));
        assert_eq!(other(&limit(100, usage(55, &[("app", 50), ("report", 5)]))), Some(15));
        // Seats that belong to no account, such as replicas, are others too.
        assert_eq!(other(&limit(100, usage(30, &[("app", 20)]))), Some(10));
    }

    #[test]
    fn the_pools_of_one_account_do_not_explain_the_connections_of_another() {
        let mut billing = contributor(1, 1);
        billing.account = Some("report".to_owned());
        let both = [contributor(10, 10), billing];
        let now = limit(500, usage(50, &[("report", 50)]));
        assert_eq!(others(&now, &both, Some("app"), None), Some(49));
    }

    #[test]
    fn others_are_never_fewer_than_what_is_declared() {
        let orders = [contributor(10, 4)];
        let now = limit(100, usage(25, &[("app", 20), ("report", 5)]));
        assert_eq!(others(&now, &orders, Some("app"), Some(30)), Some(30));
        assert_eq!(others(&now, &orders, Some("app"), Some(1)), Some(5));
        // Nor than what no workload can explain.
        let anonymous = limit(100, Some(Usage { total: 70, by_account: None }));
        assert_eq!(others(&anonymous, &orders, Some("app"), Some(3)), Some(30));
    }

    #[test]
    fn without_accounts_every_current_connection_counts_unless_somebody_says_otherwise() {
        let orders = [contributor(10, 4)];
        let anonymous = limit(100, Some(Usage { total: 25, by_account: None }));
        assert_eq!(others(&anonymous, &orders, Some("app"), None), Some(25));
        assert_eq!(others(&anonymous, &orders, Some("app"), Some(3)), Some(3));
        assert_eq!(others(&limit(100, None), &orders, Some("app"), None), None);
        assert_eq!(others(&limit(100, None), &orders, Some("app"), Some(0)), Some(0));
    }

    #[test]
    fn a_limit_of_an_account_counts_the_workloads_that_use_it_or_may_use_it() {
        let mut billing = contributor(7, 1);
        billing.account = Some("billing".to_owned());
        let contributors = [contributor(10, 4), billing];
        let mut account = limit(100, Some(Usage { total: 45, by_account: None }));
        account.counted = Counted::Account("app".to_owned());
        assert_eq!(demand(&account, &contributors, Scenario::Steady), 40);
        assert_eq!(others(&account, &contributors, Some("app"), None), Some(5));
    }

    #[test]
    fn a_lost_node_counts_in_the_worst_scenario_alone() {
        let cluster = Limit { after_loss: Some(60), ..limit(90, None) };
        assert_eq!(Scenario::ALL.map(|scenario| cluster.during(scenario)), [90, 90, 60]);
    }

    #[test]
    fn the_pool_that_fits_is_none_if_one_connection_each_is_too_much() {
        let contributors = [contributor(10, 4), contributor(2, 4)];
        let fitting = |room| fitting_pool(contributors.iter(), Scenario::Steady, room);
        assert_eq!(
            [7, 8, 15, 16, 19, 20, 48].map(fitting),
            [None, Some(1), Some(1), Some(2), Some(2), Some(3), Some(10)]
        );
    }

    fn contributors() -> impl Strategy<Value = Vec<Contributor>> {
        let account = proptest::sample::select(vec![None, Some("app"), Some("report"), Some("job")]);
        let one = (0_u64..200, 0_u64..4, 0_u64..100, 0_u64..100, 0_u64..100, account).prop_map(
            |(pool, processes, steady, surge, second, account)| Contributor {
                processes,
                instances: Instances { steady, rollout: steady + surge, worst: steady + surge + second },
                account: account.map(str::to_owned),
                ..contributor(pool, 0)
            },
        );
        proptest::collection::vec(one, 0..12)
    }

    fn headroom(limit: &Limit, contributors: &[Contributor], scenario: Scenario, configured: Option<u64>) -> Headroom {
        Headroom {
            limit: limit.during(scenario),
            reserve: reserve(limit.during(scenario), configured),
            others: others(limit, contributors, Some("app"), None).unwrap(),
            demand: demand(limit, contributors, scenario),
        }
    }

    /// Limits of everybody and of one account, with usage by account and without.
    fn usages() -> impl Strategy<Value = Limit> {
        let counts = (0_u64..300, 0_u64..300, 0_u64..300, any::<bool>(), any::<bool>());
        counts.prop_map(|(app, report, rest, tells_accounts, of_account)| {
            let by_account = tells_accounts.then(|| BTreeMap::from([("app".into(), app), ("report".into(), report)]));
            let mut limit = limit(0, Some(Usage { total: app + report + rest, by_account }));
            if of_account {
                limit.counted = Counted::Account("app".to_owned());
            }
            limit
        })
    }

    fn scenario() -> impl Strategy<Value = Scenario> {
        proptest::sample::select(Scenario::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn more_demand_never_leaves_more_room(
            known in contributors(), extra in contributors(), value in 0_u64..100_000, limit in usages(),
            scenario in scenario(), grown in (0_usize..12, 0_u64..5, 0_u64..5, 0_u64..5),
        ) {
            let limit = Limit { value, ..limit };
            let mut more = known.clone();
            let (which, pool, processes, instances) = grown;
            if let Some(grown) = more.get_mut(which) {
                grown.pool += pool;
                grown.processes += processes;
                let Instances { steady, rollout, worst } = grown.instances;
                grown.instances =
                    Instances { steady: steady + instances, rollout: rollout + instances, worst: worst + instances };
            }
            more.extend(extra);
            let (before, after) = (headroom(&limit, &known, scenario, None), headroom(&limit, &more, scenario, None));
            prop_assert!(after.needed() >= before.needed(), "{before:?} {after:?}");
            prop_assert!(before.covers() || !after.covers());
        }

        #[test]
        fn more_connections_of_others_never_leave_more_room(
            known in contributors(), limit in usages(), scenario in scenario(), more in 0_u64..50,
            declared in proptest::option::of(0_u64..200),
        ) {
            let mut fuller = limit.clone();
            if let Some(usage) = &mut fuller.usage {
                usage.total += more;
                if let Some(by_account) = &mut usage.by_account {
                    *by_account.entry("stranger".to_owned()).or_insert(0) += more;
                }
            }
            let others = |limit| others(limit, &known, Some("app"), declared).unwrap();
            prop_assert!(others(&fuller) >= others(&limit));
            // A larger declaration never helps either.
            let declared = declared.map(|declared| declared + more);
            prop_assert!(super::others(&limit, &known, Some("app"), declared).unwrap() >= others(&limit));
            prop_assert!(headroom(&fuller, &known, scenario, None).needed() >= headroom(&limit, &known, scenario, None).needed());
        }

        #[test]
        fn a_harsher_scenario_never_needs_less(known in contributors(), value in 0_u64..100_000) {
            let limit = limit(value, usage(5, &[]));
            let needed = Scenario::ALL.map(|scenario| headroom(&limit, &known, scenario, None).needed());
            prop_assert!(needed.is_sorted());
        }

        #[test]
        fn the_smallest_limit_covers_and_one_less_does_not(
            demand in 0_u64..1_000_000, others in 0_u64..1_000, configured in proptest::option::of(0_u64..100),
        ) {
            let covers = |limit| Headroom { limit, reserve: reserve(limit, configured), others, demand }.covers();
            let smallest = smallest_limit(demand, others, configured);
            prop_assert!(covers(smallest));
            prop_assert!(smallest == 0 || !covers(smallest - 1));
        }

        #[test]
        fn the_pool_that_fits_covers_and_one_more_does_not(
            known in contributors(), value in 0_u64..20_000, scenario in scenario(),
        ) {
            let limit = limit(value, usage(0, &[]));
            let before = headroom(&limit, &known, scenario, None);
            prop_assume!(!before.covers());
            let capped = |cap: u64| -> Vec<Contributor> {
                known.iter().map(|one| Contributor { pool: one.pool.min(cap), ..one.clone() }).collect()
            };
            match before.room().and_then(|room| fitting_pool(known.iter(), scenario, room)) {
                Some(pool) => {
                    prop_assert!(headroom(&limit, &capped(pool), scenario, None).covers());
                    prop_assert!(!headroom(&limit, &capped(pool + 1), scenario, None).covers());
                }
                None => prop_assert!(!headroom(&limit, &capped(1), scenario, None).covers()),
            }
        }

        #[test]
        fn absurd_numbers_are_too_much(pool in any::<u64>(), processes in any::<u64>(), value in any::<u64>()) {
            let huge = Contributor { processes, ..contributor(pool, u64::MAX / 3) };
            let _ = headroom(&limit(value, usage(u64::MAX, &[("app", u64::MAX)])), &[huge], Scenario::Worst, None);
        }
    }
}
