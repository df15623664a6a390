//! ServiceAccounts that the manifests do not hold are read from the cluster, and the catalogue is in order.

use super::{ANNOTATION, Lab, ROLE, failed, passed, shop, unknown};
use preflight_core::{ItemKind, Reason};
use preflight_fixtures::aws::{AccessRule, ApiUser, Service, ServiceAccount};
use preflight_irsa::CATALOGUE;

const ANNOTATED: &str = "irsa.service-account-annotated";

#[tokio::test]
async fn an_account_outside_the_manifests_is_read_from_the_cluster() {
    let lab = Lab::start(shop()).await;
    let result = lab.run(ANNOTATED).await;
    passed(&result);
    assert!(result.evidence[0].reference.starts_with("shop/ServiceAccount/orders@"), "{:?}", result.evidence);
    let renamed = ServiceAccount::new("shop", "orders").annotation("eks.amazonaws.com/role_arn", ROLE);
    lab.handle().put_service_account("lab", renamed).unwrap();
    failed(&lab.run(ANNOTATED).await, "which nobody reads", ANNOTATION);
    lab.handle().remove_service_account("lab", "shop", "orders").unwrap();
    failed(&lab.run(ANNOTATED).await, "does not exist", "Create the ServiceAccount");
}

#[tokio::test]
async fn an_account_in_the_manifests_touches_nothing() {
    let mut lab = Lab::start(shop()).await;
    lab.annotate(ROLE);
    passed(&lab.run(ANNOTATED).await);
    assert!(lab.handle().requests().is_empty());
}

#[tokio::test]
async fn a_cluster_that_refuses_or_breaks_leaves_the_question_open() {
    let mut config = shop();
    let rule = AccessRule::new("get", "", "serviceaccounts");
    config.clusters[0].users = vec![ApiUser::new("preflight", super::BEARER).deny(rule)];
    let lab = Lab::start(config).await;
    unknown(&lab.run(ANNOTATED).await, Reason::Forbidden, "403");
    let broken = Lab::start(shop()).await;
    broken.handle().change_faults(|faults| faults.kubernetes.server_errors = 1_000);
    unknown(&broken.run(ANNOTATED).await, Reason::Unreachable, "500");
    assert!(broken.handle().count(Service::Kubernetes, "GetServiceAccount") <= 10);
}

#[tokio::test]
async fn every_check_has_an_item_for_every_workload_and_texts_of_its_own() {
    let lab = Lab::start(shop()).await;
    for entry in CATALOGUE {
        assert_eq!(entry.meta.area(), "irsa");
        let items = (entry.items)(&lab.env);
        assert_eq!(items.len(), 1);
        let is_planned = matches!(items[0].kind, ItemKind::Planned(_));
        assert_eq!(is_planned, entry.meta.id != "irsa.sdk-capable", "{}", entry.meta.id);
    }
}
