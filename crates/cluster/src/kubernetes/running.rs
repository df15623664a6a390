//! What runs now and is not what its description says, by what its controller writes about it. A description that changes
//! makes no other pods by itself: while a rollout goes on, is paused or waits for somebody (`OnDelete`), there are pods of a
//! former one.

use super::objects::Key;
use super::workload;
use crate::cursor::Cursor;
use crate::{Controller, EksWorkload, InventoryError, Overlap, Stray};

/// How many pods there are and how many of them are of the newest template, as controllers call it. They leave out a number
/// that is 0.
const COUNTS: &[(&str, &str)] =
    &[("replicas", "updatedReplicas"), ("currentNumberScheduled", "updatedNumberScheduled")];

/// The kinds whose controllers count so. Of others nobody knows what it means that they leave something out.
const COUNTING: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "Rollout"];

/// What is said of a workload if it has pods of another template than its own, or may have: its controller then has not
/// seen its newest version.
pub(crate) fn of_another_template(key: &Key, workload: &Cursor<'_>) -> Result<Option<Stray>, InventoryError> {
    let Some(status) = workload.get("status") else { return Ok(None) };
    let is_counting = COUNTING.contains(&key.kind.as_str());
    let (at, reference) = (status.at(), key.reference());
    let stray = |text: String| Ok(Some(Stray { reference: Some(key.reference()), text }));
    let mut pods = 0;
    for (all, updated) in COUNTS {
        let Some(all) = status.get(all).map(|all| all.count()).transpose()? else { continue };
        let updated = match status.get(updated) {
            Some(updated) => updated.count()?,
            None if is_counting => 0,
            None => continue,
        };
        if all > updated {
            let old = all - updated;
            return stray(format!(
                "{at}: {reference} has pods that are of another template than its own, {old} of {all}, and may hold other \
                 numbers of connections; run again when they are replaced (a rollout that is paused and `OnDelete` wait \
                 for somebody to finish them)"
            ));
        }
        pods = all;
    }
    if is_counting && pods > 0 && is_behind(workload, &status)? {
        return stray(format!(
            "{at}: the controller of {reference} has not seen its newest version, and its {pods} pods may be of another \
             template; run again when it has"
        ));
    }
    Ok(None)
}

/// Whether the numbers are those of an older version. Argo writes the version as text, and formerly something else.
fn is_behind(workload: &Cursor<'_>, status: &Cursor<'_>) -> Result<bool, InventoryError> {
    let version = |found: Option<Cursor<'_>>| {
        let text = found.map(|found| found.text()).transpose()?;
        Ok(text.and_then(|text| text.parse::<u64>().ok()))
    };
    let newest = version(workload.path(&["metadata", "generation"]))?;
    let seen = version(status.get("observedGeneration"))?;
    Ok(seen.zip(newest).is_some_and(|(seen, newest)| seen < newest))
}

/// What is said of a CronJob if its jobs run more pods than it has by its description, as somebody else starts jobs of
/// its own (`kubectl create job --from`), or other ones than it describes now.
pub(crate) fn beyond_its_runs(
    key: &Key,
    (workload, cron_job): (&EksWorkload, &Cursor<'_>),
    jobs: &[Cursor<'_>],
) -> Result<Option<Stray>, InventoryError> {
    let counted = match &workload.controller {
        Controller::CronJob { overlap: Overlap::Allow, runs: None, .. } => u64::MAX,
        Controller::CronJob { parallelism, overlap: Overlap::Allow, runs } => {
            parallelism.value.saturating_mul(runs.unwrap_or(1))
        }
        Controller::CronJob { parallelism, .. } => parallelism.value,
        _ => return Ok(None),
    };
    let (mut pods, mut others) = (0u64, 0);
    for job in jobs {
        pods = pods.saturating_add(pods_of(job)?);
        let described = cron_job.path(&["spec", "jobTemplate", "spec", "template", "spec"]);
        others += usize::from(!runs_the_same(described, job.path(&["spec", "template", "spec"])));
    }
    let (at, reference, number) = (cron_job.at(), key.reference(), jobs.len());
    let text = if pods > counted {
        format!(
            "{at}: {reference} has jobs that have not ended, {number} with {pods} pods, and {counted} pods are counted"
        )
    } else if others > 0 {
        format!("{at}: {reference} has jobs that have not ended and run something else than it describes now, {others}")
    } else {
        return Ok(None);
    };
    let text = format!("{text}; run again when they have ended");
    Ok(Some(Stray { reference: Some(reference), text }))
}

/// How many pods of a job there are, or are about to be.
fn pods_of(job: &Cursor<'_>) -> Result<u64, InventoryError> {
    let count = |path: &[&str]| job.path(path).map(|found| found.count()).transpose();
    let is_suspended = job.path(&["spec", "suspend"]).map_or(Ok(false), |found| found.boolean())?;
    let wanted = if is_suspended { 0 } else { count(&["spec", "parallelism"])?.unwrap_or(1) };
    Ok(wanted.max(count(&["status", "active"])?.unwrap_or(0)))
}

/// Whether a job runs the containers of its maker's template. What else it has may have been added to them.
pub(crate) fn is_of_template(key: &Key, maker: &Cursor<'_>, job: &Cursor<'_>) -> Result<bool, InventoryError> {
    let own = containers(job.path(&["spec", "template"]))?;
    let is_same = |one: &Cursor<'_>, other: &Cursor<'_>| {
        ["name", "image", "command", "args"].iter().all(|field| says_the_same(one.get(field), other.get(field)))
    };
    let described = containers(workload::template(key, maker)?)?;
    Ok(described.iter().all(|one| own.iter().any(|other| is_same(one, other))))
}

fn containers<'a>(template: Option<Cursor<'a>>) -> Result<Vec<Cursor<'a>>, InventoryError> {
    template.and_then(|found| found.get("spec")).map_or(Ok(vec![]), |spec| spec.items("containers"))
}

/// Whether two pods are described to run the same.
fn runs_the_same(one: Option<Cursor<'_>>, other: Option<Cursor<'_>>) -> bool {
    ["initContainers", "containers", "volumes"]
        .iter()
        .all(|name| says_the_same(one.and_then(|pod| pod.get(name)), other.and_then(|pod| pod.get(name))))
}

fn says_the_same(one: Option<Cursor<'_>>, other: Option<Cursor<'_>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.says_the_same_as(&other),
        (one, other) => one.is_none() && other.is_none(),
    }
}
