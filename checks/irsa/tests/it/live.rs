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
async fn another_cluster_or_account_than_the_configured_one_is_never_passed() {
    let arn = |name: &str| Some(format!("arn:aws:eks:eu-west-1:111122223333:cluster/{name}"));
    let mut lab = Lab::start(shop()).await;
    lab.env.cluster.arn = arn("lab");
    for id in [ANNOTATED, "irsa.trust-allows", "irsa.exchange-succeeds"] {
        passed(&lab.run(id).await);
    }
    let trust = lab.run("irsa.trust-allows").await;
    assert!(trust.evidence.iter().any(|seen| seen.kind == "cluster" && Some(&seen.reference) == arn("lab").as_ref()));
    lab.env.cluster.arn = arn("production");
    for id in [ANNOTATED, "irsa.trust-allows", "irsa.exchange-succeeds"] {
        unknown(&lab.run(id).await, Reason::ControlFailed, "cluster/production, and `cluster.name` is lab");
    }
    lab.env.cluster.arn = None;
    lab.env.aws.account_id = Some("999922223333".to_owned());
    for id in ["irsa.trust-allows", "irsa.exchange-succeeds"] {
        unknown(&lab.run(id).await, Reason::ControlFailed, "111122223333, and `aws.accountId` is 999922223333");
    }
    lab.env.settings.issuer = Some(super::ISSUER.to_owned());
    unknown(&lab.run("irsa.trust-allows").await, Reason::ControlFailed, "999922223333");
    lab.env.workloads[0].role_arn = None;
    lab.annotate(ROLE);
    failed(&lab.run(ANNOTATED).await, "999922223333", "Name a role");
    failed(&lab.run("irsa.exchange-succeeds").await, "the account 111122223333", "`roleArn`");
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
