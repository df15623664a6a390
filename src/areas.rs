//! The catalogue: the areas, and what the checks of each need to know.

use crate::config::{Config, Workload};
use preflight_cluster::Inventory;
use preflight_connections::settings::{Endpoint, Tls};
use preflight_core::{Entry, Item, Meta};
use std::sync::Arc;

/// What the checks of every area need to know.
pub(crate) struct Areas {
    pub irsa: preflight_irsa::Env,
    pub idempotency: preflight_idempotency::Env,
    pub connections: preflight_connections::Env,
    pub load: preflight_load::Env,
}

/// The areas with what their checks are about.
pub(crate) const AREAS: &[(&str, &str)] = &[
    ("irsa", "Pods get the IAM role they should"),
    ("idempotency", "Consumers survive duplicated, reordered and interrupted delivery"),
    ("connections", "Connection limits hold with every workload running twice"),
    ("load", "The EKS side survives load, and autoscaling follows"),
];

/// Every check.
pub(crate) fn metas() -> impl Iterator<Item = &'static Meta> {
    fn of<E>(entries: &'static [Entry<E>]) -> impl Iterator<Item = &'static Meta> {
        entries.iter().map(|entry| entry.meta)
    }
    of(preflight_irsa::CATALOGUE)
        .chain(of(preflight_idempotency::CATALOGUE))
        .chain(of(preflight_connections::CATALOGUE))
        .chain(of(preflight_load::CATALOGUE))
}

/// The checks that are about what the configuration says, whatever is deployed. Every other one needs the inventory.
const OF_CONFIGURATION: &[&str] = &[
    "idempotency.effects-observable",
    "idempotency.duplicates-harmless",
    "connections.path-admits",
    "load.domain-isolated",
    "load.slo-holds",
];

/// Whether nobody can tell without an inventory what a check is about, or what it comes to.
pub(crate) fn needs_inventory(meta: &Meta) -> bool {
    !OF_CONFIGURATION.contains(&meta.id)
}

impl Areas {
    /// Puts together what a configuration and an inventory say.
    pub(crate) fn new(config: &Config, inventory: Inventory) -> Self {
        let inventory = Arc::new(inventory);
        let expected = |workload: &Workload| preflight_irsa::Expected {
            workload: workload.name.clone(),
            role_arn: workload.role.clone(),
            artifacts: workload.artifacts.clone(),
        };
        let uses = |workload: &Workload| Some((workload.name.clone(), workload.uses.clone()?));
        Self {
            irsa: preflight_irsa::Env {
                inventory: Arc::clone(&inventory),
                settings: config.irsa.clone(),
                aws: config.aws.clone(),
                cluster: config.cluster.clone(),
                workloads: config.workloads.iter().map(expected).collect(),
            },
            idempotency: preflight_idempotency::Env {
                settings: config.idempotency.clone(),
                endpoints: config.endpoints.iter().map(for_idempotency).collect(),
                aws: config.aws.clone(),
            },
            connections: preflight_connections::Env {
                inventory: Arc::clone(&inventory),
                endpoints: config.endpoints.clone(),
                settings: config.connections.clone(),
                uses: config.workloads.iter().filter_map(uses).collect(),
            },
            load: preflight_load::Env::new(&inventory, config.load.clone(), config.cluster.clone()),
        }
    }

    /// Every subject of every check, in the order of the catalogue.
    pub(crate) fn items(&self) -> Vec<(&'static Meta, Item)> {
        fn of<E>(entries: &'static [Entry<E>], env: &E, all: &mut Vec<(&'static Meta, Item)>) {
            for entry in entries {
                all.extend((entry.items)(env).into_iter().map(|item| (entry.meta, item)));
            }
        }
        let mut all = vec![];
        of(preflight_irsa::CATALOGUE, &self.irsa, &mut all);
        of(preflight_idempotency::CATALOGUE, &self.idempotency, &mut all);
        of(preflight_connections::CATALOGUE, &self.connections, &mut all);
        of(preflight_load::CATALOGUE, &self.load, &mut all);
        all
    }
}

fn for_idempotency(endpoint: &Endpoint) -> preflight_idempotency::Endpoint {
    // The configuration was refused if it is no address.
    let (host, port) = endpoint.host_and_port().unwrap_or_default();
    preflight_idempotency::Endpoint {
        name: endpoint.name.clone(),
        host,
        port,
        username: endpoint.username.clone(),
        password: endpoint.password.clone(),
        database: endpoint.database.clone(),
        vhost: endpoint.vhost.clone(),
        tls: match &endpoint.tls {
            Tls::Off => preflight_idempotency::Tls::Off,
            Tls::System => preflight_idempotency::Tls::System,
            Tls::Authority(path) => preflight_idempotency::Tls::Authority(path.clone()),
        },
        management: endpoint.management.as_ref().map(|url| {
            let (username, password) = match &endpoint.observer {
                Some(observer) => (Some(observer.username.clone()), observer.password.clone()),
                None => (endpoint.username.clone(), endpoint.password.clone()),
            };
            preflight_idempotency::Management { url: url.clone(), username, password }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_check_of_the_configuration_alone_reads_no_inventory() {
        for id in OF_CONFIGURATION {
            let (area, name) = id.split_once('.').unwrap();
            assert!(metas().any(|meta| meta.id == *id), "{id}");
            let folder = if area == "load" { "loadtests".to_owned() } else { format!("checks/{area}") };
            let path = format!("{folder}/src/{}.rs", name.replace('-', "_"));
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            assert!(!code.contains("inventory") && !code.contains("deployed()"), "{id}");
        }
    }
}
