//! The phases of a migration.

use std::fmt;
use std::str::FromStr;

/// The built-in phases, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the words are explained by the share of traffic they name")]
pub enum Phase {
    /// Workloads run in EKS, asynchronous processing is off.
    Deployed,
    /// Consumers run on both sides.
    Async,
    Traffic1,
    Traffic5,
    Traffic10,
    Traffic15,
    Traffic25,
    Traffic35,
    Traffic50,
    Traffic65,
    Traffic80,
    Traffic100,
    /// ECS is gone.
    ScaledDown,
}

/// Every built-in phase with its word, in order.
pub const PHASES: &[(Phase, &str)] = &[
    (Phase::Deployed, "deployed"),
    (Phase::Async, "async"),
    (Phase::Traffic1, "traffic-1"),
    (Phase::Traffic5, "traffic-5"),
    (Phase::Traffic10, "traffic-10"),
    (Phase::Traffic15, "traffic-15"),
    (Phase::Traffic25, "traffic-25"),
    (Phase::Traffic35, "traffic-35"),
    (Phase::Traffic50, "traffic-50"),
    (Phase::Traffic65, "traffic-65"),
    (Phase::Traffic80, "traffic-80"),
    (Phase::Traffic100, "traffic-100"),
    (Phase::ScaledDown, "scaled-down"),
];

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(PHASES.iter().find(|(phase, _)| phase == self).map_or("", |(_, word)| word))
    }
}

impl FromStr for Phase {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        PHASES.iter().find(|(_, word)| *word == text).map(|(phase, _)| *phase).ok_or(())
    }
}

/// The phases of one migration, in order: the built-in ones, or names of its own that each stand for a built-in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phases(Vec<(String, Phase)>);

impl Default for Phases {
    fn default() -> Self {
        Self(PHASES.iter().map(|(phase, word)| ((*word).to_owned(), *phase)).collect())
    }
}

impl Phases {
    /// Own names, each with the built-in phase whose levels it has.
    #[must_use]
    pub fn new(phases: Vec<(String, Phase)>) -> Self {
        Self(phases)
    }

    /// The built-in phase for a name, and the name of the phase before it (empty for the first).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(Phase, &str)> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some((self.0[at].1, if at > 0 { self.0[at - 1].0.as_str() } else { "" }))
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_reads_as_it_prints_and_they_are_in_order() {
        for (phase, word) in PHASES {
            assert_eq!(word.parse(), Ok(*phase));
            assert_eq!(phase.to_string(), *word);
        }
        assert!(PHASES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_phase_knows_the_one_before_it() {
        let phases = Phases::default();
        assert_eq!(phases.find("traffic-1"), Some((Phase::Traffic1, "async")));
        assert_eq!(phases.find("deployed"), Some((Phase::Deployed, "")));
        assert_eq!(phases.find("traffic-2"), None);
    }
}
