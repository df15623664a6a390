//! `irsa.exchange-succeeds`: each planted fault is named.

use super::{ACCOUNT, ISSUER, Lab, ROLE, failed, passed, shop, unknown};
use preflight_core::Reason;
use preflight_fixtures::aws::{AccessRule, ApiUser, Provider, Role, Service, trust_policy_for};

const EXCHANGE: &str = "irsa.exchange-succeeds";

#[tokio::test]
async fn a_right_set_up_passes_and_leaves_the_runs_name() {
    let lab = Lab::start(shop()).await;
    let result = lab.run(EXCHANGE).await;
    passed(&result);
    let arn = "arn:aws:sts::111122223333:assumed-role/orders/eks-preflight-0192-run";
    assert!(result.observed.contains(arn), "{}", result.observed);
    let requests = lab.handle().requests();
    let exchange = requests.iter().find(|request| request.operation == "AssumeRoleWithWebIdentity").unwrap();
    assert_eq!(exchange.access_key_id, None, "the tool's own credentials took part");
    let identity = requests.iter().find(|request| request.operation == "GetCallerIdentity").unwrap();
    assert_ne!(identity.access_key_id.as_deref(), Some("AKIAOPERATOR"));
}

#[tokio::test]
async fn a_role_that_does_not_trust_the_account_is_named() {
    let lab = Lab::start(shop()).await;
    let policy = |subject: &str| Role::new(ROLE, trust_policy_for(ACCOUNT, ISSUER, subject));
    for subject in ["system:serviceaccount:shop:billing", "system:serviceaccount:other:orders"] {
        lab.handle().put_role(policy(subject)).unwrap();
        failed(&lab.run(EXCHANGE).await, "AccessDenied", "`irsa.trust-allows` names the statement");
    }
    lab.handle().remove_role(ROLE);
    failed(&lab.run(EXCHANGE).await, "AccessDenied", "trust policy");
}

#[tokio::test]
async fn a_missing_provider_and_a_wrong_audience_are_told_apart() {
    let lab = Lab::start(shop()).await;
    lab.handle().put_provider(Provider::new(ACCOUNT, ISSUER).client_ids(["sts.amazon.com"]));
    let audience = lab.run(EXCHANGE).await;
    failed(&audience, "Incorrect token audience", "Add sts.amazonaws.com");
    assert!(audience.remediation.unwrap().command.unwrap().contains("add-client-id-to-open-id-connect-provider"));
    lab.handle().remove_provider(ACCOUNT, ISSUER);
    let provider = lab.run(EXCHANGE).await;
    failed(&provider, "No OpenIDConnect provider found in your account", "Register the issuer");
    assert!(provider.remediation.unwrap().command.unwrap().contains("create-open-id-connect-provider"));
}

#[tokio::test]
async fn faults_of_keys_clocks_and_regions_are_told_apart() {
    let lab = Lab::start(shop()).await;
    let handle = lab.handle();
    handle.change_faults(|faults| faults.clock_ahead_s = 3_600);
    failed(&lab.run(EXCHANGE).await, "ExpiredTokenException", "correct the clock");
    handle.change_faults(|faults| faults.clock_ahead_s = -3_600);
    failed(&lab.run(EXCHANGE).await, "not valid yet", "correct the clock");
    handle.change_faults(|faults| (faults.clock_ahead_s, faults.region_disabled) = (0, true));
    failed(&lab.run(EXCHANGE).await, "RegionDisabledException", "Activate STS");
    handle.change_faults(|faults| (faults.region_disabled, faults.thumbprint_mismatch) = (false, true));
    failed(&lab.run(EXCHANGE).await, "thumbprint", "Update the thumbprint");
    handle.change_faults(|faults| faults.thumbprint_mismatch = false);
    passed(&lab.run(EXCHANGE).await);
    handle.rotate_signing_key("lab").unwrap();
    passed(&lab.run(EXCHANGE).await);
    handle.rotate_signing_key_unpublished("lab").unwrap();
    failed(&lab.run(EXCHANGE).await, "verification key", "after a rotation, publish the new key");
}

#[tokio::test]
async fn another_role_than_the_expected_one_is_found_out() {
    let mut lab = Lab::start(shop()).await;
    let other = "arn:aws:iam::111122223333:role/billing";
    lab.handle().put_role(Role::for_service_account(other, ISSUER, "shop", "orders")).unwrap();
    lab.annotate(other);
    let result = lab.run(EXCHANGE).await;
    failed(&result, "assumed-role/billing/eks-preflight-0192-run", ROLE);
}

#[tokio::test]
async fn a_cluster_whose_issuer_is_another_one_is_found_out_before_sts_is_asked() {
    let mut lab = Lab::start(shop()).await;
    lab.env.settings.issuer = Some("https://oidc.eks.eu-west-1.amazonaws.com/id/BLUE".to_owned());
    failed(&lab.run(EXCHANGE).await, "makes tokens of the issuer", "name the same cluster");
    assert_eq!(lab.handle().count(Service::Sts, "AssumeRoleWithWebIdentity"), 0);
}

#[tokio::test]
async fn throttling_is_waited_out_and_a_broken_sts_is_unreachable() {
    let lab = Lab::start(shop()).await;
    lab.handle().change_faults(|faults| faults.sts.throttle = 2);
    passed(&lab.run(EXCHANGE).await);
    lab.handle().change_faults(|faults| faults.idp_communication_errors = 1);
    passed(&lab.run(EXCHANGE).await);
    lab.handle().clear_requests();
    lab.handle().change_faults(|faults| faults.sts.server_errors = 1_000);
    unknown(&lab.run(EXCHANGE).await, Reason::Unreachable, "InternalFailure");
    assert_eq!(lab.handle().count(Service::Sts, "AssumeRoleWithWebIdentity"), 4);
    lab.handle().change_faults(|faults| (faults.sts.server_errors, faults.idp_communication_errors) = (0, 1_000));
    unknown(&lab.run(EXCHANGE).await, Reason::Unreachable, "IDPCommunicationError");
}

#[tokio::test]
async fn a_silent_or_absent_sts_is_unreachable() {
    let mut lab = Lab::start(shop()).await;
    lab.env.aws.endpoints.sts = Some("http://127.0.0.1:1".to_owned());
    unknown(&lab.run(EXCHANGE).await, Reason::Unreachable, "exchanging a token");
}

#[tokio::test]
async fn an_api_that_refuses_the_token_leaves_the_question_open() {
    let mut config = shop();
    let rule = AccessRule::new("create", "", "serviceaccounts/token");
    config.clusters[0].users = vec![ApiUser::new("preflight", super::BEARER).deny(rule)];
    let mut lab = Lab::start(config).await;
    unknown(&lab.run(EXCHANGE).await, Reason::Forbidden, "cannot create resource \"serviceaccounts/token\"");
    lab.env.cluster.kubeconfig = None;
    unknown(&lab.run(EXCHANGE).await, Reason::PrerequisiteFailed, "cluster.kubeconfig");
}

#[tokio::test]
async fn an_account_that_is_gone_fails() {
    let mut lab = Lab::start(shop()).await;
    lab.annotate(ROLE);
    lab.handle().remove_service_account("lab", "shop", "orders").unwrap();
    failed(&lab.run(EXCHANGE).await, "has no ServiceAccount shop/orders", "Create the ServiceAccount");
}
