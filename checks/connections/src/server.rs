//! One server among all: what names it, and what names others.

use crate::address::{Names, is_by_scheme};
use crate::demand::Container;
use crate::login;
use crate::pools;
use crate::settings::{Endpoint, Engine};
use crate::unseen::{self, is_of_another_engine};
use crate::variables::{Variable, normalised};

/// Names hosts that are reached directly, and no connection.
const NO_PROXY: &str = "noproxy";

/// One server among those of its engine.
pub(crate) struct Server<'a> {
    pub endpoint: &'a Endpoint,
    /// The names of every endpoint that is this server.
    pub same: Vec<&'a str>,
    /// RabbitMQ: the virtual hosts of these.
    pub virtual_hosts: Vec<&'a str>,
    /// The spellings of all of these.
    pub names: Vec<Names>,
    /// Those of other servers of the engine.
    pub rivals: Vec<Names>,
    /// Those of every endpoint.
    all: Vec<(Engine, Names)>,
}

impl<'a> Server<'a> {
    pub(crate) fn of(endpoint: &'a Endpoint, endpoints: &'a [Endpoint]) -> Self {
        let own = Names::of(endpoint);
        let of_engine = endpoints.iter().filter(|other| other.engine == endpoint.engine);
        let (same, others): (Vec<&Endpoint>, Vec<&Endpoint>) =
            of_engine.partition(|other| other.name == endpoint.name || Names::of(other).share_an_address_with(&own));
        Self {
            endpoint,
            same: same.iter().map(|one| one.name.as_str()).collect(),
            virtual_hosts: same.iter().map(|one| one.vhost.as_deref().unwrap_or(login::ROOT)).collect(),
            names: same.into_iter().map(Names::of).collect(),
            rivals: others.into_iter().map(Names::of).collect(),
            all: endpoints.iter().map(|one| (one.engine, Names::of(one))).collect(),
        }
    }

    pub(crate) fn is_named_by(&self, variable: &Variable, variables: &[Variable]) -> bool {
        self.names.iter().any(|names| self.mentions(self.endpoint.engine, names, variable, variables))
    }

    /// The data sources of other servers: of those that are known, and by the names of their variables.
    pub(crate) fn other_sources_in(&self, variables: &[Variable]) -> Vec<String> {
        let is_other = |variable: &&Variable| {
            let is_elsewhere = || {
                let value = variable.value.as_deref();
                unseen::is_address_of_its_kind(self.endpoint.engine, &variable.name)
                    && value.is_none_or(|value| !value.is_empty() && !value.contains('$'))
                    && !self.is_named_by(variable, variables)
            };
            self.is_rival(variable, variables) || is_elsewhere()
        };
        variables.iter().filter(is_other).map(|variable| pools::source_of(&variable.name)).collect()
    }

    pub(crate) fn is_rival(&self, variable: &Variable, variables: &[Variable]) -> bool {
        self.rivals.iter().any(|rival| self.mentions(self.endpoint.engine, rival, variable, variables))
    }

    /// Whether a variable names a server of the kind of this one that is no endpoint.
    pub(crate) fn is_stranger(&self, variable: &Variable, variables: &[Variable]) -> bool {
        let engine = self.endpoint.engine;
        let Some(value) = variable.value.as_deref().filter(|value| !value.is_empty() && !value.contains('$')) else {
            return false;
        };
        let is_address = is_by_scheme(engine, value).unwrap_or_else(|| {
            let has_another_scheme = value.contains("://") && engine != Engine::ActiveMq;
            !has_another_scheme && unseen::is_address_for(engine, &variable.name)
        });
        let is_known = |(_, names): &(Engine, Names)| names.have_a_host_in(value);
        is_address && !self.all.iter().any(is_known) && !self.is_named_by(variable, variables)
    }

    pub(crate) fn has_rival_in(&self, container: &Container) -> bool {
        let variables = &container.variables;
        variables.iter().any(|variable| self.is_rival(variable, variables))
    }

    /// Whether a word of a command line names the server or its host.
    pub(crate) fn is_in_word(&self, word: &str) -> bool {
        let is_rival = || self.rivals.iter().any(|rival| rival.are_in(word, || None));
        let is_named = |names: &Names| names.are_in(word, || None) || (names.may_be_in(word, || None) && !is_rival());
        is_by_scheme(self.endpoint.engine, word) != Some(false) && self.names.iter().any(is_named)
    }

    /// Whether a container names an endpoint of another engine.
    pub(crate) fn has_stranger_in(&self, container: &Container) -> bool {
        let variables = &container.variables;
        let strangers = self.all.iter().filter(|(engine, _)| *engine != self.endpoint.engine);
        strangers
            .into_iter()
            .any(|(engine, names)| variables.iter().any(|variable| self.mentions(*engine, names, variable, variables)))
    }

    /// Whether a variable names a server.
    fn mentions(&self, engine: Engine, names: &Names, variable: &Variable, variables: &[Variable]) -> bool {
        let Some(value) = &variable.value else { return false };
        let beside = || port_beside(variable, variables);
        // Of most values the host alone tells, and what their names say need not be asked.
        names.are_in(value, beside)
            && normalised(&variable.name) != NO_PROXY
            && (!self.is_of_another_kind(engine, variable) || names.are_in_with_port(value, beside))
    }

    /// Whether a variable is one of another kind of server: by the scheme in its value, or else by its name. A name is
    /// believed where a server of the kind is configured on that host: otherwise the host tells more.
    pub(crate) fn is_of_another_kind(&self, engine: Engine, variable: &Variable) -> bool {
        let Some(value) = variable.value.as_deref() else { return is_of_another_engine(engine, &variable.name) };
        let has_host = |(other, names): &(Engine, Names)| {
            *other != engine && names.have_a_host_in(value) && !is_of_another_engine(*other, &variable.name)
        };
        is_by_scheme(engine, value).map_or_else(
            || is_of_another_engine(engine, &variable.name) && self.all.iter().any(has_host),
            |is_it| !is_it,
        )
    }
}

/// The port of a data source, which stands in another variable.
pub(crate) fn port_beside(variable: &Variable, variables: &[Variable]) -> Option<u16> {
    sibling(&pools::source_of(&variable.name), &["port"], variables)?.trim().parse().ok()
}

/// The value of another variable of the same data source.
fn sibling<'a>(source: &str, ends: &[&str], variables: &'a [Variable]) -> Option<&'a str> {
    let is_sibling = |variable: &&Variable| {
        let name = normalised(&variable.name);
        name.strip_prefix(source).is_some_and(|end| ends.contains(&end))
    };
    variables.iter().find(is_sibling)?.value.as_deref()
}
