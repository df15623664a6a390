//! Lists of a namespace's objects, read page by page.

use crate::api::refused;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use preflight_core::CannotTell;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;

/// How many objects a page has.
const PAGE: u32 = 500;

/// The most pages of one list.
const PAGES_MAX: usize = 10;

/// What is seen of every object of a kind in a namespace. `what` names them in errors.
///
/// # Errors
/// If the cluster refuses, does not answer within `limit` for each page, or has more than 5000 of them there.
pub(crate) async fn all<K, I>(
    client: &Client,
    namespace: &str,
    what: &str,
    limit: Duration,
    seen: impl Fn(K) -> I,
) -> Result<Vec<I::Item>, CannotTell>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    I: IntoIterator,
{
    let attempted = format!("listing the {what} of the namespace {namespace}");
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let mut found = vec![];
    let mut rest = None;
    for _ in 0..PAGES_MAX {
        let params = ListParams { limit: Some(PAGE), continue_token: rest, ..ListParams::default() };
        let late = |_| CannotTell::unreachable(format!("{attempted}: no answer within {} s", limit.as_secs()));
        let page = tokio::time::timeout(limit, api.list(&params)).await.map_err(late)?;
        let page = page.map_err(|error| refused(&error, &attempted))?;
        found.extend(page.items.into_iter().flat_map(&seen));
        rest = page.metadata.continue_.filter(|rest| !rest.is_empty());
        if rest.is_none() {
            return Ok(found);
        }
    }
    Err(CannotTell::insufficient(format!("{attempted}: there are more than {}", PAGE as usize * PAGES_MAX)))
}
