//! What happened to pods, put together from one look after the other. Pure.
//!
//! A look shows what is. What happened is the difference between two of them, with the times that the API itself tells:
//! those of conditions, of the ends of containers, of creations and deletions. Only where the API has no time it is that
//! of the look. What is counted (deaths, transitions) is compared and not timed, so that no difference between this
//! machine's clock and the cluster's hides anything.

use super::workload::{Watched, version};
use preflight_cluster::{SeenContainer, SeenPod};
use preflight_core::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The most troubles that are kept, and as many other entries.
pub(crate) const ENTRIES_MAX: usize = 100;

/// What happened to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Appeared,
    Ready,
    /// It was ready, nobody had told it to end, and it no longer was.
    LostReadiness,
    /// One of its containers ended, whether or not it was started again.
    Died,
    /// One of its containers cannot start.
    Waiting,
    /// No node takes it.
    Unschedulable,
    /// Somebody else than its owner ended it.
    Evicted,
    Deleted,
    Gone,
}

impl What {
    /// Whether it is wrong, whatever comes after it.
    fn is_trouble(self) -> bool {
        matches!(self, Self::LostReadiness | Self::Died | Self::Evicted)
    }

    /// The word in the report.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Ready => "ready",
            Self::LostReadiness => "lostReadiness",
            Self::Died => "died",
            Self::Waiting => "waiting",
            Self::Unschedulable => "unschedulable",
            Self::Evicted => "evicted",
            Self::Deleted => "deleted",
            Self::Gone => "gone",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    /// `namespace/Kind/name`.
    pub(crate) workload: String,
    /// `namespace/name`.
    pub(crate) pod: String,
    pub(crate) what: What,
    pub(crate) detail: String,
}

/// A change of the number of pods, those left out that are to end or have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scaled {
    pub(crate) at: Timestamp,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// The pods of one workload as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    workload: Watched,
    /// Its number of pods at the latest look.
    pub(crate) count: u64,
    /// How it changed.
    pub(crate) scaled: Vec<Scaled>,
    versions: BTreeSet<String>,
    /// When its pods were or became ones of more than one version.
    pub(crate) rollouts: Vec<Timestamp>,
}

impl Course {
    pub(crate) fn reference(&self) -> &str {
        &self.workload.reference
    }

    /// Whether the configuration says that it serves the target.
    pub(crate) fn is_named(&self) -> bool {
        self.workload.is_named
    }
}

/// What happened so far.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) courses: Vec<Course>,
    pods: BTreeMap<String, (usize, SeenPod)>,
    troubles: Vec<Entry>,
    others: Vec<Entry>,
    /// How many more there were.
    cut: u64,
    is_begun: bool,
}

impl Timeline {
    pub(crate) fn new(workloads: &[Watched]) -> Self {
        let course = |workload: &Watched| Course {
            workload: workload.clone(),
            count: 0,
            scaled: vec![],
            versions: BTreeSet::new(),
            rollouts: vec![],
        };
        let courses = workloads.iter().map(course).collect();
        Self { courses, pods: BTreeMap::new(), troubles: vec![], others: vec![], cut: 0, is_begun: false }
    }

    /// Takes every pod that is there now. The first time that is how it began, and nothing has happened.
    pub(crate) fn look(&mut self, now: Timestamp, found: Vec<SeenPod>) {
        let mut before = std::mem::take(&mut self.pods);
        for pod in found {
            let Some(index) = self.courses.iter().position(|course| course.workload.has(&pod)) else { continue };
            let known = before.remove(&pod.uid).map(|(_, known)| known);
            if self.is_begun {
                let workload = self.courses[index].reference().to_owned();
                let told = Told { workload, before: known.as_ref(), pod: &pod, now };
                told.differences().into_iter().for_each(|entry| self.keep(entry));
            }
            self.version(index, &pod, now);
            self.pods.insert(pod.uid.clone(), (index, pod));
        }
        for (index, pod) in before.into_values() {
            let workload = self.courses[index].reference().to_owned();
            let detail = if pod.deleted.is_some() { "" } else { "before it was seen to be told to end" };
            self.keep(Told { workload, before: None, pod: &pod, now }.entry(now, What::Gone, detail));
        }
        (0..self.courses.len()).for_each(|index| self.count(index, now));
        self.is_begun = true;
    }

    fn keep(&mut self, entry: Entry) {
        let list = if entry.what.is_trouble() { &mut self.troubles } else { &mut self.others };
        if list.len() < ENTRIES_MAX { list.push(entry) } else { self.cut += 1 }
    }

    fn version(&mut self, index: usize, pod: &SeenPod, now: Timestamp) {
        let Some(version) = version(pod).filter(|_| is_alive(pod)) else { return };
        let course = &mut self.courses[index];
        let is_first = course.versions.is_empty();
        if course.versions.insert(version.to_owned()) && !is_first && course.rollouts.len() < ENTRIES_MAX {
            course.rollouts.push(if self.is_begun { pod.created.unwrap_or(now) } else { now });
        }
    }

    /// Notes a change of the number of pods, at the latest creation or deletion.
    fn count(&mut self, index: usize, now: Timestamp) {
        let of_it = || self.pods.values().filter(|(own, _)| *own == index).map(|(_, pod)| pod);
        let (from, to) = (self.courses[index].count, of_it().filter(|pod| is_alive(pod)).count() as u64);
        let at = if to > from {
            of_it().filter_map(|pod| pod.created).max()
        } else {
            of_it().filter_map(|pod| pod.deleted).max()
        };
        let course = &mut self.courses[index];
        course.count = to;
        if self.is_begun && from != to {
            if course.scaled.len() < ENTRIES_MAX {
                course.scaled.push(Scaled { at: at.unwrap_or(now), from, to });
            } else {
                self.cut += 1;
            }
        }
    }

    /// The pods that should be ready.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &SeenPod> {
        self.pods.values().map(|(_, pod)| pod).filter(|pod| is_alive(pod))
    }

    /// Those of them that are of one workload.
    pub(crate) fn pods_of<'a>(&'a self, course: &Course) -> impl Iterator<Item = &'a SeenPod> {
        let index = self.courses.iter().position(|one| one.reference() == course.reference());
        let own = self.pods.values().filter(move |(own, _)| Some(*own) == index);
        own.map(|(_, pod)| pod).filter(|pod| is_alive(pod))
    }

    /// Those of them that are not.
    pub(crate) fn unready(&self) -> impl Iterator<Item = &SeenPod> {
        self.alive().filter(|pod| !is_ready(pod))
    }

    /// Whether every pod that should be ready is.
    pub(crate) fn is_settled(&self) -> bool {
        self.unready().next().is_none()
    }

    /// What was wrong, by its time.
    pub(crate) fn troubles(&self) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.troubles.iter().collect();
        all.sort_by_key(|entry| entry.at);
        all
    }

    /// Everything that is kept, by its time.
    pub(crate) fn entries(&self) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.troubles.iter().chain(&self.others).collect();
        all.sort_by_key(|entry| entry.at);
        all
    }

    /// As it stands in the report.
    pub(crate) fn json(&self) -> Value {
        let course = |course: &Course| {
            let scaled = |one: &Scaled| json!({ "at": one.at, "from": one.from, "to": one.to });
            json!({
                "workload": course.reference(),
                "pods": course.count,
                "scaled": course.scaled.iter().map(scaled).collect::<Vec<_>>(),
                "rollouts": course.rollouts,
            })
        };
        let entry =
            |one: &&Entry| json!({ "at": one.at, "pod": one.pod, "what": one.what.as_str(), "detail": one.detail });
        json!({
            "workloads": self.courses.iter().map(course).collect::<Vec<_>>(),
            "timeline": self.entries().iter().map(entry).collect::<Vec<_>>(),
            "leftOut": self.cut,
        })
    }
}

/// Whether a pod is there to stay.
fn is_alive(pod: &SeenPod) -> bool {
    pod.deleted.is_none() && !has_ended(pod)
}

fn has_ended(pod: &SeenPod) -> bool {
    matches!(pod.phase.as_str(), "Failed" | "Succeeded")
}

fn is_ready(pod: &SeenPod) -> bool {
    pod.ready.as_ref().is_some_and(|ready| ready.holds)
}

/// A pod at two looks, one after the other.
struct Told<'a> {
    /// Whose pod it is.
    workload: String,
    /// Nothing if it is new.
    before: Option<&'a SeenPod>,
    pod: &'a SeenPod,
    now: Timestamp,
}

impl Told<'_> {
    fn entry(&self, at: Timestamp, what: What, detail: impl Into<String>) -> Entry {
        let pod = format!("{}/{}", self.pod.namespace, self.pod.name);
        Entry { at, workload: self.workload.clone(), pod, what, detail: detail.into() }
    }

    /// Whether what happened at this time is part of an end that somebody ordered.
    fn is_ordered(&self, at: Option<Timestamp>) -> bool {
        self.pod.deleted.is_some_and(|deleted| at.is_none_or(|at| at >= deleted))
    }

    /// What happened between the two looks.
    fn differences(&self) -> Vec<Entry> {
        let Self { before, pod, now, .. } = *self;
        let mut all = vec![];
        if before.is_none() {
            all.push(self.entry(pod.created.unwrap_or(now), What::Appeared, ""));
        }
        all.extend(self.readiness());
        for container in &pod.containers {
            let known = before.and_then(|before| before.containers.iter().find(|one| one.name == container.name));
            self.container(known, container, &mut all);
        }
        let unscheduled = |pod: &SeenPod| pod.scheduled.clone().filter(|scheduled| !scheduled.holds);
        if let Some(condition) = unscheduled(pod).filter(|_| before.and_then(unscheduled).is_none()) {
            all.push(self.entry(condition.since.unwrap_or(now), What::Unschedulable, condition.reason));
        }
        all.extend(self.eviction());
        if let (None, Some(deleted)) = (before.and_then(|before| before.deleted), pod.deleted) {
            all.push(self.entry(deleted, What::Deleted, ""));
        }
        all
    }

    fn eviction(&self) -> Option<Entry> {
        let Self { before, pod, now, .. } = *self;
        let disrupted = |pod: &SeenPod| pod.disrupted.clone().filter(|disrupted| disrupted.holds);
        if let Some(condition) = disrupted(pod) {
            let is_new = before.and_then(disrupted).is_none();
            return is_new.then(|| self.entry(condition.since.unwrap_or(now), What::Evicted, condition.reason));
        }
        let has_failed = |pod: &SeenPod| pod.phase == "Failed";
        let is_new = has_failed(pod) && !before.is_some_and(has_failed) && pod.deleted.is_none();
        let since = pod.ready.as_ref().and_then(|ready| ready.since);
        let why = || pod.reason.clone().unwrap_or_else(|| "its phase is Failed".to_owned());
        is_new.then(|| self.entry(since.unwrap_or(now), What::Evicted, why()))
    }

    fn readiness(&self) -> Option<Entry> {
        let Self { before, pod, now, .. } = *self;
        let ready = |pod: &SeenPod| pod.ready.clone().unwrap_or_default();
        let (was, is) = (before.map(ready).unwrap_or_default(), ready(pod));
        let at = is.since.unwrap_or(now);
        match (was.holds, is.holds) {
            (true, false) if !self.is_ordered(is.since) => Some(self.entry(at, What::LostReadiness, is.reason)),
            (false, true) => Some(self.entry(at, What::Ready, "")),
            // A second is all that the API tells, so whatever is shorter is not seen.
            (true, true) if was.since.is_some() && is.since > was.since => {
                Some(self.entry(at, What::LostReadiness, "and was ready again before the next look"))
            }
            _ => None,
        }
    }

    fn container(&self, before: Option<&SeenContainer>, container: &SeenContainer, all: &mut Vec<Entry>) {
        let name = &container.name;
        let times = container.deaths.saturating_sub(before.map_or(0, |before| before.deaths));
        let at = container.exit.as_ref().and_then(|exit| exit.at);
        // Of more than one, only the last can be part of an end.
        if times > 1 || (times == 1 && !self.is_ordered(at)) {
            let how = match &container.exit {
                Some(exit) => format!("{}, exit code {}", exit.reason, exit.code),
                None => "nobody knows how".to_owned(),
            };
            let more = if times > 1 { format!(", {times} times since the look before") } else { String::new() };
            all.push(self.entry(at.unwrap_or(self.now), What::Died, format!("container {name}: {how}{more}")));
        }
        if let Some(reason) = &container.waiting
            && before.and_then(|before| before.waiting.as_ref()) != Some(reason)
        {
            all.push(self.entry(self.now, What::Waiting, format!("container {name}: {reason}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::scene::{at, died, evicted, pod, pods, ready, timeline, told, unready};

    /// What is told of the second look, as `WHAT SECOND`.
    fn between(first: &[SeenPod], second: &[SeenPod]) -> Vec<String> {
        let timeline = timeline(&[(0, first.to_vec()), (10, second.to_vec())]);
        let seconds = |time: Timestamp| time.since(at(0)).as_secs();
        timeline.entries().iter().map(|one| format!("{} {}", one.what.as_str(), seconds(one.at))).collect()
    }

    #[test]
    fn how_it_began_is_no_event() {
        let timeline = timeline(&[(0, vec![died(pod("a"), 3, 1), unready(pod("b"), 1)])]);
        assert!(timeline.entries().is_empty() && timeline.courses[0].count == 2 && !timeline.is_settled());
    }

    #[test]
    fn what_happened_has_the_time_of_the_api_and_not_of_the_look() {
        assert_eq!(between(&[pod("a")], &[unready(pod("a"), 4)]), ["lostReadiness 4"]);
        assert_eq!(between(&[unready(pod("a"), 1)], &[ready(pod("a"), 6)]), ["ready 6"]);
        assert_eq!(between(&[pod("a")], &[died(pod("a"), 1, 7)]), ["died 7"]);
        assert_eq!(between(&[pod("a")], &[evicted(pod("a"), 5)]), ["evicted 5"]);
        let new = SeenPod { created: Some(at(3)), ..ready(pod("b"), 8) };
        assert_eq!(between(&[pod("a")], &[pod("a"), new]), ["appeared 3", "ready 8"]);
    }

    #[test]
    fn readiness_that_came_back_between_two_looks_was_lost() {
        assert_eq!(between(&[ready(pod("a"), 1)], &[ready(pod("a"), 5)]), ["lostReadiness 5"]);
        assert_eq!(between(&[ready(pod("a"), 1)], &[ready(pod("a"), 1)]), [""; 0]);
    }

    #[test]
    fn the_end_of_a_pod_that_was_told_to_end_is_no_trouble_and_one_before_that_is() {
        let ends = |deleted: u64| SeenPod { deleted: Some(at(deleted)), ..unready(died(pod("a"), 1, 5), 5) };
        assert_eq!(between(&[pod("a")], &[ends(4)]), ["deleted 4"]);
        assert_eq!(between(&[pod("a")], &[ends(6)]), ["lostReadiness 5", "died 5", "deleted 6"]);
        let twice = SeenPod { deleted: Some(at(4)), ..died(pod("a"), 2, 5) };
        assert_eq!(between(&[pod("a")], &[twice]), ["deleted 4", "died 5"]);
    }

    #[test]
    fn a_pod_that_is_gone_is_told_once() {
        let mut timeline = timeline(&[(0, pods(&["a", "b"])), (10, pods(&["a"])), (11, pods(&["a"]))]);
        assert_eq!(told(&timeline), ["gone 10 shop/b"]);
        timeline.look(at(12), vec![]);
        assert_eq!(told(&timeline), ["gone 10 shop/b", "gone 12 shop/a"]);
    }

    #[test]
    fn the_number_of_pods_changes_when_pods_are_made_or_told_to_end() {
        let new = |name: &str, second| SeenPod { created: Some(at(second)), ..unready(pod(name), second) };
        let ending = SeenPod { deleted: Some(at(23)), ..pod("c") };
        let looks = [
            (0, pods(&["a"])),
            (10, vec![pod("a"), new("b", 4), new("c", 5)]),
            (20, pods(&["a", "b", "c"])),
            (30, vec![pod("a"), pod("b"), ending]),
            (40, vec![pod("a")]),
        ];
        let course = timeline(&looks).courses.remove(0);
        let seen: Vec<_> = course.scaled.iter().map(|one| (one.from, one.to, one.at)).collect();
        assert_eq!(seen, [(1, 3, at(5)), (3, 2, at(23)), (2, 1, at(40))]);
        assert_eq!(course.rollouts, []);
    }

    #[test]
    fn another_version_is_a_rollout_from_its_first_pod_on() {
        let new = |version: &str, second| {
            let labels =
                [("app".to_owned(), "orders".to_owned()), ("pod-template-hash".to_owned(), version.to_owned())];
            SeenPod { created: Some(at(second)), labels: labels.into(), ..pod(version) }
        };
        let rollouts = |looks: &[(u64, Vec<SeenPod>)]| timeline(looks).courses.remove(0).rollouts;
        assert_eq!(rollouts(&[(0, pods(&["a"])), (10, vec![pod("a"), new("v2", 7)])]), [at(7)]);
        assert_eq!(rollouts(&[(0, vec![pod("a"), new("v2", 0)])]), [at(0)]);
        assert_eq!(rollouts(&[(0, pods(&["a"])), (10, vec![pod("a"), new("v1", 7)])]), []);
        let ending = SeenPod { deleted: Some(at(0)), ..new("v0", 0) };
        assert_eq!(rollouts(&[(1, vec![pod("a"), ending])]), []);
    }

    #[test]
    fn pods_of_others_are_not_looked_at() {
        let other = SeenPod { namespace: "blue".to_owned(), ..died(pod("x"), 9, 5) };
        assert_eq!(between(&[pod("a")], &[pod("a"), other]), [""; 0]);
    }

    #[test]
    fn what_is_too_much_is_counted_and_troubles_keep_their_room() {
        let mut timeline = timeline(&[(0, pods(&["a"]))]);
        for second in 1..=ENTRIES_MAX as u64 + 20 {
            let name = format!("b{second}");
            timeline.look(at(second), vec![pod("a"), pod(&name)]);
        }
        timeline.look(at(1_000), vec![died(pod("a"), 1, 999)]);
        assert_eq!((timeline.entries().len(), timeline.troubles().len()), (ENTRIES_MAX + 1, 1));
        // Each of them came, was ready and went.
        assert_eq!(timeline.json()["leftOut"], 3 * (ENTRIES_MAX as u64 + 20) - ENTRIES_MAX as u64);
    }
}
