//! From files to an inventory.

use crate::ecs::Tasks;
use crate::files::{self, Reader};
use crate::kubernetes::Objects;
use crate::pairs::{self, Pair};
use crate::{Inventory, InventoryError};
use std::path::PathBuf;

/// Reads rendered manifests of Kubernetes and what the AWS CLI prints about ECS. Of both, a path is a file, or a
/// directory of `*.yaml`, `*.yml` and `*.json`, hidden folders in it left out. `pairs` are the configured workloads; what they do not name is paired
/// where both sides have one of the same name, and stands alone otherwise.
///
/// Reads files and nothing else. The values of Secrets are dropped as soon as they are parsed.
///
/// # Errors
/// If a file cannot be read or understood, contradicts another one, or if a pair names something that is not there.
pub fn load(manifests: &[PathBuf], ecs: &[PathBuf], pairs: &[Pair]) -> Result<Inventory, InventoryError> {
    let mut reader = Reader::default();
    let mut objects = Objects::new("in the manifests");
    for path in files::find(manifests)? {
        let (file, documents) = reader.read(&path)?;
        for document in documents {
            objects.add(&file, document)?;
        }
    }
    with_ecs(objects, reader, ecs, pairs)
}

/// Reads the side of ECS and makes an inventory of both.
pub(crate) fn with_ecs(
    mut objects: Objects,
    mut reader: Reader,
    ecs: &[PathBuf],
    pairs: &[Pair],
) -> Result<Inventory, InventoryError> {
    let mut tasks = Tasks::default();
    for path in files::find(ecs)? {
        let (file, documents) = reader.read(&path)?;
        for document in &documents {
            tasks.add(&file, document)?;
        }
    }
    let (service_accounts, external_names) = (objects.service_accounts()?, objects.external_names()?);
    let nodes = objects.nodes();
    let eks = objects.workloads()?;
    let ecs = tasks.services();
    let strays = [objects.strays, tasks.strays].concat();
    let mut notes = [objects.notes, tasks.notes].concat();
    notes.extend(strays.iter().map(|stray| stray.text.clone()));
    let workloads = pairs::pair(eks, ecs, pairs, &mut notes)?;
    let (has_scalable_targets, sources) = (tasks.has_targets, reader.sources);
    let found = Inventory {
        workloads,
        service_accounts,
        external_names,
        nodes,
        has_scalable_targets,
        strays,
        stays_in_ecs: pairs::staying(pairs),
        sources,
        notes,
        ..Inventory::default()
    };
    Ok(found)
}
