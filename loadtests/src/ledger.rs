//! What became of every request, in bounded memory.
//!
//! Latency counts from the *intended* start to the end of the body, so that a request that had to wait for a stalled
//! server, or for this generator, is as slow as its user would have found it. Two kinds of request are in the histogram:
//! those that succeeded, and those that timed out, which took at least so long. Other errors do not belong there, because
//! a server that refuses at once would look fast; they are counted.

use crate::ended::{Counters, Ended, Failure};
use base64::Engine;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;

/// The longest time that a histogram tells apart, in microseconds; longer ones count as this.
const LONGEST_US: u64 = 120_000_000;

/// Over how many seconds the share of errors is watched.
pub(crate) const WATCHED_S: u64 = 3;

/// Fewer endings than this within the watched seconds say nothing.
const WATCHED_MIN: u64 = 10;

/// One request that ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// When it ended, counted from the first start.
    pub(crate) at: Duration,
    /// How much later than intended it was sent.
    pub(crate) lateness: Duration,
    /// From the intended start to the end.
    pub(crate) latency: Duration,
    /// Which of the target's requests it was.
    pub(crate) kind: usize,
    /// How.
    pub(crate) ended: Ended,
    /// Whether it counts; the warm-up does not.
    pub(crate) counts: bool,
}

/// Counters and histograms of some requests.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) counters: Counters,
    latency: Histogram<u64>,
    lateness: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let empty = || Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are constants and valid");
        Self { counters: Counters::default(), latency: empty(), lateness: empty() }
    }

    pub(crate) fn record(&mut self, sample: &Sample) {
        self.counters.count(sample.ended);
        self.lateness.saturating_record(micros(sample.lateness));
        if !sample.ended.is_error() || sample.ended == Ended::Failed(Failure::Timeout) {
            self.latency.saturating_record(micros(sample.latency));
        }
    }

    /// Adds another tally; exact, because both count in the same buckets.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counters.merge(&other.counters);
        self.latency += &other.latency;
        self.lateness += &other.lateness;
    }

    fn clear(&mut self) {
        self.counters = Counters::default();
        self.latency.reset();
        self.lateness.reset();
    }

    /// How many requests the percentiles rest on.
    pub(crate) fn samples(&self) -> u64 {
        self.latency.len()
    }

    /// The latency that this share of the requests kept, in milliseconds.
    pub(crate) fn latency_ms(&self, share: f64) -> f64 {
        millis(self.latency.value_at_quantile(share))
    }

    /// The lateness that this share of the starts kept, in milliseconds.
    pub(crate) fn lateness_ms(&self, share: f64) -> f64 {
        millis(self.lateness.value_at_quantile(share))
    }
}

/// What happened within one second of the load that counts.
#[derive(Clone, Debug, PartialEq)]
struct Interval {
    second: u64,
    ended: u64,
    errors: u64,
    p50_ms: f64,
    p99_ms: f64,
    most_ms: f64,
}

/// Everything about one load.
#[derive(Debug)]
pub(crate) struct Ledger {
    total: Tally,
    second: Tally,
    now: u64,
    intervals: Vec<Interval>,
    warmup: Counters,
    /// What counts, for each of the target's requests.
    kinds: Vec<Counters>,
    /// The last seconds: which, endings, errors. Warm-up included.
    recent: VecDeque<(u64, u64, u64)>,
    /// Starts that count and were so late that they were left out.
    pub(crate) missed: u64,
    /// Requests that were broken off because the load was stopped.
    pub(crate) cut_off: u64,
    /// The header of the first answer that a cache gave, warm-up included.
    pub(crate) cached: Option<String>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            total: Tally::new(),
            second: Tally::new(),
            now: 0,
            intervals: vec![],
            warmup: Counters::default(),
            kinds: vec![],
            recent: VecDeque::new(),
            missed: 0,
            cut_off: 0,
            cached: None,
        }
    }

    pub(crate) fn record(&mut self, sample: &Sample) {
        self.turn(sample.at.as_secs());
        let error = u64::from(sample.ended.is_error());
        match self.recent.back_mut() {
            Some((second, ended, errors)) if *second == self.now => (*ended, *errors) = (*ended + 1, *errors + error),
            _ => self.recent.push_back((self.now, 1, error)),
        }
        if sample.counts {
            self.second.record(sample);
            if self.kinds.len() <= sample.kind {
                self.kinds.resize_with(sample.kind + 1, Counters::default);
            }
            self.kinds[sample.kind].count(sample.ended);
        } else {
            self.warmup.count(sample.ended);
        }
    }

    /// Closes the second that is over.
    fn turn(&mut self, second: u64) {
        if second <= self.now {
            return;
        }
        self.close();
        self.now = second;
        while self.recent.front().is_some_and(|(old, ..)| old + WATCHED_S <= second) {
            self.recent.pop_front();
        }
    }

    fn close(&mut self) {
        let counters = &self.second.counters;
        if counters.ended() > 0 {
            self.intervals.push(Interval {
                second: self.now,
                ended: counters.ended(),
                errors: counters.errors(),
                p50_ms: self.second.latency_ms(0.5),
                p99_ms: self.second.latency_ms(0.99),
                most_ms: self.second.latency_ms(1.0),
            });
            self.total.merge(&self.second);
            self.second.clear();
        }
    }

    /// Endings and errors of the watched seconds, if at least half were errors.
    pub(crate) fn mostly_errors(&mut self, now: Duration) -> Option<(u64, u64)> {
        self.turn(now.as_secs());
        let (ended, errors) =
            self.recent.iter().fold((0, 0), |sum, (_, ended, errors)| (sum.0 + ended, sum.1 + errors));
        (now.as_secs() >= WATCHED_S && ended >= WATCHED_MIN && errors * 2 >= ended).then_some((ended, errors))
    }

    /// Answers of the ECS side so far, warm-up included.
    pub(crate) fn by_ecs(&self) -> u64 {
        self.warmup.ecs + self.total.counters.ecs + self.second.counters.ecs
    }

    /// Requests that ended so far, and how many of them badly, warm-up included.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        let all = [&self.warmup, &self.total.counters, &self.second.counters];
        (all.iter().map(|one| one.ended()).sum(), all.iter().map(|one| one.errors()).sum())
    }

    /// What was counted of one of the target's requests.
    pub(crate) fn of_kind(&self, kind: usize) -> Counters {
        self.kinds.get(kind).cloned().unwrap_or_default()
    }

    /// What was counted, when nothing more comes.
    pub(crate) fn total(&mut self) -> &Tally {
        self.close();
        &self.total
    }

    /// The numbers for the report.
    pub(crate) fn json(&mut self) -> Value {
        self.close();
        let intervals: Vec<Value> = self.intervals.iter().map(Interval::json).collect();
        let total = &self.total;
        json!({
            "latencyMs": {
                "p50": total.latency_ms(0.5), "p95": total.latency_ms(0.95), "p99": total.latency_ms(0.99),
                "max": total.latency_ms(1.0),
            },
            "latenessMs": { "p50": total.lateness_ms(0.5), "p99": total.lateness_ms(0.99), "max": total.lateness_ms(1.0) },
            "histograms": {
                "encoding": "HdrHistogram V2, base64", "unit": "microseconds",
                "latency": encoded(&total.latency), "lateness": encoded(&total.lateness),
            },
            "counters": total.counters.json(),
            "warmup": self.warmup.json(),
            "missed": self.missed,
            "cutOff": self.cut_off,
            "cached": self.cached,
            "intervals": intervals,
            "shards": { "expected": 1, "present": 1 },
        })
    }
}

impl Interval {
    fn json(&self) -> Value {
        let Self { second, ended, errors, p50_ms, p99_ms, most_ms } = self;
        json!({ "second": second, "ended": ended, "errors": errors, "p50Ms": p50_ms, "p99Ms": p99_ms, "maxMs": most_ms })
    }
}

fn encoded(histogram: &Histogram<u64>) -> String {
    let mut bytes = vec![];
    // Writing to memory does not fail, and the counts are far from the format's limit.
    let _ = V2Serializer::new().serialize(histogram, &mut bytes);
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ended::{Side, Verdict};
    use proptest::prelude::*;

    const OK: Ended = Ended::Answered { status: 200, side: Side::Eks, verdict: Verdict::Good, cut: false };

    fn sample(at_ms: u64, latency_ms: u64, ended: Ended) -> Sample {
        let ms = Duration::from_millis;
        Sample { at: ms(at_ms), lateness: ms(1), latency: ms(latency_ms), kind: 0, ended, counts: true }
    }

    #[test]
    fn refusals_are_counted_and_do_not_make_the_server_look_fast() {
        let mut tally = Tally::new();
        for _ in 0..99 {
            tally.record(&sample(
                0,
                1,
                Ended::Answered { status: 503, side: Side::Unknown, verdict: Verdict::Status, cut: false },
            ));
        }
        tally.record(&sample(0, 900, OK));
        tally.record(&sample(0, 2_000, Ended::Failed(Failure::Timeout)));
        assert_eq!((tally.samples(), tally.counters.errors(), tally.counters.ended()), (2, 100, 101));
        assert!((899.0..902.0).contains(&tally.latency_ms(0.5)));
        assert!(tally.latency_ms(1.0) >= 2_000.0);
        assert_eq!(tally.counters.errors_in_words(), "99 answered 5xx, 1 timed out");
        assert_eq!(tally.counters.unknown, 0);
    }

    #[test]
    fn an_answer_is_an_error_by_what_was_expected_and_not_by_its_number() {
        let answer = |status, verdict| Ended::Answered { status, side: Side::Eks, verdict, cut: false };
        let mut tally = Tally::new();
        for ended in [
            answer(404, Verdict::Good),
            answer(304, Verdict::Status),
            answer(200, Verdict::Status),
            answer(200, Verdict::Body),
        ] {
            tally.record(&sample(0, 1, ended));
        }
        let mut twice = tally.clone();
        twice.merge(&tally);
        assert_eq!((twice.samples(), twice.counters.errors(), twice.counters.ended()), (2, 6, 8));
        assert_eq!(
            tally.counters.errors_in_words(),
            "1 answered 2xx with another status than expected, 1 answered 3xx, 1 answered without the expected text"
        );
    }

    #[test]
    fn the_warm_up_does_not_count() {
        let mut ledger = Ledger::new();
        ledger.record(&Sample { counts: false, ..sample(100, 5_000, OK) });
        ledger.record(&sample(1_100, 10, OK));
        assert_eq!((ledger.so_far(), ledger.total().samples()), ((2, 0), 1));
    }

    #[test]
    fn errors_stop_a_load_after_three_seconds_and_not_before() {
        let bad = Ended::Failed(Failure::Connect);
        let mut ledger = Ledger::new();
        for at in 0..20 {
            ledger.record(&sample(at * 100, 1, bad));
        }
        assert_eq!(ledger.mostly_errors(Duration::from_millis(2_900)), None);
        assert_eq!(ledger.mostly_errors(Duration::from_millis(3_000)), Some((10, 10)));
        for at in 30..45 {
            ledger.record(&sample(at * 100, 1, OK));
        }
        assert_eq!(ledger.mostly_errors(Duration::from_millis(4_500)), None);
    }

    #[test]
    fn seconds_are_told_one_by_one_and_histograms_can_be_read_again() {
        let mut ledger = Ledger::new();
        ledger.record(&sample(200, 10, OK));
        ledger.record(&sample(
            300,
            20,
            Ended::Answered { status: 500, side: Side::Eks, verdict: Verdict::Status, cut: false },
        ));
        ledger.record(&sample(2_500, 30, OK));
        // One that ends in a second that is over counts to the present one.
        ledger.record(&sample(900, 40, OK));
        let json = ledger.json();
        assert_eq!(json["intervals"].as_array().unwrap().len(), 2);
        assert_eq!((&json["intervals"][0]["errors"], &json["intervals"][1]["ended"]), (&json!(1), &json!(2)));
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(json["histograms"]["latency"].as_str().unwrap()).unwrap();
        let read: Histogram<u64> =
            hdrhistogram::serialization::Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(read.len(), 3);
    }

    proptest! {
        #[test]
        fn merging_is_the_same_as_counting_together(
            left in prop::collection::vec(0_u64..200_000, 0..50), right in prop::collection::vec(0_u64..200_000, 0..50),
        ) {
            let tally = |values: &[u64]| {
                let mut tally = Tally::new();
                for value in values {
                    tally.record(&sample(0, *value, OK));
                }
                tally
            };
            let mut merged = tally(&left);
            merged.merge(&tally(&right));
            let together = tally(&[left, right].concat());
            prop_assert_eq!(merged.counters, together.counters);
            prop_assert_eq!(merged.latency, together.latency);
        }
    }
}
