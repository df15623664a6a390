//! Runs one check and makes one result of whatever happens to it.

use crate::{CannotTell, Check, Evidence, Finding, Meta, Outcome, Reason, Remediation, Scope, Timestamp};
use preflight_report::CheckResult;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinError;

/// How long a check that was told to stop may take to remove what it created.
const GRACE: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(5) };

/// The most pieces of evidence that one result keeps.
const EVIDENCE_MAX: usize = 50;

/// The most findings whose texts one result shows.
const FINDINGS_MAX: usize = 20;

/// The most bytes of `observed`, `expected` and a remediation's text.
const TEXT_BYTES_MAX: usize = 8_192;

/// Runs one check of one subject in a task of its own, under the check's limit and the scope's deadline.
///
/// A panic, a hang, a cancelled scope, an error and an empty list of findings become `unknown` with the right reason.
/// When time is up the check's scope is cancelled first, so that it can remove what it created; after five more seconds
/// it is dropped where it stands. One that blocks its thread is left behind after five more.
pub async fn judge(meta: &Meta, subject: &str, check: Arc<dyn Check>, scope: &Scope) -> CheckResult {
    let started = scope.now();
    let interrupted = || CannotTell::new(Reason::Interrupted, "the run was interrupted before the check ended");
    if scope.is_cancelled() {
        return result(meta, subject, scope, started, Err(interrupted()));
    }
    let own = scope.child(&format!("{} ({subject})", meta.id), Duration::from_millis(meta.limit_ms));
    let inner = own.clone();
    let mut task = tokio::spawn(async move { check.run(&inner).await });
    let stopped = tokio::select! {
        biased;
        () = scope.cancelled() => interrupted(),
        ended = &mut task => return result(meta, subject, scope, started, of_task(ended)),
        () = own.expired() => timed_out(meta, scope),
    };
    own.cancel();
    // What a stopped check still says does not count: it may have been cut off in the middle.
    if tokio::time::timeout(GRACE, &mut task).await.is_err() {
        task.abort();
        // It is dropped where it next waits. Whoever runs next on its target must not meet it; a check that blocks its
        // thread cannot be stopped, and is left behind.
        drop(tokio::time::timeout(GRACE, &mut task).await);
    }
    result(meta, subject, scope, started, Err(stopped))
}

fn timed_out(meta: &Meta, scope: &Scope) -> CannotTell {
    if scope.remaining().is_zero() {
        return CannotTell::new(Reason::Timeout, "the time for the whole run was up before the check ended");
    }
    CannotTell::new(Reason::Timeout, format!("not finished within its limit of {} ms", meta.limit_ms))
}

fn of_task(ended: Result<Result<Vec<Finding>, CannotTell>, JoinError>) -> Result<Vec<Finding>, CannotTell> {
    match ended {
        Ok(Ok(findings)) if findings.is_empty() => {
            Err(CannotTell::insufficient("the check looked and found nothing to judge"))
        }
        Ok(outcome) => outcome,
        // The message of a panic may hold anything, secrets included; it went to stderr through the panic hook.
        Err(error) if error.is_panic() => {
            Err(CannotTell::new(Reason::Panicked, "the check itself broke; this is an error of eks-preflight"))
        }
        Err(_) => Err(CannotTell::new(Reason::Interrupted, "the check was stopped")),
    }
}

fn result(
    meta: &Meta,
    subject: &str,
    scope: &Scope,
    started_at: Timestamp,
    outcome: Result<Vec<Finding>, CannotTell>,
) -> CheckResult {
    let advice = || Remediation { text: meta.fix.to_owned(), command: None, url: None };
    let mut result = CheckResult {
        check: meta.id.to_owned(),
        subject: subject.to_owned(),
        outcome: Outcome::Unknown,
        reason: None,
        title: meta.title.to_owned(),
        observed: String::new(),
        expected: String::new(),
        evidence: vec![],
        remediation: None,
        started_at,
        duration_ms: u64::try_from(scope.now().since(started_at).as_millis()).unwrap_or(u64::MAX),
    };
    match outcome {
        Ok(findings) => {
            let unmet: Vec<&Finding> = findings.iter().filter(|finding| !finding.met).collect();
            result.outcome = if unmet.is_empty() { Outcome::Pass } else { Outcome::Fail };
            let shown: Vec<&Finding> = if unmet.is_empty() { findings.iter().collect() } else { unmet };
            result.observed = texts(shown.iter().map(|finding| finding.observed.as_str()));
            result.expected = texts(shown.iter().map(|finding| finding.expected.as_str()));
            result.evidence = shown.iter().flat_map(|finding| finding.evidence.clone()).take(EVIDENCE_MAX).collect();
            if result.outcome == Outcome::Fail {
                result.remediation = Some(remedies(&shown).unwrap_or_else(advice));
            }
        }
        Err(cannot_tell) => {
            result.reason = Some(cannot_tell.reason);
            result.observed = texts([cannot_tell.detail.as_str()].into_iter());
            result.expected = texts([meta.proves].into_iter());
            result.remediation =
                Some(Remediation { text: unknown_advice(meta, &cannot_tell), command: None, url: None });
        }
    }
    result
}

/// Different texts, each once, one a line.
fn texts<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = vec![];
    let mut more = 0;
    for text in all {
        if seen.contains(&text) {
            continue;
        }
        if seen.len() == FINDINGS_MAX {
            more += 1;
        } else {
            seen.push(text);
        }
    }
    let mut text = seen.join("\n");
    if text.len() > TEXT_BYTES_MAX {
        // An ellipsis says that there was more.
        let cut = Evidence::cut(&text, TEXT_BYTES_MAX).len();
        text.truncate(cut);
        text.push('…');
    }
    if more > 0 {
        text.push_str(&format!("\n… and {more} more"));
    }
    text
}

/// What each failed finding advises; the first command and address go with it.
fn remedies(unmet: &[&Finding]) -> Option<Remediation> {
    let given: Vec<&Remediation> = unmet.iter().filter_map(|finding| finding.remediation.as_ref()).collect();
    let first = given.first()?;
    let text = texts(given.iter().map(|one| one.text.as_str()));
    Some(Remediation { text, command: first.command.clone(), url: first.url.clone() })
}

fn unknown_advice(meta: &Meta, cannot_tell: &CannotTell) -> String {
    let advice = match cannot_tell.reason {
        Reason::Timeout => "Find out why the target is slow, or give the run more time, and run again.",
        Reason::Interrupted => "Run again, and let the run end.",
        Reason::Panicked => "Report this as a defect of eks-preflight, with the report and what it printed on stderr.",
        Reason::Unreachable => "Make the target reachable from where this tool runs, and run again.",
        Reason::Forbidden => {
            "Give this tool the rights that `eks-preflight explain` lists for the check, and run again."
        }
        _ => "Remove what kept the check from telling, and run again.",
    };
    format!("{advice} `eks-preflight explain {}` says when the check cannot tell.", meta.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Disruption, Journal, Levels, Run};

    const META: Meta = Meta {
        id: "area.property",
        title: "Title",
        proves: "It is so.",
        fails_when: "It is not.",
        unknown_when: "Nobody knows.",
        fix: "Make it so.",
        permissions: &[],
        disruption: Disruption::None,
        levels: Levels::required(),
        limit_ms: 60,
        max_age_ms: 1_000,
    };

    struct Does(fn(Scope) -> Run<'static>);

    impl Check for Does {
        fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
            (self.0)(scope.clone())
        }
    }

    async fn judged(does: fn(Scope) -> Run<'static>) -> CheckResult {
        judge(&META, "orders", Arc::new(Does(does)), &Scope::for_tests()).await
    }

    #[tokio::test]
    async fn met_findings_pass_and_one_unmet_finding_fails_with_its_own_remedy() {
        let passed = judged(|_| Box::pin(async { Ok(vec![Finding::met("a", "e"), Finding::met("b", "e")]) })).await;
        assert_eq!((passed.outcome, passed.observed.as_str(), passed.expected.as_str()), (Outcome::Pass, "a\nb", "e"));
        assert!(passed.remediation.is_none());
        let failed =
            judged(|_| Box::pin(async { Ok(vec![Finding::met("a", "e"), Finding::unmet("b", "f").fix("do this")]) }))
                .await;
        assert_eq!((failed.outcome, failed.observed.as_str()), (Outcome::Fail, "b"));
        assert_eq!(failed.remediation.unwrap().text, "do this");
        let general = judged(|_| Box::pin(async { Ok(vec![Finding::unmet("b", "f")]) })).await;
        assert_eq!(general.remediation.unwrap().text, "Make it so.");
    }

    #[tokio::test]
    async fn no_finding_a_panic_and_an_error_are_unknown() {
        let reason = |result: CheckResult| (result.outcome, result.reason);
        assert_eq!(
            reason(judged(|_| Box::pin(async { Ok(vec![]) })).await),
            (Outcome::Unknown, Some(Reason::InsufficientData))
        );
        assert_eq!(
            reason(judged(|_| Box::pin(async { panic!("as planned") })).await),
            (Outcome::Unknown, Some(Reason::Panicked))
        );
        assert_eq!(
            reason(judged(|_| Box::pin(async { Err(CannotTell::forbidden("no")) })).await),
            (Outcome::Unknown, Some(Reason::Forbidden))
        );
    }

    #[tokio::test]
    async fn a_hang_is_a_timeout_even_if_the_check_ignores_its_cancellation() {
        let slow = judged(|scope| {
            Box::pin(async move {
                scope.cancelled().await;
                Ok(vec![Finding::met("too late", "e")])
            })
        })
        .await;
        assert_eq!((slow.outcome, slow.reason), (Outcome::Unknown, Some(Reason::Timeout)));
        let deaf = judged(|_| Box::pin(std::future::pending())).await;
        assert_eq!((deaf.outcome, deaf.reason), (Outcome::Unknown, Some(Reason::Timeout)));
    }

    #[tokio::test]
    async fn a_panic_before_the_first_wait_or_while_stopping_is_no_way_out() {
        let reason = |result: CheckResult| (result.outcome, result.reason);
        assert_eq!(reason(judged(|_| panic!("at once")).await), (Outcome::Unknown, Some(Reason::Panicked)));
        let stopping = judged(|scope| {
            Box::pin(async move {
                scope.cancelled().await;
                panic!("while stopping")
            })
        });
        assert_eq!(reason(stopping.await), (Outcome::Unknown, Some(Reason::Timeout)));
    }

    #[tokio::test]
    async fn what_a_panic_says_is_in_no_result() {
        let result = judged(|_| Box::pin(async { panic!("password=hunter2") })).await;
        assert!(!format!("{result:?}").contains("hunter2"), "{result:?}");
        assert!(result.remediation.unwrap().text.contains("defect"));
    }

    /// Blocks its thread until the other side is dropped.
    struct Blocks(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

    impl Check for Blocks {
        fn run<'a>(&'a self, _: &'a Scope) -> Run<'a> {
            Box::pin(async {
                let ended = self.0.lock().unwrap().recv();
                Ok(vec![Finding::met(format!("{ended:?}"), "e")])
            })
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_check_that_blocks_its_thread_is_a_timeout() {
        let (end, until) = std::sync::mpsc::channel();
        let result = judge(&META, "a", Arc::new(Blocks(until.into())), &Scope::for_tests()).await;
        assert_eq!((result.outcome, result.reason), (Outcome::Unknown, Some(Reason::Timeout)));
        assert!(result.observed.contains("60 ms"), "{}", result.observed);
        drop(end);
    }

    #[tokio::test]
    async fn a_check_is_gone_when_its_result_is_there() {
        struct Deaf(Arc<()>);
        impl Check for Deaf {
            fn run<'a>(&'a self, _: &'a Scope) -> Run<'a> {
                let held = Arc::clone(&self.0);
                Box::pin(async move {
                    let _held = held;
                    std::future::pending().await
                })
            }
        }
        let held = Arc::new(());
        judge(&META, "a", Arc::new(Deaf(Arc::clone(&held))), &Scope::for_tests()).await;
        assert_eq!(Arc::strong_count(&held), 1, "neither the check nor what it did is left");
    }

    #[tokio::test]
    async fn what_is_no_pass_carries_a_reason_and_a_remedy_and_a_pass_carries_none() {
        let all: [fn(Scope) -> Run<'static>; 6] = [
            |_| Box::pin(async { Ok(vec![Finding::met("o", "e")]) }),
            |_| Box::pin(async { Ok(vec![Finding::unmet("o", "e")]) }),
            |_| Box::pin(async { Ok(vec![]) }),
            |_| Box::pin(async { Err(CannotTell::unreachable("no")) }),
            |_| Box::pin(async { panic!("as planned") }),
            |_| Box::pin(std::future::pending()),
        ];
        for does in all {
            let result = judged(does).await;
            let settled = matches!(result.outcome, Outcome::Pass | Outcome::Fail);
            assert_eq!(result.reason.is_none(), settled, "{result:?}");
            assert_eq!(result.remediation.is_none(), result.outcome == Outcome::Pass, "{result:?}");
            assert!(!result.observed.is_empty() && !result.expected.is_empty(), "{result:?}");
        }
    }

    #[tokio::test]
    async fn a_cancelled_run_interrupts_and_a_check_that_did_not_begin_does_not_begin() {
        let scope = Scope::for_tests();
        let running = judge(&META, "a", Arc::new(Does(|_| Box::pin(std::future::pending()))), &scope);
        let (result, ()) = tokio::join!(running, async { scope.cancel() });
        assert_eq!(result.reason, Some(Reason::Interrupted));
        let late = judge(&META, "b", Arc::new(Does(|_| panic!("began"))), &scope).await;
        assert_eq!(late.reason, Some(Reason::Interrupted));
    }

    #[tokio::test]
    async fn the_end_of_the_whole_run_ends_a_check_too() {
        let scope = Scope::new("run", Duration::from_millis(10), Journal::in_memory("run"), |_, _| ());
        let result = judge(&META, "a", Arc::new(Does(|_| Box::pin(std::future::pending()))), &scope).await;
        assert_eq!(result.reason, Some(Reason::Timeout));
        assert!(result.observed.contains("whole run"));
    }

    #[tokio::test]
    async fn many_and_long_findings_are_bounded_and_say_so() {
        let result = judged(|_| {
            Box::pin(async {
                let one = |n: usize| {
                    Finding::unmet(format!("{n} {}", "x".repeat(1_000)), "e").with(Evidence::new("k", "r", "d"))
                };
                Ok((0..100).map(one).collect())
            })
        })
        .await;
        assert!(result.observed.len() < TEXT_BYTES_MAX + 100 && result.observed.ends_with("and 80 more"));
        assert_eq!(result.evidence.len(), EVIDENCE_MAX);
    }
}
