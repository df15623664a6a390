//! Do the pods behind the isolated domain stay healthy while it is loaded?
//!
//! A service may keep its objectives although its pods die one after the other: the others answer. It will not when the
//! load is that of production. So while `load.slo-holds` loads the target, the pods of its workloads are listed about once
//! a second (see `pods`), and this check says what the differences mean. It loads nothing itself; it has that check's
//! consent because without that load there is nothing to say.
//!
//! A container that ended was too small for the load, or cannot bear it; so was one whose readiness went away. Pods that
//! somebody tells to end (an autoscaler, a rollout) are nobody's fault. A pod that came during the load must be ready in
//! the end; one that is younger than a minute may still be on its way, and then nobody can tell.
//!
//! Where several targets are loaded, all loads come before the first judgement: a pod that dies under the load of another
//! target fails, too.
//!
//! Pods that got no request stay healthy, too. So the EndpointSlices are read when the load began and after it: where no pod
//! of the target is a ready endpoint of a Service, nothing was proved (see `pods::reach`). PodDisruptionBudgets are told and
//! judge nothing.
//!
//! A rollout during the load is no failure, but what was loaded was two versions, neither of which carried the whole load:
//! nobody can tell whether the one that stays would have. What failed meanwhile fails nevertheless.

use crate::Env;
use crate::pods::{Course, EXPECTED, Looking, Reach, Span, Timeline, Unwatchable, Watch, down, of_troubles};
use crate::settings::Target;
use preflight_cluster::SeenPod;
use preflight_core::{
    CannotTell, Check, Disruption, Entry, Event, Evidence, Finding, Item, Levels, Meta, Permission, Phase, Reason,
    Right, Run, Scope, Timestamp,
};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// A pod that is not ready so long after it was made fails; a younger one may be on its way.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Each in the namespaces of the workloads.
const LISTS: &[Permission] = &[
    Permission::Kubernetes { verb: "list", group: "", resource: "pods" },
    Permission::Kubernetes { verb: "list", group: "discovery.k8s.io", resource: "endpointslices" },
    Permission::Kubernetes { verb: "list", group: "policy", resource: "poddisruptionbudgets" },
];

pub(crate) const META: Meta = Meta {
    id: "load.pods-stay-healthy",
    title: "The pods stay healthy under load",
    proves: "From before the warm-up until after the load that load.slo-holds put on the isolated domain, no container of \
             the target's workloads ended, every pod that was ready stayed ready until it was told to end, every pod that \
             came became ready, and all pods of each workload were of one version. They were looked at about once a second. \
             When the load began and after it, at least one pod of each workload that the target names, or of any where it \
             names none, was a ready endpoint of a Service, so that requests could come to it; which pods were is told, and \
             which PodDisruptionBudgets cover them.",
    fails_when: "A container ended, restarted or not (its reason, exit code and time are told); a pod lost its readiness \
                 and nobody had told it to end; a pod was evicted or failed; after the load a container could not start \
                 (CrashLoopBackOff, ImagePullBackOff, CreateContainerConfigError, …), or a pod was not ready, or had no \
                 node, a minute after it was made.",
    unknown_when: "load.slo-holds did not load the target in this run, or stopped early; the pods could not be listed, not \
                   before the load, or not for more than 10 s of it; a workload had no pod, or no selector by which its \
                   pods are known; a pod younger than a minute was not ready 20 s after the load; pods of two versions were \
                   there, as in a rollout: what was loaded was both, and neither carried the whole load; no pod of a workload \
                   that the target names, or of any where it names none, was a ready endpoint of a Service when the load \
                   began or after it, so that nothing shows that it came to them; the EndpointSlices could not be listed.",
    fix: "Look at the pod's events and at the last words of the container (kubectl describe pod, kubectl logs --previous). \
          Give it the memory and the processor time that the load takes, and let its probes bear an answer that is late. \
          Where no pod is an endpoint: compare the selector of the Service with the pods' labels (kubectl get \
          endpointslices), and name the workloads that serve the target under `workloads` of the target.",
    permissions: LISTS,
    disruption: Disruption::Loads,
    levels: Levels::RequiredFrom(Phase::Traffic1),
    limit_ms: 60_000,
    max_age_ms: 86_400_000,
};

/// One target.
pub(crate) struct PodsStayHealthy {
    target: Target,
    watch: Arc<Watch>,
}

pub(crate) const ENTRY: Entry<Env> = Entry { meta: &META, items };

fn items(env: &Env) -> Vec<Item> {
    let item = |(target, watch): (&Target, &Arc<Watch>)| {
        if !env.cluster.is_reachable() {
            let reason = "nothing says how to reach the cluster (`cluster.kubeconfig`, `cluster.inCluster`)";
            return Item::excluded(&target.name, reason);
        }
        if watch.workloads.is_empty() && watch.unwatchable.is_empty() {
            return Item::excluded(&target.name, "no workload of EKS is known that keeps pods");
        }
        let rights_in = |namespace: String| {
            LISTS.iter().map(move |&permission| Right { permission, namespace: Some(namespace.clone()), name: None })
        };
        let rights = watch.namespaces().into_iter().flat_map(rights_in).collect();
        let check = PodsStayHealthy { target: target.clone(), watch: Arc::clone(watch) };
        Item::planned(&target.name, vec![target.name.clone(), env.cluster.target()], check).needing(rights)
    };
    env.targets().map(item).collect()
}

impl Check for PodsStayHealthy {
    fn announced(&self) {
        self.watch.want();
    }

    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            let Some((looking, span)) = self.watch.seen().await else {
                return Err(self.not_seen());
            };
            let mut looking = looking?;
            looking.settle(&span, scope).await?;
            self.tell(&looking, &span, scope);
            let reach = looking.reach(scope).await;
            let Looking { timeline, last, .. } = &looking;
            let seen = Seen { timeline, span: &span, last: *last, blind: looking.blind(&span), reach: &reach };
            assess(&self.watch.unwatchable, &seen)
        })
    }
}

impl PodsStayHealthy {
    fn not_seen(&self) -> CannotTell {
        if self.watch.workloads.is_empty() {
            return unwatchable(&self.watch.unwatchable);
        }
        CannotTell::prerequisite(format!("load.slo-holds ({}) put no whole load on it in this run", self.target.name))
    }

    fn tell(&self, looking: &Looking, span: &Span, scope: &Scope) {
        let mut value = json!({ "began": span.began, "ended": span.ended, "lastLook": looking.last });
        value["looks"] = looking.looks().into();
        value["failedLooks"] = looking.failures.into();
        if let (Some(value), Some(more)) = (value.as_object_mut(), looking.timeline.json().as_object_mut()) {
            value.append(more);
        }
        scope.emit(Event::Measurement { area: "load", name: self.target.timeline(), value });
    }
}

/// What was seen of the pods.
struct Seen<'a> {
    timeline: &'a Timeline,
    span: &'a Span,
    /// When they were looked at last.
    last: Timestamp,
    /// Why something may not have been seen.
    blind: Option<CannotTell>,
    /// Whether the load can have come to them.
    reach: &'a Reach,
}

fn assess(missing: &[Unwatchable], seen: &Seen<'_>) -> Result<Vec<Finding>, CannotTell> {
    let timeline = seen.timeline;
    let (late, young): (Vec<&SeenPod>, Vec<&SeenPod>) = timeline.unready().partition(|pod| is_late(pod, seen.last));
    let unmet = of_troubles(timeline, &late);
    if !unmet.is_empty() {
        return Ok(with_courses(unmet, seen));
    }
    if let Some(blind) = &seen.blind {
        return Err(blind.clone());
    }
    if !missing.is_empty() {
        return Err(unwatchable(missing));
    }
    if seen.span.is_cut_short {
        return Err(CannotTell::prerequisite(
            "load.slo-holds stopped the load before its time; until then the pods were well",
        ));
    }
    if let Some(course) = timeline.courses.iter().find(|course| course.count == 0) {
        let text = format!("{} had no pod when the load was over", course.reference());
        let advice = "if it does not serve the target, name those that do (`workloads` of the target)";
        return Err(CannotTell::insufficient(format!("{text}; {advice}")));
    }
    if let Some(pod) = young.first() {
        let age = pod.created.map(|created| seen.last.since(created).as_secs()).unwrap_or_default();
        let text = format!(
            "the pod {}/{} was not ready when the load was over, {age} s after it was made",
            pod.namespace, pod.name
        );
        return Err(CannotTell::insufficient(format!(
            "{text}; raise `durationS` so that pods can start under the load"
        )));
    }
    one_version(timeline)?;
    seen.reach.control(timeline)?;
    Ok(timeline.courses.iter().map(|course| healthy(course, seen)).collect())
}

/// What was loaded was one version of each workload.
fn one_version(timeline: &Timeline) -> Result<(), CannotTell> {
    let mixed: Vec<String> = timeline
        .courses
        .iter()
        .filter_map(|course| Some(format!("{} since {}", course.reference(), course.rollouts.first()?)))
        .collect();
    if mixed.is_empty() {
        return Ok(());
    }
    let text = format!(
        "pods of two versions were under load, as in a rollout: {}; run again when it is over",
        mixed.join(", ")
    );
    Err(CannotTell::new(Reason::ControlFailed, text))
}

fn unwatchable(all: &[Unwatchable]) -> CannotTell {
    let words: Vec<String> = all.iter().map(|one| format!("{}: {}", one.name, one.why)).collect();
    let text = format!("pods that cannot be watched: {}. Name the workloads that serve the target", words.join(", "));
    CannotTell::prerequisite(format!("{text} (`workloads` of the target)"))
}

/// Whether a pod should have been ready by now.
fn is_late(pod: &SeenPod, now: Timestamp) -> bool {
    down(pod).is_some() || pod.created.is_none_or(|created| now.since(created) >= START_LIMIT)
}

/// The findings, each workload's course beside the first.
fn with_courses(mut findings: Vec<Finding>, seen: &Seen<'_>) -> Vec<Finding> {
    if let Some(first) = findings.first_mut() {
        first.evidence.extend(seen.timeline.courses.iter().map(|course| course_of(course, seen)));
    }
    findings
}

fn healthy(course: &Course, seen: &Seen<'_>) -> Finding {
    let Seen { timeline, span, reach, .. } = seen;
    let scaled = if course.scaled.is_empty() { "not scaled".to_owned() } else { format!("scaled {}", scaled(course)) };
    let observed = format!(
        "{}: {} pods ready, {}, none in trouble from {} to {}; {scaled}",
        course.reference(),
        course.count,
        reach.said(timeline, course),
        span.began,
        span.ended
    );
    Finding::met(observed, EXPECTED).with(course_of(course, seen))
}

fn scaled(course: &Course) -> String {
    let words: Vec<String> =
        course.scaled.iter().map(|one| format!("{} → {} at {}", one.from, one.to, one.at)).collect();
    words.join(", ")
}

/// What leads to the pods of a workload, what protects them, and what happened to them.
fn course_of(course: &Course, seen: &Seen<'_>) -> Evidence {
    let Seen { timeline, reach, last, .. } = seen;
    let mut lines = vec![];
    if !course.scaled.is_empty() {
        lines.push(format!("scaled {}", scaled(course)));
    }
    lines.extend(course.rollouts.iter().map(|at| format!("{at} another version")));
    let own = timeline.entries().into_iter().filter(|entry| entry.workload == course.reference());
    lines.extend(
        own.map(|one| format!("{} {} {} {}", one.at, one.pod, one.what.as_str(), one.detail).trim_end().to_owned()),
    );
    if lines.is_empty() {
        lines.push("nothing happened to them".to_owned());
    }
    let reached = reach.lines(timeline, course, *last);
    Evidence::new("pods", course.reference(), [reached, lines].concat().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::PODS_NAMED_MAX;
    use crate::pods::scene::{
        at, dead, died, endpoint, evicted, pod, pods, reach, timeline, unready, unscheduled, waiting,
    };
    use preflight_cluster::EndpointTarget;

    /// Services that lead to the pods of these names.
    fn behind(names: &[&str]) -> Reach {
        reach(names.iter().map(|name| endpoint(EndpointTarget::Uid((*name).to_owned()))).collect())
    }

    /// A load from second 1 to second 90 on pods behind a Service; the looks that are given, and how it ended.
    fn judged(looks: &[(u64, Vec<SeenPod>)], change: impl Fn(&mut Span, &mut Option<CannotTell>)) -> Outcome {
        reached(&behind(&["a", "b"]), looks, change)
    }

    fn reached(
        reach: &Reach,
        looks: &[(u64, Vec<SeenPod>)],
        change: impl Fn(&mut Span, &mut Option<CannotTell>),
    ) -> Outcome {
        let timeline = timeline(looks);
        let seconds = |second| Duration::from_secs(second);
        let mut span = Span { began: at(1), ended: at(90), elapsed: (seconds(1), seconds(90)), is_cut_short: false };
        let mut blind = None;
        change(&mut span, &mut blind);
        let last = at(looks.last().unwrap().0);
        assess(&[], &Seen { timeline: &timeline, span: &span, last, blind, reach })
    }

    type Outcome = Result<Vec<Finding>, CannotTell>;

    fn after(second: u64, first: Vec<SeenPod>, last: Vec<SeenPod>) -> Outcome {
        judged(&[(0, first), (second, last)], |_, _| ())
    }

    #[track_caller]
    fn fails(outcome: Outcome, observed: &[&str], fix: &str) {
        let findings = outcome.unwrap();
        let unmet: Vec<&Finding> = findings.iter().filter(|finding| !finding.met).collect();
        assert_eq!(unmet.len(), 1, "{findings:#?}");
        for text in observed {
            assert!(unmet[0].observed.contains(text), "{text} is not in {}", unmet[0].observed);
        }
        let text = &unmet[0].remediation.as_ref().unwrap().text;
        assert!(text.contains(fix), "{text}");
    }

    #[track_caller]
    fn cannot_tell(outcome: Outcome, reason: Reason, text: &str) {
        let error = outcome.unwrap_err();
        assert!(error.reason == reason && error.detail.contains(text), "{error}");
    }

    #[test]
    fn pods_that_stay_ready_pass_and_scaling_is_told_with_its_time() {
        let new = SeenPod { created: Some(at(40)), ..pod("b") };
        let findings = after(95, pods(&["a"]), vec![pod("a"), new]).unwrap();
        assert!(findings.len() == 1 && findings[0].met, "{findings:#?}");
        let observed = &findings[0].observed;
        assert!(
            observed.contains("2 pods ready, behind shop/orders, none in trouble")
                && observed.ends_with(&format!("scaled 1 → 2 at {}", at(40))),
            "{observed}"
        );
        assert!(findings[0].evidence[0].detail.contains(&format!("{} shop/b appeared", at(40))), "{findings:#?}");
    }

    #[test]
    fn a_container_that_ended_fails_with_reason_exit_code_and_time() {
        let time = at(33).to_string();
        fails(
            after(95, pods(&["a", "b"]), vec![died(pod("a"), 1, 33), pod("b")]),
            &["shop/a: container app: OOMKilled, exit code 137, at ", &time],
            "memory limit",
        );
    }

    #[test]
    fn a_pod_that_is_gone_again_failed_nevertheless() {
        let looks = [(0, pods(&["a"])), (50, vec![evicted(pod("a"), 45), pod("b")]), (95, vec![pod("b")])];
        let time = at(45).to_string();
        fails(judged(&looks, |_, _| ()), &["shop/a: evicted at ", &time, "TerminationByKubelet"], "kubectl describe");
    }

    #[test]
    fn readiness_that_was_lost_fails_though_it_came_back() {
        let looks = [(0, pods(&["a"])), (50, vec![unready(pod("a"), 48)]), (95, pods(&["a"]))];
        let time = at(48).to_string();
        fails(judged(&looks, |_, _| ()), &["lost its readiness at ", &time], "kubectl describe pod -n shop a");
    }

    #[test]
    fn a_new_pod_that_cannot_start_fails_at_once_and_one_that_is_not_ready_after_a_minute() {
        let new = |second| SeenPod { created: Some(at(second)), ..unready(pod("b"), second) };
        let with = |new| after(95, pods(&["a"]), vec![pod("a"), new]);
        fails(
            with(waiting(new(94), "ImagePullBackOff")),
            &["after the load: container app waits: ImagePullBackOff"],
            "kubectl describe",
        );
        fails(with(waiting(new(94), "CrashLoopBackOff")), &["waits: CrashLoopBackOff"], "kubectl logs -n shop b");
        fails(with(unscheduled(new(35), 35)), &["after the load: Unschedulable: 1 Insufficient cpu."], "nodes");
        fails(with(dead(new(94))), &["after the load: container app was not started again"], "logs");
        fails(with(new(35)), &["after the load: not ready (ContainersNotReady)"], "kubectl describe");
        cannot_tell(with(new(36)), Reason::InsufficientData, "shop/b was not ready when the load was over, 59 s after");
        cannot_tell(with(unscheduled(new(80), 80)), Reason::InsufficientData, "15 s after it was made");
    }

    #[test]
    fn more_troubles_than_can_be_told_are_counted() {
        let names: Vec<String> = (0..PODS_NAMED_MAX + 3).map(|number| format!("pod-{number:02}")).collect();
        let all = |deaths| names.iter().map(|name| died(pod(name), deaths, 33)).collect::<Vec<_>>();
        let findings = after(95, all(0), all(1)).unwrap();
        assert_eq!(findings.len(), PODS_NAMED_MAX + 1);
        assert!(
            findings.iter().all(|finding| !finding.met) && findings.last().unwrap().observed.starts_with("3 more pods")
        );
        let looks: Vec<_> = (0..10).map(|number| (number * 9, vec![died(pod("a"), number, number * 9)])).collect();
        fails(judged(&looks, |_, _| ()), &["and 4 more times"], "memory limit");
    }

    #[test]
    fn a_rollout_cannot_tell_unless_something_failed_meanwhile() {
        let new = |pod: SeenPod| SeenPod {
            created: Some(at(20)),
            labels: [("app".to_owned(), "orders".to_owned()), ("pod-template-hash".to_owned(), "v2".to_owned())].into(),
            ..pod
        };
        let text = format!("shop/Deployment/orders since {}", at(20));
        cannot_tell(after(95, pods(&["a"]), vec![new(pod("b"))]), Reason::ControlFailed, &text);
        fails(
            after(95, pods(&["a"]), vec![new(died(pod("b"), 1, 33))]),
            &["shop/b: container app: OOMKilled"],
            "memory",
        );
    }

    #[test]
    fn what_was_not_seen_cannot_tell_and_what_was_seen_fails() {
        let look = |deaths| [(0, pods(&["a"])), (95, vec![died(pod("a"), deaths, 33)])];
        let blind = |_: &mut Span, blind: &mut Option<CannotTell>| *blind = Some(CannotTell::forbidden("listing"));
        cannot_tell(judged(&look(0), blind), Reason::Forbidden, "listing");
        fails(judged(&look(1), blind), &["OOMKilled"], "memory");
        let cut = |span: &mut Span, _: &mut Option<CannotTell>| span.is_cut_short = true;
        cannot_tell(judged(&look(0), cut), Reason::PrerequisiteFailed, "before its time");
        fails(judged(&look(1), cut), &["OOMKilled"], "memory");
    }

    #[test]
    fn pods_that_no_request_can_have_reached_prove_nothing_and_fail_nevertheless() {
        let look = |deaths| [(0, pods(&["a"])), (95, vec![died(pod("a"), deaths, 33)])];
        let apart = |deaths| reached(&behind(&["x"]), &look(deaths), |_, _| ());
        cannot_tell(apart(0), Reason::ControlFailed, "no pod of shop/Deployment/orders is a ready endpoint");
        fails(apart(1), &["OOMKilled"], "memory");
        let detail = &apart(1).unwrap()[0].evidence[0].detail;
        assert!(detail.starts_with("no pod is a ready endpoint of a Service"), "{detail}");
    }

    #[test]
    fn what_leads_to_the_pods_and_what_protects_them_stands_before_what_happened() {
        let detail = after(95, pods(&["a"]), pods(&["a"])).unwrap()[0].evidence[0].detail.clone();
        let lines: Vec<&str> = detail.lines().collect();
        assert_eq!(
            (lines[0], lines[2]),
            ("1 of 1 pods are ready endpoints of shop/orders", "nothing happened to them")
        );
        assert!(lines[1].starts_with("no PodDisruptionBudget covers them"), "{detail}");
    }

    #[test]
    fn no_pod_at_all_cannot_tell() {
        cannot_tell(after(95, vec![], vec![]), Reason::InsufficientData, "shop/Deployment/orders had no pod");
        let ending = SeenPod { deleted: Some(at(80)), ..pod("a") };
        cannot_tell(after(95, pods(&["a"]), vec![ending]), Reason::InsufficientData, "had no pod");
    }

    #[test]
    fn a_workload_whose_pods_are_not_known_cannot_tell() {
        let timeline = timeline(&[(0, pods(&["a"])), (95, pods(&["a"]))]);
        let span = Span { began: at(1), ended: at(90), elapsed: Default::default(), is_cut_short: false };
        let seen = Seen { timeline: &timeline, span: &span, last: at(95), blind: None, reach: &behind(&["a"]) };
        let missing = [Unwatchable { name: "cart".to_owned(), why: "it has no `spec.selector`" }];
        cannot_tell(assess(&missing, &seen), Reason::PrerequisiteFailed, "cart: it has no `spec.selector`");
    }
}
