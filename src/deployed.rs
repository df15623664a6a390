//! Reads what is deployed on both sides, as the configuration says where it stands.

use crate::config::{self, Loaded, Mistake};
use anyhow::Result;
use preflight_cluster::{Inventory, InventoryError, Pair, connect, load_live};
use preflight_core::CannotTell;
use std::path::{Path, PathBuf};

/// Reads what is deployed on both sides.
pub(crate) async fn inventory(loaded: &Loaded) -> Result<Inventory> {
    let config = &loaded.config;
    if !config.cluster.is_source() {
        return from_files(loaded);
    }
    are_there(loaded)?;
    let read = async {
        let client = connect(&config.cluster).await.map_err(InventoryError::Unread)?;
        load_live(&client, &config.cluster, &config.ecs, &pairs(config)).await
    };
    read.await.map_err(|error| located(loaded, error))
}

/// Reads what files tell about what is deployed. Where the EKS side is in a cluster, nothing of it is paired.
pub(crate) fn from_files(loaded: &Loaded) -> Result<Inventory> {
    are_there(loaded)?;
    let config = &loaded.config;
    let pairs = if config.cluster.is_source() { vec![] } else { pairs(config) };
    preflight_cluster::load(&config.manifests, &config.ecs, &pairs).map_err(|error| located(loaded, error))
}

/// Why no workload can be checked, if none is known.
pub(crate) fn nothing_deployed(config: &config::Config, inventory: &Inventory) -> Option<String> {
    if !inventory.workloads.is_empty() {
        return None;
    }
    let (files, accounts) = (inventory.sources.len(), inventory.service_accounts.len());
    let found = format!("there are 0 workloads and {accounts} ServiceAccounts");
    let (found, fix) = if config.cluster.is_source() {
        let namespaces = config.cluster.namespaces.join(", ");
        (format!("{found} in {}, namespaces {namespaces}", config.cluster.target()), "look at `cluster.namespaces`")
    } else if files > 0 {
        (format!("{found} in the {files} files under `manifests` and `ecs`"), "look at what these name")
    } else {
        ("nothing says what is deployed".to_owned(), "give `manifests`, `ecs` or `cluster.namespaces`")
    };
    Some(format!("the inventory is empty: {found}; {fix}"))
}

/// Whether the files are there that what is deployed is read from.
fn are_there(loaded: &Loaded) -> Result<()> {
    let missing: Vec<Mistake> = loaded.missing.iter().filter(|mistake| is_of_inventory(mistake)).cloned().collect();
    if missing.is_empty() { Ok(()) } else { Err(loaded.mistaken(missing).into()) }
}

fn pairs(config: &config::Config) -> Vec<Pair> {
    let pair = |workload: &config::Workload| Pair {
        name: workload.name.clone(),
        eks: workload.eks.clone(),
        ecs: workload.ecs.clone(),
    };
    config.workloads.iter().map(pair).collect()
}

/// An error of the inventory as one of the value of the configuration that it is about, if it has no place of its own.
fn located(loaded: &Loaded, error: InventoryError) -> anyhow::Error {
    match place(&loaded.config, &error) {
        Some(path) => loaded.mistaken(vec![loaded.mistake(&path, error.to_string())]).into(),
        None => anyhow::Error::new(error),
    }
}

/// Whether it is about what [`inventory`] reads.
pub(crate) fn is_of_inventory(mistake: &Mistake) -> bool {
    mistake.path.starts_with("manifests[") || mistake.path.starts_with("ecs[")
}

/// The value of the configuration that an error of the inventory is about.
fn place(config: &config::Config, error: &InventoryError) -> Option<String> {
    let of_file = |path: &Path| {
        let of = |list: &[PathBuf]| list.iter().position(|named| path.starts_with(named));
        let manifest = of(&config.manifests).map(|index| format!("manifests[{index}]"));
        manifest.or_else(|| of(&config.ecs).map(|index| format!("ecs[{index}]")))
    };
    let of_workload = |name: &str, key: &str| {
        let index = config.workloads.iter().position(|workload| workload.name == name)?;
        Some(format!("workloads[{index}].{key}"))
    };
    match error {
        InventoryError::Read { path, .. } | InventoryError::Empty { path } | InventoryError::TooMuch { path, .. } => {
            of_file(path)
        }
        InventoryError::NotFound { workload, key, .. }
        | InventoryError::Ambiguous { workload, key, .. }
        | InventoryError::Taken { workload, key, .. } => of_workload(workload, key),
        InventoryError::Syntax { .. }
        | InventoryError::Shape { .. }
        | InventoryError::Twice { .. }
        | InventoryError::Unread(_)
        | InventoryError::Forbidden { .. } => None,
    }
}

/// That the cluster could not be read.
#[derive(Clone, Copy)]
pub(crate) struct Unread<'a> {
    pub why: &'a CannotTell,
    /// Whether it let this tool read a part.
    pub is_reached: bool,
}

/// Why the cluster could not be read, if that is the error.
pub(crate) fn unread(error: &anyhow::Error) -> Option<Unread<'_>> {
    match error.downcast_ref()? {
        InventoryError::Unread(why) => Some(Unread { why, is_reached: false }),
        InventoryError::Forbidden { why, is_reached } => Some(Unread { why, is_reached: *is_reached }),
        _ => None,
    }
}
