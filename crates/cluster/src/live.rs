//! From a cluster's API to an inventory: lists of the objects that manifests would hold, page by page, of a few namespaces.
//! Secrets are never read, and of ConfigMaps only those that pods use.

use crate::InventoryError::{self, Unread};
use crate::api::refused;
use crate::cursor::Cursor;
use crate::files::Reader;
use crate::json::Item;
use crate::kubernetes::{Objects, is_maker};
use crate::load::with_ecs;
use crate::node::{DOCUMENTS_MAX, Node};
use crate::pairs::Pair;
use crate::{ClusterAccess, Inventory, SeenCluster};
use futures::io::AsyncReadExt;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{GetParams, ListParams};
use kube::core::Request;
use kube::{Api, Client};
use preflight_core::{CannotTell, Permission, Reason, Right};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

/// The longest that the whole reading may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The longest that one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// The most bytes of one answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How many objects a page has.
const PAGE: u32 = 500;

/// The most pages of one list.
const PAGES_MAX: usize = DOCUMENTS_MAX / PAGE as usize;

/// How often a list is begun that expires before its end.
const ATTEMPTS: usize = 3;

/// How many questions are asked at the same time.
const AT_ONCE: usize = 4;

/// A kind of objects.
#[derive(Clone, Debug)]
struct Kind {
    kind: &'static str,
    group: &'static str,
    resource: &'static str,
    version: String,
}

impl Kind {
    fn new(kind: &'static str, group: &'static str, resource: &'static str, version: &str) -> Self {
        Self { kind, group, resource, version: version.to_owned() }
    }

    /// As `apiVersion` says it.
    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// For people: `deployments.apps`.
    fn name(&self) -> String {
        if self.group.is_empty() { self.resource.to_owned() } else { format!("{}.{}", self.resource, self.group) }
    }

    /// Where the API has it.
    fn url(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let below = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        format!("{root}/{}{below}/{}", self.api_version(), self.resource)
    }

    fn right(&self, verb: &'static str, namespace: Option<&str>, name: Option<&str>) -> Right {
        let permission = Permission::Kubernetes { verb, group: self.group, resource: self.resource };
        Right { permission, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) }
    }
}

/// The kinds that every cluster has.
fn built_in() -> Vec<Kind> {
    vec![
        Kind::new("Deployment", "apps", "deployments", "v1"),
        Kind::new("StatefulSet", "apps", "statefulsets", "v1"),
        Kind::new("DaemonSet", "apps", "daemonsets", "v1"),
        Kind::new("ReplicaSet", "apps", "replicasets", "v1"),
        Kind::new("Job", "batch", "jobs", "v1"),
        Kind::new("CronJob", "batch", "cronjobs", "v1"),
        Kind::new("Pod", "", "pods", "v1"),
        Kind::new("Service", "", "services", "v1"),
        Kind::new("ServiceAccount", "", "serviceaccounts", "v1"),
        Kind::new("HorizontalPodAutoscaler", "autoscaling", "horizontalpodautoscalers", "v2"),
    ]
}

/// Kinds that some clusters have, in a version of theirs.
const CUSTOM: &[(&str, &str, &str)] = &[
    ("Rollout", "argoproj.io", "rollouts"),
    ("ScaledObject", "keda.sh", "scaledobjects"),
    ("ScaledJob", "keda.sh", "scaledjobs"),
];

/// A page of a list.
#[derive(Deserialize)]
struct Page {
    kind: String,
    metadata: PageMetadata,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    rest: Option<String>,
}

/// Reads the configured namespaces of a cluster as the EKS side, and what the AWS CLI prints about ECS. `ecs` and `pairs`
/// are those of [`load`](crate::load).
///
/// An object that cannot be read is an error and never absent, and so is a namespace that does not exist.
///
/// # Errors
/// [`InventoryError::Unread`] if the cluster refuses, does not answer in time, answers something else or is another one than
/// the configured; otherwise as [`load`](crate::load).
pub async fn load_live(
    client: &Client,
    access: &ClusterAccess,
    ecs: &[PathBuf],
    pairs: &[Pair],
) -> Result<Inventory, InventoryError> {
    let mut reading = Reading { client, objects: Objects::new("in the cluster"), rights: vec![] };
    let late = |_| CannotTell::new(Reason::Timeout, format!("reading the cluster: not within {} s", LIMIT.as_secs()));
    let seen = tokio::time::timeout(LIMIT, reading.all(access)).await.map_err(late).map_err(Unread)??;
    let Reading { objects, rights, .. } = reading;
    let inventory = with_ecs(objects, Reader::default(), ecs, pairs)?;
    Ok(Inventory { is_whole: true, cluster: Some(seen), rights, ..inventory })
}

struct Reading<'a> {
    client: &'a Client,
    objects: Objects,
    rights: Vec<Right>,
}

impl Reading<'_> {
    async fn all(&mut self, access: &ClusterAccess) -> Result<SeenCluster, InventoryError> {
        let (client, namespaces) = (self.client, &access.namespaces);
        let seen = self.cluster().await.map_err(Unread)?;
        if let Some(uid) = access.uid.as_ref().filter(|uid| **uid != seen.uid) {
            let detail = format!("the API is that of the cluster {}, and `cluster.uid` is {uid}", seen.uid);
            return Err(Unread(CannotTell::new(Reason::ControlFailed, detail)));
        }
        let kinds = kinds(client).await.map_err(Unread)?;
        for namespace in namespaces {
            self.namespace(Some(namespace), namespace).await.map_err(Unread)?;
        }
        let mut lists = vec![];
        for namespace in namespaces {
            for kind in &kinds {
                self.rights.push(kind.right("list", Some(namespace), None));
                lists.push(list(client, kind, Some(namespace), &kinds));
            }
        }
        self.take(lists).await?;
        if self.objects.has("DaemonSet") {
            // A DaemonSet has a pod on each of them.
            let node = Kind::new("Node", "", "nodes", "v1");
            self.rights.push(node.right("list", None, None));
            self.take(vec![list(client, &node, None, &[])]).await?;
        }
        let config_map = Kind::new("ConfigMap", "", "configmaps", "v1");
        let wanted = self.objects.config_maps();
        let mut maps = vec![];
        for (namespace, name) in wanted.iter().filter(|(_, name)| is_name(name)) {
            self.rights.push(config_map.right("get", Some(namespace), Some(name)));
            maps.push(get(client, &config_map, namespace, name));
        }
        self.take(maps).await?;
        Ok(seen)
    }

    /// Takes the objects of several answers.
    async fn take<'k, F>(&mut self, answers: Vec<F>) -> Result<(), InventoryError>
    where
        F: Future<Output = Result<(&'k Kind, Vec<Node>), CannotTell>>,
    {
        let mut answers = stream::iter(answers).buffered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            let (kind, items) = answer.map_err(Unread)?;
            for item in items {
                self.objects.add_live(&kind.api_version(), kind.kind, item)?;
            }
        }
        Ok(())
    }

    async fn cluster(&mut self) -> Result<SeenCluster, CannotTell> {
        let uid = self.namespace(None, "kube-system").await?.metadata.uid;
        let uid = uid.ok_or_else(|| not_understood("reading the namespace kube-system"))?;
        let attempted = "asking the API server for its version";
        let version = within(attempted, self.client.apiserver_version()).await?;
        let version = version.map_err(|error| refused(&error, attempted))?;
        Ok(SeenCluster { uid, version: version.git_version })
    }

    /// A namespace, read by a right that holds in a namespace or in the whole cluster. That one which does not exist has no
    /// objects either must not pass for an answer.
    async fn namespace(&mut self, right_in: Option<&str>, name: &str) -> Result<Namespace, CannotTell> {
        self.rights.push(Kind::new("Namespace", "", "namespaces", "v1").right("get", right_in, Some(name)));
        let attempted = format!("reading the namespace {name}");
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = within(&attempted, namespaces.get_opt(name)).await?;
        let found = found.map_err(|error| refused(&error, &attempted))?;
        found.ok_or_else(|| CannotTell::prerequisite(format!("{attempted}: the cluster has none of that name")))
    }
}

/// The kinds that this cluster has.
async fn kinds(client: &Client) -> Result<Vec<Kind>, CannotTell> {
    let mut kinds = built_in();
    let attempted = "asking which kinds the cluster has";
    let groups = within(attempted, client.list_api_groups()).await?.map_err(|error| refused(&error, attempted))?;
    let has_custom = |name: &str| CUSTOM.iter().any(|(_, group, _)| *group == name);
    for group in groups.groups.iter().filter(|group| has_custom(&group.name)) {
        // They come with the newest first.
        for version in &group.versions {
            let attempted = format!("asking which kinds of {} the cluster has", version.group_version);
            let served = within(&attempted, client.list_api_group_resources(&version.group_version)).await?;
            let served = served.map_err(|error| refused(&error, &attempted))?;
            for (kind, group, resource) in CUSTOM.iter().filter(|(_, known, _)| *known == group.name) {
                let is_new = kinds.iter().all(|known| known.kind != *kind);
                if is_new && served.resources.iter().any(|one| one.name == *resource) {
                    kinds.push(Kind::new(kind, group, resource, &version.version));
                }
            }
        }
    }
    Ok(kinds)
}

/// Every object of a kind, except what an object of one of the kinds that are read has made: it is counted with its maker.
async fn list<'k>(
    client: &Client,
    kind: &'k Kind,
    namespace: Option<&str>,
    read: &[Kind],
) -> Result<(&'k Kind, Vec<Node>), CannotTell> {
    let place =
        namespace.map_or("in the whole cluster".to_owned(), |namespace| format!("in the namespace {namespace}"));
    let attempted = format!("listing {} {place}", kind.name());
    let request = Request::new(kind.url(namespace));
    for _ in 0..ATTEMPTS {
        let mut items = vec![];
        let mut take = |item: Node| {
            if !is_made_by(&item, kind, read) {
                items.push(item);
            }
        };
        if pages(client, &request, kind, &attempted, &mut take).await? {
            return Ok((kind, items));
        }
    }
    Err(CannotTell::unreachable(format!("{attempted}: {ATTEMPTS} times it expired before its end")))
}

/// Takes the items of a list page by page. False if it expired on the way.
async fn pages(
    client: &Client,
    request: &Request,
    kind: &Kind,
    attempted: &str,
    take: &mut impl FnMut(Node),
) -> Result<bool, CannotTell> {
    let mut rest = None;
    for _ in 0..PAGES_MAX {
        let params = ListParams { limit: Some(PAGE), continue_token: rest, ..ListParams::default() };
        let request = request.list(&params).map_err(|error| unasked(&error, attempted))?;
        let Some(page) = ask::<Page>(client, request, attempted, EXPIRED).await? else { return Ok(false) };
        if page.kind != format!("{}List", kind.kind) {
            return Err(not_understood(attempted));
        }
        page.items.into_iter().for_each(|item| take(item.0));
        rest = page.metadata.rest.filter(|rest| !rest.is_empty());
        if rest.is_none() {
            return Ok(true);
        }
    }
    Err(CannotTell::insufficient(format!("{attempted}: it has more than {PAGES_MAX} pages")))
}

/// One object of a kind, if it is there.
async fn get<'k>(
    client: &Client,
    kind: &'k Kind,
    namespace: &str,
    name: &str,
) -> Result<(&'k Kind, Vec<Node>), CannotTell> {
    let attempted = format!("reading the {} {namespace}/{name}", kind.kind);
    let request = Request::new(kind.url(Some(namespace))).get(name, &GetParams::default());
    let request = request.map_err(|error| unasked(&error, &attempted))?;
    let found = ask::<Item>(client, request, &attempted, NOT_FOUND).await?;
    Ok((kind, found.into_iter().map(|item| item.0).collect()))
}

const NOT_FOUND: u16 = 404;

const EXPIRED: u16 = 410;

/// Asks for one answer; nothing if its code is the one that means nothing.
async fn ask<T: DeserializeOwned>(
    client: &Client,
    request: http::Request<Vec<u8>>,
    attempted: &str,
    nothing: u16,
) -> Result<Option<T>, CannotTell> {
    let answer = async {
        let body = match client.request_stream(request).await {
            Ok(body) => body,
            Err(kube::Error::Api(status)) if status.code == nothing => return Ok(None),
            Err(error) => return Err(refused(&error, attempted)),
        };
        let mut bytes = vec![];
        let read = body.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| CannotTell::unreachable(format!("{attempted}: {error}")))?;
        if bytes.len() as u64 > ANSWER_BYTES_MAX {
            let limit = ANSWER_BYTES_MAX >> 20;
            return Err(CannotTell::insufficient(format!("{attempted}: the answer is larger than {limit} MiB")));
        }
        Ok(Some(bytes))
    };
    let Some(bytes) = within(attempted, answer).await?? else { return Ok(None) };
    // What the parser says may quote the answer.
    serde_json::from_slice(&bytes).map(Some).map_err(|_| not_understood(attempted))
}

async fn within<T>(attempted: &str, answer: impl Future<Output = T>) -> Result<T, CannotTell> {
    let late = |_| CannotTell::new(Reason::Timeout, format!("{attempted}: not within {} s", ANSWER_LIMIT.as_secs()));
    tokio::time::timeout(ANSWER_LIMIT, answer).await.map_err(late)
}

fn not_understood(attempted: &str) -> CannotTell {
    CannotTell::new(Reason::Unsupported, format!("{attempted}: the answer is not understood"))
}

fn unasked(error: &kube::core::request::Error, attempted: &str) -> CannotTell {
    CannotTell::new(Reason::Unsupported, format!("{attempted}: {error}"))
}

/// Whether an object of one of these kinds has made it.
fn is_made_by(item: &Node, kind: &Kind, read: &[Kind]) -> bool {
    if !matches!(kind.kind, "Pod" | "ReplicaSet" | "Job") {
        return false;
    }
    let metadata = Cursor::new("", item).get("metadata");
    let owners = metadata.map(|metadata| metadata.items("ownerReferences")).and_then(Result::ok).unwrap_or_default();
    owners.iter().any(|owner| {
        let text = |field| owner.text_of(field).ok().flatten().unwrap_or_default();
        let (version, named) = (text("apiVersion"), text("kind"));
        let group = version.split_once('/').map_or("", |(group, _)| group);
        is_maker(&named) && read.iter().any(|kind| kind.kind == named && kind.group == group)
    })
}

/// Whether the API may be asked for an object of this name. There is none of another.
fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        && name.bytes().any(|byte| byte != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::KINDS;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_of_the_manifests_is_read_from_a_cluster_too() {
        let built_in = built_in();
        let read = built_in.iter().map(|kind| (kind.kind, kind.group));
        let mut read: BTreeSet<_> = read.chain(CUSTOM.iter().map(|(kind, group, _)| (*kind, *group))).collect();
        // Those that others name are read one by one, and manifests find this one by its template.
        assert!(read.insert(("ConfigMap", "")) && read.remove(&("ScaledJob", "keda.sh")));
        // Of these, most are no workload's business.
        assert!(read.remove(&("Service", "")));
        let kept: BTreeSet<_> = KINDS.iter().map(|(kind, groups)| (*kind, groups[0])).collect();
        assert_eq!(read, kept);
    }

    #[test]
    fn an_answer_without_items_is_no_empty_list() {
        let page = |text: &str| serde_json::from_str::<Page>(text).map(|page| page.items.len()).ok();
        assert_eq!(page(r#"{"kind": "PodList", "metadata": {}, "items": []}"#), Some(0));
        for other in ["{}", r#"{"kind": "PodList", "metadata": {}}"#, r#"{"kind": "PodList", "items": []}"#, "[]"] {
            assert_eq!(page(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_not_asked_for() {
        assert!(is_name("common") && is_name("a-1.b"));
        for other in ["", ".", "..", "../secrets/x", "a/b", "a?b", "A"] {
            assert!(!is_name(other), "{other}");
        }
    }
}
