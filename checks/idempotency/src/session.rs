//! One check at work on one consumer: its connections, what it publishes, and how it waits until the consumer is quiet.

use crate::broker::{BrokerError, Depth, Lever, Outgoing};
use crate::effects::Effects;
use crate::env::Subject;
use crate::planted::Planted;
use crate::removal::Left;
use crate::schedule::{Identity, Side};
use crate::store::Store;
use preflight_core::{CannotTell, Evidence, Finding, Reason, Scope};
use std::fmt::Write as _;
use std::future::Future;
use std::time::Duration;

/// How many times the handling time that was seen the effects must stay as they are.
const QUIET_FACTOR: u32 = 3;

/// The longest that a broker or a store may take for one answer.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// The shortest time between two looks.
const POLL: Duration = Duration::from_millis(25);

/// The same in the last wait, which asks for statistics, too.
const LAST_POLL: Duration = Duration::from_millis(250);

/// A consumer under test.
pub(crate) struct Session<'a> {
    scope: &'a Scope,
    subject: &'a Subject,
    planted: &'a Planted<'a>,
    lever: Box<dyn Lever>,
    stores: Vec<Box<dyn Store>>,
    /// The longest time that a message took from publishing to its last effect.
    handling: Duration,
    dead_letters_before: u64,
    published: u64,
    /// Copies of which it is not known that they were handled.
    in_the_air: usize,
}

/// A business key with the effects it had before anything was sent with it.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) before: Effects,
}

/// Does the work of a check and then removes everything it planted, however the work ended.
pub(crate) async fn with_removal<'a, T>(
    scope: &Scope,
    planted: &Planted<'a>,
    work: impl Future<Output = Result<T, CannotTell>>,
) -> (Result<T, CannotTell>, Left) {
    let outcome = scope.until_cancelled(work).await.and_then(|outcome| outcome);
    let left = planted.remove(scope).await;
    (outcome.map_err(|error| with_left(error, &left)), left)
}

/// An unfinished removal is named in the result, whatever the result is.
fn with_left(mut error: CannotTell, left: &Left) -> CannotTell {
    if let Some(problem) = &left.problem {
        let _ = write!(
            error.detail,
            "; what the test messages left may still be there: {}; run `eks-preflight cleanup`",
            problem.detail
        );
    }
    error
}

/// What a check found, once everything is removed. Without that nobody may act on it as on a pass: something of this run
/// stands in somebody's store.
pub(crate) fn settled(findings: Vec<Finding>, left: &Left) -> Result<Vec<Finding>, CannotTell> {
    match &left.problem {
        Some(problem) if findings.iter().all(|finding| finding.met) => Err(CannotTell::new(
            problem.reason,
            format!(
                "the consumer did what it should, and what the test messages left could not be removed: {}; correct \
                 `cleanup` and run `eks-preflight cleanup`",
                problem.detail
            ),
        )),
        _ => Ok(findings),
    }
}

/// Says what became of the test messages' effects.
pub(crate) fn removal_evidence(finding: Finding, subject: &Subject, left: &Left) -> Finding {
    let name = &subject.consumer.name;
    let mut text = format!("removed {} rows and keys, took back {} messages", left.removed, left.withdrawn);
    if !left.kept.is_empty() {
        let _ = write!(text, "; no `cleanup` is configured for {}, so the effects stay there", left.kept.join(", "));
    }
    if let Some(problem) = &left.problem {
        let _ = write!(text, "; NOT everything is gone: {}; run `eks-preflight cleanup`", problem.detail);
    }
    finding.with(Evidence::new("cleanup", name, text))
}

/// Refuses a queue that is in use or that nobody reads.
pub(crate) fn refuse_busy(lever: &dyn Lever, side: Side, depth: Depth) -> Result<(), CannotTell> {
    let queue = lever.queue(side);
    if !depth.is_empty() {
        let in_flight = depth.in_flight.unwrap_or(0);
        return Err(CannotTell::prerequisite(format!(
            "{side}: queue `{queue}` is not empty ({} waiting, {in_flight} in flight); nothing was sent: a test queue that nobody else uses is needed",
            depth.waiting
        )));
    }
    if depth.is_deserted() { Err(deserted(lever, side)) } else { Ok(()) }
}

fn deserted(lever: &dyn Lever, side: Side) -> CannotTell {
    let queue = lever.queue(side);
    CannotTell::prerequisite(format!("{side}: no consumer is attached to queue `{queue}`"))
}

impl<'a> Session<'a> {
    /// Connects, and refuses queues that are in use or that nobody reads.
    pub(crate) async fn open(
        scope: &'a Scope,
        subject: &'a Subject,
        planted: &'a Planted<'a>,
    ) -> Result<Self, CannotTell> {
        let queues = subject.consumer.broker.queues();
        if queues.ecs == queues.eks {
            let text = format!("both sides have the queue `{}`; each side needs its own", queues.ecs);
            return Err(CannotTell::prerequisite(text));
        }
        let mut lever = subject.consumer.broker.open(&subject.env).await?;
        scope.within(CALL_LIMIT, "asking the broker", lever.prepare()).await??;
        scope.within(CALL_LIMIT, "following dead letters", lever.follow_dead_letters()).await??;
        let mut stores = Vec::new();
        for effect in &subject.consumer.effects {
            stores.push(effect.open(&subject.env).await?);
        }
        let dead_letters_before = lever.dead_letters().await?;
        let handling = Duration::ZERO;
        let session =
            Self { scope, subject, planted, lever, stores, handling, dead_letters_before, published: 0, in_the_air: 0 };
        for (side, depth) in Side::BOTH.into_iter().zip(session.depths().await?) {
            refuse_busy(session.lever.as_ref(), side, depth)?;
        }
        Ok(session)
    }

    pub(crate) fn identities(&self) -> &'static [Identity] {
        self.lever.identities()
    }

    pub(crate) fn witness(&self) -> &'static str {
        self.lever.witness()
    }

    pub(crate) fn handling(&self) -> Duration {
        self.handling
    }

    pub(crate) fn published(&self) -> u64 {
        self.published
    }

    /// How long the effects must stay as they are between two copies.
    pub(crate) fn window(&self) -> Duration {
        let floor = self.subject.consumer.settle.floor_ms.map_or(self.lever.floor(), Duration::from_millis);
        floor.max(self.handling * QUIET_FACTOR)
    }

    /// How long they must stay after the last copy.
    pub(crate) fn last_window(&self) -> Duration {
        let configured = self.subject.consumer.settle.last_ms.map(Duration::from_millis);
        self.window().max(configured.or(self.lever.last_floor()).unwrap_or_default())
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(self.subject.consumer.settle.limit_ms)
    }

    /// A new key and what is seen for it before anything was sent.
    pub(crate) async fn plant(&mut self) -> Result<Key, CannotTell> {
        let name = self.planted.plant(self.scope)?;
        let before = self.read(&name).await?;
        Ok(Key { name, before })
    }

    /// Publishes one copy. `copy` counts from zero and makes the id where the identity asks for a new one.
    pub(crate) async fn publish(
        &mut self,
        key: &str,
        side: Side,
        identity: Identity,
        copy: usize,
    ) -> Result<(), CannotTell> {
        let message = &self.subject.consumer.message;
        let number = if identity == Identity::SameId { 0 } else { copy };
        let outgoing = Outgoing {
            key: key.to_owned(),
            message_id: format!("{key}-m{number}"),
            body: message.body.with(key),
            headers: message.headers_with(key),
            content_type: message.content_type.clone(),
        };
        self.published += 1;
        self.in_the_air += 1;
        self.planted.in_the_air(self.handling);
        Ok(self.scope.within(CALL_LIMIT, "publishing", self.lever.publish(side, &outgoing)).await??)
    }

    /// What all probes see for a key now.
    pub(crate) async fn read(&mut self, key: &str) -> Result<Effects, CannotTell> {
        let scope = self.scope;
        let mut parts = Vec::new();
        for store in &mut self.stores {
            parts.extend(scope.within(CALL_LIMIT, "reading effects", store.read(key)).await??);
        }
        Ok(Effects(parts))
    }

    async fn depths(&self) -> Result<[Depth; 2], CannotTell> {
        let both = async { Ok([self.lever.depth(Side::Ecs).await?, self.lever.depth(Side::Eks).await?]) };
        let both: Result<[Depth; 2], BrokerError> = self.scope.within(CALL_LIMIT, "reading queues", both).await?;
        Ok(both?)
    }

    /// Waits until both queues are empty and what is seen for `keys` stays as it is. The first `changing` of the keys
    /// must differ from before, which tells the handling time; after the limit it is quiet without that. Gives the effects
    /// in the order of the keys.
    pub(crate) async fn settle(&mut self, keys: &[&Key], changing: usize) -> Result<Vec<Effects>, CannotTell> {
        self.until_quiet(keys, changing, false).await
    }

    /// The same after the last copy: longer, and until no consumer holds a message.
    pub(crate) async fn settle_last(&mut self, keys: &[&Key]) -> Result<Vec<Effects>, CannotTell> {
        self.until_quiet(keys, 0, true).await
    }

    async fn until_quiet(&mut self, keys: &[&Key], changing: usize, is_last: bool) -> Result<Vec<Effects>, CannotTell> {
        let began = self.scope.elapsed();
        let mut since = began;
        let mut last: Vec<Effects> = Vec::new();
        let mut complete = changing == 0;
        loop {
            let look = self.scope.elapsed();
            let depths = self.depths().await?;
            let mut now = Vec::new();
            for key in keys {
                now.push(self.read(&key.name).await?);
            }
            let seen = self.scope.elapsed();
            let mut drained = depths.iter().all(|depth| depth.is_empty() && !depth.is_deserted());
            if is_last {
                drained &= self.is_read().await? && self.unfinished().await? == Some(0);
            }
            let mut changed = now.iter().zip(keys).take(changing);
            let completed = !complete && changed.all(|(effects, key)| effects.changed_since(&key.before));
            complete |= completed;
            if completed || (last != now && !last.is_empty()) {
                // Effects may follow the first one.
                self.handling = self.handling.max(seen - began);
            }
            if !drained || last != now {
                since = seen;
            }
            last = now;
            // What is told late is not known to be so before that much time has passed.
            let (window, limit) = if is_last {
                (self.last_window(), self.limit() + self.last_window())
            } else {
                (self.window(), self.limit())
            };
            let late = seen - began >= limit;
            if seen - since >= window && (complete || late) {
                // An effect of every message that is out tells as much as the broker does.
                if is_last || (complete && changing == self.in_the_air) {
                    self.in_the_air = 0;
                    self.planted.landed();
                }
                return Ok(last);
            }
            if late && since - began >= limit {
                return Err(self.restless(depths, drained, limit));
            }
            let poll = if is_last { LAST_POLL } else { POLL };
            self.scope.sleep(poll.max(seen - look)).await?;
        }
    }

    async fn is_read(&self) -> Result<bool, CannotTell> {
        Ok(self.scope.within(CALL_LIMIT, "reading statistics", self.lever.is_read()).await??)
    }

    async fn unfinished(&self) -> Result<Option<u64>, CannotTell> {
        Ok(self.scope.within(CALL_LIMIT, "reading statistics", self.lever.unfinished()).await??)
    }

    fn restless(&self, depths: [Depth; 2], drained: bool, limit: Duration) -> CannotTell {
        let limit_ms = limit.as_millis();
        for (side, depth) in Side::BOTH.into_iter().zip(depths) {
            if depth.is_deserted() {
                return deserted(self.lever.as_ref(), side);
            }
            if depth.waiting > 0 {
                return CannotTell::insufficient(format!(
                    "{side}: {} messages still wait in queue `{}` after {limit_ms} ms: the consumer does not run, or not fast enough",
                    depth.waiting,
                    self.lever.queue(side)
                ));
            }
        }
        let what = if drained {
            "effects still changed"
        } else {
            "messages were still in a consumer's hands, or the broker did not tell,"
        };
        CannotTell::new(Reason::Timeout, format!("{what} after {limit_ms} ms"))
    }

    /// How many messages were dead-lettered since the session began.
    pub(crate) async fn dead_lettered(&self) -> Result<u64, CannotTell> {
        Ok(self.lever.dead_letters().await?.saturating_sub(self.dead_letters_before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_removed_is_no_pass_and_does_not_hide_a_fail() {
        let gone = Left::default();
        let stays = Left { problem: Some(CannotTell::prerequisite("orders-db: no such table")), ..Left::default() };
        assert!(settled(vec![Finding::met("one row", "one row")], &gone).is_ok());
        let open = settled(vec![Finding::met("one row", "one row")], &stays).unwrap_err();
        assert!(open.reason == Reason::PrerequisiteFailed && open.detail.contains("no such table"), "{open}");
        assert!(settled(vec![Finding::unmet("two rows", "one row")], &stays).is_ok());
    }
}
