//! What is doubtful about a policy whatever it decides.

use super::condition::Side;
use super::policy::{Condition, Effect, Policy, Principal, Statement};
use super::{ACTION, Caller, Lint};
use crate::trust::text::Pattern;

pub(super) fn lint(policy: &Policy, caller: &Caller) -> Vec<Lint> {
    let mut lint: Vec<Lint> = policy.statements.iter().flat_map(|statement| of_statement(statement, caller)).collect();
    let names = |wanted: &str| {
        let of = |statement: &&Statement| match &statement.principal {
            Principal::Only(names) => names.iter().any(|(kind, name)| kind == wanted || name == wanted),
            Principal::Everyone | Principal::AllBut(_) => false,
        };
        policy.statements.iter().find(of)
    };
    if let (Some(statement), None) = (names("ecs-tasks.amazonaws.com"), names("Federated")) {
        let text = "only tasks of ECS are trusted: this is the role of the ECS side, unchanged";
        lint.push(Lint { id: "ecs-only", statement: statement.name.clone(), text: text.to_owned() });
    }
    lint
}

fn of_statement(statement: &Statement, caller: &Caller) -> Vec<Lint> {
    let mut lint = vec![];
    let mut say = |id, text: String| lint.push(Lint { id, statement: statement.name.clone(), text });
    for condition in &statement.conditions {
        let key = &condition.key;
        if key.contains("://") || key.starts_with("arn:") {
            let right = format!("{}:sub", caller.provider());
            say(
                "wrong-key",
                format!("`{key}` is never in a request; the key is the issuer without scheme, as in `{right}`"),
            );
        }
        let is_equality = ["StringEquals", "StringEqualsIgnoreCase"].contains(&condition.base());
        for value in condition.values.iter().filter(|value| is_equality && value.contains(['*', '?'])) {
            let text = format!("`{value}` under {} has no wildcards; they need StringLike", condition.operator);
            say("wildcard-under-equals", text);
        }
        if statement.effect == Effect::Allow && condition.passes_without_key() {
            say("passes-without-key", format!("{} on `{key}` also passes where the key is absent", condition.operator));
        }
    }
    let names_issuer = match &statement.principal {
        Principal::Only(names) => names.iter().any(|(_, name)| *name == caller.provider_arn()),
        Principal::Everyone => true,
        Principal::AllBut(_) => false,
    };
    let names_action = statement.actions.iter().any(|action| Pattern::wildcards(action).matches_folded(ACTION));
    if statement.effect == Effect::Deny || !names_issuer || names_action == statement.not_action {
        return lint;
    }
    let on = |side: Side| statement.conditions.iter().filter(move |condition| condition.side(caller) == Some(side));
    if on(Side::Subject).next().is_none() {
        say(
            "any-service-account",
            "no condition on the subject: every ServiceAccount of the cluster is trusted".to_owned(),
        );
    }
    for value in on(Side::Subject).filter(|condition| condition.base() == "StringLike").flat_map(values) {
        let fits = |subject: &str| Pattern::wildcards(value).matches(subject);
        if fits("system:serviceaccount:any-namespace:any-name") {
            say("any-service-account", format!("`{value}` trusts every ServiceAccount of the cluster"));
        } else if value.ends_with(":*") {
            say("any-name", format!("`{value}` trusts every ServiceAccount of a namespace"));
        }
    }
    if on(Side::Audience).next().is_none() {
        say("any-audience", "no condition on the audience: tokens made for anybody are taken".to_owned());
    }
    lint
}

fn values(condition: &Condition) -> impl Iterator<Item = &str> {
    condition.values.iter().map(String::as_str)
}
