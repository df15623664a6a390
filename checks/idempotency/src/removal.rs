//! Removing what test messages left: messages that nobody consumed, and effects in the stores.
//!
//! The connections are opened anew, because a cancelled check may have left its own in the middle of a command. A message
//! in a consumer's hands may still take effect, so removing goes on until there was nothing left to remove for a while.

use crate::broker::{BrokerError, Lever};
use crate::env::{Env, Subject};
use crate::schedule::Side;
use crate::store::{Effect, Store};
use preflight_core::{CannotTell, journal};
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
    pub(crate) problem: Option<String>,
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
        return Err(CannotTell::insufficient(problem));
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
    let removing = async {
        let mut lever = subject.consumer.broker.open(&subject.env).await.map_err(|error| error.to_string())?;
        if quiet > LANDED {
            // Without it nobody tells what consumers hold, and the quiet time has to do.
            drop(lever.prepare().await);
        }
        let followed = lever.follow_dead_letters().await;
        let mut stores = Vec::new();
        for effect in &subject.consumer.effects {
            stores.push(effect.open(&subject.env).await.map_err(|error| error.to_string())?);
        }
        until_clean(lever.as_ref(), &mut stores, keys, quiet, &mut left).await?;
        // Said at the end, so that everything else is gone then.
        followed.map_err(|error| error.to_string())
    };
    left.problem = match tokio::time::timeout(limit, removing).await {
        Ok(Ok(())) => None,
        Ok(Err(problem)) => Some(problem),
        Err(_) => Some(format!("not everything was gone within {} ms", limit.as_millis())),
    };
    left
}

#[expect(clippy::disallowed_methods, reason = "removing goes on after the scope was cancelled")]
async fn until_clean(
    lever: &dyn Lever,
    stores: &mut [Box<dyn Store>],
    keys: &[String],
    quiet: Duration,
    left: &mut Left,
) -> Result<(), String> {
    let mut found = Instant::now();
    let mut others: BTreeMap<&str, u64> = BTreeMap::new();
    loop {
        let withdrawn = withdraw(lever, keys, &mut others).await.map_err(|error| error.to_string())?;
        let mut removed = 0;
        for store in &mut *stores {
            for key in keys {
                removed += store.remove(key).await.map_err(|error| error.to_string())?;
            }
        }
        let known = Side::BOTH.len();
        let of_others: u64 = lever.places().iter().take(known).filter_map(|place| others.get(place)).sum();
        // Who cannot tell is not asked again: the quiet time has to do then.
        let held = lever.unfinished().await.ok().flatten().is_some_and(|messages| messages > of_others);
        left.withdrawn += withdrawn;
        left.removed += removed;
        if held || withdrawn + removed > 0 {
            found = Instant::now();
        } else if found.elapsed() >= quiet {
            return Ok(());
        }
        tokio::time::sleep(ROUND_PAUSE).await;
    }
}

/// Takes back own messages wherever there are more than those that were found to be of others.
async fn withdraw<'a>(
    lever: &'a dyn Lever,
    keys: &[String],
    others: &mut BTreeMap<&'a str, u64>,
) -> Result<u64, BrokerError> {
    let mut own = 0;
    for place in lever.places() {
        if lever.waiting(place).await? > others.get(place).copied().unwrap_or(0) {
            let found = lever.withdraw(place, keys).await?;
            own += found.own;
            others.insert(place, found.others);
        }
    }
    Ok(own)
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
