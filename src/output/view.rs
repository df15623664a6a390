//! What every format shows: each result with its level, and a verdict that plan and results agree with.

use preflight_report::{
    CheckResult, Evidence, Level, Outcome, Plan, Report, Summary, Verdict, problems_between, summarise,
};
use std::collections::{BTreeMap, BTreeSet};

/// A report, ready to be shown.
pub(super) struct View<'a> {
    pub(super) report: &'a Report,
    /// [`Report::verdict`].
    pub(super) verdict: Verdict,
    /// Whether every planned item has exactly one result and the run ended by itself.
    pub(super) complete: bool,
    /// Everything in the way of `go`, one line each, failed advisory results, and the areas of which nothing was planned.
    pub(super) because: Vec<String>,
    /// Every result, in the order of the report.
    pub(super) cases: Vec<Case<'a>>,
}

/// One result and whether it decides.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) result: &'a CheckResult,
    pub(super) level: Level,
    pub(super) kind: Kind,
}

/// How a result is shown, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Required, and does not hold.
    Failed,
    /// Required, and could not be found out or was not looked at.
    Open,
    /// Advisory, and does not hold.
    AdvisoryFailed,
    /// Advisory, and could not be found out or was not looked at.
    AdvisoryOpen,
    /// Holds.
    Passed,
}

impl Kind {
    const fn of(result: &CheckResult, level: Level) -> Self {
        match (result.outcome, level) {
            // A pass that gives a reason contradicts itself.
            (Outcome::Pass, _) if result.reason.is_none() => Self::Passed,
            (Outcome::Fail, Level::Required) => Self::Failed,
            (Outcome::Fail, Level::Advisory) => Self::AdvisoryFailed,
            (_, Level::Required) => Self::Open,
            (_, Level::Advisory) => Self::AdvisoryOpen,
        }
    }
}

impl<'a> View<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let levels = levels(&report.plan);
        let cases = report.results.iter().map(|result| {
            // What nobody planned is shown as if it decided.
            let key = (result.check.as_str(), result.subject.as_str());
            let level = levels.get(&key).copied().unwrap_or(Level::Required);
            Case { result, level, kind: Kind::of(result, level) }
        });
        let computed = summarise(report);
        let (verdict, stated) = (report.verdict(), &report.summary);
        let says = |summary: &Summary| (summary.verdict, summary.complete, summary.counts.clone());
        let agrees = says(stated) == says(&computed);
        let mut because = computed.because;
        if !agrees {
            let (stated, found) = (stated.verdict, computed.verdict);
            let line = format!("the summary does not follow from plan and results: `{stated}` stated, `{found}` found");
            because.insert(0, line);
        }
        because.extend(
            unplanned(&report.plan)
                .map(|area| format!("{area}: nothing of it was planned, so the verdict says nothing of it")),
        );
        Self {
            report,
            verdict,
            complete: computed.complete && report.run.interrupted_by.is_none(),
            because,
            cases: cases.collect(),
        }
    }

    /// The results that are shown in one way.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Case<'a>> {
        self.cases.iter().filter(move |case| case.kind == kind)
    }

    /// The results by area, areas in the order in which they first appear.
    pub(super) fn areas(&self) -> Vec<(&'a str, Vec<Case<'a>>)> {
        let mut areas: Vec<(&str, Vec<Case<'_>>)> = vec![];
        for case in &self.cases {
            match areas.iter_mut().find(|(area, _)| *area == case.area()) {
                Some((_, cases)) => cases.push(*case),
                None => areas.push((case.area(), vec![*case])),
            }
        }
        areas
    }

    /// How many results there are of an outcome.
    pub(super) fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.result.outcome == outcome).count()
    }

    /// The counts as one line.
    pub(super) fn counts(&self) -> String {
        let mut text = format!(
            "{} planned: {} passed, {} failed, {} unknown, {} skipped",
            self.report.plan.items.len(),
            self.count(Outcome::Pass),
            self.count(Outcome::Fail),
            self.count(Outcome::Unknown),
            self.count(Outcome::Skipped)
        );
        match self.of_kind(Kind::AdvisoryFailed).count() {
            0 => {}
            failed => text.push_str(&format!("; {failed} of the failed advisory")),
        }
        text
    }

    /// The step that the verdict is about.
    pub(super) fn transition(&self) -> String {
        let step = &self.report.subject.transition;
        let from = if step.from.is_empty() { "the beginning" } else { &step.from };
        format!("{from} → {}", step.to)
    }

    /// What the verdict is about besides the step: environment, cluster, account, region, as far as known.
    pub(super) fn places(&self) -> Vec<(&'static str, &'a str)> {
        let subject = &self.report.subject;
        let cluster = [&subject.cluster.name, &subject.cluster.arn, &subject.cluster.uid]
            .into_iter()
            .find(|name| !name.is_empty());
        let places = [
            ("environment", subject.environment.as_str()),
            ("cluster", cluster.map_or("", String::as_str)),
            ("account", &subject.aws.account_id),
            ("region", &subject.aws.region),
        ];
        places.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// The areas of which no check is in the plan.
fn unplanned(plan: &Plan) -> impl Iterator<Item = &str> {
    let planned: BTreeSet<&str> = plan.items.iter().map(|item| area(&item.check)).collect();
    let excluded: BTreeSet<&str> = plan.excluded.iter().map(|one| area(&one.check)).collect();
    excluded.into_iter().filter(move |area| !planned.contains(area))
}

/// The part of a check's id before the point.
fn area(check: &str) -> &str {
    check.split_once('.').map_or(check, |(area, _)| area)
}

impl<'a> Case<'a> {
    /// The part of the check's id before the point.
    pub(super) fn area(&self) -> &'a str {
        area(&self.result.check)
    }

    /// The outcome with its reason, and `advisory` where it does not decide.
    pub(super) fn state(&self) -> String {
        let reason = self.result.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let advisory = if self.level == Level::Advisory { ", advisory" } else { "" };
        format!("{}{reason}{advisory}", self.result.outcome)
    }
}

impl Case<'_> {
    /// Everything that is known about the result, as lines.
    pub(super) fn text(&self) -> String {
        let result = self.result;
        let mut lines = vec![result.title.clone(), format!("outcome: {}", self.state())];
        let mut add = |label: &str, text: &str| {
            if !text.is_empty() {
                lines.push(format!("{label}: {text}"));
            }
        };
        add("observed", &result.observed);
        add("expected", &result.expected);
        if let Some(remediation) = &result.remediation {
            add("remedy", &remediation.text);
            add("command", remediation.command.as_deref().unwrap_or_default());
            add("see", remediation.url.as_deref().unwrap_or_default());
        }
        for evidence in &result.evidence {
            add("evidence", &describe(evidence));
        }
        lines.join("\n")
    }
}

/// A piece of evidence: kind, place, what was there, and whether that is only a part.
pub(super) fn describe(evidence: &Evidence) -> String {
    let detail = if evidence.detail.is_empty() { String::new() } else { format!(": {}", evidence.detail) };
    let cut = if evidence.truncated { " […]" } else { "" };
    format!("{} {}{detail}{cut}", evidence.kind, evidence.reference)
}

/// The level of every planned item; of one planned twice, the stricter.
fn levels(plan: &Plan) -> BTreeMap<(&str, &str), Level> {
    let mut levels = BTreeMap::new();
    for item in &plan.items {
        let level = levels.entry((item.check.as_str(), item.subject.as_str())).or_insert(item.level);
        if item.level == Level::Required {
            *level = Level::Required;
        }
    }
    levels
}

/// A case beside the results, for formats that know cases alone: without it an empty or cut list would look clean.
pub(super) struct Gate {
    pub(super) name: &'static str,
    /// [`Kind::Passed`], [`Kind::Failed`] or [`Kind::Open`].
    pub(super) kind: Kind,
    pub(super) word: &'static str,
    pub(super) text: String,
}

impl View<'_> {
    /// The verdict and the completeness of the run as two cases.
    pub(super) fn gates(&self) -> [Gate; 2] {
        let kind = match self.verdict {
            Verdict::Go => Kind::Passed,
            Verdict::NoGo => Kind::Failed,
            Verdict::Inconclusive => Kind::Open,
        };
        let verdict = Gate { name: "gate.verdict", kind, word: self.verdict.as_str(), text: self.because.join("\n") };
        let mut problems = problems_between(&self.report.plan, &self.report.results);
        problems
            .extend(self.report.run.interrupted_by.iter().map(|cause| format!("the run was interrupted by {cause}")));
        let (kind, word) = if self.complete { (Kind::Passed, "complete") } else { (Kind::Open, "incomplete") };
        [verdict, Gate { name: "gate.completeness", kind, word, text: problems.join("\n") }]
    }
}

/// Gives every case a name of its own: readers keep one of several cases with the same name.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, usize>);

impl Names {
    pub(super) fn unique(&mut self, name: String) -> String {
        let mut candidate = name.clone();
        while self.0.contains_key(&candidate) {
            let times = self.0.entry(name.clone()).or_insert(1);
            *times += 1;
            candidate = format!("{name} #{times}");
        }
        self.0.insert(candidate.clone(), 1);
        candidate
    }
}
