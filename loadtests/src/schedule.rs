//! When each request starts, and which one it is.
//!
//! An open loop: the starts are fixed before the first of them, at a constant rate, and no answer moves them. Starts
//! before the end of the warm-up do not count.

use std::time::Duration;

/// The starts of one load, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    rate: f64,
    warmup_s: u64,
    duration_s: u64,
    /// Which kind of request comes, again and again.
    pattern: Vec<usize>,
}

impl Schedule {
    /// `rate` starts a second, for the warm-up and then for the duration; kinds of requests mixed by weight.
    pub(crate) fn new(rate: f64, warmup_s: u64, duration_s: u64, weights: &[u32]) -> Self {
        Self { rate, warmup_s, duration_s, pattern: mixed(weights) }
    }

    /// How many starts there are.
    pub(crate) fn len(&self) -> u64 {
        self.starts_before(self.length())
    }

    /// How many of them belong to the warm-up.
    pub(crate) fn warmup_len(&self) -> u64 {
        self.starts_before(self.warmup())
    }

    /// How many count.
    pub(crate) fn measured_len(&self) -> u64 {
        self.len() - self.warmup_len()
    }

    /// Warm-up and duration.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.warmup_s + self.duration_s)
    }

    /// How long the warm-up lasts.
    pub(crate) fn warmup(&self) -> Duration {
        Duration::from_secs(self.warmup_s)
    }

    /// When a request starts, counted from the first.
    pub(crate) fn start(&self, index: u64) -> Duration {
        Duration::from_nanos((index as f64 * 1e9 / self.rate).round() as u64)
    }

    /// Which kind of request it is.
    pub(crate) fn kind(&self, index: u64) -> usize {
        let length = self.pattern.len().max(1) as u64;
        self.pattern.get((index % length) as usize).copied().unwrap_or_default()
    }

    fn starts_before(&self, end: Duration) -> u64 {
        let mut count = (end.as_secs_f64() * self.rate).ceil() as u64;
        // The two roundings may differ by one.
        while count > 0 && self.start(count - 1) >= end {
            count -= 1;
        }
        count
    }
}

/// Spreads kinds evenly by weight: each gains its weight on every turn, and the one that has gained most comes and pays
/// the sum.
fn mixed(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().fold(0, |left, right| gcd(left, u64::from(*right))).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| (u64::from(*weight) / divisor) as i64).collect();
    let sum: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    let turn = |_| {
        for (credit, weight) in credit.iter_mut().zip(&weights) {
            *credit += weight;
        }
        // The first of equals.
        let next = (0..credit.len()).rev().max_by_key(|kind| credit[*kind]).unwrap_or_default();
        credit[next] -= sum;
        next
    };
    (0..sum).map(turn).collect()
}

fn gcd(left: u64, right: u64) -> u64 {
    if right == 0 { left } else { gcd(right, left % right) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn starts_are_evenly_spread_and_the_warm_up_comes_first() {
        let schedule = Schedule::new(4.0, 1, 2, &[1]);
        assert_eq!((schedule.warmup_len(), schedule.len(), schedule.measured_len()), (4, 12, 8));
        assert_eq!(schedule.start(3), Duration::from_millis(750));
    }

    #[test]
    fn kinds_are_mixed_and_not_bunched() {
        assert_eq!(mixed(&[3, 1]), [0, 0, 1, 0]);
        assert_eq!(mixed(&[10, 10, 10]), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn starts_rise_and_no_second_holds_more_than_the_rate(
            rate in 0.1_f64..10_000.0, index in 0_u64..10_000_000,
        ) {
            let schedule = Schedule::new(rate, 0, 1, &[1]);
            prop_assert!(schedule.start(index) <= schedule.start(index + 1));
            // The start after `ceil(rate)` further ones is a whole second away, but for the rounding to nanoseconds.
            let next = schedule.start(index + rate.ceil() as u64) - schedule.start(index);
            prop_assert!(next + Duration::from_nanos(2) >= Duration::from_secs(1));
        }

        #[test]
        fn every_start_lies_before_the_end_and_the_next_would_not(
            rate in 0.1_f64..10_000.0, warmup in 0_u64..120, duration in 1_u64..600,
        ) {
            let schedule = Schedule::new(rate, warmup, duration, &[1]);
            prop_assert!(schedule.start(schedule.len() - 1) < schedule.length());
            prop_assert!(schedule.start(schedule.len()) + Duration::from_nanos(2) >= schedule.length());
            prop_assert!(schedule.start(schedule.warmup_len()) + Duration::from_nanos(2) >= schedule.warmup());
        }

        #[test]
        fn every_kind_has_its_share(weights in prop::collection::vec(1_u32..=20, 1..6)) {
            let pattern = mixed(&weights);
            for (kind, weight) in weights.iter().enumerate() {
                let times = pattern.iter().filter(|one| **one == kind).count() as u64;
                prop_assert_eq!(times * u64::from(weights.iter().sum::<u32>()), u64::from(*weight) * pattern.len() as u64);
            }
        }
    }
}
