//! Runs the checks of a plan: concurrently under a limit, and never two disruptive ones on one target at a time.

use crate::{Check, Event, Meta, Scope, judge};
use preflight_report::CheckResult;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{Mutex, Semaphore};

/// One check of one subject, to be run.
#[derive(Clone)]
pub struct Job {
    /// What is true of the check.
    pub meta: &'static Meta,
    /// What is checked.
    pub subject: String,
    /// The names of the endpoints and hosts that it touches.
    pub targets: Vec<String>,
    /// The check.
    pub check: Arc<dyn Check>,
}

/// Runs every job and gives one result for each, in the order of the jobs.
///
/// At most `concurrency` run at a time. Of the disruptive ones ([`crate::Disruption::needs_consent`]) those that share a
/// target take turns, and while one that loads its targets runs, nothing else does: what it would disturb is what the
/// others measure. When the scope is cancelled, those that did not begin become `unknown: interrupted` at once.
pub async fn run_all(jobs: Vec<Job>, concurrency: usize, scope: &Scope) -> Vec<CheckResult> {
    let slots = Arc::new(Semaphore::new(concurrency.max(1)));
    let targets: BTreeSet<&String> = jobs.iter().flat_map(|job| &job.targets).collect();
    let locks: BTreeMap<String, Arc<Mutex<()>>> =
        targets.into_iter().map(|target| (target.clone(), Arc::new(Mutex::new(())))).collect();
    let (loading, harmless): (Vec<_>, Vec<_>) =
        jobs.iter().cloned().enumerate().partition(|(_, job)| job.meta.disruption >= crate::Disruption::Loads);
    let mut results: Vec<Option<CheckResult>> = vec![None; jobs.len()];
    let run = |(index, job): (usize, Job)| {
        let (slots, locks) = (Arc::clone(&slots), &locks);
        async move { (index, run_one(job, &slots, locks, scope).await) }
    };
    for (index, result) in futures::future::join_all(harmless.into_iter().map(run)).await {
        results[index] = Some(result);
    }
    for one in loading {
        let (index, result) = run(one).await;
        results[index] = Some(result);
    }
    results.into_iter().flatten().collect()
}

async fn run_one(job: Job, slots: &Semaphore, locks: &BTreeMap<String, Arc<Mutex<()>>>, scope: &Scope) -> CheckResult {
    let Job { meta, subject, targets, check } = job;
    let mut held = vec![];
    let mut slot = None;
    // A cancelled wait falls through to `judge`, which does not begin a check then.
    let waiting = async {
        if meta.disruption.needs_consent() {
            // In the order of their names, each once, so that two jobs never wait for each other.
            for target in targets.iter().collect::<BTreeSet<_>>() {
                if let Some(lock) = locks.get(target) {
                    held.push(lock.lock().await);
                }
            }
        }
        slot = slots.acquire().await.ok();
    };
    drop(scope.until_cancelled(waiting).await);
    scope.emit(Event::Started { check: meta.id, subject: subject.clone() });
    let result = judge(meta, &subject, check, scope).await;
    scope.emit(Event::Ended { result: Box::new(result.clone()) });
    drop((slot, held));
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Disruption, Finding, Levels, Outcome, Reason, Run};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    const fn meta(disruption: Disruption) -> Meta {
        Meta {
            id: "area.property",
            title: "Title",
            proves: "p",
            fails_when: "f",
            unknown_when: "u",
            fix: "x",
            permissions: &[],
            disruption,
            levels: Levels::required(),
            limit_ms: 10_000,
            max_age_ms: 1,
        }
    }

    static READS: Meta = meta(Disruption::Reads);
    static WRITES: Meta = meta(Disruption::Writes);
    static LOADS: Meta = meta(Disruption::Loads);

    /// Counts how many run at once, and remembers the most.
    #[derive(Default)]
    struct Gauge {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    struct Counted(Arc<Gauge>);

    impl Check for Counted {
        fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
            Box::pin(async move {
                let now = self.0.now.fetch_add(1, Ordering::SeqCst) + 1;
                self.0.most.fetch_max(now, Ordering::SeqCst);
                scope.sleep(Duration::from_millis(50)).await?;
                self.0.now.fetch_sub(1, Ordering::SeqCst);
                Ok(vec![Finding::met("o", "e")])
            })
        }
    }

    fn job(meta: &'static Meta, subject: &str, target: &str, gauge: &Arc<Gauge>) -> Job {
        Job {
            meta,
            subject: subject.to_owned(),
            targets: vec![target.to_owned()],
            check: Arc::new(Counted(Arc::clone(gauge))),
        }
    }

    #[tokio::test]
    async fn no_more_than_the_limit_run_at_a_time_and_results_keep_their_order() {
        let gauge = Arc::new(Gauge::default());
        let jobs = (0..9).map(|n| job(&READS, &n.to_string(), "db", &gauge)).collect();
        let results = run_all(jobs, 4, &Scope::for_tests()).await;
        assert_eq!(gauge.most.load(Ordering::SeqCst), 4);
        let order: Vec<&str> = results.iter().map(|result| result.subject.as_str()).collect();
        assert_eq!(order, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
        assert!(results.iter().all(|result| result.outcome == Outcome::Pass));
    }

    #[tokio::test]
    async fn disruptive_checks_of_one_target_take_turns_and_those_of_others_do_not_wait() {
        let (db, cache) = (Arc::new(Gauge::default()), Arc::new(Gauge::default()));
        let mut jobs: Vec<Job> = (0..3).map(|n| job(&WRITES, &n.to_string(), "db", &db)).collect();
        jobs.push(job(&WRITES, "cache", "cache", &cache));
        let scope = Scope::for_tests();
        run_all(jobs, 8, &scope).await;
        assert_eq!(db.most.load(Ordering::SeqCst), 1);
        assert_eq!(cache.most.load(Ordering::SeqCst), 1);
        assert!(scope.elapsed() < Duration::from_millis(200), "the other target did not wait");
    }

    #[tokio::test]
    async fn a_load_runs_alone() {
        let gauge = Arc::new(Gauge::default());
        let jobs =
            vec![job(&LOADS, "a", "eks", &gauge), job(&READS, "b", "db", &gauge), job(&LOADS, "c", "other", &gauge)];
        let results = run_all(jobs, 8, &Scope::for_tests()).await;
        assert_eq!(gauge.most.load(Ordering::SeqCst), 1);
        assert_eq!(results.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn an_interrupted_plan_still_has_one_result_for_each_job() {
        let gauge = Arc::new(Gauge::default());
        let jobs: Vec<Job> = (0..5).map(|n| job(&WRITES, &n.to_string(), "db", &gauge)).collect();
        let scope = Scope::for_tests();
        let (results, ()) = tokio::join!(run_all(jobs, 2, &scope), async {
            drop(scope.sleep(Duration::from_millis(60)).await);
            scope.cancel();
        });
        assert_eq!(results.len(), 5);
        assert!(results.iter().filter(|one| one.reason == Some(Reason::Interrupted)).count() >= 4);
    }
}
