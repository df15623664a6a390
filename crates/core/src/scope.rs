//! What a running check may rely on: deadline, cancellation, clock, a place for events, the journal. Nothing else.

use crate::{CannotTell, Journal, Pin, Reason, Timestamp};
use preflight_report::CheckResult;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a run and its checks tell while they run.
#[derive(Clone, Debug)]
pub enum Event {
    /// A check began.
    Started {
        /// Its id.
        check: &'static str,
        /// What it checks.
        subject: String,
    },
    /// A check ended.
    Ended {
        /// How.
        result: Box<CheckResult>,
    },
    /// How far it is. For people; nothing depends on it.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
        /// What is being done.
        what: String,
    },
    /// A version of something it looked at.
    Pin(Pin),
    /// Numbers behind its findings; they go under `measurements.AREA.NAME` of the report.
    Measurement {
        /// For example `load`.
        area: &'static str,
        /// The subject, or another name that is unique in the area.
        name: String,
        /// The numbers.
        value: serde_json::Value,
    },
}

type Sink = Arc<dyn Fn(&str, Event) + Send + Sync>;

/// The world of a running check. Cheap to clone; clones share cancellation.
#[derive(Clone)]
pub struct Scope {
    run_id: Arc<str>,
    teller: Arc<str>,
    epoch: (Instant, Timestamp),
    deadline: Instant,
    cancel: CancellationToken,
    sink: Sink,
    journal: Journal,
}

impl Scope {
    /// A scope for a whole run.
    ///
    /// `sink` is called with every event and with who tells it, `CHECK (SUBJECT)` or nothing for the run itself, from any
    /// thread; it must return at once.
    #[expect(clippy::disallowed_methods, reason = "the one place where a run reads the wall clock")]
    pub fn new(
        run_id: &str,
        limit: Duration,
        journal: Journal,
        sink: impl Fn(&str, Event) + Send + Sync + 'static,
    ) -> Self {
        let now = Instant::now();
        Self {
            run_id: run_id.into(),
            teller: "".into(),
            epoch: (now, Timestamp::from(SystemTime::now())),
            deadline: now + limit,
            cancel: CancellationToken::new(),
            sink: Arc::new(sink),
            journal,
        }
    }

    /// A scope for tests: one minute, events dropped, journal in memory, run id `test-run`.
    #[must_use]
    pub fn for_tests() -> Self {
        Self::new("test-run", Duration::from_secs(60), Journal::in_memory("test-run"), |_, _| ())
    }

    /// The same scope with a name, a cancellation and a deadline of its own, which is not later than this one's.
    pub(crate) fn child(&self, teller: &str, limit: Duration) -> Self {
        let deadline = self.deadline.min(Instant::now() + limit);
        Self { deadline, teller: teller.into(), cancel: self.cancel.child_token(), ..self.clone() }
    }

    /// Completes at the deadline.
    pub(crate) async fn expired(&self) {
        tokio::time::sleep_until(self.deadline).await;
    }

    /// The id of the run. Everything created on a target carries it.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The present: the wall clock at the start of the run plus the monotonic time since.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.epoch.1.plus(self.elapsed())
    }

    /// Monotonic time since the start of the run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.epoch.0.elapsed()
    }

    /// Time until the deadline; zero after it.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the check should stop now and remove what it created.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Completes when the check should stop.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Asks everything in this scope to stop.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits.
    ///
    /// # Errors
    /// [`Reason::Interrupted`], at once, when the scope is cancelled.
    pub async fn sleep(&self, duration: Duration) -> Result<(), CannotTell> {
        self.until_cancelled(tokio_sleep(duration)).await
    }

    /// Does something unless the scope is cancelled first.
    ///
    /// # Errors
    /// [`Reason::Interrupted`] when the scope is cancelled; the work is dropped then.
    pub async fn until_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, CannotTell> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(CannotTell::new(Reason::Interrupted, "stopped before it was done")),
            done = work => Ok(done),
        }
    }

    /// Does something that must end within a limit and before the scope is cancelled.
    ///
    /// # Errors
    /// [`Reason::Timeout`] naming `what` after the limit or the deadline, [`Reason::Interrupted`] when cancelled.
    pub async fn within<T>(&self, limit: Duration, what: &str, work: impl Future<Output = T>) -> Result<T, CannotTell> {
        let limit = limit.min(self.remaining());
        match self.until_cancelled(tokio::time::timeout(limit, work)).await? {
            Ok(done) => Ok(done),
            Err(_) => {
                Err(CannotTell::new(Reason::Timeout, format!("{what}: no answer within {} ms", limit.as_millis())))
            }
        }
    }

    /// Tells something while running.
    pub fn emit(&self, event: Event) {
        (self.sink)(&self.teller, event);
    }

    /// The journal of what the run creates.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

#[expect(clippy::disallowed_methods, reason = "the one sleep of all checks, always raced with cancellation")]
async fn tokio_sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}
