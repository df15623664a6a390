//! Which workload of EKS and which service of ECS belong together.

use crate::ecs::Deployed;
use crate::{EksWorkload, InventoryError, Workload};
use std::collections::{BTreeMap, BTreeSet};

/// A configured workload: its name, and what it is on each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// Its name.
    pub name: String,
    /// The workload of EKS as `namespace/Kind/name`, or [`Pair::NONE`]. Found by name if left out.
    pub eks: Option<String>,
    /// The service of ECS or the family of its task definition, `cluster/service` if the name alone is not enough.
    /// Found by name if left out.
    pub ecs: Option<String>,
}

impl Pair {
    /// Stands for the side of EKS where a workload stays in ECS.
    pub const NONE: &str = "none";

    fn stays_in_ecs(&self) -> bool {
        self.eks.as_deref() == Some(Self::NONE)
    }
}

/// The names of the workloads that stay in ECS.
pub(crate) fn staying(pairs: &[Pair]) -> BTreeSet<String> {
    pairs.iter().filter(|pair| pair.stays_in_ecs()).map(|pair| pair.name.clone()).collect()
}

/// What nobody has taken yet.
struct Free {
    eks: Vec<Option<EksWorkload>>,
    ecs: Vec<Option<Deployed>>,
}

/// One entry for each workload that runs somewhere, under a name of its own.
pub(crate) fn pair(
    eks: Vec<EksWorkload>,
    ecs: Vec<Deployed>,
    pairs: &[Pair],
    notes: &mut Vec<String>,
) -> Result<Vec<Workload>, InventoryError> {
    let mut free = Free { eks: eks.into_iter().map(Some).collect(), ecs: ecs.into_iter().map(Some).collect() };
    let names = Names::of(&free);
    let mut chosen = vec![];
    let mut known = BTreeSet::new();
    for pair in pairs {
        if !known.insert(&pair.name) {
            return Err(taken(&pair.name, "name", "its name".to_owned()));
        }
        let wanted = pair.eks.as_ref().filter(|_| !pair.stays_in_ecs());
        let eks = wanted.map(|wanted| free.take_eks(pair, wanted, &names)).transpose()?;
        let ecs = pair.ecs.as_ref().map(|wanted| free.take_ecs(pair, wanted, &names)).transpose()?;
        chosen.push((pair, eks, ecs));
    }
    let mut workloads = vec![];
    for (pair, eks, ecs) in chosen {
        let name = &pair.name;
        let called = [Some(name), ecs.as_ref().map(|ecs| &ecs.task.service)];
        let eks = eks.or_else(|| if pair.stays_in_ecs() { None } else { free.eks_called(&called) });
        let ecs = ecs.or_else(|| free.ecs_called(&[Some(name), eks.as_ref().map(|eks| &eks.name)]));
        if eks.is_none() && ecs.is_none() {
            let wanted = format!("workload or service called `{name}`");
            return Err(names.not_found((name, "name"), wanted, name, |_| true));
        }
        workloads.push(Workload { name: name.clone(), ecs: ecs.map(|ecs| ecs.task), eks });
    }
    free.pair_by_name(&mut workloads, notes);
    workloads.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(workloads)
}

impl Free {
    fn take_eks(&mut self, pair: &Pair, wanted: &str, names: &Names) -> Result<EksWorkload, InventoryError> {
        let is_wanted = |slot: &&mut Option<EksWorkload>| slot.as_ref().is_some_and(|one| one.reference() == wanted);
        if let Some(found) = self.eks.iter_mut().find(is_wanted).and_then(Option::take) {
            return Ok(found);
        }
        if names.eks.contains(wanted) {
            return Err(taken(&pair.name, "eks", format!("`{wanted}`")));
        }
        let is_eks = |name: &str| names.eks.contains(name);
        Err(names.not_found((&pair.name, "eks"), format!("`{wanted}` of EKS"), wanted, is_eks))
    }

    fn take_ecs(&mut self, pair: &Pair, wanted: &str, names: &Names) -> Result<Deployed, InventoryError> {
        for rank in [
            Deployed::full_name,
            |one: &Deployed| one.task.service.clone(),
            |one: &Deployed| one.family.clone().unwrap_or_default(),
        ] {
            let mut found: Vec<&mut Option<Deployed>> =
                self.ecs.iter_mut().filter(|slot| slot.as_ref().is_some_and(|one| rank(one) == wanted)).collect();
            if found.len() > 1 {
                let candidates = found.iter().filter_map(|slot| slot.as_ref().map(Deployed::full_name)).collect();
                let wanted = format!("`{wanted}` of ECS");
                return Err(InventoryError::Ambiguous { workload: pair.name.clone(), key: "ecs", wanted, candidates });
            }
            if let Some(found) = found.pop().and_then(|slot| slot.take()) {
                return Ok(found);
            }
        }
        if names.ecs.contains(wanted) {
            return Err(taken(&pair.name, "ecs", format!("`{wanted}`")));
        }
        let is_ecs = |name: &str| names.ecs.contains(name);
        Err(names.not_found((&pair.name, "ecs"), format!("service or task family `{wanted}` of ECS"), wanted, is_ecs))
    }

    /// The only one with the first of the names that anything has.
    fn eks_called(&mut self, names: &[Option<&String>]) -> Option<EksWorkload> {
        names.iter().flatten().find_map(|name| only(&mut self.eks, |one| one.name == **name))
    }

    fn ecs_called(&mut self, names: &[Option<&String>]) -> Option<Deployed> {
        names.iter().flatten().find_map(|name| {
            only(&mut self.ecs, |one| one.task.service == **name)
                .or_else(|| only(&mut self.ecs, |one| one.family.as_ref() == Some(*name)))
        })
    }

    /// The rest: those of one name together, the others alone.
    fn pair_by_name(mut self, workloads: &mut Vec<Workload>, notes: &mut Vec<String>) {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for one in self.eks.iter().flatten() {
            *counts.entry(one.name.clone()).or_default() += 1;
        }
        let eks: Vec<EksWorkload> = self.eks.iter_mut().filter_map(Option::take).collect();
        let mut found = vec![];
        for by_family in [false, true] {
            for (index, one) in eks.iter().enumerate() {
                let is_known = found.iter().any(|(known, _)| *known == index);
                if is_known || counts.get(&one.name) != Some(&1) {
                    continue;
                }
                let is_partner = |ecs: &Deployed| {
                    if by_family { ecs.family.as_ref() == Some(&one.name) } else { ecs.task.service == one.name }
                };
                found.extend(only(&mut self.ecs, is_partner).map(|ecs| (index, ecs)));
            }
        }
        let mut used: BTreeSet<String> = workloads.iter().map(|workload| workload.name.clone()).collect();
        for (index, one) in eks.into_iter().enumerate() {
            let partner = found.iter().position(|(known, _)| *known == index).map(|at| found.swap_remove(at).1.task);
            let name = unused(&mut used, &one.name, one.reference());
            if partner.is_none() && self.ecs.iter().flatten().any(|ecs| ecs.task.service == one.name) {
                notes.push(format!(
                    "{}: {} and a service of ECS have one name and are not paired, for more than one has it; pair them in \
                     the configuration",
                    one.at,
                    one.reference()
                ));
            }
            workloads.push(Workload { name, ecs: partner, eks: Some(one) });
        }
        for one in self.ecs.into_iter().flatten() {
            let name = unused(&mut used, &one.task.service, one.full_name());
            workloads.push(Workload { name, ecs: Some(one.task), eks: None });
        }
    }
}

/// Takes the one that fits, if there is exactly one.
fn only<T>(slots: &mut [Option<T>], fits: impl Fn(&T) -> bool) -> Option<T> {
    let mut found = slots.iter_mut().filter(|slot| slot.as_ref().is_some_and(&fits));
    let first = found.next()?;
    if found.next().is_some() { None } else { first.take() }
}

/// The short name if nobody has it, else the long one.
fn unused(used: &mut BTreeSet<String>, short: &str, long: String) -> String {
    if used.insert(short.to_owned()) {
        return short.to_owned();
    }
    let mut name = long.clone();
    let mut number = 2_u64;
    while !used.insert(name.clone()) {
        name = format!("{long} ({number})");
        number += 1;
    }
    name
}

fn taken(workload: &str, key: &'static str, what: String) -> InventoryError {
    InventoryError::Taken { workload: workload.to_owned(), key, what }
}

/// Every name of either side.
struct Names {
    eks: BTreeSet<String>,
    ecs: BTreeSet<String>,
}

impl Names {
    fn of(free: &Free) -> Self {
        let eks = free.eks.iter().flatten().map(EksWorkload::reference).collect();
        let ecs = free.ecs.iter().flatten();
        let ecs = ecs.flat_map(|one| [Some(one.full_name()), Some(one.task.service.clone()), one.family.clone()]);
        Self { eks, ecs: ecs.flatten().collect() }
    }

    /// `by` is the configured workload and its key that names what is not there.
    fn not_found(
        &self,
        by: (&str, &'static str),
        wanted: String,
        text: &str,
        of: impl Fn(&str) -> bool,
    ) -> InventoryError {
        let all = self.eks.iter().chain(&self.ecs).filter(|name| of(name));
        let likeness = |name: &str| {
            // A name alone is like a reference that ends with it.
            let end = name.rsplit('/').next().unwrap_or(name);
            strsim::jaro_winkler(name, text).max(strsim::jaro_winkler(end, text))
        };
        let nearest = all.max_by(|one, two| likeness(one).total_cmp(&likeness(two))).cloned();
        InventoryError::NotFound { workload: by.0.to_owned(), key: by.1, wanted, nearest }
    }
}

impl Deployed {
    /// `cluster/service`, as far as the cluster is known.
    fn full_name(&self) -> String {
        if self.cluster.is_empty() {
            return self.task.service.clone();
        }
        format!("{}/{}", self.cluster, self.task.service)
    }
}
