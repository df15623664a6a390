//! The template of pods.

use super::objects::{Key, Objects};
use super::{environment, volume, workload};
use crate::cursor::Cursor;
use crate::{Container, EnvVar, InventoryError, Pod, Sited};
use std::collections::BTreeMap;

/// The grace of a pod that is told to end, where a manifest does not say.
const GRACE_S: u64 = 30;

pub(crate) fn read(
    objects: &Objects,
    key: &Key,
    template: &Cursor<'_>,
    notes: &mut Vec<String>,
) -> Result<Pod, InventoryError> {
    let spec = template.get("spec").ok_or_else(|| template.unlike("a pod template with `spec`"))?;
    let context = spec.get("securityContext");
    let of_context = |field| context.map(|context| context.sited(field, Cursor::integer)).transpose();
    let service_account = match spec.sited("serviceAccountName", Cursor::text)? {
        Some(found) => Some(found),
        None => spec.sited("serviceAccount", Cursor::text)?,
    };
    let mut containers = |field| {
        let read = |container: &Cursor<'_>| self::container(objects, key, container, notes);
        spec.items(field)?.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    let (init_containers, containers) = (containers("initContainers")?, containers("containers")?);
    if containers.is_empty() {
        return Err(spec.unlike("a pod with `containers`"));
    }
    Ok(Pod {
        at: spec.at(),
        labels: texts(template, "labels")?,
        annotations: texts(template, "annotations")?,
        service_account: service_account.filter(|account| !account.value.is_empty()),
        automount_token: spec.sited("automountServiceAccountToken", Cursor::boolean)?,
        fs_group: of_context("fsGroup")?.flatten(),
        run_as_user: of_context("runAsUser")?.flatten(),
        grace_s: spec.get("terminationGracePeriodSeconds").map_or(Ok(GRACE_S), |grace| grace.count())?,
        containers,
        init_containers,
        volumes: spec
            .items("volumes")?
            .iter()
            .map(|volume| volume::read(objects, key, volume))
            .collect::<Result<_, _>>()?,
    })
}

/// Whether two pods run the same, wherever they stand and however their volumes are called.
pub(crate) fn run_the_same(one: &Pod, other: &Pod) -> bool {
    let variables = |all: &[EnvVar]| all.iter().map(|one| (one.name.clone(), one.value.clone())).collect::<Vec<_>>();
    let containers = |pod: &Pod| {
        let all = pod.init_containers.iter().chain(&pod.containers);
        let container = |one: &Container| {
            let arguments: Vec<String> = one.arguments.iter().map(|argument| argument.value.clone()).collect();
            (one.name.clone(), one.image.clone(), arguments, variables(&one.env))
        };
        all.map(container).collect::<Vec<_>>()
    };
    let files = |pod: &Pod| pod.volumes.iter().map(|volume| variables(&volume.files)).collect::<Vec<_>>();
    let account = |pod: &Pod| pod.service_account.as_ref().map(|account| account.value.clone());
    account(one) == account(other) && containers(one) == containers(other) && files(one) == files(other)
}

/// The names of the ConfigMaps that the pods of a workload use.
pub(crate) fn config_maps(key: &Key, workload: &Cursor<'_>) -> Result<Vec<String>, InventoryError> {
    let template = workload::template(key, workload)?;
    let Some(spec) = template.and_then(|template| template.get("spec")) else { return Ok(vec![]) };
    let mut names = vec![];
    for container in [spec.items("initContainers")?, spec.items("containers")?].concat() {
        names.extend(environment::config_maps(&container)?);
    }
    for volume in spec.items("volumes")? {
        names.extend(volume::config_maps(&volume)?);
    }
    Ok(names)
}

fn texts(template: &Cursor<'_>, field: &str) -> Result<BTreeMap<String, String>, InventoryError> {
    let Some(found) = template.path(&["metadata", field]) else {
        return Ok(BTreeMap::new());
    };
    found.fields()?.into_iter().map(|(name, value)| Ok((name.to_owned(), value.text()?))).collect()
}

fn container(
    objects: &Objects,
    key: &Key,
    container: &Cursor<'_>,
    notes: &mut Vec<String>,
) -> Result<Container, InventoryError> {
    let mut arguments = vec![];
    for field in ["command", "args"] {
        for argument in container.items(field)? {
            arguments.push(Sited { value: argument.text()?, at: argument.at() });
        }
    }
    let mut mounts = vec![];
    for mount in container.items("volumeMounts")? {
        mounts.push((mount.needed("mountPath")?, mount.needed("name")?));
    }
    let context = container.get("securityContext");
    Ok(Container {
        name: container.needed("name")?,
        at: container.at(),
        image: container.text_of("image")?.unwrap_or_default(),
        env: environment::read(objects, key, container, notes)?,
        arguments,
        run_as_user: context.map(|context| context.sited("runAsUser", Cursor::integer)).transpose()?.flatten(),
        mounts,
        has_readiness: container.get("readinessProbe").is_some(),
        is_sidecar: container.text_of("restartPolicy")?.as_deref() == Some("Always"),
    })
}
