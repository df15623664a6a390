//! What a Job leaves behind in the cluster: a ConfigMap with its result, its pods with their last words and their logs.

use crate::api::refused;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, LogParams, Patch, PatchParams};
use kube::{Api, Client};
use preflight_core::{CannotTell, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;

/// The most bytes of a log that are read.
const LOG_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// The label by which the pods of a Job are found: its uid, for an earlier one of its name may have left some.
const OF_JOB: &str = "batch.kubernetes.io/controller-uid";

/// A Job, as far as its result is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRun {
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether it is complete or has failed.
    pub has_ended: bool,
    /// How long it may take, in seconds.
    pub deadline_s: Option<u64>,
    /// Its pods, the latest first.
    pub pods: Vec<PodRun>,
}

/// A pod of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRun {
    /// Its name.
    pub name: String,
    /// The termination message of the container, once it has ended.
    pub message: Option<String>,
}

/// Puts a result into a ConfigMap that is there already. What else it holds stays.
///
/// # Errors
/// If there is no such ConfigMap, or the cluster refuses.
pub async fn put_result(
    client: &Client,
    namespace: Option<&str>,
    name: &str,
    text: &BTreeMap<&str, String>,
    (key, bytes): (&str, Vec<u8>),
) -> Result<(), CannotTell> {
    let namespace = namespace.unwrap_or(client.default_namespace());
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let patch = json!({ "data": text, "binaryData": { key: k8s_openapi::ByteString(bytes) } });
    let attempted = format!("writing the ConfigMap {namespace}/{name}");
    let patched = maps.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
    patched.map(drop).map_err(|error| match &error {
        kube::Error::Api(status) if status.code == 404 => {
            CannotTell::prerequisite(format!("{attempted}: there is none; `eks-preflight manifest rbac` makes one"))
        }
        _ => refused(&error, &attempted),
    })
}

/// The bytes under a key of a ConfigMap; nothing if either is not there.
///
/// # Errors
/// If the cluster refuses.
pub async fn result_bytes(
    client: &Client,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<Option<(Vec<u8>, BTreeMap<String, String>)>, CannotTell> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = maps.get_opt(name).await;
    let found = found.map_err(|error| refused(&error, &format!("reading the ConfigMap {namespace}/{name}")))?;
    Ok(found.and_then(|map| Some((map.binary_data?.remove(key)?.0, map.data.unwrap_or_default()))))
}

/// A Job with its pods; nothing if there is no such Job.
///
/// # Errors
/// If the cluster refuses.
pub async fn job_run(
    client: &Client,
    namespace: &str,
    name: &str,
    container: &str,
) -> Result<Option<JobRun>, CannotTell> {
    let attempted = format!("reading the Job {namespace}/{name}");
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let Some(job) = jobs.get_opt(name).await.map_err(|error| refused(&error, &attempted))? else { return Ok(None) };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let of_job = ListParams::default().labels(&format!("{OF_JOB}={uid}"));
    let attempted = format!("listing the pods of the Job {namespace}/{name}");
    let mut pods = pods.list(&of_job).await.map_err(|error| refused(&error, &attempted))?.items;
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp.clone()));
    let run = |pod: Pod| PodRun { message: last_words(&pod, container), name: pod.metadata.name.unwrap_or_default() };
    let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
    let is_end = |type_: &str| ["Complete", "Failed"].contains(&type_);
    Ok(Some(JobRun {
        has_ended: conditions.iter().any(|one| is_end(&one.type_) && one.status == "True"),
        deadline_s: job.spec.and_then(|spec| spec.active_deadline_seconds?.try_into().ok()),
        created: job.metadata.creation_timestamp.and_then(|time| time.0.to_string().parse().ok()),
        annotations: job.metadata.annotations.unwrap_or_default(),
        pods: pods.into_iter().map(run).collect(),
    }))
}

fn last_words(pod: &Pod, container: &str) -> Option<String> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let state = containers.iter().find(|status| status.name == container)?.state.as_ref()?;
    state.terminated.as_ref()?.message.clone()
}

/// What a container said.
///
/// # Errors
/// If the cluster refuses, or the node does not have it any more.
pub async fn log(client: &Client, namespace: &str, pod: &str, container: &str) -> Result<String, CannotTell> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let which =
        LogParams { container: Some(container.to_owned()), limit_bytes: Some(LOG_BYTES_MAX), ..LogParams::default() };
    let read = pods.logs(pod, &which).await;
    read.map_err(|error| refused(&error, &format!("reading the log of the pod {namespace}/{pod}")))
}
