//! The IAM policy of the Job's role: the actions that the planned items name, on what they name.

use super::Basis;
use crate::output::complain;
use preflight_core::{Permission, Right};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The policy of what is planned.
pub(super) fn policy(basis: &Basis<'_>) -> Value {
    let policy = of(&basis.planned.rights());
    if policy["Statement"].as_array().is_some_and(Vec::is_empty) {
        complain("note: nothing in this plan asks AWS: there is no statement, and no policy is needed");
    }
    policy
}

fn of(rights: &BTreeSet<&Right>) -> Value {
    let mut resources: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for right in rights {
        if let Permission::Aws { action } = right.permission {
            resources.entry(action).or_default().insert(right.name.as_deref().unwrap_or("*"));
        }
    }
    let mut actions: BTreeMap<(&str, BTreeSet<&str>), Vec<&str>> = BTreeMap::new();
    for (action, mut on) in resources {
        if on.contains("*") {
            on = BTreeSet::from(["*"]);
        }
        let service = action.split_once(':').map_or(action, |(service, _)| service);
        actions.entry((service, on)).or_default().push(action);
    }
    let statement = |((_, on), actions)| json!({ "Effect": "Allow", "Action": actions, "Resource": on });
    json!({ "Version": "2012-10-17", "Statement": actions.into_iter().map(statement).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_on_the_same_things_share_a_statement_and_a_star_swallows_names() {
        let on = |action, arn: &str| Right::aws(action, Some(arn.to_owned()));
        let rights = [
            on("sqs:SendMessage", "q1"),
            on("sqs:DeleteMessage", "q1"),
            on("iam:GetRole", "r1"),
            on("iam:GetRole", "r2"),
            Right::aws("eks:DescribeCluster", None),
            on("eks:DescribeCluster", "c"),
            Right::kubernetes("get", "", "pods", "shop", "a"),
        ];
        let policy = of(&rights.iter().collect());
        let statement = |actions: &[&str], on: &[&str]| json!({ "Effect": "Allow", "Action": actions, "Resource": on });
        assert_eq!(
            policy["Statement"],
            json!([
                statement(&["eks:DescribeCluster"], &["*"]),
                statement(&["iam:GetRole"], &["r1", "r2"]),
                statement(&["sqs:DeleteMessage", "sqs:SendMessage"], &["q1"]),
            ])
        );
    }
}
