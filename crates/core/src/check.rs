//! The trait, and the constant beside every implementation of it.

use crate::{Finding, Level, Phase, Reason, Scope};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a running check comes to: at least one finding, or a reason why it cannot tell.
pub type Run<'a> = Pin<Box<dyn Future<Output = Result<Vec<Finding>, CannotTell>> + Send + 'a>>;

/// One property of one subject, ready to be looked at. Holds exactly the facts and connections it needs.
pub trait Check: Send + Sync {
    /// Looks at the subject. Findings that are all met are a pass, one that is not met is a fail, and no finding at all
    /// is not a pass.
    ///
    /// An implementation that creates something on a target removes it before it returns, also when the scope is
    /// cancelled; a few seconds are left for that.
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a>;

    /// Called before the first check of a run begins, if this one is going to run. One that judges what another saw can
    /// ask it to look. Touches no target.
    fn announced(&self) {}
}

/// A check could not find out. Never an error of the program, and never a pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct CannotTell {
    /// Why, as one of the closed list of the contract.
    pub reason: Reason,
    /// What was attempted, on what, and what was seen instead of an answer. Without secrets.
    pub detail: String,
}

impl CannotTell {
    /// With any reason.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// The target did not answer.
    pub fn unreachable(detail: impl Into<String>) -> Self {
        Self::new(Reason::Unreachable, detail)
    }

    /// The target refused this tool's own credentials or rights.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Reason::Forbidden, detail)
    }

    /// Too little was seen for an answer either way.
    pub fn insufficient(detail: impl Into<String>) -> Self {
        Self::new(Reason::InsufficientData, detail)
    }

    /// Something the check needs was not there.
    pub fn prerequisite(detail: impl Into<String>) -> Self {
        Self::new(Reason::PrerequisiteFailed, detail)
    }
}

/// Everything that is true of a check before it runs. A constant beside the check; its texts are the documentation.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// `area.property`, so that "pass: ID" is a true sentence. Never renamed, never reused.
    pub id: &'static str,
    /// What the check is about, in a few words.
    pub title: &'static str,
    /// What a pass proves.
    pub proves: &'static str,
    /// What makes it fail.
    pub fails_when: &'static str,
    /// When it cannot tell.
    pub unknown_when: &'static str,
    /// What to do about a failure.
    pub fix: &'static str,
    /// What the check asks of others, at most.
    pub permissions: &'static [Permission],
    /// What it does to its targets.
    pub disruption: Disruption,
    /// In which phases it decides about the verdict.
    pub levels: Levels,
    /// The most time one run of it may take.
    pub limit_ms: u64,
    /// How long its result stays true.
    pub max_age_ms: u64,
}

impl Meta {
    /// The part of the id before the point.
    #[must_use]
    pub fn area(&self) -> &'static str {
        self.id.split_once('.').map_or(self.id, |(area, _)| area)
    }
}

/// A right that a check needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// A right on the Kubernetes API.
    Kubernetes {
        /// For example `get`.
        verb: &'static str,
        /// The API group, empty for the core group.
        group: &'static str,
        /// The resource with its subresource, for example `serviceaccounts/token`.
        resource: &'static str,
    },
    /// An IAM action, for example `iam:GetRole`.
    Aws {
        /// The action.
        action: &'static str,
    },
    /// A right inside a server.
    Engine {
        /// For example `mysql`.
        engine: &'static str,
        /// The grant, in the server's own words.
        grant: &'static str,
    },
}

/// A [`Permission`] that one item needs, on as little as the plan knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// One of those of the check's [`Meta`].
    pub permission: Permission,
    /// The namespace of a right on the Kubernetes API; nothing for AWS and for what belongs to no namespace.
    pub namespace: Option<String>,
    /// The name of the Kubernetes object, or the ARN; nothing where the plan does not know it.
    pub name: Option<String>,
}

impl Right {
    /// A right on the Kubernetes API, on one object of a namespace.
    pub fn kubernetes(
        verb: &'static str,
        group: &'static str,
        resource: &'static str,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        let permission = Permission::Kubernetes { verb, group, resource };
        Self { permission, namespace: Some(namespace.into()), name: Some(name.into()) }
    }

    /// An IAM action, on one ARN if the plan knows it.
    #[must_use]
    pub fn aws(action: &'static str, arn: Option<String>) -> Self {
        Self { permission: Permission::Aws { action }, namespace: None, name: arn }
    }
}

/// What a check does to its targets, from nothing to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disruption {
    /// It reads files alone.
    None,
    /// It reads from live systems.
    Reads,
    /// It opens connections as an application would, a handful at most.
    Connects,
    /// It writes marked data, which it removes. Needs consent for each target.
    Writes,
    /// It loads its target. Needs consent for each target.
    Loads,
}

impl Disruption {
    /// Whether somebody must have named the target with `--consent`.
    #[must_use]
    pub fn needs_consent(self) -> bool {
        self >= Self::Writes
    }

    /// The word in plans and documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reads => "reads",
            Self::Connects => "connects",
            Self::Writes => "writes",
            Self::Loads => "loads",
        }
    }
}

/// In which phases a check is required; in the others it is advisory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    /// From this phase on.
    RequiredFrom(Phase),
    /// Never.
    Advisory,
}

impl Levels {
    /// Required in every phase.
    #[must_use]
    pub const fn required() -> Self {
        Self::RequiredFrom(Phase::Deployed)
    }

    /// The level in a phase.
    #[must_use]
    pub fn in_phase(self, phase: Phase) -> Level {
        match self {
            Self::RequiredFrom(first) if phase >= first => Level::Required,
            _ => Level::Advisory,
        }
    }
}

/// A check in the catalogue: what is true of it, and which subjects an area's `Env` holds for it.
pub struct Entry<E: 'static> {
    /// The constant beside the check.
    pub meta: &'static Meta,
    /// The subjects, each with a check of it or the reason why it does not apply. Pure: touches nothing.
    pub items: fn(&E) -> Vec<Item>,
}

/// One subject of one check.
pub struct Item {
    /// What is checked; unique among the items of a check.
    pub subject: String,
    /// The check, or why there is none.
    pub kind: ItemKind,
    /// The names of the endpoints and hosts that it touches; empty if it reads files alone. Consent is given to these
    /// names, and two disruptive checks that share one never overlap.
    pub targets: Vec<String>,
    /// The rights on the Kubernetes API and on AWS that it needs.
    pub rights: Vec<Right>,
}

impl Item {
    /// A subject that is checked.
    pub fn planned(subject: impl Into<String>, targets: Vec<String>, check: impl Check + 'static) -> Self {
        Self { subject: subject.into(), kind: ItemKind::Planned(Arc::new(check)), targets, rights: vec![] }
    }

    /// A subject to which the check does not apply.
    pub fn excluded(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { subject: subject.into(), kind: ItemKind::Excluded(reason.into()), targets: vec![], rights: vec![] }
    }

    /// The same item with the rights that it needs.
    #[must_use]
    pub fn needing(self, rights: Vec<Right>) -> Self {
        Self { rights, ..self }
    }
}

/// Whether a subject is checked.
pub enum ItemKind {
    /// It is.
    Planned(Arc<dyn Check>),
    /// The check does not apply, for this reason; it is listed and is not part of the plan.
    Excluded(String),
}
