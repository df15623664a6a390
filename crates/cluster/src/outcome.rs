//! What a Job leaves behind in the cluster: a ConfigMap with its result, its pods with their last words and their logs.

use crate::api::refused;
use http::header::CONTENT_TYPE;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStateTerminated, Pod};
use kube::api::{ListParams, LogParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource};
use preflight_core::{CannotTell, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most bytes of a log that are read.
const LOG_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// The label by which the pods of a Job are found: its uid, for an earlier one of its name may have left some.
const OF_JOB: &str = "batch.kubernetes.io/controller-uid";

/// How Kubernetes names the pods of a Job: this much of the Job's name and a dash, and so many characters of its own
/// (`k8s.io/apiserver/pkg/storage/names`).
const POD_NAME_BASE_MAX: usize = 58;
const POD_NAME_RANDOM: usize = 5;

/// A Job, as far as its result is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRun {
    /// Its name; empty where only its result is left.
    pub name: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether it is complete or has failed.
    pub has_ended: bool,
    /// Whether it has failed.
    pub has_failed: bool,
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
    /// The exit code of the container, once it has ended.
    pub exit_code: Option<i32>,
}

impl JobRun {
    /// Whether a pod is one of this Job's, which may be gone by now. Of a Job that is not there, every pod may have been.
    #[must_use]
    pub fn has_pod(&self, pod: &str) -> bool {
        if self.name.is_empty() || self.pods.iter().any(|one| one.name == pod) {
            return true;
        }
        let mut made = format!("{}-", self.name);
        made.truncate(POD_NAME_BASE_MAX);
        pod.strip_prefix(&made).is_some_and(|random| random.len() == POD_NAME_RANDOM && !random.contains('-'))
    }
}

/// A ConfigMap that results are put into, which must be there already. What else it holds stays.
#[derive(Clone, Copy)]
pub struct ResultMap<'a> {
    /// Who asks.
    pub client: &'a Client,
    /// Its namespace; the client's own if left out.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// The key of the result's bytes.
    pub key: &'a str,
}

/// The key that names the run which a result is of, or will be of.
const RUN_KEY: &str = "runId";

impl ResultMap<'_> {
    /// Takes it for a run: from now on no earlier result is in it.
    ///
    /// # Errors
    /// If there is no such ConfigMap, or the cluster refuses.
    pub async fn claim(&self, run: &str, others: &[&str]) -> Result<(), CannotTell> {
        let mut text: BTreeMap<&str, Option<&str>> = others.iter().map(|key| (*key, None)).collect();
        text.insert(RUN_KEY, Some(run));
        // An empty value, because a patch that tests something can only add below what is there.
        let bytes = json!({ self.key: k8s_openapi::ByteString(vec![]) });
        self.patch(MERGE_PATCH, &json!({ "data": text, "binaryData": bytes })).await
    }

    /// Puts a result into it. If a claimed one was claimed by a later run meanwhile, that one's result is the one to be.
    ///
    /// # Errors
    /// If there is no such ConfigMap, another run has claimed it, or the cluster refuses.
    pub async fn put(
        &self,
        run: &str,
        is_claimed: bool,
        text: &BTreeMap<&str, String>,
        bytes: Vec<u8>,
    ) -> Result<(), CannotTell> {
        let bytes = k8s_openapi::ByteString(bytes);
        if !is_claimed {
            let mut text: BTreeMap<&str, &str> = text.iter().map(|(key, value)| (*key, value.as_str())).collect();
            text.insert(RUN_KEY, run);
            return self.patch(MERGE_PATCH, &json!({ "data": text, "binaryData": { self.key: bytes } })).await;
        }
        let mut steps = vec![json!({ "op": "test", "path": format!("/data/{RUN_KEY}"), "value": run })];
        let add = |path: String, value: Value| json!({ "op": "add", "path": path, "value": value });
        steps.extend(text.iter().map(|(key, value)| add(format!("/data/{key}"), json!(value))));
        steps.push(add(format!("/binaryData/{}", self.key), json!(bytes)));
        self.patch(JSON_PATCH, &Value::Array(steps)).await
    }

    async fn patch(&self, kind: &str, patch: &Value) -> Result<(), CannotTell> {
        let Self { client, namespace, name, .. } = self;
        let namespace = namespace.unwrap_or(client.default_namespace());
        let attempted = format!("writing the ConfigMap {namespace}/{name}");
        let url = format!("{}/{name}", ConfigMap::url_path(&(), Some(namespace)));
        let request = http::Request::patch(url).header(CONTENT_TYPE, kind).body(patch.to_string().into_bytes());
        let request = request.map_err(|error| CannotTell::prerequisite(format!("{attempted}: {error}")))?;
        let patched = client.request::<PartialObjectMeta>(request).await;
        patched.map(drop).map_err(|error| match &error {
            kube::Error::Api(status) if status.code == NOT_FOUND => {
                CannotTell::prerequisite(format!("{attempted}: there is none; `eks-preflight manifest rbac` makes one"))
            }
            kube::Error::Api(status) if status.code == TEST_FAILED && kind == JSON_PATCH => {
                let answer = &status.message;
                CannotTell::prerequisite(format!("{attempted}: a run that began later has claimed it ({answer})"))
            }
            _ => refused(&error, &attempted),
        })
    }
}

const MERGE_PATCH: &str = "application/merge-patch+json";

const JSON_PATCH: &str = "application/json-patch+json";

const NOT_FOUND: u16 = 404;

/// What the API server answers if something is not as a patch says that it should be.
const TEST_FAILED: u16 = 422;

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
    let run = |pod: Pod| {
        let end = end(&pod, container);
        let (message, exit_code) = (end.and_then(|end| end.message.clone()), end.map(|end| end.exit_code));
        PodRun { message, exit_code, name: pod.metadata.name.unwrap_or_default() }
    };
    let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
    let is = |wanted: &str| conditions.iter().any(|one| one.type_ == wanted && one.status == "True");
    Ok(Some(JobRun {
        name: name.to_owned(),
        has_ended: is("Complete") || is("Failed"),
        has_failed: is("Failed"),
        deadline_s: job.spec.and_then(|spec| spec.active_deadline_seconds?.try_into().ok()),
        created: job.metadata.creation_timestamp.and_then(|time| time.0.to_string().parse().ok()),
        annotations: job.metadata.annotations.unwrap_or_default(),
        pods: pods.into_iter().map(run).collect(),
    }))
}

fn end<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStateTerminated> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    containers.iter().find(|status| status.name == container)?.state.as_ref()?.terminated.as_ref()
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
