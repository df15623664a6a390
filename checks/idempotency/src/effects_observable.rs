//! `idempotency.effects-observable`: what the consumer does can be seen, on both sides.
//!
//! Every comparison of deliveries rests on this. Two different messages go to each side, the second after the first was
//! handled, and every configured effect must change for each message and for that message alone. It fails when a message
//! was handled without an effect that the same probe saw for another message: that side does not write there, or takes a
//! different message for a duplicate. It cannot tell when no message at all changed an effect, because then the probe may
//! be looking in the wrong place, and when a queue is not read: a consumer that does not run is no proof of anything.
//! Correct the query or key in `effects`, or start the consumer; if one side alone fails, compare where the two sides
//! write to.

use crate::env::{Env, Subject};
use crate::planted::Planted;
use crate::schedule::{Identity, Side};
use crate::session::{Key, Session, removal_evidence, settled, with_removal};
use preflight_core::{
    CannotTell, Check, Disruption, Entry, Evidence, Finding, Levels, Meta, Permission, Phase, Reason, Run, Scope,
};
use std::collections::BTreeSet;

const META: Meta = Meta {
    id: "idempotency.effects-observable",
    title: "What the consumer does can be seen",
    proves: "Each side reads its test queue, every message changes every configured effect, and different messages change different effects.",
    fails_when: "A message was handled without an effect that the same probe saw for another message, or was dead-lettered.",
    unknown_when: "No message changed an effect (the probe may look in the wrong place), a test queue is not empty or not read, the broker or a store does not answer, or the consumer does not become quiet.",
    fix: "Compare where the consumers of both sides write to, and whether one of them takes a different message for a duplicate.",
    permissions: PERMISSIONS,
    disruption: Disruption::Writes,
    levels: Levels::RequiredFrom(Phase::Async),
    limit_ms: 180_000,
    max_age_ms: 24 * 3_600_000,
};

pub(crate) const PERMISSIONS: &[Permission] = &[
    Permission::Engine { engine: "rabbitmq", grant: "write on the exchange, read on the test queues" },
    Permission::Engine {
        engine: "rabbitmq",
        grant: "management API: tag management, any permission on the virtual host",
    },
    Permission::Aws { action: "sqs:SendMessage" },
    Permission::Aws { action: "sqs:GetQueueAttributes" },
    Permission::Aws { action: "sqs:GetQueueUrl" },
    Permission::Aws { action: "sqs:ReceiveMessage" },
    Permission::Aws { action: "sqs:DeleteMessage" },
    Permission::Aws { action: "sqs:ChangeMessageVisibility" },
    Permission::Engine { engine: "mysql", grant: "SELECT for the queries, DELETE or UPDATE for the cleanup" },
    Permission::Engine { engine: "redis", grant: "+@read +del on the configured keys" },
];

pub(crate) const ENTRY: Entry<Env> =
    Entry { meta: &META, items: |env| env.items(|subject| EffectsObservable { subject }) };

struct EffectsObservable {
    subject: Subject,
}

/// One message that was handled, and the probes that did not see it.
struct Handled {
    side: Side,
    /// `A` or `B`.
    letter: char,
    blind: Vec<String>,
    probes: Vec<String>,
    shown: String,
}

impl Check for EffectsObservable {
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            let planted = Planted::new(&self.subject, 'o');
            let (outcome, left) = with_removal(scope, &planted, self.observe(scope, &planted)).await;
            let findings = outcome?;
            settled(findings.into_iter().map(|one| removal_evidence(one, &self.subject, &left)).collect(), &left)
        })
    }
}

impl EffectsObservable {
    async fn observe(&self, scope: &Scope, planted: &Planted<'_>) -> Result<Vec<Finding>, CannotTell> {
        let mut session = Session::open(scope, &self.subject, planted).await?;
        let mut handled = Vec::new();
        let mut earlier: Vec<(Key, crate::effects::Effects)> = Vec::new();
        for letter in ['A', 'B'] {
            let mut keys = Vec::new();
            for side in Side::BOTH {
                let key = session.plant().await?;
                session.publish(&key.name, side, Identity::NewId, 0).await?;
                keys.push(key);
            }
            let all: Vec<&Key> = keys.iter().chain(earlier.iter().map(|(key, _)| key)).collect();
            let seen = session.settle(&all, keys.len()).await?;
            let (new, old) = seen.split_at(keys.len());
            for ((_, before), after) in earlier.iter().zip(old) {
                crate::controls::probe_is_confined(before, after)?;
            }
            for ((side, key), effects) in Side::BOTH.into_iter().zip(keys).zip(new) {
                handled.push(Handled {
                    side,
                    letter,
                    blind: effects.unchanged_since(&key.before),
                    probes: effects.0.iter().map(|part| part.name.clone()).collect(),
                    shown: effects.to_string(),
                });
                earlier.push((key, effects.clone()));
            }
        }
        if handled.iter().any(|message| !message.blind.is_empty()) {
            // It is a finding only if the message was handled, and the broker may tell late that it was not.
            let keys: Vec<&Key> = earlier.iter().map(|(key, _)| key).collect();
            let late = session.settle_last(&keys).await?;
            for ((message, (key, _)), effects) in handled.iter_mut().zip(&earlier).zip(late) {
                message.blind = effects.unchanged_since(&key.before);
                message.shown = effects.to_string();
            }
        }
        let witness = format!(
            "{}; {} messages, handled within {} ms, quiet for {} ms",
            session.witness(),
            session.published(),
            session.handling().as_millis(),
            session.window().as_millis()
        );
        assess(
            &handled,
            session.dead_lettered().await?,
            &Evidence::new("delivery", &self.subject.consumer.name, witness),
        )
    }
}

/// A probe that saw no message at all proves nothing; one that saw some and not others does.
fn assess(handled: &[Handled], dead_lettered: u64, witness: &Evidence) -> Result<Vec<Finding>, CannotTell> {
    let expected = "every message changes every effect, on both sides";
    if dead_lettered > 0 {
        let observed =
            format!("{dead_lettered} of {} messages that were sent once ended in a dead-letter queue", handled.len());
        return Ok(vec![Finding::unmet(observed, expected).with(witness.clone())]);
    }
    let probes: BTreeSet<&String> = handled.iter().flat_map(|message| &message.probes).collect();
    let never: Vec<&str> = probes
        .into_iter()
        .filter(|probe| handled.iter().all(|message| message.blind.contains(probe)))
        .map(String::as_str)
        .collect();
    if !never.is_empty() {
        return Err(CannotTell::new(
            Reason::ControlFailed,
            format!(
                "{} messages were taken from the queues and none changed {}: the probe looks in the wrong place, or the consumer never writes there",
                handled.len(),
                never.join(", ")
            ),
        ));
    }
    let finding = |side: Side| {
        let messages = handled.iter().filter(|message| message.side == side);
        let missed: Vec<String> = messages
            .clone()
            .filter(|message| !message.blind.is_empty())
            .map(|message| {
                format!("{}→{side} was handled and {} did not change", message.letter, message.blind.join(", "))
            })
            .collect();
        let shown = messages.map(|message| format!("{}→{side}: {}", message.letter, message.shown)).collect::<Vec<_>>();
        let evidence = Evidence::new("effects", side.as_str(), shown.join(" · "));
        let finding = if missed.is_empty() {
            Finding::met(format!("{side}: two messages, each with its own effects"), expected)
        } else {
            Finding::unmet(missed.join("; "), expected)
        };
        finding.with(evidence).with(witness.clone())
    };
    Ok(Side::BOTH.map(finding).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handled(blind: [&[&str]; 4]) -> Vec<Handled> {
        let names = [('A', Side::Ecs), ('A', Side::Eks), ('B', Side::Ecs), ('B', Side::Eks)];
        let one = |((letter, side), blind): ((char, Side), &[&str])| Handled {
            side,
            letter,
            blind: blind.iter().map(|name| (*name).to_owned()).collect(),
            probes: vec!["payments".to_owned(), "order:{key}".to_owned()],
            shown: "payments: (amount=10)".to_owned(),
        };
        names.into_iter().zip(blind).map(one).collect()
    }

    fn judge(blind: [&[&str]; 4], dead_lettered: u64) -> Result<Vec<Finding>, CannotTell> {
        assess(&handled(blind), dead_lettered, &Evidence::new("delivery", "orders", "seen"))
    }

    #[test]
    fn effects_of_every_message_on_both_sides_pass() {
        let findings = judge([&[], &[], &[], &[]], 0).unwrap();
        assert!(findings.len() == 2 && findings.iter().all(|finding| finding.met));
    }

    #[test]
    fn a_side_without_effects_that_the_other_side_has_fails() {
        let findings = judge([&[], &["payments"], &[], &["payments"]], 0).unwrap();
        assert_eq!(findings.iter().map(|finding| finding.met).collect::<Vec<_>>(), [true, false]);
        assert!(findings[1].observed.contains("A→eks was handled and payments did not change"));
    }

    #[test]
    fn a_second_message_taken_for_a_duplicate_fails() {
        let findings = judge([&[], &[], &["payments"], &[]], 0).unwrap();
        assert!(findings[0].observed.starts_with("B→ecs") && !findings[0].met);
    }

    #[test]
    fn a_dead_lettered_message_fails() {
        assert!(!judge([&[], &[], &[], &[]], 1).unwrap()[0].met);
    }

    #[test]
    fn a_probe_that_saw_nothing_cannot_tell() {
        let error = judge([&["payments"], &["payments"], &["payments"], &["payments"]], 0).unwrap_err();
        assert_eq!(error.reason, Reason::ControlFailed);
        assert!(error.detail.contains("payments"));
    }
}
