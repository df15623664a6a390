//! Sends a load at the rate that was promised, whatever the answers do.
//!
//! goose gives the users: it starts them, each as a task, runs a transaction in each of them, sends the requests of the
//! transaction and ends when all users are done. What goose does not have is ours: its loop is closed (a user who waits
//! for an answer sends nothing, so a stalled server is asked less), its clock starts when a request is sent and stops at
//! the headers, its throttle delivers nine tenths of the rate, and nothing breaks off a request that is on its way. So
//! each user runs one transaction that takes the next intended start from the common [`Schedule`], waits for it, sends,
//! reads the whole body, and enters into the [`Ledger`] how long it took since the *intended* start. There are as many
//! users as requests can be waiting when nothing answers at all, so that a user is always free.
//!
//! Whatever is late by the generator's own fault counts into the latency, and into a histogram of its own, which decides
//! whether the generator kept up. A start that is more than [`LATE_MAX`] late is left out, so that a generator that stood
//! still does not make up for it with a burst.
//!
//! A load stops when the run is cancelled, when half of the answers are errors for three seconds, when one answer comes
//! from the ECS side or from a cache, and when its future is dropped; requests on their way are broken off.

use crate::ended::{Ended, Failure, Side};
use crate::http::{self, Connections};
use crate::ledger::{Ledger, Sample, WATCHED_S};
use crate::schedule::Schedule;
use crate::settings::{self, Expect, IN_FLIGHT_MAX, Served, Target};
use crate::shell::{self, Work};
use goose::goose::{GooseRequest, GooseUser};
use preflight_core::{CannotTell, Event, Reason, Scope};
use reqwest::{Client, RequestBuilder};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A start that is later than this is left out.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(250);

/// Users beyond those that can be waiting for answers.
const SPARE_USERS: u64 = 10;

/// Between the last user's arrival and the first start.
const LEAD: Duration = Duration::from_millis(20);

/// How often the load is looked at.
const WATCH: Duration = Duration::from_millis(100);

/// How long goose may take to end after its users were told to stop.
const WIND_DOWN: Duration = Duration::from_millis(1_200);

/// Why a load ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Half or more of the requests were errors.
    Errors {
        /// How many ended in the last seconds.
        ended: u64,
        /// How many of them badly.
        errors: u64,
        /// How long the load had lasted.
        after_s: u64,
    },
    /// The ECS side answered.
    ReachedEcs,
    /// A cache answered.
    ReachedCache {
        /// The header that says so.
        header: String,
    },
    /// The run was cancelled.
    Interrupted,
}

/// A load that is over.
#[derive(Debug)]
pub(crate) struct Done {
    /// What became of every request.
    pub(crate) ledger: Ledger,
    /// Whether it ended before its time.
    pub(crate) stopped: Option<Stopped>,
}

/// Loads a target.
pub(crate) async fn drive(target: &Target, scope: &Scope) -> Result<Done, CannotTell> {
    let _turn = scope.until_cancelled(shell::turn()).await?;
    let attack = Arc::new(Attack::new(target, scope.run_id())?);
    // Tasks outlive the future that spawned them; this ends them.
    let _stop = attack.stop.clone().drop_guard();
    let host = target.url.to_string();
    let goose = shell::attack(&host, attack.users, Arc::clone(&attack));
    tokio::pin!(goose);
    let stopped = tokio::select! {
        ended = &mut goose => {
            ended.map_err(|error| CannotTell::prerequisite(format!("starting the load: {error}")))?;
            shell::is_stopped().then_some(Stopped::Interrupted)
        }
        stopped = attack.watch(&target.name, scope) => Some(stopped),
    };
    attack.stop.cancel();
    if stopped.is_some() {
        let _ = tokio::time::timeout(WIND_DOWN, &mut goose).await;
    }
    let ledger = std::mem::replace(&mut *attack.ledger(), Ledger::new());
    let stopped = match (stopped, ledger.cached.clone()) {
        _ if ledger.by_ecs() > 0 => Some(Stopped::ReachedEcs),
        (Some(Stopped::Interrupted), _) => Some(Stopped::Interrupted),
        (_, Some(header)) => Some(Stopped::ReachedCache { header }),
        (stopped, None) => stopped,
    };
    Ok(Done { ledger, stopped })
}

/// One load while it runs, shared by its users.
struct Attack {
    schedule: Schedule,
    next: AtomicU64,
    requests: Vec<(reqwest::Request, Expect)>,
    served: Served,
    client: Client,
    timeout: Duration,
    users: usize,
    all_here: Barrier,
    first_start: OnceLock<Instant>,
    ledger: Mutex<Ledger>,
    stop: CancellationToken,
}

impl Attack {
    fn new(target: &Target, run_id: &str) -> Result<Self, CannotTell> {
        let prepare =
            |request: &settings::Request| Ok((http::prepare(&target.url, request, run_id)?, request.expect.clone()));
        let requests: Result<Vec<_>, CannotTell> = target.requests.iter().map(prepare).collect();
        let schedule = target.schedule();
        let waiting = (target.rate * target.timeout_ms as f64 / 1_000.0).ceil() as u64;
        let users = (waiting.min(IN_FLIGHT_MAX) + SPARE_USERS).min(schedule.len().max(1)) as usize;
        Ok(Self {
            schedule,
            next: AtomicU64::new(0),
            requests: requests?,
            served: target.served.clone(),
            client: http::client(target, Connections::Kept)?,
            timeout: Duration::from_millis(target.timeout_ms),
            users,
            all_here: Barrier::new(users),
            first_start: OnceLock::new(),
            ledger: Mutex::new(Ledger::new()),
            stop: CancellationToken::new(),
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the first intended start.
    fn elapsed(&self) -> Duration {
        self.first_start.get().map(Instant::elapsed).unwrap_or_default()
    }

    /// What one user does: its share of the starts.
    async fn share(&self, user: &mut GooseUser) {
        user.client = self.client.clone();
        self.all_here.wait().await;
        let first = *self.first_start.get_or_init(|| now() + LEAD);
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.schedule.len() {
                return;
            }
            let intended = first + self.schedule.start(index);
            tokio::time::sleep_until(intended).await;
            let lateness = intended.elapsed();
            let counts = index >= self.schedule.warmup_len();
            if lateness > LATE_MAX {
                self.ledger().missed += u64::from(counts);
                continue;
            }
            let on_its_way = OnItsWay(self);
            let kind = self.schedule.kind(index);
            let ended = self.send(user, kind).await;
            std::mem::forget(on_its_way);
            let sample = Sample { at: first.elapsed(), lateness, latency: intended.elapsed(), kind, ended, counts };
            self.ledger().record(&sample);
            if matches!(ended, Ended::Answered { side: Side::Ecs, .. }) {
                // Not even until the next look: nobody agreed to load that side.
                self.stop.cancel();
            }
        }
    }

    async fn send(&self, user: &mut GooseUser, kind: usize) -> Ended {
        let kind = self.requests.get(kind).and_then(|(request, expect)| Some((request.try_clone()?, expect)));
        let Some((request, expect)) = kind else {
            return Ended::Failed(Failure::Other);
        };
        let builder = RequestBuilder::from_parts(self.client.clone(), request);
        let request = GooseRequest::builder().name("load").set_request_builder(builder).build();
        let whole = async {
            match user.request(request).await.map(|sent| sent.response) {
                Ok(Ok(response)) => {
                    if let Some(header) = http::cached(response.headers()) {
                        self.ledger().cached.get_or_insert(header);
                    }
                    http::finish(response, &self.served, expect).await
                }
                Ok(Err(error)) => Ended::Failed(http::failure(&error)),
                Err(_) => Ended::Failed(Failure::Other),
            }
        };
        tokio::time::timeout(self.timeout, whole).await.unwrap_or(Ended::Failed(Failure::Timeout))
    }

    /// Tells how far the load is, and ends when it must stop.
    async fn watch(&self, name: &str, scope: &Scope) -> Stopped {
        let mut tick = tokio::time::interval(WATCH);
        let mut told = 0;
        loop {
            tokio::select! {
                biased;
                () = scope.cancelled() => return Stopped::Interrupted,
                _ = tick.tick() => {}
            }
            let elapsed = self.elapsed();
            let mut ledger = self.ledger();
            if shell::is_stopped() && elapsed > Duration::ZERO {
                return Stopped::Interrupted;
            }
            if ledger.by_ecs() > 0 {
                return Stopped::ReachedEcs;
            }
            if let Some(header) = ledger.cached.clone() {
                return Stopped::ReachedCache { header };
            }
            if let Some((ended, errors)) = ledger.mostly_errors(elapsed) {
                return Stopped::Errors { ended, errors, after_s: elapsed.as_secs().max(WATCHED_S) };
            }
            if elapsed.as_secs() > told {
                told = elapsed.as_secs();
                let (ended, errors) = ledger.so_far();
                drop(ledger);
                scope.emit(Event::Progress {
                    done: told.min(self.schedule.length().as_secs()),
                    total: self.schedule.length().as_secs(),
                    what: format!("loading {name}: {ended} requests ended, {errors} of them badly"),
                });
            }
        }
    }
}

/// Counts a request that was broken off.
struct OnItsWay<'a>(&'a Attack);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.0.ledger().cut_off += 1;
    }
}

impl Work for Attack {
    fn work<'a>(self: Arc<Self>, user: &'a mut GooseUser) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                () = self.share(user) => {}
            }
        })
    }
}

fn now() -> Instant {
    Instant::now()
}

/// The longest that a load takes.
fn longest(target: &Target) -> Duration {
    target.schedule().length() + Duration::from_millis(target.timeout_ms) + WIND_DOWN
}

/// The time in the run that a load does not need.
pub(crate) fn spare(target: &Target, scope: &Scope) -> Duration {
    scope.remaining().saturating_sub(longest(target))
}

/// Whether there is time left in the run for a load.
pub(crate) fn fits(target: &Target, scope: &Scope) -> Result<(), CannotTell> {
    let needed = longest(target);
    if scope.remaining() >= needed {
        return Ok(());
    }
    let text = format!("the load takes {} s, and the run has {} s left", needed.as_secs(), scope.remaining().as_secs());
    Err(CannotTell::new(Reason::Timeout, text))
}
