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
    jobs.iter().for_each(|job| job.check.announced());
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
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    const fn meta(disruption: Disruption, limit_ms: u64) -> Meta {
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
            limit_ms,
            max_age_ms: 1,
        }
    }

    static READS: Meta = meta(Disruption::Reads, 10_000);
    static WRITES: Meta = meta(Disruption::Writes, 10_000);
    static LOADS: Meta = meta(Disruption::Loads, 10_000);
    static SHORT: [Meta; 3] =
        [meta(Disruption::Connects, 20), meta(Disruption::Writes, 20), meta(Disruption::Loads, 20)];

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

    /// Sees how many were announced before it ran.
    struct Announced(Arc<AtomicUsize>);

    impl Check for Announced {
        fn run<'a>(&'a self, _scope: &'a Scope) -> Run<'a> {
            Box::pin(async { Ok(vec![Finding::met(self.0.load(Ordering::SeqCst).to_string(), "e")]) })
        }

        fn announced(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn every_check_is_announced_before_the_first_begins() {
        let announced = Arc::new(AtomicUsize::new(0));
        let job =
            |meta| Job { check: Arc::new(Announced(Arc::clone(&announced))), ..job(meta, "a", "db", &Arc::default()) };
        let results = run_all(vec![job(&READS), job(&LOADS), job(&LOADS)], 1, &Scope::for_tests()).await;
        assert_eq!(results.iter().map(|one| one.observed.as_str()).collect::<Vec<_>>(), ["3", "3", "3"]);
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

    /// Who is there now, and everybody who met somebody they must not meet.
    #[derive(Default)]
    struct Room {
        inside: Vec<(Disruption, BTreeSet<String>)>,
        met: Vec<String>,
    }

    type Shared = Arc<std::sync::Mutex<Room>>;

    /// Leaves the room when it is dropped, however that comes about.
    struct Visit(Shared, (Disruption, BTreeSet<String>));

    impl Visit {
        fn begin(room: &Shared, disruption: Disruption, targets: &[String]) -> Self {
            let own = (disruption, targets.iter().cloned().collect::<BTreeSet<_>>());
            let mut inside = room.lock().unwrap();
            let clash = |other: &(Disruption, BTreeSet<String>)| {
                let load = own.0 == Disruption::Loads || other.0 == Disruption::Loads;
                let both = own.0.needs_consent() && other.0.needs_consent();
                load || (both && !own.1.is_disjoint(&other.1))
            };
            let met: Vec<String> = inside
                .inside
                .iter()
                .filter(|other| clash(other))
                .map(|other| format!("{own:?} met {other:?}"))
                .collect();
            inside.met.extend(met);
            inside.inside.push(own.clone());
            Self(Arc::clone(room), own)
        }
    }

    impl Drop for Visit {
        fn drop(&mut self) {
            let mut room = self.0.lock().unwrap();
            let at = room.inside.iter().position(|one| *one == self.1).unwrap();
            room.inside.remove(at);
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Way {
        Ends,
        Fails,
        Panics,
        /// Stops when it is told to.
        Hangs,
        /// Does not.
        IsDeaf,
    }

    struct Visitor {
        room: Shared,
        way: Way,
        disruption: Disruption,
        targets: Vec<String>,
    }

    impl Check for Visitor {
        fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
            Box::pin(async move {
                let _visit = Visit::begin(&self.room, self.disruption, &self.targets);
                match self.way {
                    Way::Hangs => scope.cancelled().await,
                    Way::IsDeaf => std::future::pending().await,
                    _ => scope.sleep(Duration::from_millis(3)).await?,
                }
                match self.way {
                    Way::Fails => Ok(vec![Finding::unmet("o", "e")]),
                    Way::Panics => panic!("as planned"),
                    _ => Ok(vec![Finding::met("o", "e")]),
                }
            })
        }
    }

    type Plan = Vec<(usize, Way, Vec<String>)>;

    fn plan() -> impl Strategy<Value = Plan> {
        let way = prop_oneof![
            6 => Just(Way::Ends), 2 => Just(Way::Fails), 2 => Just(Way::Panics), 1 => Just(Way::Hangs), 1 => Just(Way::IsDeaf)
        ];
        let targets = proptest::sample::subsequence(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], 0..=3);
        let disruption = prop_oneof![2 => Just(0_usize), 4 => Just(1), 1 => Just(2)];
        proptest::collection::vec((disruption, way, targets.prop_shuffle()), 0..9)
    }

    fn visitors(plan: &Plan, room: &Shared) -> Vec<Job> {
        let job = |(n, (disruption, way, targets)): (usize, &(usize, Way, Vec<String>))| {
            let meta = &SHORT[*disruption];
            let (room, disruption) = (Arc::clone(room), meta.disruption);
            let visitor = Visitor { room, way: *way, disruption, targets: targets.clone() };
            Job { meta, subject: n.to_string(), targets: targets.clone(), check: Arc::new(visitor) }
        };
        plan.iter().enumerate().map(job).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn disruptive_checks_of_one_target_never_overlap_and_every_job_has_one_result(
            plan in plan(),
            concurrency in 1_usize..9,
            cancelled_after_ms in proptest::option::weighted(0.3, 0_u64..30),
        ) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
            let room = Shared::default();
            let scope = Scope::for_tests();
            let results = runtime.block_on(async {
                let cancelling = async {
                    if let Some(after) = cancelled_after_ms {
                        drop(scope.sleep(Duration::from_millis(after)).await);
                        scope.cancel();
                    }
                };
                tokio::join!(run_all(visitors(&plan, &room), concurrency, &scope), cancelling).0
            });
            let room = room.lock().unwrap();
            prop_assert!(room.met.is_empty() && room.inside.is_empty(), "{:?}, left {:?}", room.met, room.inside);
            let subjects: Vec<String> = results.iter().map(|one| one.subject.clone()).collect();
            prop_assert_eq!(subjects, (0..plan.len()).map(|n| n.to_string()).collect::<Vec<_>>());
            for (result, (_, way, _)) in results.iter().zip(&plan) {
                // A busy machine may make any of them too late, and so may the cancellation.
                let late = matches!(result.reason, Some(Reason::Timeout | Reason::Interrupted));
                let fits = match way {
                    Way::Ends => result.outcome == Outcome::Pass,
                    Way::Fails => result.outcome == Outcome::Fail,
                    Way::Panics => result.reason == Some(Reason::Panicked),
                    Way::Hangs | Way::IsDeaf => false,
                };
                prop_assert!(fits || (late && result.outcome == Outcome::Unknown), "{:?}: {:?}", way, result);
            }
        }
    }
}
