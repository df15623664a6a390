//! Does the EKS side keep its service level objectives under the load that it will get?
//!
//! The load goes to the isolated domain at a constant rate, whatever the answers do, and latency counts from the intended
//! start of each request (see `drive` and `ledger`). A tool that waits for an answer before it asks again asks a stalled
//! server less, and so hides the stall; here every request that would have come is counted with the time that its user
//! would have waited.
//!
//! Each kind of request is first sent once and must be answered by EKS, so that the load never goes to ECS. During the
//! load every answer is looked at; the first one from ECS stops it. So does the first one of a cache: what that answers,
//! EKS does not have to.
//!
//! Errors are counted for each kind of request as well, the one that was sent first among them: a rare request that always
//! fails is lost among those that do not. Below 100 of a kind, one error alone is no share.
//!
//! A percentile needs samples beyond it: ten of them, which makes 100 requests for p50, 200 for p95 and 1000 for p99. The
//! verdict compares the percentile itself, without an interval of confidence: a limit that is kept by a hair may not be
//! kept tomorrow, so leave headroom in the objectives. If the generator was late itself, the answer is "cannot tell".
//!
//! While the load runs, the pods behind the target are watched for `load.pods-stay-healthy` (see `pods`).

use crate::Env;
use crate::drive::{self, LATE_MAX, Stopped};
use crate::ended::{Counters, Side};
use crate::http::{self, Connections, Told};
use crate::ledger::{Tally, WATCHED_S};
use crate::pods::Watch;
use crate::settings::Target;
use preflight_core::{
    CannotTell, Check, Disruption, Entry, Event, Evidence, Finding, Item, Levels, Meta, Phase, Reason, Run, Scope,
};
use std::sync::Arc;

/// The least number of requests for any statement.
const SAMPLES_MIN: u64 = 100;

/// How many samples must lie beyond a percentile.
const SAMPLES_BEYOND: f64 = 10.0;

/// The generator kept up if, at each percentile asked for, its starts were not later than this share of the objective, ...
const LATENESS_SHARE: f64 = 0.05;

/// ... or than so many milliseconds.
const LATENESS_MS_MIN: f64 = 10.0;

pub(crate) const META: Meta = Meta {
    id: "load.slo-holds",
    title: "The EKS side keeps its service level objectives under load",
    proves: "With requests started at the given rate for the given time on the isolated domain, whatever the answers did, \
             each percentile of the latency, counted from the intended start to the end of the body, and the share of \
             errors stayed within the objectives.",
    fails_when: "A percentile or the share of errors, of all requests or of one kind of them, is beyond its objective, or at least half of the requests were errors \
                 for 3 seconds, which also ends the load early. An error is a status of 300 or above, or another than \
                 `expect.status` where that is given, a body without `expect.body`, or no whole answer in time.",
    unknown_when: "The isolated domain does not answer, or an answer does not name EKS (then no load is sent, or it is \
                   stopped); a cache answered, as an `Age` above 0 or a header such as `X-Cache`, `Cache-Status` or \
                   `CF-Cache-Status` with `hit` tells (likewise); the \
                   generator did not keep up: a percentile of its own lateness is above 10 ms and above 5 % of the objective \
                   for the same percentile of the latency, or a start was 250 ms late and left out (what the server itself \
                   refused counts nevertheless); too few requests: below 100, for p95 below 200, for p99 below 1000.",
    fix: "Look at what the seconds with the slowest answers have in common: CPU throttling, too few replicas, connection \
          pools, the autoscaler's delay. Raise what is short, or correct the objective, and run again.",
    permissions: &[],
    disruption: Disruption::Loads,
    levels: Levels::RequiredFrom(Phase::Traffic1),
    limit_ms: 800_000,
    max_age_ms: 86_400_000,
};

/// One target.
pub(crate) struct SloHolds {
    target: Target,
    watch: Arc<Watch>,
}

pub(crate) const ENTRY: Entry<Env> = Entry { meta: &META, items };

fn items(env: &Env) -> Vec<Item> {
    let item = |(target, watch): (&Target, &Arc<Watch>)| {
        let check = SloHolds { target: target.clone(), watch: Arc::clone(watch) };
        Item::planned(&target.name, vec![target.name.clone()], check)
    };
    env.targets().map(item).collect()
}

impl Check for SloHolds {
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            let target = &self.target;
            enough(target, target.schedule().measured_len(), "the load would have")?;
            drive::fits(target, scope)?;
            let first = ask(target, scope).await?;
            reaches_eks(&first)?;
            let mut done = self.watch.during(scope, drive::spare(target, scope), drive::drive(target, scope)).await?;
            let mut value = done.ledger.json();
            value["rate"] = target.rate.into();
            value["scheduled"] = target.schedule().measured_len().into();
            value["stoppedEarly"] = done.stopped.is_some().into();
            scope.emit(Event::Measurement { area: "load", name: target.name.clone(), value });
            let (missed, cut_off) = (done.ledger.missed, done.ledger.cut_off);
            let kinds = first.into_iter().enumerate().map(|(index, (request, told))| {
                let mut counters = done.ledger.of_kind(index);
                told.ended().into_iter().for_each(|ended| counters.count(ended));
                (request, counters)
            });
            let kinds = kinds.collect();
            assess(target, &Seen { missed, cut_off, stopped: done.stopped, total: done.ledger.total(), kinds })
        })
    }
}

/// Sends each kind of request once.
async fn ask(target: &Target, scope: &Scope) -> Result<Vec<(String, Told)>, CannotTell> {
    let client = http::client(target, Connections::Fresh)?;
    let mut all = vec![];
    for request in &target.requests {
        let prepared = http::prepare(&target.url, request, scope.run_id())?;
        let told = http::probe(&client, prepared, &target.served, Some(&request.expect), scope).await?;
        all.push((format!("{} {}{}", request.method.as_str(), target.url, request.path), told));
    }
    Ok(all)
}

/// Nothing is loaded that was not seen to be EKS.
fn reaches_eks(all: &[(String, Told)]) -> Result<(), CannotTell> {
    for (request, told) in all {
        match told {
            Told::Answer { side: Side::Ecs, .. } => {
                let text = format!("ECS answered `{request}`; no load was sent. See load.domain-isolated");
                return Err(CannotTell::prerequisite(text));
            }
            Told::Answer { cached: Some(header), .. } => {
                return Err(of_a_cache(&format!("`{request}`"), header, "no load was sent"));
            }
            Told::Answer { side: Side::Eks, .. } => {}
            Told::Answer { status, side: Side::Unknown, .. } => {
                let text = format!("the answer to `{request}` ({status}) names no side; no load was sent");
                return Err(CannotTell::prerequisite(text));
            }
            Told::Nothing(why) => {
                return Err(CannotTell::unreachable(format!("`{request}`: {why}; no load was sent")));
            }
        }
    }
    Ok(())
}

/// A cache hides whether the service behind it holds.
fn of_a_cache(request: &str, header: &str, so: &str) -> CannotTell {
    let text = format!("a cache answered {request} (`{header}`), not EKS itself; {so}. Request what is not cached");
    CannotTell::new(Reason::ControlFailed, text)
}

/// What a load showed.
struct Seen<'a> {
    total: &'a Tally,
    /// Each kind of request, with what became of those that count and of the one before the load.
    kinds: Vec<(String, Counters)>,
    missed: u64,
    cut_off: u64,
    stopped: Option<Stopped>,
}

fn assess(target: &Target, seen: &Seen<'_>) -> Result<Vec<Finding>, CannotTell> {
    match &seen.stopped {
        Some(Stopped::Interrupted) => {
            return Err(CannotTell::new(Reason::Interrupted, "the load was stopped before its time"));
        }
        Some(Stopped::ReachedEcs) => {
            let text = format!("ECS answered a request to {}; the load was stopped at once", target.url);
            return Err(CannotTell::prerequisite(format!("{text}. See load.domain-isolated")));
        }
        Some(Stopped::ReachedCache { header }) => {
            return Err(of_a_cache(&format!("a request to {}", target.url), header, "the load was stopped"));
        }
        Some(Stopped::Errors { .. }) | None => {}
    }
    let counters = &seen.total.counters;
    let late = kept_up(target, seen).err();
    if let Some(late) = &late
        && !refused(target, seen)
    {
        return Err(late.clone());
    }
    if counters.unknown > 0 {
        let text =
            format!("{} of {} good answers name no side", counters.unknown, counters.ended() - counters.errors());
        return Err(CannotTell::new(Reason::ControlFailed, text));
    }
    if let Some(Stopped::Errors { ended, errors, after_s }) = seen.stopped {
        return Ok(vec![stopped(target, seen, (ended, errors), after_s)]);
    }
    let mut findings = vec![];
    if counters.ended() >= SAMPLES_MIN {
        findings.push(of_errors(target, seen));
    }
    if late.is_none() {
        findings.extend(seen.kinds.iter().filter_map(|(request, counters)| of_kind(target, request, counters)));
    }
    let samples = seen.total.samples();
    let judged = |share| late.is_none() && samples >= needed(share);
    for (name, share, limit) in target.slo.percentiles().filter(|(_, share, _)| judged(*share)) {
        let value = seen.total.latency_ms(share);
        let observed = format!("{name} {value:.1} ms over {samples} requests at {}/s", target.rate);
        let expected = format!("{name} at most {limit} ms");
        let met = value <= limit as f64;
        let finding = if met { Finding::met(observed, expected) } else { Finding::unmet(observed, expected) };
        findings.push(finding.with(evidence(target, seen)));
    }
    // A fail needs no more samples; a pass does.
    if findings.iter().all(|finding| finding.met) {
        enough(target, samples.min(counters.ended()), "the load had")?;
    }
    Ok(findings)
}

fn kept_up(target: &Target, seen: &Seen<'_>) -> Result<(), CannotTell> {
    let rate = target.rate;
    let advice = "Run it where more CPU is free, or lower `rate`";
    if seen.missed > 0 {
        let (missed, late) = (seen.missed, LATE_MAX.as_millis());
        return Err(CannotTell::insufficient(format!(
            "this generator did not keep up with {rate} requests/s: {missed} were not sent because they were more than {late} \
             ms late. {advice}"
        )));
    }
    for (name, share, limit) in target.slo.percentiles() {
        let (late, bound) = (seen.total.lateness_ms(share), (limit as f64 * LATENESS_SHARE).max(LATENESS_MS_MIN));
        if late > bound {
            return Err(CannotTell::insufficient(format!(
                "this generator did not keep up with {rate} requests/s: {name} of its own lateness was {late:.1} ms, and \
                 {name} at most {limit} ms allows {bound:.0} ms. {advice}"
            )));
        }
    }
    Ok(())
}

/// Whether the server's own refusals are beyond the objective. A late generator is no excuse for those.
fn refused(target: &Target, seen: &Seen<'_>) -> bool {
    let counters = &seen.total.counters;
    let many = counters.ended() >= SAMPLES_MIN || seen.stopped.is_some();
    many && counters.refusals() as f64 * 100.0 > target.slo.error_percent() * counters.ended() as f64
}

fn of_errors(target: &Target, seen: &Seen<'_>) -> Finding {
    let counters = &seen.total.counters;
    let (errors, ended, limit) = (counters.errors(), counters.ended(), target.slo.error_percent());
    let percent = errors as f64 * 100.0 / ended as f64;
    let kinds = if errors > 0 { format!(" ({})", counters.errors_in_words()) } else { String::new() };
    let observed = format!("{percent:.2} % errors: {errors} of {ended}{kinds}");
    let expected = format!("at most {limit} % errors");
    let finding = if percent <= limit { Finding::met(observed, expected) } else { Finding::unmet(observed, expected) };
    finding.with(evidence(target, seen))
}

/// A kind of request that fails more often than the objective allows.
fn of_kind(target: &Target, request: &str, counters: &Counters) -> Option<Finding> {
    let (errors, ended, limit) = (counters.errors(), counters.ended(), target.slo.error_percent());
    let is_alone = errors == 1 && ended > 1 && ended < SAMPLES_MIN;
    if is_alone || errors as f64 * 100.0 <= limit * ended as f64 {
        return None;
    }
    let kinds = counters.errors_in_words();
    let observed = format!("`{request}`: {errors} of {ended} were errors ({kinds}), the one before the load included");
    Some(Finding::unmet(observed, format!("at most {limit} % errors of each kind of request")))
}

fn stopped(target: &Target, seen: &Seen<'_>, (ended, errors): (u64, u64), after_s: u64) -> Finding {
    let kinds = seen.total.counters.errors_in_words();
    let kinds = if kinds.is_empty() { "during the warm-up".to_owned() } else { kinds };
    let observed = format!(
        "{errors} of {ended} requests within {WATCHED_S} s were errors ({kinds}); the load was stopped after {after_s} s"
    );
    Finding::unmet(observed, format!("at most {} % errors", target.slo.error_percent())).with(evidence(target, seen))
}

fn evidence(target: &Target, seen: &Seen<'_>) -> Evidence {
    let (total, counters) = (seen.total, &seen.total.counters);
    let detail = format!(
        "{} requests ended at {}/s after {} s of warm-up: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; {} \
         errors; {} broken off; p99 of the generator's own lateness {:.1} ms",
        counters.ended(),
        target.rate,
        target.warmup_s,
        total.latency_ms(0.5),
        total.latency_ms(0.95),
        total.latency_ms(0.99),
        total.latency_ms(1.0),
        counters.errors(),
        seen.cut_off,
        total.lateness_ms(0.99),
    );
    Evidence::new("load", target.url.to_string(), detail)
}

/// How many requests a percentile needs.
fn needed(share: f64) -> u64 {
    SAMPLES_MIN.max((SAMPLES_BEYOND / (1.0 - share)).round() as u64)
}

fn enough(target: &Target, samples: u64, what: &str) -> Result<(), CannotTell> {
    let strictest = target.slo.percentiles().map(|(name, share, _)| (needed(share), name)).max();
    let (needed, name) = strictest.unwrap_or((SAMPLES_MIN, "a share of errors"));
    if samples >= needed {
        return Ok(());
    }
    let text = format!("{what} {samples} requests that count, and {name} needs {needed}; raise `durationS` or `rate`");
    Err(CannotTell::insufficient(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ended::{Ended, Failure, Verdict};
    use crate::ledger::Sample;
    use std::time::Duration;

    const OK: Ended = Ended::Answered { status: 200, side: Side::Eks, verdict: Verdict::Good, cut: false };
    const BAD: Ended = Ended::Answered { status: 503, side: Side::Eks, verdict: Verdict::Status, cut: false };

    fn target() -> Target {
        serde_json::from_value(serde_json::json!({
            "name": "shop", "url": "https://eks.shop.test",
            "served": { "header": "x-served-by", "eks": "eks", "ecs": "ecs" },
            "requests": [{ "path": "/orders" }], "rate": 50, "slo": { "p50Ms": 50, "p99Ms": 500 },
        }))
        .unwrap()
    }

    fn tally(samples: &[(usize, u64, Ended)], lateness_ms: u64) -> Tally {
        let mut tally = Tally::new();
        for (times, latency, ended) in samples {
            let sample = Sample {
                at: Duration::ZERO,
                lateness: Duration::from_millis(lateness_ms),
                latency: Duration::from_millis(*latency),
                ended: *ended,
                kind: 0,
                counts: true,
            };
            (0..*times).for_each(|_| tally.record(&sample));
        }
        tally
    }

    fn judged(samples: &[(usize, u64, Ended)]) -> Result<Vec<Finding>, CannotTell> {
        assess(&target(), &Seen { total: &tally(samples, 1), kinds: vec![], missed: 0, cut_off: 0, stopped: None })
    }

    fn unmet(outcome: Result<Vec<Finding>, CannotTell>) -> Vec<String> {
        outcome.unwrap().into_iter().filter(|finding| !finding.met).map(|finding| finding.observed).collect()
    }

    #[test]
    fn a_load_within_its_objectives_passes() {
        let findings = judged(&[(2_000, 20, OK), (10, 400, OK)]).unwrap();
        assert_eq!(findings.len(), 3);
        assert!(findings.iter().all(|finding| finding.met));
    }

    #[test]
    fn a_percentile_beyond_its_objective_fails_alone() {
        let failed = unmet(judged(&[(2_000, 20, OK), (40, 900, OK)]));
        assert_eq!(failed.len(), 1);
        assert!(failed[0].starts_with("p99 9"), "{failed:?}");
    }

    #[test]
    fn errors_beyond_their_share_fail_and_are_named() {
        let failed = unmet(judged(&[(2_000, 20, OK), (30, 1, BAD), (10, 400, Ended::Failed(Failure::Timeout))]));
        assert_eq!(failed, ["1.96 % errors: 40 of 2040 (30 answered 5xx, 10 timed out)"]);
    }

    #[test]
    fn a_rare_request_that_fails_is_not_lost_among_the_others() {
        let of = |good: usize, bad: usize| tally(&[(good, 20, OK), (bad, 20, BAD)], 1).counters;
        let total = tally(&[(2_000, 20, OK), (4, 20, BAD)], 1);
        let judged = |kind: Counters| {
            let kinds = vec![("GET /".to_owned(), of(2_000, 0)), ("GET /rare".to_owned(), kind)];
            unmet(assess(&target(), &Seen { total: &total, kinds, missed: 0, cut_off: 0, stopped: None }))
        };
        let failed = judged(of(0, 4));
        assert_eq!(failed, ["`GET /rare`: 4 of 4 were errors (4 answered 5xx), the one before the load included"]);
        assert_eq!((judged(of(0, 1)).len(), judged(of(97, 2)).len(), judged(of(198, 3)).len()), (1, 1, 1));
        assert_eq!((judged(of(3, 1)).len(), judged(of(198, 1)).len(), judged(of(0, 0)).len()), (0, 0, 0));
    }

    #[test]
    fn a_load_that_was_stopped_for_its_errors_fails_however_short_it_was() {
        let stopped = Some(Stopped::Errors { ended: 12, errors: 11, after_s: 3 });
        let seen =
            Seen { total: &tally(&[(1, 20, OK), (11, 1, BAD)], 1), kinds: vec![], missed: 0, cut_off: 0, stopped };
        let failed = unmet(assess(&target(), &seen));
        assert!(failed[0].contains("11 of 12") && failed[0].contains("stopped after 3 s"), "{failed:?}");
    }

    #[test]
    fn with_a_late_generator_only_what_the_server_refused_counts() {
        for samples in [[(2_000, 20, OK)], [(2_000, 900, OK)]] {
            let late = Seen { total: &tally(&samples, 11), kinds: vec![], missed: 0, cut_off: 0, stopped: None };
            assert!(assess(&target(), &late).unwrap_err().detail.contains("did not keep up"));
            let missed = Seen { total: &tally(&samples, 1), kinds: vec![], missed: 1, cut_off: 0, stopped: None };
            assert_eq!(assess(&target(), &missed).unwrap_err().reason, Reason::InsufficientData);
        }
        // What the server refused, it refused; what timed out may be the generator's doing.
        let late = |ended| {
            assess(
                &target(),
                &Seen {
                    total: &tally(&[(900, 900, OK), (100, 900, ended)], 300),
                    kinds: vec![],
                    missed: 5,
                    cut_off: 0,
                    stopped: None,
                },
            )
        };
        assert_eq!(unmet(late(BAD)), ["10.00 % errors: 100 of 1000 (100 answered 5xx)"]);
        assert_eq!(late(Ended::Failed(Failure::Timeout)).unwrap_err().reason, Reason::InsufficientData);
    }

    #[test]
    fn too_few_requests_cannot_pass() {
        assert_eq!(judged(&[(999, 20, OK)]).unwrap_err().reason, Reason::InsufficientData);
        assert_eq!(judged(&[]).unwrap_err().reason, Reason::InsufficientData);
        // But they can fail.
        assert_eq!(unmet(judged(&[(150, 20, OK), (20, 1, BAD)])).len(), 1);
        let short = Target { duration_s: 19, ..target() };
        assert!(enough(&short, short.schedule().measured_len(), "it would have").is_err());
    }

    #[test]
    fn answers_of_the_other_side_or_of_none_cannot_tell() {
        let unknown = Ended::Answered { status: 200, side: Side::Unknown, verdict: Verdict::Good, cut: false };
        assert_eq!(judged(&[(2_000, 20, OK), (1, 20, unknown)]).unwrap_err().reason, Reason::ControlFailed);
        let total = tally(&[(2_000, 20, OK)], 1);
        for (stopped, reason) in [
            (Stopped::ReachedEcs, Reason::PrerequisiteFailed),
            (Stopped::ReachedCache { header: "age: 7".into() }, Reason::ControlFailed),
            (Stopped::Interrupted, Reason::Interrupted),
        ] {
            let seen = Seen { total: &total, kinds: vec![], missed: 0, cut_off: 0, stopped: Some(stopped) };
            assert_eq!(assess(&target(), &seen).unwrap_err().reason, reason);
        }
    }

    #[test]
    fn only_a_domain_that_eks_answers_is_loaded() {
        let answer =
            |side| ("GET /".to_owned(), Told::Answer { status: 200, side, value: None, cached: None, ended: None });
        assert_eq!(reaches_eks(&[answer(Side::Eks)]), Ok(()));
        let reason = |told| reaches_eks(&[answer(Side::Eks), told]).unwrap_err().reason;
        assert_eq!(reason(answer(Side::Ecs)), Reason::PrerequisiteFailed);
        assert_eq!(reason(answer(Side::Unknown)), Reason::PrerequisiteFailed);
        let cached = |side| {
            let cached = Some("age: 7".to_owned());
            ("GET /".to_owned(), Told::Answer { status: 200, side, value: None, cached, ended: None })
        };
        assert_eq!(reason(cached(Side::Eks)), Reason::ControlFailed);
        assert!(reaches_eks(&[cached(Side::Unknown)]).unwrap_err().detail.contains("`age: 7`"));
        assert_eq!(reason(cached(Side::Ecs)), Reason::PrerequisiteFailed);
        assert_eq!(reason(("GET /".to_owned(), Told::Nothing("refused".into()))), Reason::Unreachable);
    }
}
