//! The configuration and the files that it names, as a ConfigMap and the volume that gives them their paths back.

use super::Basis;
use anyhow::{Context, Result, bail};
use preflight_cluster::{exposed, exposed_beside};
use preflight_connections::settings::Tls;
use preflight_report::sha256_of;
use serde_json::{Map, Value, json};
use std::path::{Component, Path};

/// The most bytes of text in a ConfigMap; Kubernetes takes 1 MiB, names included.
const BYTES_MAX: usize = 1024 * 1024 - 16 * 1024;

/// How many hexadecimal digits tell the files of one ConfigMap from those of another.
const SUFFIX_DIGITS: usize = 10;

/// The most secrets that one error names.
const NAMED_MAX: usize = 20;

/// What goes into a ConfigMap, and where each key of it stands in the volume.
pub(super) struct Files {
    pub(super) data: Map<String, Value>,
    pub(super) items: Vec<Value>,
    /// Where the configuration stands in the volume.
    pub(super) config: String,
}

impl Files {
    /// The end of the ConfigMap's name, which is another one for other files.
    pub(super) fn suffix(&self) -> String {
        let mut sha256 = sha256_of(&json!([self.data, self.items]));
        sha256.truncate(SUFFIX_DIGITS);
        format!("config-{sha256}")
    }
}

/// Reads the configuration and what it names.
pub(super) fn read(basis: &Basis<'_>) -> Result<Files> {
    if let Some(secret) = basis.loaded.written_secrets.first() {
        bail!("{}: it would be readable in the ConfigMap", basis.loaded.said(secret));
    }
    let config = Path::new(&basis.loaded.source.path);
    let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let config = folder.join(config.file_name().unwrap_or_default());
    let authorities = basis.loaded.config.endpoints.iter().filter_map(|endpoint| match &endpoint.tls {
        Tls::Authority(path) => Some(path.as_path()),
        _ => None,
    });
    let mut files = Files { data: Map::new(), items: vec![], config: String::new() };
    let (mut bytes, mut secrets) = (0, vec![]);
    let of_inventory = basis.files.iter().map(|path| (path.as_path(), true));
    let others = authorities.map(|path| (path, false));
    for (path, is_of_inventory) in std::iter::once((config.as_path(), false)).chain(of_inventory).chain(others) {
        let below = below(folder, path)?;
        let text = std::fs::read_to_string(path).with_context(|| format!("reading `{}`", path.display()))?;
        let file = path.display().to_string();
        secrets.extend(if is_of_inventory { exposed(&file, &text)? } else { exposed_beside(&file, &text) });
        bytes += text.len() + below.len();
        if bytes > BYTES_MAX {
            bail!(
                "the configuration and the files that it names are larger than a ConfigMap may be ({BYTES_MAX} bytes)"
            );
        }
        if files.config.is_empty() {
            files.config.clone_from(&below);
        }
        // Several endpoints may name one authority.
        if files.items.iter().all(|item| item["path"] != below) {
            let key = key(&below, &files.data);
            files.items.push(json!({ "key": key, "path": below }));
            files.data.insert(key, Value::String(text));
        }
    }
    if !secrets.is_empty() {
        bail!(exposure(&secrets));
    }
    Ok(files)
}

/// What is said about secrets that would be readable in the ConfigMap.
fn exposure(secrets: &[String]) -> String {
    let more = secrets.len().saturating_sub(NAMED_MAX);
    let more = if more == 0 { String::new() } else { format!("\n  and {more} more") };
    let named: Vec<&str> = secrets.iter().take(NAMED_MAX).map(String::as_str).collect();
    format!(
        "these look like secrets, and would be readable in the ConfigMap:\n  {}{more}\nWrite `***` in the place of each; in a \
         URL mask the password alone (`redis://:***@cache:6379`), else the tool cannot know what it connects to: a value that \
         is masked as a whole counts as unknown. Or have the workload take it from a Secret (in ECS, `secrets`). With \
         `cluster.namespaces` the Job reads the EKS side from the cluster instead; outside of it `run` takes the files as \
         they are",
        named.join("\n  ")
    )
}

/// The path below a folder, with slashes.
fn below(folder: &Path, path: &Path) -> Result<String> {
    let parts = path.strip_prefix(folder).ok().map(|rest| {
        let part = |part: Component<'_>| match part {
            Component::Normal(name) => name.to_str().map(str::to_owned),
            _ => None,
        };
        rest.components().map(part).collect::<Option<Vec<_>>>()
    });
    match parts {
        Some(Some(parts)) if !parts.is_empty() => Ok(parts.join("/")),
        _ => {
            bail!("`{}` is not below the folder of the configuration, so the Job cannot have it there", path.display())
        }
    }
}

/// A key for a path. Two paths may differ in what a key cannot hold, or only where it is cut off.
fn key(path: &str, taken: &Map<String, Value>) -> String {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let plain: String = path.chars().map(|c| if known(c) { c } else { '.' }).collect();
    let short: String = plain.chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
    let others = (1..=taken.len()).map(|n| format!("{n}-{short}"));
    others.rev().chain([short.clone()]).rfind(|key| !taken.contains_key(key)).unwrap_or(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_the_folder_of_the_configuration() {
        let of =
            |folder: &str, path: &str| below(Path::new(folder), Path::new(path)).map_err(|error| error.to_string());
        assert_eq!(of(".", "./manifests/a.yaml").unwrap(), "manifests/a.yaml");
        assert_eq!(of("/etc/x", "/etc/x/preflight.yaml").unwrap(), "preflight.yaml");
        assert!(of(".", "./../a.yaml").unwrap_err().contains("not below"));
        assert!(of("/etc/x", "/etc/y").unwrap_err().contains("not below"));
    }

    #[test]
    fn two_paths_never_share_a_key() {
        let mut taken = Map::new();
        for path in ["a/b.yaml", "a.b.yaml", "a b.yaml"] {
            taken.insert(key(path, &taken), Value::Null);
        }
        assert_eq!(taken.keys().collect::<Vec<_>>(), ["a.b.yaml", "1-a.b.yaml", "2-a.b.yaml"]);
    }

    #[test]
    fn many_secrets_are_counted_and_some_of_them_named() {
        let all: Vec<String> = (0..25).map(|n| format!("a.yaml:{n}: `PASSWORD` of Deployment a")).collect();
        let said = exposure(&all);
        assert!(said.contains("a.yaml:19: ") && !said.contains("a.yaml:20: ") && said.contains("and 5 more"), "{said}");
        assert!(!exposure(&all[..20]).contains("more"));
    }
}
