//! One condition of a statement: an operator, a key, and values of which one must fit.

use super::policy::Condition;
use super::text::{Pattern, Variable};
use super::{Applies, Caller};

/// What the request holds under a key.
enum Context {
    Value(String),
    /// Nothing, and why.
    Absent(String),
    /// It is not known here.
    Unknown,
}

/// How a key with several values is compared. The requests judged here have one value at most.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantity {
    One,
    /// `ForAnyValue:`
    Any,
    /// `ForAllValues:`
    All,
}

/// A condition operator without its prefix and suffix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Text { negated: bool, folded: bool, wildcards: bool },
    Bool,
    Null,
}

impl Operator {
    fn parse(name: &str) -> Option<Self> {
        let text = |negated, folded, wildcards| Some(Self::Text { negated, folded, wildcards });
        match name {
            "StringEquals" => text(false, false, false),
            "StringNotEquals" => text(true, false, false),
            "StringEqualsIgnoreCase" => text(false, true, false),
            "StringNotEqualsIgnoreCase" => text(true, true, false),
            "StringLike" => text(false, false, true),
            "StringNotLike" => text(true, false, true),
            "Bool" => Some(Self::Bool),
            "Null" => Some(Self::Null),
            _ => None,
        }
    }

    fn is_negated(self) -> bool {
        matches!(self, Self::Text { negated: true, .. })
    }
}

/// Which claim of the token a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Subject,
    Audience,
}

impl Condition {
    /// The claim that it is about, if it is one of this caller's issuer.
    pub(super) fn side(&self, caller: &Caller) -> Option<Side> {
        side(&self.key, caller)
    }

    fn parts(&self) -> (Quantity, &str, bool) {
        let (quantity, rest) = match self.operator.split_once(':') {
            Some(("ForAnyValue", rest)) => (Quantity::Any, rest),
            Some(("ForAllValues", rest)) => (Quantity::All, rest),
            _ => (Quantity::One, self.operator.as_str()),
        };
        rest.strip_suffix("IfExists").map_or((quantity, rest, false), |base| (quantity, base, true))
    }

    /// The operator without prefix and suffix.
    pub(super) fn base(&self) -> &str {
        self.parts().1
    }

    /// Whether it passes for want of the key although it compares values.
    pub(super) fn passes_without_key(&self) -> bool {
        let (quantity, base, if_exists) = self.parts();
        let is_positive =
            Operator::parse(base).is_some_and(|operator| !operator.is_negated() && operator != Operator::Null);
        is_positive && (if_exists || quantity == Quantity::All)
    }

    pub(super) fn applies(&self, caller: &Caller, has_variables: bool) -> Applies {
        let (quantity, base, if_exists) = self.parts();
        let Some(operator) = Operator::parse(base) else {
            return Applies::Unknown(format!("the operator {} is not known here", self.operator));
        };
        let context = context(&self.key, caller);
        if operator == Operator::Null {
            return self.null(&context);
        }
        match context {
            Context::Unknown => Applies::Unknown(format!("{} is not known before the request", self.key)),
            Context::Absent(why) => {
                let passes = match quantity {
                    Quantity::All => true,
                    Quantity::Any => if_exists,
                    Quantity::One => if_exists || operator.is_negated(),
                };
                if passes { Applies::Yes } else { Applies::No(format!("{} {}: {why}", self.operator, self.key)) }
            }
            Context::Value(value) => self.compare(operator, &value, caller, has_variables),
        }
    }

    fn null(&self, context: &Context) -> Applies {
        let wants_absent = self.values.iter().any(|value| value.eq_ignore_ascii_case("true"));
        let wants_present = self.values.iter().any(|value| value.eq_ignore_ascii_case("false"));
        let is_met = match context {
            Context::Unknown => return Applies::Unknown(format!("{} is not known before the request", self.key)),
            Context::Absent(_) => wants_absent,
            Context::Value(_) => wants_present,
        };
        let not = || format!("{} {}: the policy wants {}", self.operator, self.key, self.values.join(" or "));
        if is_met { Applies::Yes } else { Applies::No(not()) }
    }

    fn compare(&self, operator: Operator, value: &str, caller: &Caller, has_variables: bool) -> Applies {
        let (negated, folded, wildcards) = match operator {
            Operator::Text { negated, folded, wildcards } => (negated, folded, wildcards),
            Operator::Bool | Operator::Null => (false, true, false),
        };
        let variable = |key: &str| match context(key, caller) {
            Context::Value(value) => Variable::Value(value),
            Context::Absent(_) => Variable::Absent,
            Context::Unknown => Variable::Unknown,
        };
        let mut unresolved = None;
        let mut is_met = false;
        for wanted in &self.values {
            let pattern = if has_variables {
                Pattern::of_value(wanted, wildcards, variable)
            } else if wildcards {
                Ok(Pattern::wildcards(wanted))
            } else {
                Ok(Pattern::literal(wanted))
            };
            match pattern {
                Ok(pattern) if folded => is_met |= pattern.matches_folded(value),
                Ok(pattern) => is_met |= pattern.matches(value),
                Err(name) => unresolved = Some(name),
            }
        }
        if let (false, Some(name)) = (is_met, unresolved) {
            return Applies::Unknown(format!("the variable {name} in {} is not known before the request", self.key));
        }
        if is_met != negated {
            return Applies::Yes;
        }
        let wanted: Vec<String> = self.values.iter().map(|value| format!("`{value}`")).collect();
        let verb = if negated { "excludes" } else { "wants" };
        let wanted = wanted.join(" or ");
        Applies::No(format!("{} {}: the policy {verb} {wanted}, the request has `{value}`", self.operator, self.key))
    }
}

fn side(key: &str, caller: &Caller) -> Option<Side> {
    let (provider, claim) = key.rsplit_once(':')?;
    match claim.to_ascii_lowercase().as_str() {
        _ if !provider.eq_ignore_ascii_case(caller.provider()) => None,
        "sub" => Some(Side::Subject),
        "aud" => Some(Side::Audience),
        _ => None,
    }
}

/// What the request holds under a key. Keys have no case.
fn context(key: &str, caller: &Caller) -> Context {
    match side(key, caller) {
        Some(Side::Subject) => return Context::Value(caller.subject.clone()),
        Some(Side::Audience) => return Context::Value(caller.audience.clone()),
        None => (),
    }
    let key = key.to_ascii_lowercase();
    if key == "aws:securetransport" {
        return Context::Value("true".to_owned());
    }
    if key.ends_with(":sub") || key.ends_with(":aud") {
        let provider = caller.provider();
        return Context::Absent(format!(
            "requests have no such key; this issuer's are {provider}:sub and {provider}:aud"
        ));
    }
    Context::Unknown
}
