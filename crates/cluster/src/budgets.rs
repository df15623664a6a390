//! The PodDisruptionBudgets of a namespace: which pods a drain may not end all at once.

use crate::pages;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kube::Client;
use kube::core::{Selector, SelectorExt};
use preflight_core::{CannotTell, Reason};
use std::collections::BTreeMap;
use std::time::Duration;

/// A PodDisruptionBudget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenBudget {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The labels of the pods that it covers; none if it covers none.
    pub selector: Option<Selector>,
    /// What the cluster has counted; nothing before it did.
    pub counts: Option<BudgetCounts>,
}

/// What the cluster has counted for a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetCounts {
    /// How many of its pods are healthy.
    pub healthy: i32,
    /// How many have to be.
    pub desired: i32,
    /// How many a drain may end now.
    pub allowed: i32,
}

impl SeenBudget {
    /// Whether it covers a pod of these labels in its namespace.
    #[must_use]
    pub fn covers(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespace == namespace && self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

/// Every PodDisruptionBudget of a namespace.
///
/// # Errors
/// If the cluster refuses, does not answer within `limit` for each page, has more than 5000 of them there, or has one with a
/// selector that is not understood.
pub async fn budgets(client: &Client, namespace: &str, limit: Duration) -> Result<Vec<SeenBudget>, CannotTell> {
    let found = pages::all(client, namespace, "PodDisruptionBudgets", limit, |budget| [seen(budget)]).await?;
    found.into_iter().collect()
}

fn seen(budget: PodDisruptionBudget) -> Result<SeenBudget, CannotTell> {
    let namespace = budget.metadata.namespace.unwrap_or_default();
    let name = budget.metadata.name.unwrap_or_default();
    // An empty selector covers every pod, and none covers none.
    let selector = budget.spec.and_then(|spec| spec.selector).map(Selector::try_from).transpose();
    let selector = selector.map_err(|error| {
        let text = format!("reading the selector of the PodDisruptionBudget {namespace}/{name}: {error}");
        CannotTell::new(Reason::Unsupported, text)
    })?;
    Ok(SeenBudget { namespace, name, selector, counts: budget.status.as_ref().and_then(counts) })
}

fn counts(status: &PodDisruptionBudgetStatus) -> Option<BudgetCounts> {
    Some(BudgetCounts {
        healthy: status.current_healthy?,
        desired: status.desired_healthy?,
        allowed: status.disruptions_allowed?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(selector: Value, status: Value) -> Result<SeenBudget, CannotTell> {
        let metadata = json!({"namespace": "shop", "name": "orders"});
        let budget = json!({"metadata": metadata, "spec": {"minAvailable": 1, "selector": selector}, "status": status});
        seen(serde_json::from_value(budget).unwrap())
    }

    fn covers(selector: Value, namespace: &str, app: &str) -> bool {
        let labels = [("app".to_owned(), app.to_owned())].into();
        read(selector, json!({})).unwrap().covers(namespace, &labels)
    }

    #[test]
    fn an_empty_selector_covers_every_pod_of_the_namespace_and_none_covers_none() {
        assert!(covers(json!({}), "shop", "orders") && !covers(json!({}), "blue", "orders"));
        assert!(!covers(json!(null), "shop", "orders"));
    }

    #[test]
    fn labels_and_expressions_decide_which_pods_are_covered() {
        let labels = json!({"matchLabels": {"app": "orders"}});
        assert!(covers(labels.clone(), "shop", "orders") && !covers(labels, "shop", "cart"));
        let either = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["orders", "cart"]}]});
        assert!(covers(either.clone(), "shop", "cart") && !covers(either, "shop", "payments"));
    }

    #[test]
    fn a_selector_that_is_not_understood_covers_nobody_knows_what() {
        let error = read(json!({"matchExpressions": [{"key": "app", "operator": "Near"}]}), json!({})).unwrap_err();
        assert!(error.reason == Reason::Unsupported && error.detail.contains("shop/orders"), "{error}");
    }

    #[test]
    fn what_was_not_counted_yet_is_not_zero() {
        let status = json!({"currentHealthy": 3, "desiredHealthy": 2, "disruptionsAllowed": 1, "expectedPods": 3});
        let counted = read(json!({}), status).unwrap().counts;
        assert_eq!(counted, Some(BudgetCounts { healthy: 3, desired: 2, allowed: 1 }));
        assert_eq!(read(json!({}), json!(null)).unwrap().counts, None);
    }
}
