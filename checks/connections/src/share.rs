//! The share of one workload on one side in the demand on a server: what its containers name, what the settings say, and
//! what it may hide.

use crate::address::Names;
use crate::demand::{Container, Demand, Deployed, title};
use crate::headroom::Contributor;
use crate::login::{Login, Source};
use crate::pools::{self, Pool, Reference};
use crate::processes::processes;
use crate::server::{Server, port_beside};
use crate::settings::{Engine, Use};
use crate::unseen;
use crate::variables::{Variable, plain_words};
use std::collections::BTreeMap;

/// Why an endpoint may be used, before its name, and what to do.
type Doubt = (String, &'static str);

/// The share of one workload on one side.
pub(crate) struct Share<'a> {
    pub server: &'a Server<'a>,
    pub workload: &'a Deployed,
    /// What the settings say about its use of this server.
    pub declared: Vec<&'a Use>,
    pub demand: &'a mut Demand,
}

impl Share<'_> {
    /// Whether the container names the endpoint.
    pub(crate) fn of_container(&mut self, container: &Container) -> bool {
        let variables = &container.variables;
        let references: Vec<Reference<'_>> = variables
            .iter()
            .filter(|variable| self.server.is_named_by(variable, variables))
            .map(|variable| Reference { variable, source: pools::source_of(&variable.name) })
            .collect();
        if references.is_empty() {
            return false;
        }
        let engine = self.server.endpoint.engine;
        let others = self.server.other_sources_in(variables);
        let processes = self.processes(container);
        let declared = self.declared_pool();
        let sources = pools::data_sources(references);
        let told: Vec<Variable> = variables.iter().cloned().chain(container.sizes_in_files()).collect();
        for reference in &sources {
            let beside = sources.iter().map(|one| &one.source);
            let beside = beside.filter(|one| **one != reference.source && pools::has_telling_name(one));
            let others: Vec<String> = others.iter().chain(beside).cloned().collect();
            let pool = pools::pool_of(engine, reference, &told, &others);
            let source = Source { engine, reference, variables, others: &others };
            self.of_virtual_hosts(&source);
            let account = self.account(source.account());
            self.add((pool, declared), processes, account, &reference.variable.at);
        }
        true
    }

    /// The same of one that ends before others begin, whose contributors are those `from` there on: a pod holds the larger
    /// of both.
    pub(crate) fn of_init_container(&mut self, container: &Container, from: usize) -> bool {
        let until = self.demand.contributors.len();
        let is_named = self.of_container(container);
        let own = self.demand.contributors.split_off(until);
        let of_pod = |one: &Contributor| one.pool.saturating_mul(one.processes);
        let mut room: BTreeMap<Option<String>, u64> = BTreeMap::new();
        for known in &self.demand.contributors[from..] {
            let sum = room.entry(known.account.clone()).or_default();
            *sum = sum.saturating_add(of_pod(known));
        }
        for one in own {
            let room = room.entry(one.account.clone()).or_default();
            let beyond = of_pod(&one).saturating_sub(*room);
            *room = room.saturating_sub(of_pod(&one));
            let source = format!("{}, as far as an init container opens more than those after it", one.source);
            let more = Contributor { pool: beyond, processes: 1, source, ..one };
            self.demand.contributors.extend((beyond > 0).then_some(more));
        }
        is_named
    }

    /// The limits of a virtual host that no endpoint names are not read.
    fn of_virtual_hosts(&mut self, source: &Source<'_>) {
        if source.engine != Engine::RabbitMq {
            return;
        }
        let (title, name) = (title(self.workload), &self.server.endpoint.name);
        let unread = source.virtual_hosts().into_iter().filter_map(|vhost| match vhost {
            Some(vhost) if self.server.virtual_hosts.contains(&vhost.as_str()) => None,
            Some(vhost) => Some(format!(
                "{title}: it opens the virtual host `{vhost}`, whose limits are not read; add an endpoint with this address \
                 and `vhost: {vhost}`, or correct `vhost` of {name}"
            )),
            None => Some(format!(
                "{title}: its virtual host is not written down at {}, so the limits of that are not read; write it down",
                source.reference.variable.at
            )),
        });
        self.demand.unclear.extend(unread);
    }

    /// The account of a data source: the settings tell what its configuration does not.
    fn account(&mut self, found: Login) -> Option<String> {
        match (found, self.declared_account()) {
            (Login::Named(account), _) | (_, Some(account)) => return Some(account),
            (Login::Silent, None) => {}
            (Login::Hidden(why), None) => self.demand.hidden_accounts.push(format!("{}: {why}", title(self.workload))),
        }
        None
    }

    /// The account that the settings name, if they name one alone.
    fn declared_account(&self) -> Option<String> {
        let (first, rest) = self.declared.split_first()?;
        rest.iter().all(|one| one.account == first.account).then(|| first.account.clone()).flatten()
    }

    /// What the settings say about pools of this server, all together; none if they do not say it of each.
    fn declared_pool(&self) -> Option<u64> {
        let pools: Option<Vec<u64>> = self.declared.iter().map(|one| one.pool).collect();
        pools.filter(|pools| !pools.is_empty()).map(|pools| pools.into_iter().fold(0, u64::saturating_add))
    }

    fn processes(&mut self, container: &Container) -> u64 {
        let declared = self.declared.iter().filter_map(|one| one.processes).max();
        match (processes(&container.variables, &container.arguments), declared) {
            (Ok(found), declared) => found.max(declared.unwrap_or(1)),
            (Err(_), Some(declared)) => declared,
            (Err(why), None) => {
                let title = title(self.workload);
                self.demand.unclear.push(format!(
                    "{title}: {why}, so the number of its processes is not known; give `processes` with `uses`"
                ));
                1
            }
        }
    }

    /// The settings say that the endpoint is used, and nothing in the workload names it.
    pub(crate) fn of_declaration(&mut self) {
        let workload = self.workload;
        let engine = self.server.endpoint.engine;
        let nowhere = Variable { name: String::new(), value: None, at: workload.at.clone() };
        let reference = Reference { variable: &nowhere, source: String::new() };
        for one in std::mem::take(&mut self.declared) {
            let told = workload.containers.iter().find_map(|container| {
                let others = self.server.other_sources_in(&container.variables);
                let told: Vec<Variable> =
                    container.variables.iter().cloned().chain(container.sizes_in_files()).collect();
                match pools::pool_of(engine, &reference, &told, &others) {
                    Pool::Assumed { .. } => None,
                    told => Some((told, container)),
                }
            });
            let (pool, processes) = match told {
                Some((pool, container)) => (pool, self.processes(container)),
                None => {
                    let of_all = workload.containers.iter().map(|container| self.processes(container)).max();
                    (pools::assumed(engine), of_all.unwrap_or(1))
                }
            };
            self.add((pool, one.pool), processes, one.account.clone(), &workload.at);
        }
    }

    /// Whether the endpoint may be used beyond what is seen. Whoever names it already may hide a second address.
    pub(crate) fn of_the_unseen(&mut self, is_named: bool) -> bool {
        let engine = self.server.endpoint.engine;
        let mut doubt = self.hidden_address().or_else(|| self.argument_with_the_address());
        if !is_named {
            doubt = doubt.or_else(|| self.host_without_a_port());
        }
        let doubt = doubt.or_else(|| self.file_with_the_address()).or_else(|| {
            let what = unseen::suspicion(engine, self.workload, is_named, || self.names_any())?;
            Some((what, unseen::FIX))
        });
        let said = doubt.map(|(what, fix)| format!("{what} {}; {fix}", self.server.endpoint.name));
        self.demand.unclear.extend(said.iter().map(|said| format!("{}: {said}", title(self.workload))));
        said.is_some()
    }

    /// The settings say that the endpoint is not used, and whoever reads of a pass may want to look at it again.
    pub(crate) fn of_denial(&mut self) {
        let doubt = self.hidden_address().or_else(|| self.argument_with_the_address());
        if let Some((what, _)) = doubt.or_else(|| self.file_with_the_address()) {
            let (workload, endpoint) = (title(self.workload), &self.server.endpoint.name);
            self.demand.notes.push(format!("{workload}: {what} {endpoint}; `uses` says that it is not used"));
        }
    }

    /// An address in a secret.
    fn hidden_address(&self) -> Option<Doubt> {
        let engine = self.server.endpoint.engine;
        let mut hidden = self.variables().filter(|variable| variable.value.is_none());
        let Variable { name, at, .. } = hidden.find(|variable| unseen::is_address_for(engine, &variable.name))?;
        Some((format!("{name} at {at} is not written down and may be the address of"), "say so with `uses`"))
    }

    /// A host whose port is written nowhere.
    fn host_without_a_port(&self) -> Option<Doubt> {
        let engine = self.server.endpoint.engine;
        let all: Vec<Variable> = self.variables().cloned().collect();
        let is_it = |variable: &&Variable| {
            let beside = || port_beside(variable, &all);
            let is_named = |names: &Names| variable.value.as_ref().is_some_and(|value| names.may_be_in(value, beside));
            !self.server.is_of_another_kind(engine, variable)
                && self.server.names.iter().any(is_named)
                && !self.server.is_rival(variable, &all)
        };
        let Variable { name, at, .. } = all.iter().find(is_it)?;
        let fix = "add the port, the host to `aliases`, or say with `uses` what it connects to";
        Some((format!("{name} at {at} names the host without a port and may mean"), fix))
    }

    /// A mounted file that names the endpoint: it is used, and how much is not told.
    fn file_with_the_address(&self) -> Option<Doubt> {
        let mut files = self.workload.containers.iter().flat_map(|container| &container.files);
        let Variable { name, at, .. } = files.find(|file| self.server.is_named_by(file, &[]))?;
        let fix = "say with `uses` how many connections one process opens to it";
        Some((format!("the file {name} at {at} names"), fix))
    }

    /// An argument that names the endpoint and is no property: it is used, and how much is not told.
    fn argument_with_the_address(&self) -> Option<Doubt> {
        let names_it = |argument: &&Variable| {
            argument.value.as_deref().is_some_and(|text| plain_words(text).any(|word| self.server.is_in_word(word)))
        };
        let mut arguments = self.workload.containers.iter().flat_map(|container| &container.arguments);
        let Variable { at, .. } = arguments.find(names_it)?;
        Some((format!("an argument at {at} names"), "say with `uses` how many connections one process opens to it"))
    }

    /// Whether the workload names any endpoint.
    fn names_any(&self) -> bool {
        self.workload
            .containers
            .iter()
            .any(|container| self.server.has_rival_in(container) || self.server.has_stranger_in(container))
    }

    fn variables(&self) -> impl Iterator<Item = &'_ Variable> {
        self.workload.containers.iter().flat_map(|container| &container.variables)
    }

    fn add(&mut self, (pool, declared): (Pool, Option<u64>), processes: u64, account: Option<String>, at: &str) {
        let by_declaration = |size| (size, "`uses` of the settings".to_owned(), false);
        let (size, source, assumed) = match (pool, declared) {
            (Pool::Size { size, .. }, Some(larger)) if larger > size => by_declaration(larger),
            (Pool::Size { size, at }, _) => (size, at, false),
            (_, Some(size)) => by_declaration(size),
            (Pool::Assumed { size, client }, None) => {
                (size, format!("assumed default of {client}; used at {at}"), true)
            }
            (Pool::Unbounded { why } | Pool::Unreadable { why }, None) => {
                self.demand.unclear.push(format!("{}: {why}; give the size with `uses`", title(self.workload)));
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
            Err(why) => self.demand.unclear.push(format!("{}: {why}", title(self.workload))),
        }
    }
}
