//! Does a role's trust policy admit a ServiceAccount?
//!
//! Pure: a policy and a caller in, a decision out. Nobody else answers this question: IAM's policy simulator discards
//! trust policies. The rules are those of IAM's reference: an explicit Deny wins, one Allow is needed, conditions are
//! joined by AND and their values by OR. What this module does not know (an operator, a condition key, a principal that
//! may or may not include web identities) makes a statement undecided, and the answer `cannot-tell` unless another
//! statement decides.

mod condition;
mod lint;
mod policy;
mod text;

pub use policy::PolicyError;

use policy::{Effect, Policy, Principal, Statement};
use serde::Serialize;
use text::Pattern;

/// What a pod does with its token.
const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

/// Who asks for the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The issuer of the token, as a URL.
    pub issuer: String,
    /// The token's subject, `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: String,
    /// The token's audience.
    pub audience: String,
    /// The role's account, in which the issuer must be registered.
    pub account_id: String,
    /// The role's partition, for example `aws`.
    pub partition: String,
}

impl Caller {
    /// The issuer as IAM names it: without scheme.
    #[must_use]
    pub fn provider(&self) -> &str {
        let issuer = self.issuer.strip_prefix("https://").or_else(|| self.issuer.strip_prefix("http://"));
        issuer.unwrap_or(&self.issuer).trim_end_matches('/')
    }

    /// The ARN of the issuer's registration in the role's account.
    #[must_use]
    pub fn provider_arn(&self) -> String {
        format!("arn:{}:iam::{}:oidc-provider/{}", self.partition, self.account_id, self.provider())
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The policy admits the caller.
    Allow,
    /// It does not.
    Deny,
    /// It depends on something that is not known here.
    CannotTell,
}

/// The answer and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The answer.
    pub decision: Decision,
    /// The statements and conditions that decide, one line each.
    pub because: Vec<String>,
    /// What is doubtful about the policy whatever the answer is.
    pub lint: Vec<Lint>,
}

/// Something doubtful in a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// What kind of thing it is.
    pub id: &'static str,
    /// The statement.
    pub statement: String,
    /// What is doubtful, in a sentence.
    pub text: String,
}

/// Whether something applies to a caller, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Applies {
    Yes,
    No(String),
    Unknown(String),
}

/// Says whether a trust policy admits a caller.
///
/// # Errors
/// If the text is not a policy document.
pub fn judge(policy: &str, caller: &Caller) -> Result<Judgement, PolicyError> {
    let policy = Policy::parse(policy)?;
    let lint = lint::lint(&policy, caller);
    let seen: Vec<(&Statement, Applies)> =
        policy.statements.iter().map(|statement| (statement, statement.applies(&policy, caller))).collect();
    let with = |effect: Effect| seen.iter().filter(move |(statement, _)| statement.effect == effect);
    let lines = |effect: Effect, wanted: fn(&Applies) -> Option<String>| -> Vec<String> {
        let line = |(statement, applies): &(&Statement, Applies)| {
            wanted(applies).map(|why| format!("{}{why}", statement.name))
        };
        with(effect).filter_map(line).collect()
    };
    let (decision, because) = decide(lines);
    Ok(Judgement { decision, because, lint })
}

fn decide(lines: impl Fn(Effect, fn(&Applies) -> Option<String>) -> Vec<String>) -> (Decision, Vec<String>) {
    let denies = lines(Effect::Deny, |applies| (*applies == Applies::Yes).then(|| " denies it explicitly".to_owned()));
    if !denies.is_empty() {
        return (Decision::Deny, denies);
    }
    let allows = lines(Effect::Allow, |applies| (*applies == Applies::Yes).then(|| " allows it".to_owned()));
    fn undecided(applies: &Applies) -> Option<String> {
        match applies {
            Applies::Unknown(why) => Some(format!(" cannot be decided: {why}")),
            Applies::Yes | Applies::No(_) => None,
        }
    }
    let may_deny = lines(Effect::Deny, undecided);
    let may_allow = lines(Effect::Allow, undecided);
    if allows.is_empty() && may_allow.is_empty() {
        let mut because = lines(Effect::Allow, |applies| match applies {
            Applies::No(why) => Some(format!(" does not allow it: {why}")),
            Applies::Yes | Applies::Unknown(_) => None,
        });
        if because.is_empty() {
            because.push("no statement allows anything".to_owned());
        }
        return (Decision::Deny, because);
    }
    if may_deny.is_empty() && !allows.is_empty() {
        return (Decision::Allow, allows);
    }
    let mut because = may_deny;
    if allows.is_empty() {
        because.extend(may_allow);
    }
    (Decision::CannotTell, because)
}

impl Statement {
    fn applies(&self, policy: &Policy, caller: &Caller) -> Applies {
        let mut parts = vec![self.principal(caller), self.action()];
        parts.extend(self.conditions.iter().map(|condition| condition.applies(caller, policy.has_variables)));
        parts.extend(self.odd.iter().map(|element| Applies::Unknown(format!("`{element}` is not known here"))));
        let texts = |wanted: fn(&Applies) -> Option<&String>| {
            parts.iter().filter_map(wanted).cloned().collect::<Vec<_>>().join("; ")
        };
        let not = texts(|part| if let Applies::No(why) = part { Some(why) } else { None });
        let unknown = texts(|part| if let Applies::Unknown(why) = part { Some(why) } else { None });
        match (not.is_empty(), unknown.is_empty()) {
            (false, _) => Applies::No(not),
            (true, false) => Applies::Unknown(unknown),
            (true, true) => Applies::Yes,
        }
    }

    fn principal(&self, caller: &Caller) -> Applies {
        let own = caller.provider_arn();
        match &self.principal {
            // Everybody is denied for certain; whether everybody who is allowed includes web identities is not written
            // down anywhere.
            Principal::Everyone if self.effect == Effect::Deny => Applies::Yes,
            Principal::Everyone => {
                Applies::Unknown("the principal `*` may or may not include web identities".to_owned())
            }
            Principal::Only(names) => {
                if names.iter().any(|(kind, name)| kind == "Federated" && *name == own) {
                    return Applies::Yes;
                }
                let shown: Vec<String> = names.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
                Applies::No(format!("the principal is {} and not Federated {own}", shown.join(", ")))
            }
            Principal::AllBut(names) => {
                if names.iter().any(|(kind, name)| kind == "Federated" && *name == own) {
                    return Applies::No(format!("NotPrincipal leaves out Federated {own}"));
                }
                Applies::Unknown("NotPrincipal may or may not include web identities".to_owned())
            }
        }
    }

    fn action(&self) -> Applies {
        let is_named = self.actions.iter().any(|action| Pattern::wildcards(action).matches_folded(ACTION));
        match is_named != self.not_action {
            true => Applies::Yes,
            false if self.not_action => Applies::No(format!("NotAction leaves out {ACTION}")),
            false => Applies::No(format!("the action is {} and not {ACTION}", self.actions.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests;
