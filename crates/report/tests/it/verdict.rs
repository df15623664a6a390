//! Properties of the verdict: the ways in which a report could come out better than what was found.

use crate::any::{go, item, matching, report, result_of};
use preflight_report::*;
use proptest::prelude::*;
use proptest::sample::Index;

const fn grade(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::NoGo => 0,
        Verdict::Inconclusive => 1,
        Verdict::Go => 2,
    }
}

fn plan(items: Vec<PlanItem>) -> Plan {
    Plan { sha256: String::new(), items, excluded: vec![] }
}

const NOT_A_PASS: [Outcome; 3] = [Outcome::Fail, Outcome::Unknown, Outcome::Skipped];

proptest! {
    #[test]
    fn the_verdict_is_that_of_the_contract((items, results) in matching()) {
        let required = || items.iter().zip(&results).filter(|(item, _)| item.level == Level::Required);
        let expected = if required().any(|(_, result)| result.outcome == Outcome::Fail) {
            Verdict::NoGo
        } else if items.is_empty() || required().any(|(_, result)| result.outcome != Outcome::Pass) {
            Verdict::Inconclusive
        } else {
            Verdict::Go
        };
        prop_assert_eq!(verdict(&plan(items.clone()), &results), expected);
        let report = report(items, results);
        prop_assert_eq!(report.summary.verdict, expected);
        prop_assert_eq!(report.verdict(), expected);
    }

    #[test]
    fn adding_what_is_not_a_pass_never_improves_a_verdict(
        (mut items, mut results) in matching(),
        outcome in prop::sample::select(&NOT_A_PASS),
        planned in any::<bool>(),
        level in crate::any::level(),
        at in any::<Index>(),
    ) {
        let before = verdict(&plan(items.clone()), &results);
        let was_empty = items.is_empty();
        let added = item("area.added", "subject", level);
        results.insert(at.index(results.len() + 1), result_of(&added, outcome));
        if planned {
            items.push(added);
        }
        let after = verdict(&plan(items), &results);
        // The one way up: a plan that was empty is no longer, and what was added does not decide.
        let first_and_advisory = was_empty && planned && level == Level::Advisory;
        prop_assert!(grade(after) <= grade(before) || first_and_advisory, "{} became {}", before, after);
    }

    #[test]
    fn making_a_pass_something_else_never_improves_a_verdict(
        (items, mut results) in matching(),
        at in any::<Index>(),
        outcome in prop::sample::select(&NOT_A_PASS),
    ) {
        prop_assume!(!results.is_empty());
        let plan = plan(items);
        let before = verdict(&plan, &results);
        let at = at.index(results.len());
        prop_assume!(results[at].outcome == Outcome::Pass);
        results[at].outcome = outcome;
        prop_assert!(grade(verdict(&plan, &results)) <= grade(before));
    }

    #[test]
    fn dropping_duplicating_or_renaming_any_result_is_never_go(
        (items, results) in matching(),
        at in any::<Index>(),
        outcome in crate::any::outcome(),
    ) {
        prop_assume!(!results.is_empty());
        let (plan, at) = (plan(items), at.index(results.len()));
        let changed = |change: &dyn Fn(&mut Vec<CheckResult>)| {
            let mut results = results.clone();
            change(&mut results);
            verdict(&plan, &results)
        };
        prop_assert_ne!(changed(&|all| drop(all.remove(at))), Verdict::Go);
        prop_assert_ne!(changed(&|all| all.push(all[at].clone())), Verdict::Go);
        prop_assert_ne!(changed(&|all| all.push(CheckResult { outcome, ..all[at].clone() })), Verdict::Go);
        prop_assert_ne!(changed(&|all| all[at].check.push('x')), Verdict::Go);
        prop_assert_ne!(changed(&|all| all[at].subject.push(' ')), Verdict::Go);
        prop_assert_ne!(changed(&|all| all[at].check = all[at].check.to_uppercase()), Verdict::Go);
    }

    #[test]
    fn dropping_renaming_or_repeating_an_item_or_emptying_the_plan_is_never_go(
        (items, results) in matching(),
        at in any::<Index>(),
        level in crate::any::level(),
    ) {
        prop_assert_ne!(verdict(&plan(vec![]), &results), Verdict::Go);
        prop_assert_ne!(verdict(&plan(vec![]), &[]), Verdict::Go);
        prop_assume!(!items.is_empty());
        let at = at.index(items.len());
        let changed = |change: &dyn Fn(&mut Vec<PlanItem>)| {
            let mut items = items.clone();
            change(&mut items);
            verdict(&plan(items), &results)
        };
        prop_assert_ne!(changed(&|all| drop(all.remove(at))), Verdict::Go);
        prop_assert_ne!(changed(&|all| all[at].subject.push('x')), Verdict::Go);
        prop_assert_ne!(changed(&|all| all.push(PlanItem { level, ..all[at].clone() })), Verdict::Go);
    }

    #[test]
    fn the_order_of_results_does_not_matter((items, results) in matching(), by in any::<Index>()) {
        let plan = plan(items);
        let mut turned = results.clone();
        if !turned.is_empty() {
            turned.rotate_left(by.index(results.len()));
        }
        prop_assert_eq!(verdict(&plan, &turned), verdict(&plan, &results));
    }

    #[test]
    fn an_interrupted_run_is_never_go((items, results) in matching()) {
        let mut report = report(items, results);
        report.run.interrupted_by = Some("SIGTERM".to_owned());
        let report = seal(report);
        prop_assert_ne!(report.summary.verdict, Verdict::Go);
        prop_assert!(report.summary.because.iter().any(|line| line.contains("SIGTERM")));
    }

    #[test]
    fn a_summary_that_plan_and_results_do_not_give_is_never_go(
        (items, results) in matching(),
        stated in prop::sample::select(&[Verdict::Go, Verdict::NoGo, Verdict::Inconclusive]),
        complete in any::<bool>(),
        more in 0_u64..2,
    ) {
        let honest = report(items, results);
        let mut report = honest.clone();
        report.summary.verdict = stated;
        report.summary.complete = complete;
        report.summary.counts.planned += more;
        if report.summary != honest.summary {
            prop_assert_eq!(report.verdict(), Verdict::Inconclusive);
            prop_assert_eq!(ExitCode::of(&report, false).code().min(10), 10);
        }
    }
}

#[test]
fn a_pass_that_says_why_it_is_none_is_none() {
    let mut report = go();
    assert_eq!(report.verdict(), Verdict::Go);
    report.results[0].reason = Some(Reason::Interrupted);
    let report = seal(report);
    assert_eq!((report.summary.verdict, report.summary.complete), (Verdict::Inconclusive, false));
    assert!(report.summary.because[0].contains("area.first (orders) passed and says why it did not"));
}

#[test]
fn a_go_that_rests_on_no_required_check_says_so() {
    let items = vec![item("area.first", "orders", Level::Advisory)];
    let results = vec![result_of(&items[0], Outcome::Fail)];
    let report = report(items, results);
    assert_eq!((report.summary.verdict, report.summary.counts.advisory_failed), (Verdict::Go, 1));
    assert!(report.summary.because[0].contains("nothing in the plan is required"), "{:?}", report.summary.because);
    assert!(go().summary.because.is_empty());
}
