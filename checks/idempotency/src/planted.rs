//! The business keys that one run of a check has used, each in the journal before the first message with it.

use crate::env::Subject;
use crate::removal::{IN_THE_AIR, JOURNAL_KIND, LANDED, Left, take_away};
use preflight_core::{CannotTell, Reason, Scope};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How much of the run's id is in a key.
const RUN_CHARS: usize = 12;

/// How long removing may take at the end of a check.
const REMOVAL_LIMIT: Duration = Duration::from_secs(6);

/// The same when the run was told to stop: a check has five seconds then.
const HURRIED_LIMIT: Duration = Duration::from_millis(4_000);

/// What a check put into the stores of a consumer, or was about to.
pub(crate) struct Planted<'a> {
    subject: &'a Subject,
    /// Keeps the keys of two checks of one consumer apart.
    letter: char,
    entries: Mutex<Vec<(String, u64)>>,
    /// How long nothing may be found before everything counts as gone.
    quiet: Mutex<Duration>,
}

impl<'a> Planted<'a> {
    pub(crate) fn new(subject: &'a Subject, letter: char) -> Self {
        Self { subject, letter, entries: Mutex::new(Vec::new()), quiet: Mutex::new(LANDED) }
    }

    /// A key that nobody used, written down. All keys of a run have the same length, so that none is part of another.
    pub(crate) fn plant(&self, scope: &Scope) -> Result<String, CannotTell> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let run: String = scope.run_id().chars().filter(char::is_ascii_alphanumeric).collect();
        let run = &run[run.len().saturating_sub(RUN_CHARS)..];
        let key = format!("pf-{run:0>RUN_CHARS$}-{:02}{}{:03}", self.subject.index, self.letter, entries.len() + 1);
        let name = &self.subject.consumer.name;
        let id = scope.journal().created(JOURNAL_KIND, name, &key).map_err(|error| {
            CannotTell::new(
                Reason::PrerequisiteFailed,
                format!("the journal cannot be written, so nothing was sent: {error}"),
            )
        })?;
        entries.push((key.clone(), id));
        Ok(key)
    }

    /// Messages were sent that a consumer may still hold; the longest handling time so far.
    pub(crate) fn in_the_air(&self, handling: Duration) {
        *self.quiet.lock().unwrap_or_else(PoisonError::into_inner) = IN_THE_AIR.max(handling * 3);
    }

    /// Every message that was sent was handled.
    pub(crate) fn landed(&self) {
        *self.quiet.lock().unwrap_or_else(PoisonError::into_inner) = LANDED;
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Removes everything, also after the scope was cancelled; then in less time. What cannot be removed stays in the
    /// journal.
    pub(crate) async fn remove(&self, scope: &Scope) -> Left {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if entries.is_empty() {
            return Left::default();
        }
        let keys: Vec<String> = entries.iter().map(|(key, _)| key.clone()).collect();
        let limit = if scope.is_cancelled() { HURRIED_LIMIT } else { REMOVAL_LIMIT };
        let quiet = *self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let left = take_away(self.subject, &keys, quiet, limit).await;
        if left.problem.is_none() {
            for (_, id) in entries {
                // An entry that stays in the journal makes `cleanup` look once more, which does no harm.
                drop(scope.journal().removed(id));
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::settings::Settings;
    use preflight_core::Journal;

    fn subject() -> Subject {
        let settings: Settings = serde_json::from_value(serde_json::json!({ "consumers": [{
            "name": "orders",
            "broker": { "sqs": { "queues": { "ecs": "http://127.0.0.1:1/1/a", "eks": "http://127.0.0.1:1/1/b" } } },
            "message": { "body": "{key}" },
            "effects": [{ "redis": { "endpoint": "cache", "keys": ["{key}"] } }],
        }] }))
        .unwrap();
        Env { settings, ..Env::default() }.subjects().remove(0)
    }

    #[test]
    fn keys_carry_the_run_and_are_written_down_first() {
        let subject = subject();
        let scope = Scope::new(
            "0198c9f2-71ab-7c34-8000-5f1e2d3c4b5a",
            Duration::from_secs(5),
            Journal::in_memory("r"),
            |_, _| (),
        );
        let planted = Planted::new(&subject, 'd');
        assert_eq!(planted.plant(&scope).unwrap(), "pf-5f1e2d3c4b5a-00d001");
        assert_eq!(planted.plant(&scope).unwrap(), "pf-5f1e2d3c4b5a-00d002");
        let open = scope.journal().open();
        assert_eq!(open.len(), 2);
        assert_eq!((open[0].target.as_str(), open[0].name.as_str()), ("orders", "pf-5f1e2d3c4b5a-00d001"));
    }

    #[test]
    fn a_short_run_id_still_gives_keys_of_one_length() {
        let subject = subject();
        let planted = Planted::new(&subject, 'o');
        assert_eq!(planted.plant(&Scope::for_tests()).unwrap(), "pf-00000testrun-00o001");
    }
}
