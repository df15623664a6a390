//! What a pod says itself about the identity of its containers.

use preflight_cluster::{Container, EksWorkload};
use std::collections::BTreeMap;

/// A variable of a container that decides which identity it gets.
#[derive(Clone, Debug)]
pub(crate) struct Preset {
    pub(crate) container: String,
    /// One of [`DECIDING`], or a pattern with `*` that may stand for one.
    pub(crate) name: String,
    /// The value, if it is written down.
    pub(crate) value: Option<String>,
    pub(crate) at: String,
}

/// Where it is set, the webhook injects neither role nor token.
pub(crate) const ROLE_VARIABLE: &str = "AWS_ROLE_ARN";

/// The variable that almost every SDK takes before the web identity, with the secret that belongs to it.
pub(crate) const KEY_VARIABLE: &str = "AWS_ACCESS_KEY_ID";

const DECIDING: [&str; 2] = [ROLE_VARIABLE, KEY_VARIABLE];

/// The containers of a pod, with commas between them, that the webhook leaves as they are.
const SKIP_ANNOTATION: &str = "eks.amazonaws.com/skip-containers";

/// The label of pods that the webhook's configuration leaves out.
const SKIP_LABEL: &str = "eks.amazonaws.com/skip-pod-identity-webhook";

/// The deciding variables of every container.
pub(crate) fn presets(eks: &EksWorkload) -> Vec<Preset> {
    let containers = eks.pod.containers.iter().chain(&eks.pod.init_containers);
    let of = |container: &Container| {
        let decides = |name: &str| match name.strip_suffix('*') {
            Some(start) => DECIDING.iter().any(|one| one.starts_with(start)),
            None => DECIDING.contains(&name),
        };
        let mut last: BTreeMap<String, Preset> = BTreeMap::new();
        for variable in container.env.iter().filter(|variable| decides(&variable.name)) {
            let (name, value) = (variable.name.clone(), variable.plain().map(str::to_owned));
            let preset = Preset { container: container.name.clone(), name, value, at: variable.at.clone() };
            last.insert(variable.name.clone(), preset);
        }
        last.into_values().collect::<Vec<_>>()
    };
    containers.flat_map(of).collect()
}

/// The containers that the webhook leaves as they are.
pub(crate) fn skipped(eks: &EksWorkload) -> Vec<String> {
    let names = eks.pod.annotations.get(SKIP_ANNOTATION).map(String::as_str).unwrap_or_default();
    let named: Vec<&str> = names.split(',').map(str::trim).collect();
    let is_labelled = eks.pod.labels.contains_key(SKIP_LABEL);
    let left = eks.pod.containers.iter().filter(|one| is_labelled || named.contains(&one.name.as_str()));
    left.map(|one| one.name.clone()).collect()
}
