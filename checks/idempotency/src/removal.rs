//! Removing what test messages left: messages that nobody consumed, and effects in the stores.
//!
//! The connections are opened anew, because a cancelled check may have left its own in the middle of a command. A message
//! in a consumer's hands may still take effect, so removing goes on until there was nothing left to remove for a while.
//! What fails stops nothing else: it is said at the end, when everything else is gone. Nor does what does not answer, which
//! gets a part of the time.

use crate::broker::{BrokerError, Lever};
use crate::env::{Env, Subject};
use crate::schedule::Side;
use crate::store::{Effect, Removed, Store};
use preflight_core::{CannotTell, Reason, journal};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The kind of this area's journal entries. Their target is a consumer's name and their name a business key.
pub const JOURNAL_KIND: &str = "idempotency.effects";

/// How long nothing may be found before it counts as gone, when every message was handled.
pub(crate) const LANDED: Duration = Duration::from_millis(200);

/// The same at least, when messages may be in a consumer's hands.
pub(crate) const IN_THE_AIR: Duration = Duration::from_millis(1_000);

/// The time between two looks.
const ROUND_PAUSE: Duration = Duration::from_millis(100);

/// About how long the text of all that failed may become.
const PROBLEM_BYTES_MAX: usize = 2_000;

/// The part of the whole time that one server may take without an answer: the half, so that others have the rest.
const PART: u32 = 2;

/// How long `cleanup` may take for one key.
const CLEANUP_LIMIT: Duration = Duration::from_secs(20);

/// What is left on the targets after removing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    /// Messages that were taken back.
    pub(crate) withdrawn: u64,
    /// Rows and keys that were removed.
    pub(crate) removed: u64,
    /// Effects for which no removal is configured.
    pub(crate) kept: Vec<String>,
    /// Why it is not certain that all is gone.
    pub(crate) problem: Option<CannotTell>,
}

impl Left {
    /// Adds a reason to those that are known, under the first one's code. The same one, seen again, is no other.
    fn add(&mut self, problem: impl Into<CannotTell>) {
        let problem = problem.into();
        match &mut self.problem {
            None => self.problem = Some(problem),
            Some(known) if known.detail.contains(&problem.detail) || known.detail.len() > PROBLEM_BYTES_MAX => {}
            Some(known) => known.detail = format!("{}; {}", known.detail, problem.detail),
        }
    }
}

/// Removes what one entry of a journal says was created.
///
/// # Errors
/// If the entry is not of this area, its consumer is not in the configuration, a broker or store does not answer, or
/// something could not be removed.
pub async fn remove(entry: &journal::Entry, env: &Env) -> Result<(), CannotTell> {
    let missing = || {
        CannotTell::prerequisite(format!(
            "no consumer is called `{}`; it had messages with key `{}`",
            entry.target, entry.name
        ))
    };
    if !is_key(&entry.name) {
        return Err(CannotTell::prerequisite(format!(
            "`{}` is no key of a run; look at the journal by hand",
            entry.name
        )));
    }
    if entry.kind != JOURNAL_KIND {
        return Err(CannotTell::prerequisite(format!("`{}` is not removed here", entry.kind)));
    }
    let subject =
        env.subjects().into_iter().find(|subject| subject.consumer.name == entry.target).ok_or_else(missing)?;
    let left = take_away(&subject, std::slice::from_ref(&entry.name), IN_THE_AIR, CLEANUP_LIMIT).await;
    if let Some(problem) = left.problem {
        return Err(problem);
    }
    if !left.kept.is_empty() {
        let kept = left.kept.join(", ");
        return Err(CannotTell::prerequisite(format!(
            "no removal is configured for {kept}; what `{}` left there stays",
            entry.name
        )));
    }
    Ok(())
}

/// Whether a run may have made it: statements with placeholders of SQL or of Redis must not get a pattern instead.
fn is_key(name: &str) -> bool {
    name.strip_prefix("pf-").is_some_and(|rest| {
        rest.len() <= 32 && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    })
}

/// Removes what messages with these keys left, within a limit, until nothing was found for a quiet time.
pub(crate) async fn take_away(subject: &Subject, keys: &[String], quiet: Duration, limit: Duration) -> Left {
    let kept = subject.consumer.effects.iter().filter(|effect| !effect.is_removed()).map(shown).collect();
    let mut left = Left { kept, ..Left::default() };
    let part = limit / PART;
    let removing = async {
        let opening = async {
            let mut lever = subject.consumer.broker.open(&subject.env).await?;
            if quiet > LANDED {
                // Without it nobody tells what consumers hold, and the quiet time has to do.
                drop(lever.prepare().await);
            }
            let followed = lever.follow_dead_letters().await;
            Ok::<_, BrokerError>((lever, followed))
        };
        let lever = match within(part, "taking back messages", opening).await {
            Ok((lever, followed)) => {
                followed.unwrap_or_else(|error| left.add(error));
                Some(lever)
            }
            Err(error) => {
                left.add(error);
                None
            }
        };
        let mut stores = Vec::new();
        for effect in &subject.consumer.effects {
            match within(part, effect.endpoint(), effect.open(&subject.env)).await {
                Ok(store) => stores.push((effect.endpoint(), store)),
                Err(error) => left.add(error),
            }
        }
        until_clean(lever.as_deref(), stores, (keys, quiet, part), &mut left).await;
    };
    if tokio::time::timeout(limit, removing).await.is_err() {
        left.add(CannotTell::new(Reason::Timeout, format!("not everything was gone within {} ms", limit.as_millis())));
    }
    left
}

#[expect(clippy::disallowed_methods, reason = "removing goes on after the scope was cancelled")]
async fn until_clean(
    mut lever: Option<&dyn Lever>,
    mut stores: Vec<(&str, Box<dyn Store>)>,
    (keys, quiet, part): (&[String], Duration, Duration),
    left: &mut Left,
) {
    let mut found = Instant::now();
    let mut others: BTreeMap<&str, u64> = BTreeMap::new();
    loop {
        let before = left.withdrawn + left.removed;
        let mut held = false;
        if let Some(asked) = lever {
            let withdrawing = async {
                for place in asked.places() {
                    match withdraw(asked, place, keys, &mut others).await {
                        Ok(own) => left.withdrawn += own,
                        Err(error) => left.add(error),
                    }
                }
                // Who cannot tell is not asked again: the quiet time has to do then.
                Ok::<_, CannotTell>(asked.unfinished().await.ok().flatten())
            };
            match within(part, "taking back messages", withdrawing).await {
                Ok(unfinished) => {
                    let places = asked.places().into_iter().take(Side::BOTH.len());
                    let of_others: u64 = places.filter_map(|place| others.get(place)).sum();
                    held = unfinished.is_some_and(|messages| messages > of_others);
                }
                Err(error) => {
                    left.add(error);
                    lever = None;
                }
            }
        }
        // Who did not answer is in the middle of something and is not asked again.
        let mut usable = Vec::with_capacity(stores.len());
        for (name, mut store) in stores {
            let removing = async {
                for key in keys {
                    let Removed { count, problems } = store.remove(key).await;
                    left.removed += count;
                    problems.into_iter().for_each(|error| left.add(error));
                }
                Ok::<_, CannotTell>(())
            };
            match within(part, name, removing).await {
                Ok(()) => usable.push((name, store)),
                Err(error) => left.add(error),
            }
        }
        stores = usable;
        if held || left.withdrawn + left.removed > before {
            found = Instant::now();
        } else if found.elapsed() >= quiet {
            return;
        }
        tokio::time::sleep(ROUND_PAUSE).await;
    }
}

/// Does a part of the work, or says who did not answer in its time.
async fn within<T, E: Into<CannotTell>>(
    limit: Duration,
    who: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, CannotTell> {
    let late = |_| CannotTell::new(Reason::Timeout, format!("{who}: not within {} ms", limit.as_millis()));
    tokio::time::timeout(limit, work).await.map_err(late)?.map_err(Into::into)
}

/// Takes back own messages from a place where there are more than those that were found to be of others.
async fn withdraw<'a>(
    lever: &'a dyn Lever,
    place: &'a str,
    keys: &[String],
    others: &mut BTreeMap<&'a str, u64>,
) -> Result<u64, BrokerError> {
    if lever.waiting(place).await? <= others.get(place).copied().unwrap_or(0) {
        return Ok(0);
    }
    let found = lever.withdraw(place, keys).await?;
    others.insert(place, found.others);
    Ok(found.own)
}

fn shown(effect: &Effect) -> String {
    match effect {
        Effect::Mysql(mysql) => mysql.name(),
        Effect::Redis(redis) => redis.endpoint.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_run_makes_is_a_key() {
        assert!(is_key("pf-5f1e2d3c4b5a-00d001"));
        for name in ["%", "pf-%", "pf-5f1e2d3c4b5a_00d001", "pf-*", "orders", "pf-5f1e2d3c4b5a-00d001' OR 1=1"] {
            assert!(!is_key(name), "{name}");
        }
    }
}
