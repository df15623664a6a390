//! The volumes of a pod: tokens, and files with configuration.

use super::environment::{all_of_config_map, all_of_secret, any, binary_of_config_map};
use super::objects::{Key, Objects};
use crate::cursor::Cursor;
use crate::{EnvVar, InventoryError, Value, Volume};

/// The validity of a projected token where a manifest does not say.
const TOKEN_S: u64 = 3_600;

/// The driver that mounts what a store of secrets holds: <https://secrets-store-csi-driver.sigs.k8s.io>.
const SECRETS_STORE: &str = "secrets-store.csi.k8s.io";

pub(crate) fn read(objects: &Objects, key: &Key, volume: &Cursor<'_>) -> Result<Volume, InventoryError> {
    let mut tokens = vec![];
    let mut files = of_source(objects, key, volume)?;
    if let Some(projected) = volume.get("projected") {
        for source in projected.items("sources")? {
            if let Some(token) = source.get("serviceAccountToken") {
                let audience = token.text_of("audience")?.unwrap_or_default();
                let expiration = token.get("expirationSeconds").map_or(Ok(TOKEN_S), |expiration| expiration.count())?;
                tokens.push((audience, expiration, token.needed("path")?));
            }
            files.extend(of_source(objects, key, &source)?);
        }
    }
    if let Some(csi) = volume.get("csi")
        && csi.text_of("driver")?.as_deref() == Some(SECRETS_STORE)
    {
        files.push(any("", Value::Secret(format!("whatever {SECRETS_STORE} mounts")), &csi));
    }
    Ok(Volume { name: volume.needed("name")?, tokens, files, at: volume.at() })
}

/// The ConfigMap with the certificate of the API server. The cluster publishes it into every namespace and mounts it into every
/// pod, and it is nobody's configuration.
const ROOT_CA: &str = "kube-root-ca.crt";

/// The names of the ConfigMaps whose files are in it.
pub(crate) fn config_maps(volume: &Cursor<'_>) -> Result<Vec<String>, InventoryError> {
    let projected = volume.get("projected").map(|projected| projected.items("sources")).transpose()?;
    let sources = [vec![*volume], projected.unwrap_or_default()].concat();
    let maps = sources.iter().filter_map(|source| source.get("configMap"));
    let names = maps.map(|map| map.text_of("name")).collect::<Result<Vec<_>, _>>()?;
    Ok(names.into_iter().flatten().filter(|name| name != ROOT_CA).collect())
}

/// The files of a ConfigMap or a Secret, be it the volume itself or a source of a projected one.
fn of_source(objects: &Objects, key: &Key, source: &Cursor<'_>) -> Result<Vec<EnvVar>, InventoryError> {
    if let Some(map) = source.get("configMap") {
        let name = map.text_of("name")?.unwrap_or_default();
        if name == ROOT_CA {
            return Ok(vec![]);
        }
        let mut all = all_of_config_map(objects, key, &name, "", &map)?;
        all.extend(binary_of_config_map(objects, key, &name)?);
        return chosen(&map, all, |key| Value::Unresolved(format!("key {key} of ConfigMap {name}")));
    }
    if let Some(secret) = source.get("secret") {
        // A volume and a source of a projected one spell it differently.
        let name = secret.text_of("secretName")?.or(secret.text_of("name")?).unwrap_or_default();
        let all = all_of_secret(objects, key, &name, "", &secret);
        return chosen(&secret, all, |key| Value::Secret(format!("key {key} of Secret {name}")));
    }
    Ok(vec![])
}

/// Those that `items` names, if it is there: then the keys are known even where the source is not.
fn chosen(
    source: &Cursor<'_>,
    all: Vec<EnvVar>,
    unknown: impl Fn(&str) -> Value,
) -> Result<Vec<EnvVar>, InventoryError> {
    if source.get("items").is_none() {
        return Ok(all);
    }
    let one = |item: &Cursor<'_>| {
        let name = item.needed("key")?;
        let known = all.iter().find(|one| one.name == name).cloned();
        let value = unknown(&name);
        Ok(known.unwrap_or_else(|| EnvVar { name, value, at: item.at() }))
    };
    source.items("items")?.iter().map(one).collect()
}
