//! Removing what test messages left: messages that nobody consumed, and effects in the stores.
//!
//! The connections are opened anew, because a cancelled check may have left its own in the middle of a command. A message
//! in a consumer's hands may still take effect, so removing goes on until there was nothing left to remove several times
//! in a row.

use crate::broker::Lever;
use crate::env::{Env, Subject};
use crate::schedule::Side;
use crate::store::{Effect, Store};
use preflight_core::{CannotTell, journal};
use std::time::Duration;

/// The kind of this area's journal entries. Their target is a consumer's name and their name a business key.
pub const JOURNAL_KIND: &str = "idempotency.effects";

/// How often in a row nothing may be found before it counts as gone.
const CLEAN_ROUNDS: u32 = 3;

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
    if entry.kind != JOURNAL_KIND {
        return Err(CannotTell::prerequisite(format!("`{}` is not removed here", entry.kind)));
    }
    let subject =
        env.subjects().into_iter().find(|subject| subject.consumer.name == entry.target).ok_or_else(missing)?;
    let left = take_away(&subject, std::slice::from_ref(&entry.name), CLEANUP_LIMIT).await;
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

/// Removes what messages with these keys left, within a limit.
pub(crate) async fn take_away(subject: &Subject, keys: &[String], limit: Duration) -> Left {
    let kept = subject.consumer.effects.iter().filter(|effect| !effect.is_removed()).map(shown).collect();
    let mut left = Left { kept, ..Left::default() };
    let removing = async {
        let lever = subject.consumer.broker.open(&subject.env).await.map_err(|error| error.to_string())?;
        let mut stores = Vec::new();
        for effect in &subject.consumer.effects {
            stores.push(effect.open(&subject.env).await.map_err(|error| error.to_string())?);
        }
        until_clean(lever.as_ref(), &mut stores, keys, &mut left).await
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
    left: &mut Left,
) -> Result<(), String> {
    let mut clean = 0;
    while clean < CLEAN_ROUNDS {
        let withdrawn = lever.withdraw(keys).await.map_err(|error| error.to_string())?;
        let mut removed = 0;
        for store in &mut *stores {
            for key in keys {
                removed += store.remove(key).await.map_err(|error| error.to_string())?;
            }
        }
        let mut busy = false;
        for side in Side::BOTH {
            busy |= !lever.depth(side).await.map_err(|error| error.to_string())?.is_empty();
        }
        left.withdrawn += withdrawn;
        left.removed += removed;
        clean = if busy || withdrawn + removed > 0 { 0 } else { clean + 1 };
        if clean < CLEAN_ROUNDS {
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }
    Ok(())
}

fn shown(effect: &Effect) -> String {
    match effect {
        Effect::Mysql(mysql) => mysql.name(),
        Effect::Redis(redis) => redis.endpoint.clone(),
    }
}
