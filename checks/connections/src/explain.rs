//! The words for a limit in a scenario: what binds, who asks for how much, and what would make it fit.

use crate::headroom::{Contributor, Headroom, Limit, demand, fitting_pool, others, reserve, smallest_limit};
use crate::settings::{Endpoint, Scenario};
use preflight_core::{Evidence, Finding, Remediation};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many contributors a finding names in its first sentence, and in its evidence.
const LARGEST: usize = 3;
const EVIDENCE_MAX: usize = 20;

/// One limit of an endpoint with everything it is compared with.
#[derive(Clone, Copy)]
pub(crate) struct Comparison<'a> {
    pub endpoint: &'a Endpoint,
    pub limit: &'a Limit,
    pub contributors: &'a [Contributor],
    /// The account of the applications, as the server names it.
    pub account: Option<&'a str>,
    pub scenario: Scenario,
}

impl Comparison<'_> {
    /// What clients outside the inventory hold, if that can be told.
    pub(crate) fn others(&self) -> Option<u64> {
        others(self.limit, self.contributors, self.account, self.endpoint.others)
    }

    /// In the scenario that decides. Others that nobody can tell count as none; a pass must not rest on that.
    pub(crate) fn headroom(&self) -> Headroom {
        self.headroom_during(self.scenario)
    }

    fn headroom_during(&self, scenario: Scenario) -> Headroom {
        let limit = self.limit.during(scenario);
        Headroom {
            limit,
            reserve: reserve(limit, self.endpoint.reserve),
            others: self.others().unwrap_or(0),
            demand: demand(self.limit, self.contributors, scenario),
        }
    }

    /// The smallest limit that would do.
    pub(crate) fn smallest_limit(&self) -> u64 {
        let headroom = self.headroom();
        smallest_limit(headroom.demand, headroom.others, self.endpoint.reserve)
    }

    /// The largest pool that would do if nobody had a larger one.
    pub(crate) fn fitting_pool(&self) -> Option<u64> {
        fitting_pool(self.counted(), self.scenario, self.headroom().room()?)
    }

    fn counted(&self) -> impl Iterator<Item = &Contributor> + Clone {
        self.contributors.iter().filter(|known| self.limit.counts(known))
    }

    /// The finding, met or not.
    pub(crate) fn finding(&self) -> Finding {
        let headroom = self.headroom();
        let Headroom { limit, reserve, others, demand } = headroom;
        let sum = format!(
            "{} needs {}: {demand} for workloads, {others} for others, {reserve} in reserve",
            situation(self.scenario),
            headroom.needed()
        );
        let compared = format!("{} of {} is {limit}; {sum}", self.limit.name, self.endpoint.name);
        let expected = format!("{} of {} is at least {}", self.limit.name, self.endpoint.name, self.smallest_limit());
        let mut finding = if headroom.covers() {
            Finding::met(format!("{compared}; {} to spare", limit - headroom.needed()), expected)
        } else {
            let short = headroom.needed() - limit;
            Finding::unmet(format!("{compared}; {short} too few. Largest: {}", self.largest()), expected)
        };
        finding.evidence = self.evidence();
        if !finding.met {
            finding.remediation = Some(self.remediation());
        }
        finding
    }

    fn remediation(&self) -> Remediation {
        let smallest = self.smallest_limit();
        let raise =
            format!("Raise {} of {} from {} to {smallest}", self.limit.name, self.endpoint.name, self.headroom().limit);
        let pools = match self.fitting_pool() {
            Some(pool) => {
                format!(", or set the maximum pool size (maximumPoolSize) to {pool} on {}", self.larger_than(pool))
            }
            None => "; smaller pools alone do not make it fit".to_owned(),
        };
        let command = self.limit.raise.replacen("{}", &smallest.to_string(), 1);
        Remediation { text: format!("{raise}{pools}."), command: Some(command), url: None }
    }

    fn larger_than(&self, pool: u64) -> String {
        let larger = self.counted().filter(|known| known.pool > pool && known.pools(self.scenario) > 0);
        larger.map(|known| format!("{} (now {})", title(known), known.pool)).collect::<Vec<_>>().join(", ")
    }

    fn largest(&self) -> String {
        let mut by_title: BTreeMap<String, u64> = BTreeMap::new();
        for known in self.counted() {
            let sum = by_title.entry(title(known)).or_insert(0);
            *sum = sum.saturating_add(known.connections(self.scenario));
        }
        let mut sums: Vec<(String, u64)> = by_title.into_iter().collect();
        sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
        let rest = sums.len().saturating_sub(LARGEST);
        let named: Vec<String> = sums.into_iter().take(LARGEST).map(|(title, sum)| format!("{title} {sum}")).collect();
        match (named.is_empty(), rest) {
            (true, _) => "clients outside the inventory".to_owned(),
            (false, 0) => named.join(", "),
            (false, rest) => format!("{} and {rest} more", named.join(", ")),
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        let now = match (&self.limit.usage, self.others()) {
            (Some(usage), Some(others)) => format!("{} open now; {others} count as others'", usage.total),
            (Some(usage), None) => format!("{} open now; how many are others' is unknown", usage.total),
            (None, Some(others)) => format!("nobody tells how many are open now; {others} of others, from `others`"),
            (None, None) => "nobody tells how many are open now, nor how many are others'".to_owned(),
        };
        let what = format!("{} = {}; {now}", self.limit.name, self.limit.value);
        let scenarios = Scenario::ALL.map(|scenario| {
            let Headroom { limit, reserve, others, demand } = self.headroom_during(scenario);
            let needed = self.headroom_during(scenario).needed();
            format!("{scenario}: {demand} + {others} + {reserve} = {needed} of {limit}")
        });
        let mut evidence = vec![
            Evidence::new("limit", self.limit.source.as_str(), what),
            Evidence::new("arithmetic", "workloads + others + reserve", scenarios.join("; ")),
        ];
        let mut counted: Vec<&Contributor> = self.counted().collect();
        counted.sort_by_key(|known| std::cmp::Reverse(known.connections(self.scenario)));
        let rest = counted.len().saturating_sub(EVIDENCE_MAX);
        evidence.extend(counted.into_iter().take(EVIDENCE_MAX).map(|known| {
            let sum = format!(
                "{}: pool of {} × {} processes × {} instances = {}",
                title(known),
                known.pool,
                known.processes,
                known.instances.during(self.scenario),
                known.connections(self.scenario)
            );
            Evidence::new("demand", known.source.as_str(), sum)
        }));
        if rest > 0 {
            evidence.push(Evidence::new("demand", self.endpoint.name.as_str(), format!("and {rest} smaller ones")));
        }
        evidence
    }

    /// The numbers for `measurements`.
    pub(crate) fn measurement(&self) -> Value {
        let scenarios: serde_json::Map<String, Value> = Scenario::ALL
            .into_iter()
            .map(|scenario| {
                let Headroom { limit, reserve, others, demand } = self.headroom_during(scenario);
                let needed = self.headroom_during(scenario).needed();
                let numbers =
                    json!({ "limit": limit, "reserve": reserve, "others": others, "demand": demand, "needed": needed });
                (scenario.to_string(), numbers)
            })
            .collect();
        json!({
            "limit": self.limit.name,
            "value": self.limit.value,
            "usedNow": self.limit.usage.as_ref().map(|usage| usage.total),
            "scenarios": scenarios,
        })
    }
}

fn title(known: &Contributor) -> String {
    let assumed = if known.assumed { ", assumed pool" } else { "" };
    format!("{} ({}{assumed})", known.workload, known.side)
}

/// A scenario as the subject of a sentence.
pub(crate) fn situation(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Steady => "running on both sides",
        Scenario::Rollout => "a rollout on both sides",
        Scenario::Worst => "the worst case (overlapping rollouts on both sides, largest node lost)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headroom::{Counted, Instances, Side, Usage};
    use proptest::prelude::*;

    fn contributor(index: usize, pool: u64, steady: u64) -> Contributor {
        Contributor {
            workload: format!("workload-{index}"),
            side: if index.is_multiple_of(2) { Side::Ecs } else { Side::Eks },
            pool,
            processes: 1,
            instances: Instances { steady, rollout: 2 * steady, worst: 3 * steady },
            source: format!("workload-{index}.yaml:7"),
            assumed: index == 0,
            account: None,
        }
    }

    fn limit(value: u64, others: u64) -> Limit {
        Limit {
            name: "max_connections".to_owned(),
            value,
            after_loss: None,
            counted: Counted::Everybody,
            usage: Some(Usage { total: others, by_account: None }),
            source: "@@global.max_connections".to_owned(),
            raise: "SET GLOBAL max_connections = {};".to_owned(),
        }
    }

    fn endpoint() -> Endpoint {
        serde_json::from_value(json!({ "name": "db", "engine": "mysql", "address": "db" })).unwrap()
    }

    fn compare<'a>(endpoint: &'a Endpoint, limit: &'a Limit, contributors: &'a [Contributor]) -> Comparison<'a> {
        Comparison { endpoint, limit, contributors, account: None, scenario: Scenario::Rollout }
    }

    /// The number that a text gives after some words.
    fn number(text: &str, after: &str) -> Option<u64> {
        let (_, rest) = text.split_once(after)?;
        rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
    }

    #[test]
    fn a_finding_names_the_largest_and_counts_the_rest() {
        let contributors: Vec<Contributor> = (0..5).map(|index| contributor(index, 10 + index as u64, 1)).collect();
        let (endpoint, limit) = (endpoint(), limit(20, 0));
        let observed = compare(&endpoint, &limit, &contributors).finding().observed;
        assert!(
            observed.ends_with("Largest: workload-4 (ecs) 28, workload-3 (eks) 26, workload-2 (ecs) 24 and 2 more")
        );
    }

    #[test]
    fn a_pool_that_was_guessed_is_marked() {
        let (endpoint, limit, contributors) = (endpoint(), limit(20, 0), [contributor(0, 10, 2)]);
        let finding = compare(&endpoint, &limit, &contributors).finding();
        assert!(finding.observed.ends_with("Largest: workload-0 (ecs, assumed pool) 40"));
    }

    #[test]
    fn evidence_has_an_end() {
        let contributors: Vec<Contributor> = (0..200).map(|index| contributor(index, 10, 1)).collect();
        let (endpoint, limit) = (endpoint(), limit(20, 0));
        let evidence = compare(&endpoint, &limit, &contributors).finding().evidence;
        assert_eq!(evidence.len(), 2 + EVIDENCE_MAX + 1);
        assert_eq!(evidence.last().unwrap().detail, "and 180 smaller ones");
    }

    proptest! {
        #[test]
        fn what_a_fail_prints_turns_it_into_a_pass(
            pools in proptest::collection::vec((1_u64..60, 0_u64..20), 1..10), value in 0_u64..4_000, others in 0_u64..200,
        ) {
            let contributors: Vec<Contributor> =
                pools.iter().enumerate().map(|(index, (pool, steady))| contributor(index, *pool, *steady)).collect();
            let (endpoint, before) = (endpoint(), limit(value, others));
            let finding = compare(&endpoint, &before, &contributors).finding();
            prop_assume!(!finding.met);
            let remediation = finding.remediation.unwrap();
            let raised = limit(number(&remediation.command.unwrap(), "max_connections = ").unwrap(), others);
            prop_assert!(compare(&endpoint, &raised, &contributors).finding().met);
            if let Some(pool) = number(&remediation.text, "(maximumPoolSize) to ") {
                let capped: Vec<Contributor> = contributors
                    .iter()
                    .map(|known| Contributor { pool: known.pool.min(pool), ..known.clone() })
                    .collect();
                prop_assert!(compare(&endpoint, &before, &capped).finding().met);
                for (known, capped) in contributors.iter().zip(&capped) {
                    let named = remediation.text.contains(&format!("{} (now {})", title(known), known.pool));
                    prop_assert_eq!(named, known.pool != capped.pool && known.instances.rollout > 0);
                }
            }
        }
    }
}
