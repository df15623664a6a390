//! Whether the files are there that a configuration names.

use super::Config;
use super::schema::hint;
use preflight_connections::settings::Tls;
use std::io;
use std::path::Path;

/// The most entries of a directory among which the nearest name is looked for.
const ENTRIES_MAX: usize = 1_000;

/// The path of each value that names a file or directory which is not there, and what was expected. Paths are already those
/// from here.
pub(super) fn missing(config: &Config) -> Vec<(String, String)> {
    let mut found = vec![];
    let mut look = |value: String, path: &Path, what: &str| {
        if let Err(error) = std::fs::metadata(path) {
            found.push((value, unreadable(path, what, &error)));
        }
    };
    for (index, path) in config.manifests.iter().enumerate() {
        look(format!("manifests[{index}]"), path, "a file or directory of rendered manifests");
    }
    for (index, path) in config.ecs.iter().enumerate() {
        look(format!("ecs[{index}]"), path, "a file or directory of task definitions and services");
    }
    // In a pod of the cluster the kubeconfig is not needed.
    if let Some(path) = config.cluster.kubeconfig.as_ref().filter(|_| !config.cluster.in_cluster) {
        look("cluster.kubeconfig".to_owned(), path, "a kubeconfig file");
    }
    for (index, workload) in config.workloads.iter().enumerate() {
        for (at, path) in workload.artifacts.iter().enumerate() {
            look(format!("workloads[{index}].artifacts[{at}]"), path, "a Java archive or a directory of them");
        }
    }
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        if let Tls::Authority(path) = &endpoint.tls {
            look(format!("endpoints[{index}].tls.ca"), path, "a PEM file with the authority's certificate");
        }
    }
    found
}

/// What is wrong with a file, with the nearest name beside it.
pub(super) fn unreadable(path: &Path, what: &str, error: &io::Error) -> String {
    let shown = path.display();
    if error.kind() != io::ErrorKind::NotFound {
        return format!("`{shown}` cannot be read: {error}; expected {what}");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    format!("`{shown}` is not there; expected {what}{}", hint(&name, names.iter().map(String::as_str)))
}
