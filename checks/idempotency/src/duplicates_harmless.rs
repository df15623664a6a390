//! `idempotency.duplicates-harmless`: a message that is delivered again has no second effect.
//!
//! During a migration the same message reaches both sides, or one side twice: by redelivery with the id it had, by a
//! publisher's retry, a second subscription or a redrive with a new one. Every schedule of [`crate::schedule::duplicates`]
//! is played on the consumers' test queues, and its effects are compared with those of messages that were delivered once.
//! It fails with the smallest schedule that makes a difference. It cannot tell when the effects of one delivery are not
//! seen or not always the same, when a copy was not consumed, or when the consumer does not become quiet. Deduplicate on
//! a key from the message's content, in the transaction that has the effect, in a store that both sides share.

use crate::effects_observable::PERMISSIONS;
use crate::env::{Env, Subject};
use crate::planted::Planted;
use crate::schedule::{Identity, Schedule, duplicates};
use crate::session::{Session, removal_evidence, settled, with_removal};
use crate::trial::{self, Ended, Trials};
use preflight_core::{CannotTell, Check, Disruption, Entry, Event, Evidence, Finding, Levels, Meta, Phase, Run, Scope};
use serde_json::json;

const META: Meta = Meta {
    id: "idempotency.duplicates-harmless",
    title: "A message delivered again has no second effect",
    proves: "Messages delivered twice to one side, twice across both sides and three times leave the same rows and keys as messages delivered once, under the same id and under a new one as far as the broker lets it be forced.",
    fails_when: "A schedule with a duplicate leaves other rows or values than one delivery does, or a copy is dead-lettered.",
    unknown_when: "The effects of one delivery are not seen or not always the same, a test queue is not empty or not read, a copy was not consumed or is still in a consumer's hands, the broker or a store does not answer, or the consumer does not become quiet.",
    fix: "Deduplicate on a key from the message's content, not on the broker's id, and write the key in the same transaction as the effect, in a store that both sides share.",
    permissions: PERMISSIONS,
    disruption: Disruption::Writes,
    levels: Levels::RequiredFrom(Phase::Async),
    limit_ms: 300_000,
    max_age_ms: 24 * 3_600_000,
};

pub(crate) const ENTRY: Entry<Env> =
    Entry { meta: &META, items: |env| env.items(|subject| DuplicatesHarmless { subject }) };

struct DuplicatesHarmless {
    subject: Subject,
}

impl Check for DuplicatesHarmless {
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            let planted = Planted::new(&self.subject, 'd');
            let (outcome, left) = with_removal(scope, &planted, self.compare(scope, &planted)).await;
            settled(vec![removal_evidence(outcome?, &self.subject, &left)], &left)
        })
    }
}

impl DuplicatesHarmless {
    async fn compare(&self, scope: &Scope, planted: &Planted<'_>) -> Result<Finding, CannotTell> {
        let mut session = Session::open(scope, &self.subject, planted).await?;
        let mut trials = trial::run(scope, &mut session, duplicates()).await?;
        trials.confirm(&mut session).await?;
        let name = &self.subject.consumer.name;
        let value = measurement(&trials, &session);
        scope.emit(Event::Measurement { area: "idempotency", name: name.clone(), value });
        let witness = format!(
            "{}; {} copies with {} keys, handled within {} ms, quiet for {} ms",
            session.witness(),
            session.published(),
            planted.len(),
            session.handling().as_millis(),
            session.last_window().as_millis()
        );
        Ok(assess(&trials, name).with(Evidence::new("delivery", name, witness)))
    }
}

fn measurement(trials: &Trials, session: &Session<'_>) -> serde_json::Value {
    let outcome = |ended: &Ended| if ended.differences.is_empty() { "equal" } else { "differs" };
    let counterexample = |ended: &Ended| {
        let list = |ended: &Ended| {
            ended
                .differences
                .iter()
                .map(|one| json!({ "kind": one.kind.as_str(), "text": one.text }))
                .collect::<Vec<_>>()
        };
        json!({ "schedule": ended.schedule.to_string(), "differences": list(ended), "effects": ended.effects.to_string(), "reproducedAlone": ended.alone })
    };
    json!({
        "schedules": trials.ended.iter().map(|ended| json!({ "schedule": ended.schedule.to_string(), "copies": ended.schedule.copies(), "outcome": outcome(ended) })).collect::<Vec<_>>(),
        "counterexamples": trials.failed().map(counterexample).collect::<Vec<_>>(),
        "untested": trials.untested.iter().map(Schedule::to_string).collect::<Vec<_>>(),
        "masks": trials.masks(),
        "deadLettered": trials.dead_lettered,
        "copies": session.published(),
        "handlingMs": u64::try_from(session.handling().as_millis()).unwrap_or(u64::MAX),
        "quietMs": u64::try_from(session.last_window().as_millis()).unwrap_or(u64::MAX),
    })
}

fn assess(trials: &Trials, name: &str) -> Finding {
    let expected = "every schedule leaves the effects of one delivery";
    let failed: Vec<&Ended> = trials.failed().collect();
    let finding = match failed.first() {
        Some(first) => Finding::unmet(counterexample(first), expected).fix(advice(&failed)),
        None if trials.dead_lettered > 0 => {
            Finding::unmet(format!("{} copies ended in a dead-letter queue", trials.dead_lettered), expected)
                .fix("Treat a message that was handled already as handled: acknowledge it instead of failing.")
        }
        None => Finding::met(
            format!("{} schedules with duplicates left the effects of one delivery", trials.ended.len()),
            expected,
        ),
    };
    let finding = failed.iter().fold(finding, |finding, ended| {
        finding.with(Evidence::new(
            "counterexample",
            ended.schedule.to_string(),
            format!("{}; seen: {}", counterexample(ended), ended.effects),
        ))
    });
    let tried: Vec<String> = trials.ended.iter().map(|ended| ended.schedule.to_string()).collect();
    let mut finding = finding.with(Evidence::new(
        "schedules",
        name,
        format!("{} (A' has a new id, A° the same id)", tried.join(" | ")),
    ));
    if !trials.untested.is_empty() {
        let untested: Vec<String> = trials.untested.iter().map(Schedule::to_string).collect();
        let detail = format!("not tried, the broker's lever cannot force them: {}", untested.join(" | "));
        finding = finding.with(Evidence::new("untested", name, detail));
    }
    let masks = trials.masks();
    if !masks.is_empty() {
        finding = finding.with(Evidence::new(
            "mask",
            name,
            format!("differ between messages delivered to one side once and are not compared: {}", masks.join(", ")),
        ));
    }
    finding
}

/// `A→ecs ; A'→eks: payments has 2 rows, once gives 1`.
fn counterexample(ended: &Ended) -> String {
    let differences: Vec<&str> = ended.differences.iter().map(|difference| difference.text.as_str()).collect();
    let alone = if ended.alone == Some(false) { " (among other messages; not again when tried alone)" } else { "" };
    format!("{}: {}{alone}", ended.schedule, differences.join("; "))
}

/// What the pattern of failures says about the bug.
fn advice(failed: &[&Ended]) -> String {
    let all = |test: fn(&Schedule) -> bool| failed.iter().all(|ended| test(&ended.schedule));
    let new_id = |schedule: &Schedule| schedule.again.iter().any(|(_, identity)| *identity == Identity::NewId);
    let cause = if all(Schedule::crosses) {
        "The duplicate is recognised on one side and not across both: the deduplication record, or its key, belongs to one side."
    } else if all(|schedule| schedule.copies() > 2) {
        "The third copy has an effect and the second has none: recognising a duplicate forgets the message."
    } else if all(new_id) && failed.len() > 1 {
        "Copies with a new message id have an effect: the deduplication key may be the broker's id, which a retry, a redrive or a second subscription changes."
    } else {
        "Nothing recognises the duplicate."
    };
    format!("{cause} {}", META.fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::{Effects, Part, Row};
    use crate::oracle::{Difference, Kind};

    fn row(amount: &str) -> Effects {
        let mut row = Row::new();
        row.put("amount", Some(amount.to_owned()));
        Effects(vec![Part::canonical("payments", vec![row], "k")])
    }

    fn trials(fails: fn(&Schedule) -> bool) -> Trials {
        let end = |schedule: Schedule| {
            let difference = Difference { kind: Kind::Duplicate, text: "payments has 2 rows, once gives 1".to_owned() };
            let differences = if fails(&schedule) { vec![difference] } else { vec![] };
            Ended { schedule, differences, effects: row("10"), alone: None }
        };
        Trials::for_tests(duplicates().into_iter().map(end).collect(), row("10"))
    }

    #[test]
    fn equal_effects_pass() {
        let finding = assess(&trials(|_| false), "orders");
        assert!(finding.met);
        assert!(finding.observed.contains("10 schedules"));
    }

    #[test]
    fn the_smallest_failing_schedule_is_the_counterexample() {
        let finding = assess(&trials(|_| true), "orders");
        assert_eq!(finding.observed, "A→ecs ; A'→ecs: payments has 2 rows, once gives 1");
        assert_eq!(finding.evidence.iter().filter(|evidence| evidence.kind == "counterexample").count(), 10);
        assert!(finding.remediation.unwrap().text.contains("Nothing recognises"));
    }

    #[test]
    fn the_pattern_of_failures_names_the_cause() {
        let text = |fails| assess(&trials(fails), "orders").remediation.unwrap().text;
        assert!(text(Schedule::crosses).contains("across both"));
        assert!(text(|schedule| schedule.copies() == 3).contains("third copy"));
        assert!(
            text(|schedule| schedule.again.iter().any(|(_, identity)| *identity == Identity::NewId))
                .contains("broker's id")
        );
    }

    #[test]
    fn a_dead_lettered_copy_fails_although_the_effects_are_equal() {
        let mut seen = trials(|_| false);
        seen.dead_lettered = 2;
        assert!(!assess(&seen, "orders").met);
    }
}
