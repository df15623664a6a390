//! The environment of a container, put together as Kubernetes does it.

use super::objects::{Key, Objects};
use crate::cursor::Cursor;
use crate::inventory::push_variable;
use crate::{EnvVar, InventoryError, Value};

/// `envFrom` first, then `env`; whatever comes later replaces what has the same name. What `$(NAME)` stands for is left
/// to whoever reads a value.
pub(crate) fn read(
    objects: &Objects,
    key: &Key,
    container: &Cursor<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<EnvVar>, InventoryError> {
    let mut environment = vec![];
    for source in container.items("envFrom")? {
        for variable in imported(objects, key, &source)? {
            push_variable(&mut environment, variable);
        }
    }
    for entry in container.items("env")? {
        let name = entry.needed("name")?;
        let at = entry.get("value").map_or_else(|| entry.at(), |value| value.at());
        if let Some(value) = value(objects, key, &entry, notes)? {
            push_variable(&mut environment, EnvVar { name, value, at });
        }
    }
    Ok(environment)
}

/// The names of the ConfigMaps that a container takes variables from.
pub(crate) fn config_maps(container: &Cursor<'_>) -> Result<Vec<String>, InventoryError> {
    let mut names = vec![];
    for source in container.items("envFrom")? {
        names.extend(source.get("configMapRef").map(|map| map.needed("name")).transpose()?);
    }
    for entry in container.items("env")? {
        names.extend(entry.path(&["valueFrom", "configMapKeyRef"]).map(|map| map.needed("name")).transpose()?);
    }
    Ok(names)
}

fn imported(objects: &Objects, key: &Key, source: &Cursor<'_>) -> Result<Vec<EnvVar>, InventoryError> {
    let prefix = source.text_of("prefix")?.unwrap_or_default();
    if let Some(map) = source.get("configMapRef") {
        return all_of_config_map(objects, key, &map.needed("name")?, &prefix, source);
    }
    if let Some(secret) = source.get("secretRef") {
        return Ok(all_of_secret(objects, key, &secret.needed("name")?, &prefix, source));
    }
    let value = Value::Unresolved("from a source that this tool does not know".to_owned());
    Ok(vec![any(&prefix, value, source)])
}

/// Stands for everything in a source whose keys are not known.
pub(super) fn any(prefix: &str, value: Value, source: &Cursor<'_>) -> EnvVar {
    EnvVar { name: format!("{prefix}{}", EnvVar::ANY), value, at: source.at() }
}

/// Every key of a ConfigMap.
pub(super) fn all_of_config_map(
    objects: &Objects,
    key: &Key,
    name: &str,
    prefix: &str,
    source: &Cursor<'_>,
) -> Result<Vec<EnvVar>, InventoryError> {
    let Some(found) = objects.get(&Key::new(&key.namespace, "ConfigMap", name)) else {
        let why = format!("ConfigMap {name} is not {}", objects.place);
        return Ok(vec![any(prefix, Value::Unresolved(why), source)]);
    };
    let Some(data) = found.get("data") else {
        return Ok(vec![]);
    };
    let variable = |(name, value): (&str, Cursor<'_>)| {
        Ok(EnvVar { name: format!("{prefix}{name}"), value: Value::of_text(value.text()?), at: value.at() })
    };
    data.fields()?.into_iter().map(variable).collect()
}

/// The keys of a ConfigMap whose values are no text: files, and never variables.
pub(super) fn binary_of_config_map(objects: &Objects, key: &Key, name: &str) -> Result<Vec<EnvVar>, InventoryError> {
    let found = objects.get(&Key::new(&key.namespace, "ConfigMap", name));
    let Some(data) = found.and_then(|found| found.get("binaryData")) else { return Ok(vec![]) };
    let file = |(file, value): (&str, Cursor<'_>)| EnvVar {
        name: file.to_owned(),
        value: Value::Unresolved(format!("binary key {file} of ConfigMap {name}")),
        at: value.at(),
    };
    Ok(data.fields()?.into_iter().map(file).collect())
}

/// Every key of a Secret.
pub(super) fn all_of_secret(
    objects: &Objects,
    key: &Key,
    name: &str,
    prefix: &str,
    source: &Cursor<'_>,
) -> Vec<EnvVar> {
    let Some(keys) = objects.secret(&key.namespace, name) else {
        let why = format!("every key of Secret {name}, which this tool does not have");
        return vec![any(prefix, Value::Secret(why), source)];
    };
    let variable = |secret: &String| EnvVar {
        name: format!("{prefix}{secret}"),
        value: Value::Secret(format!("key {secret} of Secret {name}")),
        at: source.at(),
    };
    keys.iter().map(variable).collect()
}

/// The value of one entry; none if an optional one is known to be absent.
fn value(
    objects: &Objects,
    key: &Key,
    entry: &Cursor<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Value>, InventoryError> {
    let Some(source) = entry.get("valueFrom") else {
        let Some(value) = entry.get("value") else {
            return Ok(Some(Value::Plain(String::new())));
        };
        if !value.is_text() {
            notes.push(format!("{}: Kubernetes refuses a value that is not text; put it in quotes", value.at()));
        }
        return value.text().map(|text| Some(Value::of_text(text)));
    };
    if let Some(secret) = source.get("secretKeyRef") {
        let (name, secret_key) = (secret.needed("name")?, secret.needed("key")?);
        return Ok(Some(Value::Secret(format!("key {secret_key} of Secret {name}"))));
    }
    if let Some(map) = source.get("configMapKeyRef") {
        return of_config_map(objects, key, &map, notes);
    }
    if let Some(field) = source.get("fieldRef") {
        return Ok(Some(Value::OfPod(format!("field {} of the running pod", field.needed("fieldPath")?))));
    }
    if source.get("resourceFieldRef").is_some() {
        return Ok(Some(Value::OfPod("what the running pod may use".to_owned())));
    }
    let (name, _) = source.fields()?.into_iter().next().unwrap_or(("nothing", source));
    Ok(Some(Value::Unresolved(format!("from {name}, which this tool does not know"))))
}

fn of_config_map(
    objects: &Objects,
    key: &Key,
    map: &Cursor<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Value>, InventoryError> {
    let (name, map_key) = (map.needed("name")?, map.needed("key")?);
    let Some(found) = objects.get(&Key::new(&key.namespace, "ConfigMap", &name)) else {
        let why = format!("key {map_key} of ConfigMap {name}, which is not {}", objects.place);
        return Ok(Some(Value::Unresolved(why)));
    };
    if let Some(value) = found.path(&["data", &map_key]) {
        return value.text().map(|text| Some(Value::of_text(text)));
    }
    if map.get("optional").map_or(Ok(false), |optional| optional.boolean())? {
        return Ok(None);
    }
    notes.push(format!("{}: ConfigMap {name} has no key {map_key}; the pod would not start", map.at()));
    Ok(Some(Value::Unresolved(format!("key {map_key} of ConfigMap {name}, which is not there"))))
}
