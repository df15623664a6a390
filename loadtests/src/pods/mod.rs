//! The pods of the workloads behind a target, watched while it is loaded.
//!
//! `load.slo-holds` loads, and what a load does to pods shows while it runs. So that check lets them be watched
//! ([`Watch::during`]) if the check that judges them is going to run ([`Watch::want`]), and leaves what was seen in the
//! [`Watch`] that both share. Watching never changes what it says itself: it neither waits for an answer of the cluster
//! once the load runs nor hears of a failure.
//!
//! `workload` says whose pods they are, `timeline` what happened to them, `reach` whether the load can have come to them,
//! `looking` asks the cluster, and `findings` are the words for pods that were not well.

mod findings;
mod looking;
mod reach;
#[cfg(test)]
pub(crate) mod scene;
mod timeline;
mod workload;

#[cfg(test)]
pub(crate) use findings::PODS_NAMED_MAX;
pub(crate) use findings::{EXPECTED, down, of_troubles};
pub(crate) use looking::Looking;
pub(crate) use reach::Reach;
pub(crate) use timeline::{Course, Timeline};
pub(crate) use workload::{Unwatchable, Watched, watched};

use crate::drive::Done;
use preflight_cluster::ClusterAccess;
use preflight_core::{CannotTell, Reason, Scope, Timestamp};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest that a load waits for the first look.
const FIRST_LOOK_LIMIT: Duration = Duration::from_secs(5);

/// The pods behind one target.
#[derive(Debug)]
pub(crate) struct Watch {
    access: ClusterAccess,
    /// The workloads whose pods they are.
    pub(crate) workloads: Vec<Watched>,
    /// Those whose pods cannot be told from others.
    pub(crate) unwatchable: Vec<Unwatchable>,
    is_wanted: AtomicBool,
    loaded: Mutex<Option<Loaded>>,
}

/// A load that is over.
#[derive(Debug)]
struct Loaded {
    looking: JoinHandle<Result<Looking, CannotTell>>,
    span: Span,
}

/// When a load ran.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// The first start, in the warm-up.
    pub(crate) began: Timestamp,
    /// The last end.
    pub(crate) ended: Timestamp,
    /// The same, as time since the start of the run.
    pub(crate) elapsed: (Duration, Duration),
    /// Whether it ended before its time.
    pub(crate) is_cut_short: bool,
}

impl Watch {
    pub(crate) fn new(access: ClusterAccess, (workloads, unwatchable): (Vec<Watched>, Vec<Unwatchable>)) -> Self {
        Self { access, workloads, unwatchable, is_wanted: AtomicBool::new(false), loaded: Mutex::new(None) }
    }

    /// The names of the namespaces that the pods are in.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        workload::namespaces(&self.workloads)
    }

    /// Lets the pods be watched when the target is loaded.
    pub(crate) fn want(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Loads, and watches meanwhile if somebody wants it. The first look comes before the load, which waits for it for
    /// `spare` at most.
    pub(crate) async fn during(
        &self,
        scope: &Scope,
        spare: Duration,
        load: impl Future<Output = Result<Done, CannotTell>>,
    ) -> Result<Done, CannotTell> {
        if !self.is_wanted.load(Ordering::Relaxed) || self.workloads.is_empty() {
            return load.await;
        }
        let stop = CancellationToken::new();
        // Whatever becomes of the load, nobody looks on after it.
        let _stop = stop.clone().drop_guard();
        let (looked, first_look) = oneshot::channel();
        let (access, workloads, own) = (self.access.clone(), self.workloads.clone(), scope.clone());
        let runtime = tokio::runtime::Handle::current();
        let look =
            async move { looking::until(&stop, Looking::new(&access, workloads, &own).await?, looked, &own).await };
        // On a thread of its own: neither a large list nor a credential plugin lets a request of the load wait.
        let looking = tokio::task::spawn_blocking(move || runtime.block_on(look));
        drop(tokio::time::timeout(spare.min(FIRST_LOOK_LIMIT), first_look).await);
        let (began, since) = (scope.now(), scope.elapsed());
        let done = load.await?;
        let elapsed = (since, scope.elapsed());
        let span = Span { began, ended: scope.now(), elapsed, is_cut_short: done.stopped.is_some() };
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Loaded { looking, span });
        Ok(done)
    }

    /// What was seen while the target was loaded; nothing if it was not.
    pub(crate) async fn seen(&self) -> Option<(Result<Looking, CannotTell>, Span)> {
        let Loaded { looking, span } = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let broken = |_| Err(CannotTell::new(Reason::Panicked, "what watched the pods ended by a fault of this tool"));
        Some((looking.await.unwrap_or_else(broken), span))
    }
}
