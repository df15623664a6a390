//! Asks the cluster for the pods again and again.

use super::Span;
use super::reach::{Endpoints, Reach};
use super::timeline::Timeline;
use super::workload::{Watched, namespaces};
use preflight_cluster::{Client, ClusterAccess, SeenBudget, budgets, connect, endpoints, pods};
use preflight_core::{CannotTell, Scope, Timestamp};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The time between two looks, ...
const PAUSE: Duration = Duration::from_secs(1);

/// ... and so many times as long as the latest one took, so that a cluster that answers slowly is asked less often.
const PAUSE_FACTOR: u32 = 3;

/// The longest that one answer of the cluster may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The longest that the Services of all namespaces may take after a load, and their budgets once more.
const REACH_LIMIT: Duration = Duration::from_secs(10);

/// How often the first look is tried, and the first question about Services.
const FIRST_ATTEMPTS: usize = 3;

/// The most namespaces that are looked at.
const NAMESPACES_MAX: usize = 20;

/// What comes and goes may not be seen where there was no look for so long.
const BLIND_MAX: Duration = Duration::from_secs(10);

/// The time that a node may take to tell what happened to its containers.
const TELLING: Duration = Duration::from_secs(3);

/// How long the pods are looked at after a load until all of them are ready.
const SETTLING: Duration = Duration::from_secs(20);

/// The looks at the pods of some workloads, and what they made of them.
pub(crate) struct Looking {
    client: Client,
    workloads: Vec<Watched>,
    pub(crate) timeline: Timeline,
    /// The looks that had an answer, as time since the start of the run.
    looks: Vec<Duration>,
    /// When the latest of them was.
    pub(crate) last: Timestamp,
    /// Why the latest one had no answer.
    failure: Option<CannotTell>,
    pub(crate) failures: u64,
    pause: Duration,
    /// The workloads that no request could have come to when the load began.
    at_first: Result<Vec<String>, CannotTell>,
    /// How often that was asked.
    asked: usize,
}

impl std::fmt::Debug for Looking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looking").field("looks", &self.looks.len()).finish_non_exhaustive()
    }
}

/// Looks until it is told to stop, and says when the first look has been.
pub(crate) async fn until(
    stop: &CancellationToken,
    mut looking: Looking,
    looked: oneshot::Sender<()>,
    scope: &Scope,
) -> Result<Looking, CannotTell> {
    let on_and_on = async {
        looking.first(scope).await?;
        // Whoever waited may have gone on.
        let _ = looked.send(());
        loop {
            looking.ask_at_first(scope).await;
            scope.sleep(looking.pause).await?;
            looking.look(scope).await?;
        }
    };
    let ended: Result<Infallible, CannotTell> = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(looking),
        ended = on_and_on => ended,
    };
    ended.map(|never| match never {})
}

impl Looking {
    /// # Errors
    /// If the cluster cannot be reached as the configuration says.
    pub(crate) async fn new(
        access: &ClusterAccess,
        workloads: Vec<Watched>,
        scope: &Scope,
    ) -> Result<Self, CannotTell> {
        let count = namespaces(&workloads).len();
        if count > NAMESPACES_MAX {
            let text =
                format!("its pods are in {count} namespaces, and {NAMESPACES_MAX} are watched; name fewer `workloads`");
            return Err(CannotTell::insufficient(text));
        }
        Ok(Self {
            client: connect(access).await?,
            timeline: Timeline::new(&workloads),
            workloads,
            looks: vec![],
            last: scope.now(),
            failure: None,
            failures: 0,
            pause: PAUSE,
            at_first: Err(CannotTell::insufficient("the EndpointSlices were not read before the load was over")),
            asked: 0,
        })
    }

    async fn first(&mut self, scope: &Scope) -> Result<(), CannotTell> {
        for _ in 0..FIRST_ATTEMPTS {
            self.look(scope).await?;
            if self.failure.is_none() {
                return Ok(());
            }
            scope.sleep(PAUSE).await?;
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// One look. One that fails is remembered.
    async fn look(&mut self, scope: &Scope) -> Result<(), CannotTell> {
        let start = scope.elapsed();
        let mut all = vec![];
        self.failure = None;
        for namespace in namespaces(&self.workloads) {
            match scope.until_cancelled(pods(&self.client, &namespace, ANSWER_LIMIT)).await? {
                Ok(found) => all.extend(found),
                Err(why) => {
                    self.failure = Some(why);
                    self.failures += 1;
                    break;
                }
            }
        }
        if self.failure.is_none() {
            self.last = scope.now();
            self.looks.push(start);
            self.timeline.look(self.last, all);
        }
        self.pause = PAUSE.max((scope.elapsed() - start) * PAUSE_FACTOR);
        Ok(())
    }

    /// Asks once, soon after the first look, whether Services lead to the pods. A question without an answer is asked again.
    async fn ask_at_first(&mut self, scope: &Scope) {
        if self.at_first.is_ok() || self.asked == FIRST_ATTEMPTS {
            return;
        }
        self.asked += 1;
        self.at_first = self.endpoints(ANSWER_LIMIT, scope).await.map(|found| found.apart(&self.timeline));
    }

    async fn endpoints(&self, limit: Duration, scope: &Scope) -> Result<Endpoints, CannotTell> {
        let all = async {
            let mut all = vec![];
            for namespace in namespaces(&self.workloads) {
                all.extend(endpoints(&self.client, &namespace, ANSWER_LIMIT).await?);
            }
            Ok(Endpoints::new(all))
        };
        scope.within(limit, "listing the EndpointSlices", all).await?
    }

    async fn budgets(&self, scope: &Scope) -> Result<Vec<SeenBudget>, CannotTell> {
        let all = async {
            let mut all = vec![];
            for namespace in namespaces(&self.workloads) {
                all.extend(budgets(&self.client, &namespace, ANSWER_LIMIT).await?);
            }
            Ok(all)
        };
        scope.within(REACH_LIMIT, "listing the PodDisruptionBudgets", all).await?
    }

    /// After the load: what leads to the pods and what protects them. A cluster that fails at once is asked again.
    pub(crate) async fn reach(&self, scope: &Scope) -> Reach {
        let end = scope.elapsed() + ANSWER_LIMIT;
        let mut endpoints = self.endpoints(REACH_LIMIT, scope).await;
        while endpoints.is_err() && scope.elapsed() < end && scope.sleep(PAUSE).await.is_ok() {
            endpoints = self.endpoints(REACH_LIMIT, scope).await;
        }
        Reach { at_first: self.at_first.clone(), endpoints, budgets: self.budgets(scope).await }
    }

    /// After the load: looks until every pod is ready, but not before a node could tell what happened at its end.
    pub(crate) async fn settle(&mut self, span: &Span, scope: &Scope) -> Result<(), CannotTell> {
        scope.sleep((span.elapsed.1 + TELLING).saturating_sub(scope.elapsed())).await?;
        let end = scope.elapsed() + SETTLING;
        loop {
            self.look(scope).await?;
            if (self.failure.is_none() && self.timeline.is_settled()) || scope.elapsed() >= end {
                return Ok(());
            }
            scope.sleep(self.pause).await?;
        }
    }

    /// Why something may have happened during the load that nobody saw.
    pub(crate) fn blind(&self, span: &Span) -> Option<CannotTell> {
        self.failure.clone().or_else(|| gap(&self.looks, span.elapsed))
    }

    /// How many looks had an answer.
    pub(crate) fn looks(&self) -> usize {
        self.looks.len()
    }
}

/// Where looks leave something unseen of a load that began and ended then.
fn gap(looks: &[Duration], (began, ended): (Duration, Duration)) -> Option<CannotTell> {
    if looks.first().is_none_or(|first| *first > began) {
        return Some(CannotTell::insufficient("the pods were not seen before the load began"));
    }
    let during = looks.iter().filter(|look| (began..ended).contains(*look)).chain([&ended]);
    let pauses = during.scan(began, |before, look| Some(*look - std::mem::replace(before, *look)));
    let longest = pauses.max().filter(|longest| *longest > BLIND_MAX)?;
    Some(CannotTell::insufficient(format!(
        "for {} s of the load the cluster did not tell how the pods are; more than {} s hide what comes and goes",
        longest.as_secs(),
        BLIND_MAX.as_secs()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unseen(looks: &[u64]) -> Option<String> {
        let seconds = |second: u64| Duration::from_secs(second);
        let looks: Vec<Duration> = looks.iter().copied().map(seconds).collect();
        gap(&looks, (seconds(10), seconds(40))).map(|why| why.detail)
    }

    #[test]
    fn looks_before_a_load_and_all_along_leave_nothing_unseen() {
        assert_eq!(unseen(&[9, 12, 20, 30, 35, 44]), None);
        assert_eq!(unseen(&[9, 20, 30]), None);
    }

    #[test]
    fn a_first_look_that_is_late_and_a_long_pause_leave_something_unseen() {
        for late in [&[][..], &[11, 12]] {
            assert!(unseen(late).unwrap().contains("before the load began"));
        }
        for (looks, longest) in [(&[9, 21, 30][..], 11), (&[9, 15, 29, 41], 14), (&[9, 50], 30)] {
            assert!(unseen(looks).unwrap().starts_with(&format!("for {longest} s of the load")), "{looks:?}");
        }
    }
}
