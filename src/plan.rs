//! The plan: which checks of which subjects a transition needs, at which level, and which of them may run.

use crate::areas::{self, Areas};
use crate::config::{Loaded, Waiver, nearest};
use crate::deployed::{Unread, nothing_deployed};
use crate::pattern;
use anyhow::{Result, bail};
use preflight_cluster::Inventory;
use preflight_core::{
    CannotTell, Check, Disruption, Item, ItemKind, Job, Level, Meta, Phase, Reason, Right, Run, Scope,
};
use preflight_report::{Excluded, Plan, PlanItem, Transition};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The subject of a check of which nobody knows the subjects.
const EVERYTHING: &str = "everything";

/// What the command line says about a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// The phase after the step.
    pub to: String,
    /// Patterns of check ids, or `CHECK:SUBJECT`; none means every check.
    pub only: Vec<String>,
    /// Targets whose owners agreed to writes or load.
    pub consent: Vec<String>,
}

/// Everything that will be checked, in order.
pub(crate) struct Planned {
    pub transition: Transition,
    pub steps: Vec<Step>,
    pub excluded: Vec<Excluded>,
    /// The waivers that lower a level in this plan.
    pub waivers: Vec<preflight_report::Waiver>,
    /// What it took to read what is deployed.
    pub reading: Vec<Right>,
}

/// One check of one subject.
pub(crate) struct Step {
    pub meta: &'static Meta,
    pub subject: String,
    pub targets: Vec<String>,
    pub level: Level,
    pub check: Arc<dyn Check>,
    /// What it needs on the Kubernetes API and on AWS.
    pub rights: Vec<Right>,
    /// Why it is not run, with a text for the report.
    pub skip: Option<(Reason, String)>,
}

impl Planned {
    /// Plans a transition.
    ///
    /// # Errors
    /// If the phase is not known, a selection or a consent names nothing, or a waiver fits no item of the plan.
    pub(crate) fn new(loaded: &Loaded, areas: &Areas, choice: &Choice) -> Result<Self> {
        let (phase, mut planned) = Self::empty(loaded, choice)?;
        planned.reading.clone_from(&areas.irsa.inventory.rights);
        for (meta, item) in areas.items() {
            planned.add(meta, item, phase, loaded);
        }
        planned.list_what_has_no_subject(phase, loaded);
        planned.unique()?;
        planned.select(&choice.only, || nothing_deployed(&loaded.config, &areas.irsa.inventory))?;
        planned.consent(&choice.consent)?;
        planned.waive(loaded)?;
        Ok(planned)
    }

    /// The plan where what is deployed could not be read. What the configuration alone decides is planned as ever; of every
    /// other check nobody knows the subjects, so each is required, of everything, and cannot tell.
    ///
    /// # Errors
    /// If the phase is not known.
    pub(crate) fn unread(loaded: &Loaded, choice: &Choice, unread: Unread<'_>) -> Result<Self> {
        let (phase, mut planned) = Self::empty(loaded, choice)?;
        // Where the cluster answered, it is no target that could not be reached.
        let targets = if unread.is_reached { vec![] } else { vec![loaded.config.cluster.target()] };
        let detail = format!("what is deployed could not be read: {}", unread.why.detail);
        let mut items = Areas::new(&loaded.config, Inventory::default()).items();
        for meta in areas::metas() {
            if areas::needs_inventory(meta) {
                let check = CannotRun(CannotTell::new(unread.why.reason, &detail));
                planned.add(meta, Item::planned(EVERYTHING, targets.clone(), check), phase, loaded);
            }
            for (_, item) in items.extract_if(.., |(of, _)| of.id == meta.id && !areas::needs_inventory(meta)) {
                planned.add(meta, item, phase, loaded);
            }
        }
        planned.list_what_has_no_subject(phase, loaded);
        planned.unique()?;
        planned.leave_out(&choice.only);
        planned.withhold_consent(&choice.consent);
        let is_open = |check: &str| areas::metas().any(|meta| meta.id == check && areas::needs_inventory(meta));
        for waiver in loaded.config.waivers.iter().filter(|waiver| !is_open(&waiver.check)) {
            planned.lower(waiver);
        }
        for step in planned.steps.iter_mut().filter(|step| areas::needs_inventory(step.meta)) {
            // The subject that is selected, consented to or waived may be among those that nobody knows.
            let of_check = |wanted: &String| pattern::matches(wanted.split(':').next().unwrap_or(wanted), step.meta.id);
            if choice.only.is_empty() || choice.only.iter().any(of_check) {
                step.skip = None;
            }
            step.level = Level::Required;
        }
        Ok(planned)
    }

    fn empty(loaded: &Loaded, choice: &Choice) -> Result<(Phase, Self)> {
        let Some((phase, from)) = loaded.phases.find(&choice.to) else {
            let known = loaded.phases.names().collect::<Vec<_>>().join(", ");
            bail!("`{}` is not a phase of this migration; the phases are: {known}", choice.to);
        };
        let transition = Transition { from: from.to_owned(), to: choice.to.clone() };
        Ok((phase, Self { transition, steps: vec![], excluded: vec![], waivers: vec![], reading: vec![] }))
    }

    /// A check that found nothing to look at must not vanish without a word, and one that is required by name stays open.
    fn list_what_has_no_subject(&mut self, phase: Phase, loaded: &Loaded) {
        for meta in areas::metas() {
            let is_planned = self.steps.iter().any(|step| step.meta.id == meta.id);
            let is_named = is_planned || self.excluded.iter().any(|one| one.check == meta.id);
            if !is_planned && is_raised(meta, loaded) {
                let why = "`required` in the configuration names it, and there is nothing that it could be about";
                let check = CannotRun(CannotTell::prerequisite(why));
                self.add(meta, Item::planned(EVERYTHING, vec![], check), phase, loaded);
            } else if !is_named {
                self.excluded.push(Excluded {
                    check: meta.id.to_owned(),
                    subject: EVERYTHING.to_owned(),
                    reason: "the configuration and what is deployed name nothing that it is about".to_owned(),
                });
            }
        }
    }

    fn add(&mut self, meta: &'static Meta, item: Item, phase: Phase, loaded: &Loaded) {
        let Item { subject, kind, targets, rights } = item;
        let raised = is_raised(meta, loaded);
        match kind {
            ItemKind::Excluded(reason) => self.excluded.push(Excluded { check: meta.id.to_owned(), subject, reason }),
            ItemKind::Planned(check) => {
                let level = if raised { Level::Required } else { meta.levels.in_phase(phase) };
                self.steps.push(Step { meta, subject, targets, level, check, rights, skip: None });
            }
        }
    }

    /// A subject that is there twice would make a plan that no results can match.
    fn unique(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for step in &self.steps {
            if !seen.insert((step.meta.id, &step.subject)) {
                bail!("two workloads or endpoints are called `{}`; rename one under `workloads`", step.subject);
            }
        }
        Ok(())
    }

    fn select(&mut self, only: &[String], why: impl Fn() -> Option<String>) -> Result<()> {
        for wanted in only {
            if !self.steps.iter().any(|step| step.fits(wanted)) {
                let why = why().unwrap_or_else(|| "`eks-preflight plan --to …` lists it".to_owned());
                bail!("--only {wanted}: nothing in the plan fits; {why}");
            }
        }
        self.leave_out(only);
        Ok(())
    }

    fn leave_out(&mut self, only: &[String]) {
        for step in &mut self.steps {
            if !only.is_empty() && !only.iter().any(|wanted| step.fits(wanted)) {
                step.skip = Some((Reason::NotSelected, format!("left out by --only {}", only.join(" --only "))));
            }
        }
    }

    fn consent(&mut self, consent: &[String]) -> Result<()> {
        let known: BTreeSet<&str> = self.steps.iter().flat_map(Step::consentable).collect();
        if let Some(unknown) = consent.iter().find(|name| !known.contains(name.as_str())) {
            let subjects: Vec<&str> = self.consentable().into_iter().collect();
            if subjects.is_empty() {
                bail!("--consent {unknown}: no check that is planned needs consent");
            }
            let near = nearest(unknown, subjects.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            bail!(
                "--consent {unknown}: no check that is planned asks for that; what can be consented to: {}{}",
                subjects.join(", "),
                near.unwrap_or_default()
            );
        }
        self.withhold_consent(consent);
        Ok(())
    }

    fn withhold_consent(&mut self, consent: &[String]) {
        let needs = |step: &&mut Step| step.skip.is_none() && step.meta.disruption.needs_consent();
        for step in self.steps.iter_mut().filter(needs) {
            if !consent.contains(&step.subject) && !step.targets.iter().all(|target| consent.contains(target)) {
                let does = if step.meta.disruption == Disruption::Loads { "loads" } else { "writes to" };
                let text = format!("it {does} its targets, and nobody consented; add --consent {}", step.subject);
                step.skip = Some((Reason::NotConsented, text));
            }
        }
    }

    fn waive(&mut self, loaded: &Loaded) -> Result<()> {
        for (index, waiver) in loaded.config.waivers.iter().enumerate() {
            if self.lower(waiver) {
                continue;
            }
            let of_check = |step: &&Step| step.meta.id == waiver.check;
            let subjects = self.steps.iter().filter(of_check).map(|step| step.subject.as_str());
            let near = nearest(&waiver.subject, subjects).map(|near| format!("; did you mean `{near}`?"));
            let text = format!(
                "the waiver of {} for `{}` fits nothing in the plan; remove it{}",
                waiver.check,
                waiver.subject,
                near.unwrap_or_default()
            );
            let mistake = loaded.mistake(&format!("waivers[{index}].subject"), text);
            return Err(loaded.mistaken(vec![mistake]).into());
        }
        Ok(())
    }

    /// Lowers the level of what a waiver names. Whether that is in the plan.
    fn lower(&mut self, waiver: &Waiver) -> bool {
        let fits = |step: &&mut Step| step.meta.id == waiver.check && step.subject == waiver.subject;
        let Some(step) = self.steps.iter_mut().find(fits) else { return false };
        if step.level != Level::Advisory {
            step.level = Level::Advisory;
            self.waivers.push(preflight_report::Waiver {
                check: waiver.check.clone(),
                subject: waiver.subject.clone(),
                owner: waiver.owner.clone(),
                reason: waiver.reason.clone(),
                expires: waiver.expires,
            });
        }
        true
    }

    /// The plan as the report carries it; its digest is made when the report is sealed.
    pub(crate) fn contract(&self) -> Plan {
        let item = |step: &Step| PlanItem {
            check: step.meta.id.to_owned(),
            subject: step.subject.clone(),
            level: step.level,
            max_age_ms: step.meta.max_age_ms,
            targets: step.targets.clone(),
        };
        Plan { sha256: String::new(), items: self.steps.iter().map(item).collect(), excluded: self.excluded.clone() }
    }

    /// What is to be run.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        let runs = self.steps.iter().filter(|step| step.skip.is_none());
        runs.map(|step| Job {
            meta: step.meta,
            subject: step.subject.clone(),
            targets: step.targets.clone(),
            check: Arc::clone(&step.check),
        })
        .collect()
    }
}

impl Planned {
    /// The subjects of what is planned and runs only with consent.
    pub(crate) fn consentable(&self) -> BTreeSet<&str> {
        let selected = |step: &&Step| step.skip.as_ref().is_none_or(|(reason, _)| *reason == Reason::NotConsented);
        let needs = |step: &&Step| step.meta.disruption.needs_consent();
        self.steps.iter().filter(selected).filter(needs).map(|step| step.subject.as_str()).collect()
    }

    /// The rights of everything that is to be run, and of reading what is deployed.
    pub(crate) fn rights(&self) -> BTreeSet<&Right> {
        let steps = self.steps.iter().filter(|step| step.skip.is_none());
        steps.flat_map(|step| &step.rights).chain(&self.reading).collect()
    }
}

/// Whether the configuration says that a check decides in every phase.
fn is_raised(meta: &Meta, loaded: &Loaded) -> bool {
    loaded.config.required.iter().any(|wanted| pattern::matches(wanted, meta.id))
}

/// A check that cannot be run.
struct CannotRun(CannotTell);

impl Check for CannotRun {
    fn run<'a>(&'a self, _scope: &'a Scope) -> Run<'a> {
        Box::pin(async { Err(self.0.clone()) })
    }
}

impl Step {
    /// Whether it is what `--only` says: a pattern of check ids, or `CHECK:SUBJECT`.
    fn fits(&self, wanted: &str) -> bool {
        let (check, subject) = wanted.split_once(':').map_or((wanted, "*"), |(check, subject)| (check, subject));
        pattern::matches(check, self.meta.id) && pattern::matches(subject, &self.subject)
    }

    /// The names with which somebody can consent to it.
    fn consentable(&self) -> impl Iterator<Item = &str> {
        let names = self.targets.iter().chain([&self.subject]).map(String::as_str);
        names.filter(|_| self.meta.disruption.needs_consent())
    }
}
