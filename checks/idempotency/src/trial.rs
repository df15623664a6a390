//! Trials: every schedule with a key of its own, all of them at once, one copy a round.
//!
//! Keys make schedules independent, so the first copies of all go out together, then the consumer becomes quiet, then the
//! second copies, and so on: as many waits as the longest schedule has copies. In every round some messages are delivered
//! for the first and only time, so that what changes with time alone is known.

use crate::controls;
use crate::effects::Effects;
use crate::oracle::{Difference, Oracle};
use crate::schedule::{Identity, Schedule, Side};
use crate::session::{Key, Session};
use preflight_core::{CannotTell, Event, Scope};

/// One schedule with its key.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) schedule: Schedule,
    key: Key,
    /// The round in which the first copy goes out.
    start: usize,
    effects: Effects,
}

/// How one schedule with a duplicate ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) schedule: Schedule,
    /// What is wrong; nothing if the effects are those of once.
    pub(crate) differences: Vec<Difference>,
    /// What was seen, masked.
    pub(crate) effects: Effects,
    /// Whether it failed again when it was tried alone; nothing if it was not tried alone.
    pub(crate) alone: Option<bool>,
}

/// Everything that was learned about a consumer.
pub(crate) struct Trials {
    pub(crate) ended: Vec<Ended>,
    pub(crate) untested: Vec<Schedule>,
    pub(crate) oracle: Oracle,
    pub(crate) dead_lettered: u64,
    once: Vec<(Side, Effects)>,
    nothing: Effects,
}

/// Runs all schedules and compares. The controls have fired when this returns.
pub(crate) async fn run(
    scope: &Scope,
    session: &mut Session<'_>,
    schedules: Vec<Schedule>,
) -> Result<Trials, CannotTell> {
    let (schedules, untested): (Vec<_>, Vec<_>) =
        schedules.into_iter().partition(|schedule| schedule.possible(session.identities()));
    let rounds = schedules.iter().map(Schedule::copies).max().unwrap_or(1);
    let mut trials = Vec::new();
    for schedule in schedules {
        trials.push(trial(session, schedule, 0).await?);
    }
    for start in 0..rounds {
        for side in Side::BOTH {
            trials.push(trial(session, Schedule::once(side), start).await?);
        }
    }
    let mut once = Vec::new();
    for round in 0..rounds {
        let what = format!("copy {} of {rounds} of {} schedules", round + 1, trials.len());
        scope.emit(Event::Progress { done: round as u64, total: rounds as u64, what });
        play_round(session, &mut trials, round, &mut once).await?;
    }
    let all: Vec<&Key> = trials.iter().map(|trial| &trial.key).collect();
    let late = session.settle_last(&all).await?;
    trials.iter_mut().zip(late).for_each(|(trial, effects)| trial.effects = effects);
    once.extend(
        trials
            .iter()
            .filter(|trial| trial.schedule.copies() == 1)
            .map(|trial| (trial.schedule.first, trial.effects.clone())),
    );
    let nothing = trials.first().map(|trial| trial.key.before.clone()).unwrap_or_default();
    let oracle = Oracle::learn(&once);
    check_oracle(&oracle, &nothing)?;
    let ended = trials.iter().filter(|trial| trial.schedule.copies() > 1).map(|trial| judge(&oracle, trial)).collect();
    let dead_lettered = session.dead_lettered().await?;
    Ok(Trials { ended, untested, oracle, dead_lettered, once, nothing })
}

async fn trial(session: &mut Session<'_>, schedule: Schedule, start: usize) -> Result<Trial, CannotTell> {
    let key = session.plant().await?;
    Ok(Trial { schedule, effects: key.before.clone(), key, start })
}

fn judge(oracle: &Oracle, trial: &Trial) -> Ended {
    let differences = oracle.differences(&trial.schedule.sides(), &trial.effects);
    let effects = oracle.mask().apply(&trial.schedule.sides(), &trial.effects);
    Ended { schedule: trial.schedule.clone(), differences, effects, alone: None }
}

fn check_oracle(oracle: &Oracle, nothing: &Effects) -> Result<(), CannotTell> {
    for side in Side::BOTH {
        controls::once_is_clear(oracle, side, nothing)?;
        controls::double_is_seen(oracle, side)?;
    }
    Ok(())
}

/// Publishes one copy of every schedule that has one in this round, and waits. First copies must have effects; keys that
/// were not sent yet must have none.
async fn play_round(
    session: &mut Session<'_>,
    trials: &mut [Trial],
    round: usize,
    once: &mut Vec<(Side, Effects)>,
) -> Result<(), CannotTell> {
    for trial in trials.iter() {
        let Some(copy) = round.checked_sub(trial.start) else { continue };
        let Some(side) = trial.schedule.side(copy) else { continue };
        let identity = copy.checked_sub(1).map_or(Identity::NewId, |again| trial.schedule.again[again].1);
        session.publish(&trial.key.name, side, identity, copy).await?;
    }
    let (first, others): (Vec<&mut Trial>, Vec<&mut Trial>) = trials.iter_mut().partition(|trial| trial.start == round);
    let changing = first.len();
    let ordered: Vec<&mut Trial> = first.into_iter().chain(others).collect();
    let keys: Vec<&Key> = ordered.iter().map(|trial| &trial.key).collect();
    let settled = session.settle(&keys, changing).await?;
    for (index, (trial, effects)) in ordered.into_iter().zip(settled).enumerate() {
        if index < changing {
            controls::probes_change(trial.schedule.first, &trial.key.before, &effects)?;
            once.push((trial.schedule.first, effects.clone()));
        }
        if trial.start > round {
            controls::probe_is_confined(&trial.key.before, &effects)?;
        }
        trial.effects = effects;
    }
    Ok(())
}

impl Trials {
    /// Tries the first failing schedule again, alone but for a control and with new keys, and judges everything anew with what was learned
    /// from that: what failed because of a value that changes with time alone does not fail any more.
    pub(crate) async fn confirm(&mut self, session: &mut Session<'_>) -> Result<(), CannotTell> {
        let Some(at) = self.ended.iter().position(|ended| !ended.differences.is_empty()) else { return Ok(()) };
        let schedule = self.ended[at].schedule.clone();
        let mut trials = vec![trial(session, schedule.clone(), 0).await?];
        for copy in 0..schedule.copies() {
            let side = schedule.side(copy).unwrap_or(schedule.first);
            trials.push(trial(session, Schedule::once(side), copy).await?);
        }
        for copy in 0..schedule.copies() {
            play_round(session, &mut trials, copy, &mut self.once).await?;
        }
        self.oracle = Oracle::learn(&self.once);
        check_oracle(&self.oracle, &self.nothing)?;
        self.dead_lettered = session.dead_lettered().await?;
        let again = judge(&self.oracle, &trials[0]);
        for ended in &mut self.ended {
            if !ended.differences.is_empty() {
                ended.differences = self.oracle.differences(&ended.schedule.sides(), &ended.effects);
                ended.effects = self.oracle.mask().apply(&ended.schedule.sides(), &ended.effects);
            }
        }
        let reproduced = !again.differences.is_empty();
        if reproduced && self.ended[at].differences.is_empty() {
            self.ended[at] = again;
        }
        self.ended[at].alone = Some(reproduced);
        Ok(())
    }

    /// The schedules that failed, cheapest first.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(|ended| !ended.differences.is_empty())
    }

    /// The masked columns, by name.
    pub(crate) fn masks(&self) -> Vec<String> {
        self.oracle.mask().names(&self.nothing)
    }
}

#[cfg(test)]
impl Trials {
    pub(crate) fn for_tests(ended: Vec<Ended>, once: Effects) -> Self {
        let once = Side::BOTH.map(|side| (side, once.clone())).to_vec();
        let oracle = Oracle::learn(&once);
        Self { ended, untested: vec![], oracle, dead_lettered: 0, once, nothing: Effects::default() }
    }
}
