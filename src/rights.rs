//! The self-check before a run: which rights on the cluster's API are missing. An item that lacks one is not run: it
//! becomes `unknown: forbidden`, with the right by name, instead of whatever its check would make of a refusal.

use crate::plan::Planned;
pub(crate) use preflight_cluster::named;
use preflight_cluster::{Client, ClusterAccess, connect, may, not_granted};
use preflight_core::{CannotTell, Permission, Reason, Right, Scope};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The longest that one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// The longest that all of them may take.
const ALL_LIMIT: Duration = Duration::from_secs(10);

/// How many questions are asked at the same time.
const AT_ONCE: usize = 16;

/// Takes out of a plan what cannot be run for want of a right. Where the cluster does not answer the question, the items
/// run as usual and say themselves what they meet.
pub(crate) async fn withhold(planned: &mut Planned, access: &ClusterAccess, scope: &Scope) {
    let of_cluster = |right: &&Right| matches!(right.permission, Permission::Kubernetes { .. });
    // That of reading what is deployed was asked for by doing it.
    let steps = planned.steps.iter().filter(|step| step.skip.is_none());
    let asked: BTreeSet<Right> = steps.flat_map(|step| &step.rights).filter(of_cluster).cloned().collect();
    if asked.is_empty() {
        return;
    }
    let Ok(client) = connect(access).await else { return };
    let answers = answers(&client, asked, scope).await;
    // What was not answered counts as allowed.
    let is_lacking = |right: &&Right| matches!(answers.get(*right), Some(Ok(false)));
    for step in planned.steps.iter_mut().filter(|step| step.skip.is_none()) {
        if step.rights.iter().any(|right| is_lacking(&right)) {
            step.skip = Some((Reason::Forbidden, not_granted(step.rights.iter().filter(is_lacking))));
        }
    }
}

/// What the cluster answers about rights; those are left out about which nothing came in time.
pub(crate) async fn answers(
    client: &Client,
    asked: impl IntoIterator<Item = Right>,
    scope: &Scope,
) -> BTreeMap<Right, Result<bool, CannotTell>> {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut questions = JoinSet::new();
    for right in asked {
        let (client, slots, scope) = (client.clone(), Arc::clone(&slots), scope.clone());
        questions.spawn(async move {
            let _slot = slots.acquire().await;
            let answer = scope.within(ANSWER_LIMIT, "asking the cluster for a right", may(&client, &right)).await;
            (right, answer.and_then(|answer| answer))
        });
    }
    let mut answers = BTreeMap::new();
    let gathered = async {
        while let Some(answer) = questions.join_next().await {
            answers.extend(answer.ok());
        }
    };
    drop(scope.within(ALL_LIMIT, "asking the cluster what this tool may do", gathered).await);
    answers
}
