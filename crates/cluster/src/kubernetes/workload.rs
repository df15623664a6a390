//! Workloads and their autoscalers.

use super::kinds::TEMPLATES;
use super::objects::{Key, Objects, unreadable};
use super::{pod, selector};
use crate::cursor::Cursor;
use crate::{Autoscaler, Controller, EksWorkload, InventoryError, Overlap, Sited, Stray, Surge};
use std::collections::BTreeMap;

/// Where an object without a namespace goes.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// What KEDA scales to where a ScaledObject does not say.
const KEDA_MAX: u64 = 100;

/// Why it makes no pods in the long run, if it does not.
pub(crate) fn is_over(cursor: &Cursor<'_>) -> Result<Option<&'static str>, InventoryError> {
    if let Some(hook) = cursor.path(&["metadata", "annotations", "helm.sh/hook"]) {
        let hooks = hook.text()?;
        if hooks.split(',').all(|hook| matches!(hook.trim(), "test" | "test-success" | "test-failure")) {
            return Ok(Some("it runs in `helm test` alone"));
        }
    }
    let is_job = cursor.text_of("kind")?.is_some_and(|kind| kind == "Job");
    if is_job && cursor.path(&["metadata", "annotations", "eks-preflight/transition"]).is_some() {
        return Ok(Some("it is a run of this tool"));
    }
    Ok(has_ended(cursor)?.then_some("it has ended"))
}

/// Whether it is of a kind that ends, and has.
fn has_ended(cursor: &Cursor<'_>) -> Result<bool, InventoryError> {
    let Some(status) = cursor.get("status") else { return Ok(false) };
    let kind = cursor.text_of("kind")?.unwrap_or_default();
    let (phases, conditions): (&[&str], &[(&str, &str)]) = match kind.as_str() {
        "Pod" => (&["Succeeded", "Failed"], &[]),
        // Of Argo.
        "Workflow" => (&["Succeeded", "Failed", "Error"], &[]),
        "Job" => (&[], &[("Complete", "True"), ("Failed", "True")]),
        // Of Tekton.
        "PipelineRun" | "TaskRun" => (&[], &[("Succeeded", "True"), ("Succeeded", "False")]),
        _ => return Ok(false),
    };
    if status.text_of("phase")?.is_some_and(|phase| phases.contains(&phase.as_str())) {
        return Ok(true);
    }
    for condition in status.items("conditions")? {
        let (name, value) = (condition.text_of("type")?.unwrap_or_default(), condition.text_of("status")?);
        if conditions.contains(&(name.as_str(), value.unwrap_or_default().as_str())) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn needed<'a>(cursor: &Cursor<'a>, keys: &[&str]) -> Result<Cursor<'a>, InventoryError> {
    cursor.path(keys).ok_or_else(|| cursor.unlike("an object with a pod template"))
}

/// The template of a workload's pods; none if it is no workload, or they are described elsewhere.
pub(crate) fn template<'a>(key: &Key, cursor: &Cursor<'a>) -> Result<Option<Cursor<'a>>, InventoryError> {
    let path: &[&str] = match key.kind.as_str() {
        "Pod" => return Ok(Some(*cursor)),
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        // It governs the pods of another object: see `govern`.
        "Rollout" if cursor.path(&["spec", "workloadRef"]).is_some() => return Ok(None),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "Rollout" => &["spec", "template"],
        _ => return Ok(TEMPLATES.iter().find_map(|path| cursor.path(path))),
    };
    needed(cursor, path).map(Some)
}

/// One workload; none if its pods are described elsewhere.
pub(crate) fn read(
    objects: &Objects,
    key: &Key,
    cursor: &Cursor<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<EksWorkload>, InventoryError> {
    let spec = needed(cursor, &["spec"])?;
    let Some(template) = template(key, cursor)? else { return Ok(None) };
    let controller = controller(key, cursor, &spec)?;
    if matches!(controller, Controller::Unknown { .. }) {
        notes.push(format!(
            "{}: {} is of a kind that this tool does not know; its pods are read, and their number is `replicas`, if \
             there is one",
            cursor.at(),
            key.reference()
        ));
    }
    let selector = match selector::read(&spec) {
        // What a kind that this tool does not know calls so may be something else.
        Err(_) if matches!(controller, Controller::Unknown { .. }) => None,
        found => found?,
    };
    Ok(Some(EksWorkload {
        namespace: key.namespace.clone(),
        kind: key.kind.clone(),
        name: key.name.clone(),
        at: cursor.at(),
        controller,
        autoscaler: None,
        selector,
        pod: pod::read(objects, key, &template, notes)?,
    }))
}

/// A workload that is not here and of which what it made is: pods, ReplicaSets or Jobs, with the number of pods that
/// these have now. Where they do not run the same, each that is different is a workload beside it, under its own name.
pub(crate) fn of_what_it_made(
    objects: &Objects,
    maker: &Key,
    made: &[(&Key, Cursor<'_>)],
    notes: &mut Vec<String>,
) -> Result<Vec<EksWorkload>, InventoryError> {
    let mut found: Vec<(EksWorkload, u64)> = vec![];
    for (key, cursor) in made {
        let mut own = vec![];
        let Some(workload) = read(objects, key, cursor, &mut own)? else { continue };
        let pods = match &workload.controller {
            Controller::Bare { replicas } => replicas.value,
            Controller::Job { parallelism } => parallelism.value,
            _ => 1,
        };
        match found.iter_mut().find(|(known, _)| pod::run_the_same(&known.pod, &workload.pod)) {
            Some((_, number)) => *number += pods,
            None => {
                notes.append(&mut own);
                found.push((workload, pods));
            }
        }
    }
    // Former ReplicaSets have none.
    if found.iter().any(|(_, pods)| *pods > 0) {
        found.retain(|(_, pods)| *pods > 0);
    } else {
        found.truncate(1);
    }
    let workload = |(index, (made, pods)): (usize, (EksWorkload, u64))| {
        notes.push(format!(
            "{}: it belongs to {}, which is not {} or not known; as many pods as there are now, {pods}, are taken for all \
             that it makes",
            made.at,
            maker.reference(),
            objects.place
        ));
        let (kind, name) = if index == 0 { (&maker.kind, &maker.name) } else { (&made.kind, &made.name) };
        let (kind, name) = (kind.clone(), name.clone());
        let replicas = Some(Sited { value: pods, at: made.at.clone() });
        EksWorkload { kind, name, controller: Controller::Unknown { replicas }, ..made }
    };
    Ok(found.into_iter().enumerate().map(workload).collect())
}

fn controller(key: &Key, cursor: &Cursor<'_>, spec: &Cursor<'_>) -> Result<Controller, InventoryError> {
    let one = || Sited { value: 1, at: cursor.at() };
    let count = |spec: &Cursor<'_>, field| Ok(spec.sited(field, Cursor::count)?.unwrap_or_else(one));
    Ok(match key.kind.as_str() {
        "Deployment" => Controller::Deployment {
            replicas: spec.sited("replicas", Cursor::count)?,
            surge: deployment_surge(cursor, spec)?,
            waits_for_termination: spec.text_of("podReplacementPolicy")?.as_deref() == Some("TerminationComplete"),
        },
        "Rollout" => Controller::Deployment {
            replicas: spec.sited("replicas", Cursor::count)?,
            surge: Some(rollout_surge(cursor, spec)?),
            waits_for_termination: false,
        },
        "StatefulSet" => Controller::StatefulSet { replicas: spec.sited("replicas", Cursor::count)? },
        "DaemonSet" => {
            let found = spec.path(&["updateStrategy", "rollingUpdate"]);
            let surge = found.map(|found| found.sited("maxSurge", surge)).transpose()?.flatten();
            Controller::DaemonSet { surge: surge.unwrap_or_else(|| Sited { value: Surge::Count(0), at: cursor.at() }) }
        }
        "Job" => Controller::Job { parallelism: count(spec, "parallelism")? },
        "CronJob" => Controller::CronJob {
            parallelism: match spec.path(&["jobTemplate", "spec"]) {
                Some(job) => count(&job, "parallelism")?,
                None => one(),
            },
            overlap: match spec.text_of("concurrencyPolicy")?.as_deref() {
                Some("Forbid") => Overlap::Forbid,
                Some("Replace") => Overlap::Replace,
                _ => Overlap::Allow,
            },
            runs: runs(spec)?,
        },
        "ReplicaSet" => Controller::Bare { replicas: count(spec, "replicas")? },
        "Pod" => Controller::Bare { replicas: one() },
        "ScaledJob" => {
            let jobs = spec.sited("maxReplicaCount", Cursor::count)?.unwrap_or(Sited { value: KEDA_MAX, ..one() });
            let pods = spec.get("jobTargetRef").map_or(Ok(one()), |job| count(&job, "parallelism"))?;
            Controller::Unknown { replicas: Some(Sited { value: jobs.value.saturating_mul(pods.value), ..jobs }) }
        }
        _ => Controller::Unknown { replicas: spec.sited("replicas", Cursor::count)? },
    })
}

/// The most runs of a CronJob at the same time, if its jobs are ended.
fn runs(spec: &Cursor<'_>) -> Result<Option<u64>, InventoryError> {
    let deadline =
        spec.path(&["jobTemplate", "spec", "activeDeadlineSeconds"]).map(|found| found.count()).transpose()?;
    let schedule = spec.text_of("schedule")?.unwrap_or_default();
    Ok(deadline.map(|deadline| deadline.div_ceil(shortest_pause_s(&schedule)).max(1)))
}

/// No longer than the shortest time between two starts by a schedule of cron.
fn shortest_pause_s(schedule: &str) -> u64 {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    let minutes = schedule.split_whitespace().find(|word| !word.contains("TZ=")).unwrap_or_default();
    match minutes {
        "@hourly" => HOUR,
        "@daily" | "@midnight" | "@weekly" | "@monthly" | "@yearly" | "@annually" => 24 * HOUR,
        single if single.parse::<u64>().is_ok() => HOUR,
        // Where the hour is no multiple of the step, the last pause is shorter.
        steps => match steps.strip_prefix("*/").and_then(|step| step.parse::<u64>().ok()) {
            Some(step) if (1..60).contains(&step) => MINUTE * if 60 % step == 0 { step } else { 60 % step },
            _ => MINUTE,
        },
    }
}

fn deployment_surge(cursor: &Cursor<'_>, spec: &Cursor<'_>) -> Result<Option<Sited<Surge>>, InventoryError> {
    let quarter = || Sited { value: Surge::Percent(25), at: cursor.at() };
    let Some(strategy) = spec.get("strategy") else {
        return Ok(Some(quarter()));
    };
    if strategy.text_of("type")?.as_deref() == Some("Recreate") {
        return Ok(None);
    }
    let found = strategy.get("rollingUpdate").map(|found| found.sited("maxSurge", surge)).transpose()?.flatten();
    Ok(Some(found.unwrap_or_else(quarter)))
}

/// Of Argo Rollouts: blue and green are two whole sets.
fn rollout_surge(cursor: &Cursor<'_>, spec: &Cursor<'_>) -> Result<Sited<Surge>, InventoryError> {
    if let Some(twice) = spec.path(&["strategy", "blueGreen"]) {
        return Ok(Sited { value: Surge::Percent(100), at: twice.at() });
    }
    let canary = spec.path(&["strategy", "canary"]);
    let found = canary.map(|canary| canary.sited("maxSurge", surge)).transpose()?.flatten();
    Ok(found.unwrap_or_else(|| Sited { value: Surge::Percent(25), at: cursor.at() }))
}

fn surge(cursor: &Cursor<'_>) -> Result<Surge, InventoryError> {
    if !cursor.is_text() {
        return cursor.count().map(Surge::Count);
    }
    let text = cursor.text()?;
    let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
    percent.map(Surge::Percent).ok_or_else(|| cursor.unlike("a whole number, or one with `%`"))
}

/// Gives the number of a Rollout to the workload whose pods it runs (`workloadRef`), the larger of both. That workload is
/// then also the one that an autoscaler of the Rollout scales.
pub(crate) fn govern(
    objects: &Objects,
    workloads: &mut [EksWorkload],
    strays: &mut Vec<Stray>,
) -> Result<BTreeMap<Key, Key>, InventoryError> {
    let mut governed = BTreeMap::new();
    for (key, cursor) in objects.of(&["Rollout"]) {
        let Some(spec) = cursor.get("spec") else { continue };
        let Some(reference) = spec.get("workloadRef") else { continue };
        let target = Key::new(&key.namespace, &reference.needed("kind")?, &reference.needed("name")?);
        let Some(workload) = workloads.iter_mut().find(|workload| workload.reference() == target.reference()) else {
            strays.push(stray(objects, (key, &cursor), "takes its pods from", &target, workloads));
            continue;
        };
        let own = spec.sited("replicas", Cursor::count)?;
        let before = match &workload.controller {
            Controller::Deployment { replicas, .. } => replicas.clone(),
            _ => None,
        };
        let larger = match (own, before) {
            (Some(own), Some(before)) if before.value > own.value => Some(before),
            (own, _) => own,
        };
        let surge = Some(rollout_surge(&cursor, &spec)?);
        workload.controller = Controller::Deployment { replicas: larger, surge, waits_for_termination: false };
        governed.insert(key.clone(), target);
    }
    Ok(governed)
}

/// The kinds of autoscalers whose numbers this tool knows.
const KNOWN_SCALERS: &[&str] = &["HorizontalPodAutoscaler", "ScaledObject"];

/// Who sets the number of pods through the API and is no autoscaler of an unknown kind: the HorizontalPodAutoscaler, which
/// is read, and people.
const KNOWN_TO_SCALE: &[&str] = &["kube-controller-manager", "kubectl"];

/// Gives every workload the autoscaler that names it; the one with the larger maximum, if there are two, and one whose
/// maximum is not known before both.
pub(crate) fn autoscale(
    objects: &Objects,
    workloads: &mut [EksWorkload],
    governed: &BTreeMap<Key, Key>,
    strays: &mut Vec<Stray>,
) -> Result<(), InventoryError> {
    let mut take = |key: &Key, cursor: &Cursor<'_>| {
        let (target, found) = autoscaler(key, cursor)?;
        let Some(workload) = scaled(workloads, governed.get(&target).unwrap_or(&target)) else {
            let stray = stray(objects, (key, cursor), "scales", &target, workloads);
            return Ok(Some(stray));
        };
        let most = |one: &Autoscaler| one.max.as_ref().map_or(u64::MAX, |max| max.value);
        // What KEDA makes of a ScaledObject has the same numbers.
        if workload.autoscaler.as_ref().is_none_or(|known| most(known) < most(&found)) {
            workload.autoscaler = Some(found);
        }
        Ok(None)
    };
    for (key, cursor) in objects.of(KNOWN_SCALERS) {
        strays.extend(take(key, &cursor)?);
    }
    for (key, cursor) in objects.scalers() {
        strays.extend(
            take(key, &cursor).unwrap_or_else(|_: InventoryError| Some(unreadable(&cursor, &key.kind, Some(key)))),
        );
    }
    for workload in workloads.iter_mut().filter(|one| one.autoscaler.is_none()) {
        let key = Key::new(&workload.namespace, &workload.kind, &workload.name);
        workload.autoscaler = objects.get(&key).and_then(|cursor| seen_to_scale(&cursor).unwrap_or_default());
    }
    Ok(())
}

/// Somebody who has set the number of pods as autoscalers do, by what the API keeps of who set what.
fn seen_to_scale(cursor: &Cursor<'_>) -> Result<Option<Autoscaler>, InventoryError> {
    let Some(metadata) = cursor.get("metadata") else { return Ok(None) };
    for entry in metadata.items("managedFields")? {
        let name = entry.text_of("manager")?.unwrap_or_default();
        let scales = entry.text_of("subresource")?.as_deref() == Some("scale");
        if scales && !KNOWN_TO_SCALE.iter().any(|known| name.starts_with(known)) {
            let at = entry.at();
            return Ok(Some(Autoscaler { name, min: Sited { value: 0, at: at.clone() }, max: None, at }));
        }
    }
    Ok(None)
}

/// What is said of an object that governs the pods of a workload that is not here.
fn stray(
    objects: &Objects,
    (key, cursor): (&Key, &Cursor<'_>),
    does: &str,
    target: &Key,
    workloads: &[EksWorkload],
) -> Stray {
    let of_that_name = workloads.iter().filter(|one| one.name == target.name).map(EksWorkload::reference);
    let of_that_name: Vec<String> = of_that_name.collect();
    let meant =
        if of_that_name.is_empty() { String::new() } else { format!(" (is {} meant?)", of_that_name.join(" or ")) };
    let text = format!(
        "{}: {} {does} {}, which is not {} or not known{meant}, so nobody knows what its pods connect to; add it, or take \
         the {} out",
        cursor.at(),
        key.reference(),
        target.reference(),
        objects.place,
        key.kind
    );
    Stray { reference: Some(key.reference()), text }
}

/// The workload that is meant. Charts often write the namespace into some of their objects and leave it to the command
/// line for others; an object without one then seems to be in `default`.
fn scaled<'a>(workloads: &'a mut [EksWorkload], target: &Key) -> Option<&'a mut EksWorkload> {
    let is_named = |one: &EksWorkload| one.kind == target.kind && one.name == target.name;
    let exact = workloads.iter().position(|one| is_named(one) && one.namespace == target.namespace);
    let found = exact.or_else(|| {
        let mut named = workloads.iter().enumerate().filter(|(_, one)| is_named(one));
        let (index, one) = named.next()?;
        let is_unsaid = one.namespace == DEFAULT_NAMESPACE || target.namespace == DEFAULT_NAMESPACE;
        (named.next().is_none() && is_unsaid).then_some(index)
    })?;
    workloads.get_mut(found)
}

/// An autoscaler and the workload that it names.
fn autoscaler(key: &Key, cursor: &Cursor<'_>) -> Result<(Key, Autoscaler), InventoryError> {
    let spec = cursor.get("spec").ok_or_else(|| cursor.unlike("an object with `spec`"))?;
    let target = spec.get("scaleTargetRef").ok_or_else(|| spec.unlike("a mapping with `scaleTargetRef`"))?;
    let kind = target.text_of("kind")?.unwrap_or_else(|| "Deployment".to_owned());
    let target = Key::new(&key.namespace, &kind, &target.needed("name")?);
    let or = |field, value| Ok(spec.sited(field, Cursor::count)?.unwrap_or_else(|| Sited { value, at: cursor.at() }));
    let (min, max) = match key.kind.as_str() {
        "ScaledObject" => (or("minReplicaCount", 0)?, Some(or("maxReplicaCount", KEDA_MAX)?)),
        "HorizontalPodAutoscaler" => {
            let max = spec.sited("maxReplicas", Cursor::count)?;
            (or("minReplicas", 1)?, Some(max.ok_or_else(|| spec.unlike("a mapping with `maxReplicas`"))?))
        }
        _ => (Sited { value: 0, at: cursor.at() }, None),
    };
    Ok((target, Autoscaler { name: key.reference(), at: cursor.at(), min, max }))
}
