//! The Job: it runs the plan under Pod Security `restricted`, once for each verdict, and gets its report out by itself.

use super::{Basis, files};
use crate::output::complain;
use crate::run::config_sha256;
use anyhow::Result;
use preflight_core::{Disruption, Permission};
use preflight_report::{ConfigSource, ExitCode, Plan, Transition, sha256_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The container, which the rules about its exit codes name.
pub(crate) const CONTAINER: &str = "preflight";

/// The annotation with the ConfigMap that the result is put into.
pub(crate) const RESULT_ANNOTATION: &str = "eks-preflight/result";

/// The annotation with the digest of what is planned, ...
pub(crate) const ITEMS_ANNOTATION: &str = "eks-preflight/items-sha256";

/// ... with that of the configuration and of what was chosen of the plan, as the report names it, ...
pub(crate) const CONFIG_ANNOTATION: &str = "eks-preflight/config-sha256";

/// ... with that of the configuration's file and of those that it names, ...
pub(crate) const FILES_ANNOTATION: &str = "eks-preflight/files-sha256";

/// ... and with the step.
pub(crate) const TRANSITION_ANNOTATION: &str = "eks-preflight/transition";

/// The variable with the name of the pod.
const POD_VARIABLE: &str = "EKS_PREFLIGHT_POD";

/// Nobody in particular, and not root.
const USER: u32 = 65_532;

/// Exit codes after which another attempt would ask the same question again until the answer is pleasant. Where a report
/// could not be written, the verdict was there all the same.
const FINAL: [ExitCode; 5] =
    [ExitCode::Usage, ExitCode::NoGo, ExitCode::Inconclusive, ExitCode::GoWithFailedAdvisory, ExitCode::NotWritten];

/// How often a Job is attempted again that had no verdict.
const RETRIES: u32 = 2;

/// Scheduling, pulling the image, and writing the report.
const AROUND_S: u64 = 120;

/// What a check may take beyond its limit: to remove what it created.
const GRACE_MS: u64 = 10_000;

/// How much longer a Job is kept than its report is valid.
const KEPT_LONGER_S: u64 = 3_600;

/// The ConfigMap with the configuration, and the Job.
pub(super) fn documents(basis: &Basis<'_>) -> Result<Vec<Value>> {
    let files = files::read(basis)?;
    warn(basis, &files);
    let (names, to) = (&basis.names, &basis.planned.transition.to);
    let config = format!("{}-{}", names.name, files.suffix());
    let mut metadata = names.metadata(&format!("{}-{}", names.name, dashed(to)), &names.namespace);
    metadata["annotations"] = json!({
        TRANSITION_ANNOTATION: transition(&basis.planned.transition),
        RESULT_ANNOTATION: names.result(),
        ITEMS_ANNOTATION: items_sha256(&basis.planned.contract()),
        CONFIG_ANNOTATION: config_sha256(basis.loaded, basis.choice),
        FILES_ANNOTATION: files_sha256(&basis.sources),
    });
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": RETRIES,
            "podFailurePolicy": failure_policy(),
            "activeDeadlineSeconds": deadline_s(basis),
            "ttlSecondsAfterFinished": kept_s(basis),
            "template": { "metadata": { "labels": names.labels() }, "spec": pod(basis, &config, &files) },
        },
    });
    let data = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.metadata(&config, &names.namespace),
        // Another attempt of this Job must not read what a later one is made of.
        "immutable": true,
        "data": files.data,
    });
    Ok(vec![data, job])
}

/// The digest of what a plan would check. What it leaves out may change with whatever else is in the cluster.
pub(crate) fn items_sha256(plan: &Plan) -> String {
    sha256_of(&json!(plan.items))
}

/// The digest of the files that were read, wherever they stood.
pub(crate) fn files_sha256(sources: &[ConfigSource]) -> String {
    let all: BTreeSet<&str> = sources.iter().map(|source| source.sha256.as_str()).collect();
    sha256_of(&json!(all))
}

/// The step, in words.
pub(crate) fn transition(step: &Transition) -> String {
    let Transition { from, to } = step;
    format!("{} to {to}", if from.is_empty() { "the start" } else { from })
}

/// Which ends of a pod are the end of the Job, and which are not the tool's.
pub(super) fn failure_policy() -> Value {
    json!({ "rules": [
        { "action": "FailJob", "onExitCodes": {
            "containerName": CONTAINER, "operator": "In", "values": FINAL.map(ExitCode::code),
        } },
        { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
    ] })
}

fn pod(basis: &Basis<'_>, config: &str, files: &files::Files) -> Value {
    let names = &basis.names;
    json!({
        "restartPolicy": "Never",
        "serviceAccountName": names.name,
        "automountServiceAccountToken": true,
        // A Service of the tool's own name would set variables that look like its flags.
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            // Or the token of an IAM role could not be read.
            "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": CONTAINER,
            "image": names.image,
            "args": arguments(basis, &files.config),
            "env": [{ "name": POD_VARIABLE, "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
            // Where the Secret lacks a variable, or is not there, the tool says so and exits with 2.
            "envFrom": [{ "secretRef": { "name": format!("{}-secrets", names.name), "optional": true } }],
            "resources": resources(basis),
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
            },
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "volumeMounts": [
                { "name": "config", "mountPath": "/config", "readOnly": true },
                { "name": "work", "mountPath": "/work" },
            ],
        }],
        "volumes": [
            { "name": "config", "configMap": { "name": config, "items": files.items } },
            { "name": "work", "emptyDir": { "sizeLimit": "256Mi" } },
        ],
    })
}

fn arguments(basis: &Basis<'_>, config: &str) -> Vec<String> {
    let mut arguments = vec![
        "run".to_owned(),
        format!("--to={}", basis.choice.to),
        format!("--config=/config/{config}"),
        "--state=/work/state".to_owned(),
        "--report=/work/report.json".to_owned(),
        format!("--deliver=configmap={}", basis.names.result()),
        "--deliver=log".to_owned(),
        "--deliver=termination".to_owned(),
    ];
    arguments.extend(choice(basis));
    arguments
}

/// The arguments that choose what of the plan is run.
pub(super) fn choice(basis: &Basis<'_>) -> Vec<String> {
    let only = basis.choice.only.iter().map(|only| format!("--only={only}"));
    let consent = basis.choice.consent.iter().map(|target| format!("--consent={target}"));
    // `$(NAME)` would be replaced by Kubernetes.
    only.chain(consent).map(|one| one.replace("$(", "$$(")).collect()
}

/// After how long a Job is ended: what is planned one after the other, or the limit of the run, and what is around it.
pub(super) fn deadline_s(basis: &Basis<'_>) -> u64 {
    let runs = basis.planned.steps.iter().filter(|step| step.skip.is_none());
    let all_ms: u64 = runs.map(|step| step.meta.limit_ms + GRACE_MS).sum();
    basis.loaded.config.run.limit_s.min(all_ms.div_ceil(1_000)) + AROUND_S
}

/// How long a Job is kept after its end.
pub(super) fn kept_s(basis: &Basis<'_>) -> u64 {
    basis.loaded.config.run.valid_s + KEPT_LONGER_S
}

/// A generator of load must not be the slow one.
pub(super) fn resources(basis: &Basis<'_>) -> Value {
    let loads = |step: &crate::plan::Step| step.skip.is_none() && step.meta.disruption == Disruption::Loads;
    if basis.planned.steps.iter().any(loads) {
        json!({ "requests": { "cpu": "1", "memory": "256Mi" }, "limits": { "cpu": "2", "memory": "1Gi" } })
    } else {
        json!({ "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "cpu": "1", "memory": "256Mi" } })
    }
}

/// A phase as part of a name; phases of a migration's own may be called anything.
pub(super) fn dashed(phase: &str) -> String {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let plain: String = phase.to_lowercase().chars().map(|c| if known(c) { c } else { '-' }).take(17).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "phase".to_owned() } else { plain.to_owned() }
}

/// What the Job will not have, or will need from somebody else.
pub(super) fn warn(basis: &Basis<'_>, files: &files::Files) {
    let config = &basis.loaded.config;
    let asks = |right: &&preflight_core::Right| matches!(right.permission, Permission::Kubernetes { .. });
    if basis.planned.rights().iter().any(asks) && !config.cluster.in_cluster {
        complain(
            "warning: the Job reaches the cluster's API only with `cluster: {inCluster: true}` in the configuration",
        );
    }
    for workload in config.workloads.iter().filter(|workload| !workload.artifacts.is_empty()) {
        complain(&format!("warning: the Job does not have the artifacts of {}; check them outside", workload.name));
    }
    let text = files.data.values().next().and_then(Value::as_str).unwrap_or_default();
    let variables: BTreeSet<&str> = crate::config::variable_names(text).collect();
    if !variables.is_empty() {
        let all = variables.into_iter().collect::<Vec<_>>().join(", ");
        let (name, namespace) = (&basis.names.name, &basis.names.namespace);
        complain(&format!("note: the Job needs the Secret {namespace}/{name}-secrets with {all}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_is_part_of_a_name() {
        assert_eq!(dashed("traffic-15"), "traffic-15");
        assert_eq!(dashed("Nach der Änderung!"), "nach-der--nderung");
        assert_eq!(dashed("€"), "phase");
    }
}
