//! Whether a load can have come to the pods at all, and what protects them from a drain. Pure.
//!
//! Pods that are ready and behind no Service get no request, and stay healthy without having proved anything. So pods are
//! only said to have stayed healthy under load if some were ready endpoints of a Service when the load began, and some are
//! after it: of each workload that the configuration names as one that serves the target, and where it names none, of any,
//! and then of a Service with an address, for one without is often only a list for monitoring. A workload that is not named
//! and has no endpoint is usual, for a consumer has no Service; and of pods that are ready and no endpoints the others
//! carried the load. Both are told, and neither changes the outcome.

use super::findings::PODS_NAMED_MAX;
use super::timeline::{Course, Timeline};
use preflight_cluster::{EndpointTarget, SeenBudget, SeenEndpoint, SeenPod};
use preflight_core::{CannotTell, Reason, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A pod that has been ready for so long should be an endpoint of its Service; a younger one may be on its way.
const ENDPOINT_LIMIT: Duration = Duration::from_secs(10);

/// The most Services and workloads that are named in one sentence.
const NAMES_MAX: usize = 5;

/// The ready endpoints of Services, and which Services those are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    of: BTreeMap<EndpointTarget, BTreeSet<String>>,
    /// The Services among them that have no address.
    headless: BTreeSet<String>,
}

impl Endpoints {
    pub(crate) fn new(seen: Vec<SeenEndpoint>) -> Self {
        let mut ready = Self::default();
        for SeenEndpoint { service, target, is_headless, .. } in seen.into_iter().filter(|one| one.is_ready) {
            if is_headless {
                ready.headless.insert(service.clone());
            }
            ready.of.entry(target).or_default().insert(service);
        }
        ready
    }

    /// The Services that send requests to a pod.
    fn of(&self, pod: &SeenPod) -> BTreeSet<&str> {
        let uid = EndpointTarget::Uid(pod.uid.clone());
        let name = EndpointTarget::Name(pod.namespace.clone(), pod.name.clone());
        let addresses = pod.addresses.iter().copied().map(EndpointTarget::Address);
        let services = [uid, name].into_iter().chain(addresses).filter_map(|target| self.of.get(&target));
        services.flatten().map(String::as_str).collect()
    }

    /// The workloads that should have got requests, and to whose pods none can have come.
    pub(crate) fn apart(&self, timeline: &Timeline) -> Vec<String> {
        let has_address = |service: &&str| !self.headless.contains(*service);
        let named: Vec<&Course> = timeline.courses.iter().filter(|course| course.is_named()).collect();
        let any = timeline.alive().flat_map(|pod| self.of(pod)).any(|service| has_address(&service));
        let apart: Vec<&Course> = match named.as_slice() {
            [] if any => vec![],
            [] => timeline.courses.iter().collect(),
            named => {
                let is_apart = |course: &&&Course| timeline.pods_of(course).all(|pod| self.of(pod).is_empty());
                named.iter().filter(is_apart).copied().collect()
            }
        };
        apart.into_iter().map(|course| course.reference().to_owned()).collect()
    }
}

/// What was read around a load, each with why it could not be.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// The workloads that no request can have come to when the load began.
    pub(crate) at_first: Result<Vec<String>, CannotTell>,
    /// The endpoints after it.
    pub(crate) endpoints: Result<Endpoints, CannotTell>,
    /// The budgets after it.
    pub(crate) budgets: Result<Vec<SeenBudget>, CannotTell>,
}

impl Reach {
    /// That requests can have come to the pods.
    pub(crate) fn control(&self, timeline: &Timeline) -> Result<(), CannotTell> {
        let endpoints = self.endpoints.as_ref().map_err(|why| unread(why, "after the load"))?;
        let apart = endpoints.apart(timeline);
        if !apart.is_empty() {
            let text = format!(
                "no pod of {} is a ready endpoint of a Service of its namespace, so through one the load cannot have come to \
                 them; let the selector of the Service that the domain leads to fit their labels, or name the workloads that \
                 serve the target, and no others (`workloads` of the target)",
                listed(apart.iter().map(String::as_str), NAMES_MAX)
            );
            return Err(CannotTell::new(Reason::ControlFailed, text));
        }
        let apart = self.at_first.as_ref().map_err(|why| unread(why, "when it began"))?;
        if apart.is_empty() {
            return Ok(());
        }
        let text = format!(
            "when the load began, no pod of {} was a ready endpoint of a Service, so part of it cannot have come to them; one \
             is now: run again",
            listed(apart.iter().map(String::as_str), NAMES_MAX)
        );
        Err(CannotTell::new(Reason::ControlFailed, text))
    }

    /// How many pods of a workload Services lead to, in a few words.
    pub(crate) fn said(&self, timeline: &Timeline, course: &Course) -> String {
        let Ok(endpoints) = &self.endpoints else { return "nobody knows behind which Service".to_owned() };
        let behind = Behind::of(timeline, course, endpoints);
        match behind.count {
            0 => "behind no Service".to_owned(),
            count if count == course.count => format!("behind {}", named(&behind.services)),
            count => format!("{count} of them behind {}", named(&behind.services)),
        }
    }

    /// What leads to the pods of a workload and what protects them, line by line.
    pub(crate) fn lines(&self, timeline: &Timeline, course: &Course, now: Timestamp) -> Vec<String> {
        let mut lines = match &self.endpoints {
            Ok(endpoints) => Behind::of(timeline, course, endpoints).lines(course, now),
            Err(why) => vec![format!("which Services lead to them is not known: {}", why.detail)],
        };
        match &self.budgets {
            Ok(budgets) => lines.extend(protection(timeline, course, budgets)),
            Err(why) => lines.push(format!("which PodDisruptionBudgets cover them is not known: {}", why.detail)),
        }
        lines
    }
}

/// The pods of a workload as Services see them.
struct Behind<'a> {
    services: BTreeSet<&'a str>,
    /// How many of its pods are ready endpoints.
    count: u64,
    /// Its ready pods that are none.
    apart: Vec<&'a SeenPod>,
}

impl<'a> Behind<'a> {
    fn of(timeline: &'a Timeline, course: &Course, endpoints: &'a Endpoints) -> Self {
        let mut behind = Self { services: BTreeSet::new(), count: 0, apart: vec![] };
        for pod in timeline.pods_of(course) {
            let services = endpoints.of(pod);
            if !services.is_empty() {
                behind.count += 1;
                behind.services.extend(services);
            } else if pod.ready.as_ref().is_some_and(|ready| ready.holds) {
                behind.apart.push(pod);
            }
        }
        behind
    }

    fn lines(&self, course: &Course, now: Timestamp) -> Vec<String> {
        if self.count == 0 {
            return vec!["no pod is a ready endpoint of a Service: through one no load came to them".to_owned()];
        }
        let mut lines =
            vec![format!("{} of {} pods are ready endpoints of {}", self.count, course.count, named(&self.services))];
        let since = |pod: &SeenPod| pod.ready.as_ref().and_then(|ready| ready.since);
        let is_late = |pod: &&&SeenPod| since(pod).is_none_or(|since| now.since(since) >= ENDPOINT_LIMIT);
        let late: Vec<String> =
            self.apart.iter().filter(is_late).map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect();
        if !late.is_empty() {
            let text = listed(late.iter().map(String::as_str), PODS_NAMED_MAX);
            lines.push(format!("ready and no endpoint of a Service, so the others carried their load: {text}"));
        }
        lines
    }
}

/// The budgets that cover pods of a workload, or that none does.
fn protection(timeline: &Timeline, course: &Course, budgets: &[SeenBudget]) -> Vec<String> {
    let line = |budget: &SeenBudget| {
        let covers = |pod: &&SeenPod| budget.covers(&pod.namespace, &pod.labels);
        let covered = timeline.pods_of(course).filter(covers).count();
        let counts = budget.counts.map_or("not counted yet".to_owned(), |counts| {
            format!(
                "currentHealthy {}, desiredHealthy {}, disruptionsAllowed {}",
                counts.healthy, counts.desired, counts.allowed
            )
        });
        let of = format!("{covered} of {} pods", course.count);
        (covered > 0).then(|| format!("PodDisruptionBudget {} covers {of}: {counts}", budget.name))
    };
    let lines: Vec<String> = budgets.iter().filter_map(line).collect();
    if lines.is_empty() {
        return vec!["no PodDisruptionBudget covers them: a drain may end all of them at once".to_owned()];
    }
    lines
}

fn unread(why: &CannotTell, when: &str) -> CannotTell {
    let text = format!("{}; without it nobody can tell whether the load came to the pods ({when})", why.detail);
    CannotTell::new(why.reason, text)
}

fn named(services: &BTreeSet<&str>) -> String {
    listed(services.iter().copied(), NAMES_MAX)
}

/// The first of some names, and how many more there are.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>, max: usize) -> String {
    let more = names.len().saturating_sub(max);
    let text = names.take(max).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::scene::{at, deployments, endpoint, pod, pods, reach, ready, timeline};
    use preflight_cluster::{BudgetCounts, Selector};

    /// A Service of the pods with these names, after the load and when it began.
    fn behind(names: &[&str]) -> Reach {
        reach(names.iter().map(|name| endpoint(EndpointTarget::Uid((*name).to_owned()))).collect())
    }

    fn seen(pods: Vec<SeenPod>) -> Timeline {
        timeline(&[(0, pods)])
    }

    fn lines(reach: &Reach, timeline: &Timeline) -> Vec<String> {
        reach.lines(timeline, &timeline.courses[0], at(95))
    }

    #[track_caller]
    fn cannot_tell(reach: &Reach, timeline: &Timeline, reason: Reason, text: &str) {
        let error = reach.control(timeline).unwrap_err();
        assert!(error.reason == reason && error.detail.contains(text), "{error}");
    }

    #[test]
    fn pods_that_are_endpoints_can_have_got_the_load() {
        let timeline = seen(pods(&["a", "b"]));
        let reach = behind(&["a", "b"]);
        assert_eq!(reach.control(&timeline), Ok(()));
        assert_eq!(reach.said(&timeline, &timeline.courses[0]), "behind shop/orders");
        assert_eq!(lines(&reach, &timeline)[0], "2 of 2 pods are ready endpoints of shop/orders");
    }

    #[test]
    fn pods_behind_no_service_cannot_have_got_the_load() {
        let timeline = seen(pods(&["a", "b"]));
        for other in [behind(&[]), behind(&["x"])] {
            cannot_tell(
                &other,
                &timeline,
                Reason::ControlFailed,
                "no pod of shop/Deployment/orders is a ready endpoint",
            );
        }
        let unready = SeenEndpoint { is_ready: false, ..endpoint(EndpointTarget::Uid("a".to_owned())) };
        cannot_tell(&reach(vec![unready]), &timeline, Reason::ControlFailed, "let the selector of the Service");
        let ending = seen(vec![SeenPod { deleted: Some(at(80)), ..pod("a") }, pod("b")]);
        cannot_tell(&behind(&["a"]), &ending, Reason::ControlFailed, "no pod of shop/Deployment/orders");
    }

    #[test]
    fn a_service_that_led_nowhere_when_the_load_began_leaves_part_of_it_unproved() {
        let late = Reach { at_first: Ok(vec!["shop/Deployment/orders".to_owned()]), ..behind(&["a"]) };
        cannot_tell(&late, &seen(pods(&["a"])), Reason::ControlFailed, "when the load began, no pod of");
    }

    #[test]
    fn a_pod_is_found_by_uid_by_name_and_by_address_and_by_nothing_of_another() {
        let own = SeenPod { addresses: vec!["10.0.0.7".parse().unwrap(), "fd00::7".parse().unwrap()], ..pod("a") };
        let timeline = seen(vec![own]);
        let is_found = |target: EndpointTarget| reach(vec![endpoint(target)]).control(&timeline).is_ok();
        let name = |namespace: &str, name: &str| EndpointTarget::Name(namespace.to_owned(), name.to_owned());
        let address = |text: &str| EndpointTarget::Address(text.parse().unwrap());
        assert!(is_found(name("shop", "a")) && is_found(address("10.0.0.7")) && is_found(address("fd00::7")));
        for other in [name("blue", "a"), name("shop", "b"), address("10.0.0.8"), EndpointTarget::Uid("b".to_owned())] {
            assert!(!is_found(other.clone()), "{other:?}");
        }
    }

    #[test]
    fn what_could_not_be_read_leaves_the_question_open_with_its_reason() {
        let timeline = seen(pods(&["a"]));
        let refused = CannotTell::forbidden("listing the EndpointSlices of the namespace shop: 403");
        let after = Reach { endpoints: Err(refused.clone()), ..behind(&["a"]) };
        cannot_tell(&after, &timeline, Reason::Forbidden, "shop: 403; without it nobody can tell");
        let first = Reach { at_first: Err(CannotTell::unreachable("listing")), ..behind(&["a"]) };
        cannot_tell(&first, &timeline, Reason::Unreachable, "(when it began)");
        assert_eq!(after.said(&timeline, &timeline.courses[0]), "nobody knows behind which Service");
        assert!(lines(&after, &timeline)[0].contains("is not known: listing the EndpointSlices"));
    }

    #[test]
    fn ready_pods_beside_the_service_are_named_unless_they_may_be_on_their_way() {
        let timeline = seen(vec![pod("a"), pod("b"), ready(pod("c"), 86)]);
        let reach = behind(&["a"]);
        assert_eq!(reach.control(&timeline), Ok(()));
        let told = lines(&reach, &timeline);
        assert_eq!(told[0], "1 of 3 pods are ready endpoints of shop/orders");
        assert!(told[1].ends_with("the others carried their load: shop/b"), "{told:?}");
        assert_eq!(reach.said(&timeline, &timeline.courses[0]), "1 of them behind shop/orders");
    }

    #[test]
    fn a_workload_without_a_service_beside_one_with_is_told_and_leaves_no_doubt() {
        let mut timeline = Timeline::new(&deployments(&["mailer", "orders"]));
        let mailer = SeenPod { labels: [("app".to_owned(), "mailer".to_owned())].into(), ..pod("m") };
        timeline.look(at(0), vec![mailer, pod("a")]);
        let reach = behind(&["a"]);
        assert_eq!(reach.control(&timeline), Ok(()));
        let said = |course: usize| reach.said(&timeline, &timeline.courses[course]);
        assert_eq!((said(0).as_str(), said(1).as_str()), ("behind no Service", "behind shop/orders"));
        assert!(lines(&reach, &timeline)[0].starts_with("no pod is a ready endpoint of a Service"));
        let both = "no pod of shop/Deployment/mailer, shop/Deployment/orders is";
        cannot_tell(&behind(&["x"]), &timeline, Reason::ControlFailed, both);
    }

    #[test]
    fn every_workload_that_is_said_to_serve_the_target_must_be_led_to() {
        let mut workloads = deployments(&["mailer", "orders"]);
        workloads.iter_mut().for_each(|one| one.is_named = true);
        let mut timeline = Timeline::new(&workloads);
        let mailer = SeenPod { labels: [("app".to_owned(), "mailer".to_owned())].into(), ..pod("m") };
        timeline.look(at(0), vec![mailer, pod("a")]);
        assert_eq!(behind(&["a", "m"]).control(&timeline), Ok(()));
        cannot_tell(&behind(&["a"]), &timeline, Reason::ControlFailed, "no pod of shop/Deployment/mailer is a ready");
    }

    #[test]
    fn a_list_of_pods_is_no_way_for_requests_unless_they_are_said_to_serve_the_target() {
        let list = SeenEndpoint { is_headless: true, ..endpoint(EndpointTarget::Uid("a".to_owned())) };
        let timeline = seen(pods(&["a"]));
        cannot_tell(&reach(vec![list.clone()]), &timeline, Reason::ControlFailed, "no pod of shop/Deployment/orders");
        let mut workloads = deployments(&["orders"]);
        workloads[0].is_named = true;
        let mut named = Timeline::new(&workloads);
        named.look(at(0), pods(&["a"]));
        assert_eq!(reach(vec![list]).control(&named), Ok(()));
    }

    #[test]
    fn budgets_are_told_with_what_they_allow_and_their_absence_as_well() {
        let timeline = seen(pods(&["a", "b"]));
        let budget = |selector: Option<Selector>, counts| {
            let (namespace, name) = ("shop".to_owned(), "guard".to_owned());
            Reach { budgets: Ok(vec![SeenBudget { namespace, name, selector, counts }]), ..behind(&["a", "b"]) }
        };
        let of = |app: &'static str| Some([("app", app)].into_iter().collect::<Selector>());
        let counted = Some(BudgetCounts { healthy: 2, desired: 1, allowed: 0 });
        let line = |reach: &Reach| lines(reach, &timeline).pop().unwrap();
        let all =
            "PodDisruptionBudget guard covers 2 of 2 pods: currentHealthy 2, desiredHealthy 1, disruptionsAllowed 0";
        assert_eq!(line(&budget(Some(Selector::default()), counted)), all);
        assert_eq!(line(&budget(of("orders"), counted)), all);
        assert!(line(&budget(of("orders"), None)).ends_with("2 of 2 pods: not counted yet"));
        for other in [budget(None, counted), budget(of("cart"), counted), behind(&["a"])] {
            assert!(line(&other).starts_with("no PodDisruptionBudget covers them"), "{}", line(&other));
        }
        let unread = Reach { budgets: Err(CannotTell::unreachable("no answer")), ..behind(&["a"]) };
        assert!(line(&unread).ends_with("is not known: no answer"));
        assert_eq!(unread.control(&timeline), Ok(()));
    }

    #[test]
    fn names_that_are_too_many_are_counted() {
        let names = ["a", "b", "c"];
        assert_eq!(listed(names.into_iter(), 2), "a, b and 1 more");
        assert_eq!(listed(names.into_iter(), 3), "a, b, c");
    }
}
