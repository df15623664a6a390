//! From a cluster's API to an inventory: lists of the objects that manifests would hold, page by page, of a few namespaces.
//! Secrets are never read, and of ConfigMaps only those that pods use.

use crate::InventoryError::{self, Unread};
use crate::api::refused;
use crate::cursor::Cursor;
use crate::files::Reader;
use crate::json::Item;
use crate::kind::{Kind, kinds};
use crate::kubernetes::{Objects, controller, is_kept, makes};
use crate::load::with_ecs;
use crate::node::{DOCUMENTS_MAX, Node};
use crate::pairs::Pair;
use crate::rights::not_granted;
use crate::wait::within;
use crate::{ClusterAccess, Inventory, SeenCluster};
use futures::io::AsyncReadExt;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{GetParams, ListParams};
use kube::core::Request;
use kube::{Api, Client};
use preflight_core::{CannotTell, Reason, Right};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

/// The longest that the whole reading may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The most bytes of one answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How often a list is begun that expires before its end.
const ATTEMPTS: usize = 3;

/// How many questions are asked at the same time.
const AT_ONCE: usize = 4;

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
/// [`InventoryError::Forbidden`] with every right that is missing if the cluster refuses a part; [`InventoryError::Unread`]
/// if it does not answer in time, answers something else or is another one than the configured; otherwise as
/// [`load`](crate::load).
pub async fn load_live(
    client: &Client,
    access: &ClusterAccess,
    ecs: &[PathBuf],
    pairs: &[Pair],
) -> Result<Inventory, InventoryError> {
    let mut reading = Reading { client, objects: Objects::new("in the cluster"), rights: vec![], lacking: vec![] };
    let late = |_| CannotTell::new(Reason::Timeout, format!("reading the cluster: not within {} s", LIMIT.as_secs()));
    let seen = tokio::time::timeout(LIMIT, reading.all(access)).await.map_err(late).map_err(Unread)??;
    let Reading { objects, rights, .. } = reading;
    let inventory = with_ecs(objects, Reader::default(), ecs, pairs)?;
    Ok(Inventory { is_whole: true, cluster: Some(seen), rights, ..inventory })
}

/// Why there is no answer.
enum Refusal {
    /// The right is missing that it takes.
    NotGranted,
    Other(CannotTell),
}

impl From<CannotTell> for Refusal {
    fn from(why: CannotTell) -> Self {
        Self::Other(why)
    }
}

/// Objects of a kind.
type Found<'k> = (&'k Kind, Vec<Node>);

struct Reading<'a> {
    client: &'a Client,
    objects: Objects,
    /// Every right that was needed.
    rights: Vec<Right>,
    /// Those among them that are missing.
    lacking: Vec<Right>,
}

impl Reading<'_> {
    async fn all(&mut self, access: &ClusterAccess) -> Result<SeenCluster, InventoryError> {
        let (client, namespaces) = (self.client, &access.namespaces);
        let seen = self.cluster().await?;
        if let Some((uid, seen)) = access.uid.as_ref().zip(seen.as_ref()).filter(|(uid, seen)| **uid != seen.uid) {
            let detail = format!("the API is that of the cluster {}, and `cluster.uid` is {uid}", seen.uid);
            return Err(Unread(CannotTell::new(Reason::ControlFailed, detail)));
        }
        let kinds = kinds(client).await.map_err(Unread)?;
        for namespace in namespaces {
            self.namespace(Some(namespace), namespace).await?;
        }
        let mut lists = vec![];
        for namespace in namespaces {
            for kind in &kinds {
                let right = kind.right("list", Some(namespace), None);
                lists.push((right, list(client, kind, Some(namespace), &kinds)));
            }
        }
        self.take(lists).await?;
        if self.objects.has("DaemonSet") {
            // A DaemonSet has a pod on each of them.
            let node = Kind::new("Node", "", "nodes", "v1");
            self.take(vec![(node.right("list", None, None), list(client, &node, None, &[]))]).await?;
        }
        let config_map = Kind::new("ConfigMap", "", "configmaps", "v1");
        let wanted = self.objects.config_maps();
        let mut maps = vec![];
        for (namespace, name) in wanted.iter().filter(|(_, name)| is_name(name)) {
            let right = config_map.right("get", Some(namespace), Some(name));
            maps.push((right, get(client, &config_map, namespace, name)));
        }
        self.take(maps).await?;
        match seen {
            Some(seen) if self.lacking.is_empty() => Ok(seen),
            _ => Err(self.forbidden()),
        }
    }

    /// That rights are missing. What the workloads that may not be listed use is not known, so neither are the rights to it.
    fn forbidden(&self) -> InventoryError {
        let detail = format!(
            "{}; grant what is missing: `eks-preflight manifest rbac`, run by somebody who may do all of it, prints the Roles",
            not_granted(&self.lacking)
        );
        let is_reached = self.lacking.len() < self.rights.len();
        InventoryError::Forbidden { why: CannotTell::forbidden(detail), is_reached }
    }

    /// Takes the objects of several answers, each asked for by a right.
    async fn take<'k, F>(&mut self, questions: Vec<(Right, F)>) -> Result<(), InventoryError>
    where
        F: Future<Output = Result<Found<'k>, Refusal>>,
    {
        let asked = questions.into_iter().map(|(right, answer)| async move { (right, answer.await) });
        let mut answers = stream::iter(asked).buffered(AT_ONCE);
        while let Some((right, answer)) = answers.next().await {
            let Some((kind, items)) = self.granted(right, answer)? else { continue };
            for item in items {
                self.objects.add_live(&kind.api_version(), kind.kind, item)?;
            }
        }
        Ok(())
    }

    /// An answer, if the right to it is not missing. The others are asked for all the same, so that all that are missing are
    /// known at once.
    fn granted<T>(&mut self, right: Right, answer: Result<T, Refusal>) -> Result<Option<T>, InventoryError> {
        self.rights.push(right.clone());
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Refusal::NotGranted) => {
                self.lacking.push(right);
                Ok(None)
            }
            Err(Refusal::Other(why)) => Err(Unread(why)),
        }
    }

    async fn cluster(&mut self) -> Result<Option<SeenCluster>, InventoryError> {
        let Some(system) = self.namespace(None, "kube-system").await? else { return Ok(None) };
        let uid = system.metadata.uid;
        let uid = uid.ok_or_else(|| Unread(not_understood("reading the namespace kube-system")))?;
        let attempted = "asking the API server for its version";
        let version = within(attempted, self.client.apiserver_version()).await.map_err(Unread)?;
        let version = version.map_err(|error| Unread(refused(&error, attempted)))?;
        Ok(Some(SeenCluster { uid, version: version.git_version }))
    }

    /// A namespace, read by a right that holds in a namespace or in the whole cluster. That one which does not exist has no
    /// objects either must not pass for an answer.
    async fn namespace(&mut self, right_in: Option<&str>, name: &str) -> Result<Option<Namespace>, InventoryError> {
        let right = Kind::new("Namespace", "", "namespaces", "v1").right("get", right_in, Some(name));
        let attempted = format!("reading the namespace {name}");
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = within(&attempted, namespaces.get_opt(name)).await.map_err(Unread)?;
        let found = match found {
            Ok(Some(found)) => Ok(found),
            Ok(None) => {
                let text = format!("{attempted}: the cluster has none of that name");
                return Err(Unread(CannotTell::prerequisite(text)));
            }
            Err(error) => Err(refusal(&error, &attempted)),
        };
        self.granted(right, found)
    }
}

/// What it means that a call failed.
fn refusal(error: &kube::Error, attempted: &str) -> Refusal {
    match error {
        kube::Error::Api(status) if status.code == NOT_GRANTED => Refusal::NotGranted,
        error => Refusal::Other(refused(error, attempted)),
    }
}

/// Every object of a kind, except what an object of one of the kinds that are read has made: it is counted with its maker.
async fn list<'k>(
    client: &Client,
    kind: &'k Kind,
    namespace: Option<&str>,
    read: &[Kind],
) -> Result<Found<'k>, Refusal> {
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
    Err(CannotTell::unreachable(format!("{attempted}: {ATTEMPTS} times it expired before its end")).into())
}

/// Takes the items of a list page by page. False if it expired on the way.
async fn pages(
    client: &Client,
    request: &Request,
    kind: &Kind,
    attempted: &str,
    take: &mut impl FnMut(Node),
) -> Result<bool, Refusal> {
    let mut rest = None;
    let pages_max = DOCUMENTS_MAX / kind.page as usize;
    for _ in 0..pages_max {
        let params = ListParams { limit: Some(kind.page), continue_token: rest, ..ListParams::default() };
        let request = request.list(&params).map_err(|error| unasked(&error, attempted))?;
        let Some(page) = ask::<Page>(client, request, attempted, EXPIRED).await? else { return Ok(false) };
        if page.kind != format!("{}List", kind.kind) {
            return Err(not_understood(attempted).into());
        }
        page.items.into_iter().for_each(|item| take(item.0));
        rest = page.metadata.rest.filter(|rest| !rest.is_empty());
        if rest.is_none() {
            return Ok(true);
        }
    }
    Err(CannotTell::insufficient(format!("{attempted}: it has more than {pages_max} pages")).into())
}

/// One object of a kind, if it is there.
async fn get<'k>(client: &Client, kind: &'k Kind, namespace: &str, name: &str) -> Result<Found<'k>, Refusal> {
    let attempted = format!("reading the {} {namespace}/{name}", kind.kind);
    let request = Request::new(kind.url(Some(namespace))).get(name, &GetParams::default());
    let request = request.map_err(|error| unasked(&error, &attempted))?;
    let found = ask::<Item>(client, request, &attempted, NOT_FOUND).await?;
    Ok((kind, found.into_iter().map(|item| item.0).collect()))
}

const NOT_GRANTED: u16 = 403;

const NOT_FOUND: u16 = 404;

const EXPIRED: u16 = 410;

/// Asks for one answer; nothing if its code is the one that means nothing.
async fn ask<T: DeserializeOwned>(
    client: &Client,
    request: http::Request<Vec<u8>>,
    attempted: &str,
    nothing: u16,
) -> Result<Option<T>, Refusal> {
    let answer = async {
        let body = match client.request_stream(request).await {
            Ok(body) => body,
            Err(kube::Error::Api(status)) if status.code == nothing => return Ok(None),
            Err(error) => return Err(refusal(&error, attempted)),
        };
        let mut bytes = vec![];
        let read = body.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| CannotTell::unreachable(format!("{attempted}: {error}")))?;
        if bytes.len() as u64 > ANSWER_BYTES_MAX {
            let limit = ANSWER_BYTES_MAX >> 20;
            return Err(CannotTell::insufficient(format!("{attempted}: the answer is larger than {limit} MiB")).into());
        }
        Ok(Some(bytes))
    };
    let Some(bytes) = within(attempted, answer).await?? else { return Ok(None) };
    // What the parser says may quote the answer.
    serde_json::from_slice(&bytes).map(Some).map_err(|_| not_understood(attempted).into())
}

fn not_understood(attempted: &str) -> CannotTell {
    CannotTell::new(Reason::Unsupported, format!("{attempted}: the answer is not understood"))
}

fn unasked(error: &kube::core::request::Error, attempted: &str) -> CannotTell {
    CannotTell::new(Reason::Unsupported, format!("{attempted}: {error}"))
}

/// Whether it is counted with a workload of one of these kinds. What others make is weighed when all are here, and so are the
/// jobs of a CronJob, for anybody may start more of them.
fn is_made_by(item: &Node, kind: &Kind, read: &[Kind]) -> bool {
    if !matches!(kind.kind, "Pod" | "ReplicaSet") {
        return false;
    }
    let Ok(Some(owner)) = controller(&Cursor::new("", item)) else { return false };
    is_kept(&owner.kind, &owner.group)
        && makes(&owner.kind, kind.kind) == Some(true)
        && read.iter().any(|kind| kind.kind == owner.kind && kind.group == owner.group)
}

/// Whether the API may be asked for an object of this name. There is none of another.
fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        && name.bytes().any(|byte| byte != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

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
