//! A container of a task definition.

use crate::cursor::Cursor;
use crate::inventory::push_variable;
use crate::{Container, EnvVar, InventoryError, Sited, Value};

pub(super) fn read(container: &Cursor<'_>) -> Result<Container, InventoryError> {
    let mut arguments = vec![];
    for field in ["entryPoint", "command"] {
        for argument in container.items(field)? {
            arguments.push(Sited { value: argument.text()?, at: argument.at() });
        }
    }
    let mut mounts = vec![];
    for mount in container.items("mountPoints")? {
        mounts.push((mount.needed("containerPath")?, mount.text_of("sourceVolume")?.unwrap_or_default()));
    }
    let user = container.sited("user", Cursor::text)?;
    let user = user.and_then(|user| {
        let value = user.value.split(':').next().unwrap_or_default().parse().ok()?;
        Some(Sited { value, at: user.at })
    });
    Ok(Container {
        name: container.needed("name")?,
        at: container.at(),
        image: container.text_of("image")?.unwrap_or_default(),
        env: environment(container)?,
        arguments,
        run_as_user: user,
        mounts,
        has_readiness: container.get("healthCheck").is_some(),
        is_sidecar: false,
    })
}

/// Files first: what the task definition itself says replaces what stands in them.
fn environment(container: &Cursor<'_>) -> Result<Vec<EnvVar>, InventoryError> {
    let mut environment = vec![];
    for file in container.items("environmentFiles")? {
        let value = Value::Unresolved(format!("every variable in {}", file.needed("value")?));
        push_variable(&mut environment, EnvVar { name: EnvVar::ANY.to_owned(), value, at: file.at() });
    }
    for entry in container.items("environment")? {
        let value = entry.get("value");
        let at = value.map_or_else(|| entry.at(), |value| value.at());
        let value = Value::of_text(value.map(|value| value.text()).transpose()?.unwrap_or_default());
        push_variable(&mut environment, EnvVar { name: entry.needed("name")?, value, at });
    }
    for entry in container.items("secrets")? {
        let value = Value::Secret(entry.needed("valueFrom")?);
        push_variable(&mut environment, EnvVar { name: entry.needed("name")?, value, at: entry.at() });
    }
    Ok(environment)
}
