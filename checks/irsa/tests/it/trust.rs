//! `irsa.trust-allows` reads what IAM and EKS say.

use super::{ACCOUNT, ISSUER, Lab, ROLE, failed, passed, shop, unknown};
use preflight_core::Reason;
use preflight_fixtures::aws::{Operator, Role, Service, trust_policy_for};

const TRUST: &str = "irsa.trust-allows";

fn role(subject: &str) -> Role {
    Role::new(ROLE, trust_policy_for(ACCOUNT, ISSUER, subject))
}

#[tokio::test]
async fn a_role_that_trusts_the_account_passes_with_its_policy_as_evidence() {
    let lab = Lab::start(shop()).await;
    let result = lab.run(TRUST).await;
    passed(&result);
    assert!(result.evidence.iter().any(|evidence| evidence.kind == "trust-policy" && evidence.reference == ROLE));
}

#[tokio::test]
async fn a_wrong_subject_is_named() {
    let lab = Lab::start(shop()).await;
    lab.handle().put_role(role("system:serviceaccount:shop:billing")).unwrap();
    failed(&lab.run(TRUST).await, "the policy wants `system:serviceaccount:shop:billing`", "Change the trust policy");
    lab.handle().put_role(role("system:serviceaccount:shop:*")).unwrap();
    failed(&lab.run(TRUST).await, "StringEquals", "they need StringLike");
}

#[tokio::test]
async fn the_issuer_is_the_clusters_and_may_be_configured() {
    let mut lab = Lab::start(shop()).await;
    lab.env.settings.issuer = Some(ISSUER.replace("LAB", "BLUE"));
    failed(&lab.run(TRUST).await, "not Federated arn:aws:iam::111122223333:oidc-provider", "id/BLUE");
    assert_eq!(lab.handle().count(Service::Eks, "DescribeCluster"), 0);
    lab.env.settings.issuer = None;
    lab.env.cluster.name = Some("green".to_owned());
    unknown(&lab.run(TRUST).await, Reason::Unsupported, "No cluster found for name: green");
    lab.env.cluster.name = None;
    unknown(&lab.run(TRUST).await, Reason::PrerequisiteFailed, "irsa.issuer");
}

#[tokio::test]
async fn a_role_that_is_gone_fails_and_one_elsewhere_cannot_be_told() {
    let mut lab = Lab::start(shop()).await;
    lab.handle().remove_role(ROLE);
    failed(&lab.run(TRUST).await, "has no role orders", "Create the role");
    lab.annotate("arn:aws:iam::444455556666:role/apps/orders");
    unknown(&lab.run(TRUST).await, Reason::PrerequisiteFailed, "another account");
    lab.handle().put_role(role("system:serviceaccount:shop:orders")).unwrap();
    lab.annotate("arn:aws:iam::111122223333:role/orders");
    failed(&lab.run(TRUST).await, "has the path /apps/", ROLE);
}

#[tokio::test]
async fn refused_throttled_and_broken_reads_are_told_apart() {
    let mut config = shop();
    config.operators = vec![Operator::new(ACCOUNT, "preflight", "AKIAOPERATOR", super::SECRET).deny("iam:*")];
    let lab = Lab::start(config).await;
    unknown(&lab.run(TRUST).await, Reason::Forbidden, "iam:GetRole");
    lab.handle().put_operator(Operator::new(ACCOUNT, "preflight", "AKIAOPERATOR", super::SECRET));
    lab.handle().change_faults(|faults| (faults.iam.throttle, faults.eks.throttle) = (2, 2));
    passed(&lab.run(TRUST).await);
    lab.handle().change_faults(|faults| faults.iam.server_errors = 1_000);
    unknown(&lab.run(TRUST).await, Reason::Unreachable, "reading the role");
}

#[tokio::test]
async fn credentials_that_are_not_right_are_forbidden() {
    let mut lab = Lab::start(shop()).await;
    lab.env.aws.credentials.as_mut().unwrap().access_key_id = "AKIAUNKNOWN".to_owned();
    lab.env.settings.issuer = Some(ISSUER.to_owned());
    unknown(&lab.run(TRUST).await, Reason::Forbidden, "reading the role");
}
