//! Schedules: which copies of one message are delivered to which side, as data.

use std::fmt;

/// One of the two clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The old cluster.
    Ecs,
    /// The new cluster.
    Eks,
}

impl Side {
    /// Both sides.
    pub const BOTH: [Self; 2] = [Self::Ecs, Self::Eks];

    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Ecs => Self::Eks,
            Self::Eks => Self::Ecs,
        }
    }

    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Eks => "eks",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a further copy of a message is called by the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// By the id of the first copy, as after a redelivery.
    SameId,
    /// By a new id, as after a publisher's retry or a second subscription.
    NewId,
}

impl Identity {
    /// The words in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SameId => "same id",
            Self::NewId => "new id",
        }
    }
}

/// The first copy and every further one, each delivered after the one before it was handled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Schedule {
    /// Who gets the first copy.
    pub first: Side,
    /// Who gets a further copy, and under which id.
    pub again: Vec<(Side, Identity)>,
}

impl Schedule {
    /// One copy.
    #[must_use]
    pub fn once(side: Side) -> Self {
        Self { first: side, again: vec![] }
    }

    /// With one more copy.
    #[must_use]
    pub fn then(mut self, side: Side, identity: Identity) -> Self {
        self.again.push((side, identity));
        self
    }

    /// How many copies there are.
    #[must_use]
    pub fn copies(&self) -> usize {
        1 + self.again.len()
    }

    /// The side of a copy, counted from zero.
    #[must_use]
    pub fn side(&self, copy: usize) -> Option<Side> {
        match copy {
            0 => Some(self.first),
            _ => self.again.get(copy - 1).map(|(side, _)| *side),
        }
    }

    /// Whether both sides get a copy.
    #[must_use]
    pub fn crosses(&self) -> bool {
        self.again.iter().any(|(side, _)| *side != self.first)
    }

    /// The sides that get a copy.
    #[must_use]
    pub fn sides(&self) -> Vec<Side> {
        Side::BOTH
            .into_iter()
            .filter(|side| self.first == *side || self.again.iter().any(|(other, _)| other == side))
            .collect()
    }

    /// Whether a lever that can force these identities can force this schedule.
    #[must_use]
    pub fn possible(&self, identities: &[Identity]) -> bool {
        self.again.iter().all(|(_, identity)| identities.contains(identity))
    }

    /// The smaller one says more about a bug: fewer copies, then fewer sides, then a new id, which more bugs react to.
    #[must_use]
    pub fn cost(&self) -> (usize, bool, bool) {
        (self.copies(), self.crosses(), self.again.iter().any(|(_, identity)| *identity == Identity::SameId))
    }
}

/// `A→ecs ; A'→eks`: `A'` is a second copy with a new id, `A°` one with the same id.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A→{}", self.first)?;
        let mut primes = 0;
        for (side, identity) in &self.again {
            match identity {
                Identity::SameId => write!(f, " ; A°→{side}")?,
                Identity::NewId => {
                    primes += 1;
                    write!(f, " ; A{}→{side}", "'".repeat(primes))?;
                }
            }
        }
        Ok(())
    }
}

/// Every schedule with a duplicate that is tried, cheapest first: twice to one side, twice to both, three times to one.
#[must_use]
pub fn duplicates() -> Vec<Schedule> {
    let mut all = Vec::new();
    for side in Side::BOTH {
        for identity in [Identity::NewId, Identity::SameId] {
            all.push(Schedule::once(side).then(side, identity));
            all.push(Schedule::once(side).then(side.other(), identity));
        }
        all.push(Schedule::once(side).then(side, Identity::NewId).then(side, Identity::NewId));
    }
    all.sort_by_key(Schedule::cost);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedules_are_those_of_the_claim_cheapest_first() {
        let shown: Vec<String> = duplicates().iter().map(Schedule::to_string).collect();
        assert_eq!(
            shown,
            [
                "A→ecs ; A'→ecs",
                "A→eks ; A'→eks",
                "A→ecs ; A°→ecs",
                "A→eks ; A°→eks",
                "A→ecs ; A'→eks",
                "A→eks ; A'→ecs",
                "A→ecs ; A°→eks",
                "A→eks ; A°→ecs",
                "A→ecs ; A'→ecs ; A''→ecs",
                "A→eks ; A'→eks ; A''→eks",
            ]
        );
    }

    #[test]
    fn a_lever_without_redelivery_cannot_force_the_same_id() {
        let possible: Vec<_> =
            duplicates().into_iter().filter(|schedule| schedule.possible(&[Identity::NewId])).collect();
        assert_eq!(possible.len(), 6);
    }

    #[test]
    fn a_schedule_knows_its_sides() {
        let both = Schedule::once(Side::Eks).then(Side::Ecs, Identity::NewId);
        assert_eq!(both.sides(), [Side::Ecs, Side::Eks]);
        assert_eq!((both.side(0), both.side(1), both.side(2)), (Some(Side::Eks), Some(Side::Ecs), None));
        assert!(both.crosses());
        assert_eq!(Schedule::once(Side::Eks).sides(), [Side::Eks]);
    }
}
