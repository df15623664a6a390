//! The checks of this area against the AWS identity double, with the real SDKs and `kube`.
#![allow(clippy::unwrap_used)]

mod exchange;
mod live;
mod trust;

use preflight_cluster::{
    AwsAccess, AwsCredentials, AwsEndpoints, ClusterAccess, Controller, EksWorkload, Inventory, Pod, ServiceAccount,
    Sited, Workload,
};
use preflight_core::{ItemKind, Journal, Outcome, Reason, Scope, Secret, judge};
use preflight_fixtures::aws::{
    ApiUser, Cluster, Config, IdentityDouble, IdentityHandle, Operator, Provider, Role, ServiceAccount as InCluster,
};
use preflight_irsa::{CATALOGUE, Env, Expected, Settings};
use preflight_report::CheckResult;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/LAB";
const ROLE: &str = "arn:aws:iam::111122223333:role/apps/orders";
const BEARER: &str = "bearer-canary";
const SECRET: &str = "operator-secret-canary";
const ANNOTATION: &str = "eks.amazonaws.com/role-arn";

/// One cluster, one ServiceAccount, one role that trusts it.
fn shop() -> Config {
    Config::new(REGION)
        .operator(Operator::new(ACCOUNT, "preflight", "AKIAOPERATOR", SECRET))
        .provider(Provider::new(ACCOUNT, ISSUER))
        .role(Role::for_service_account(ROLE, ISSUER, "shop", "orders"))
        .cluster(
            Cluster::new("lab", ACCOUNT, REGION)
                .issuer(ISSUER)
                .user(ApiUser::new("preflight", BEARER))
                .service_account(InCluster::new("shop", "orders").role_arn(ROLE)),
        )
}

/// A running double, and everything a check needs to reach it.
struct Lab {
    double: IdentityDouble,
    env: Env,
    _folder: TempDir,
}

impl Lab {
    async fn start(config: Config) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let double = IdentityDouble::start(config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let urls = double.urls();
        let kubeconfig = folder.path().join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
             clusters: [{{name: lab, cluster: {{server: '{}'}}}}]\n\
             users: [{{name: me, user: {{token: {BEARER}}}}}]\n\
             contexts: [{{name: lab, context: {{cluster: lab, user: me}}}}]\n",
            urls.kubernetes
        );
        std::fs::write(&kubeconfig, text).unwrap();
        let aws = AwsAccess {
            account_id: Some(ACCOUNT.to_owned()),
            region: Some(REGION.to_owned()),
            endpoints: AwsEndpoints {
                sts: Some(urls.sts.clone()),
                iam: Some(urls.iam.clone()),
                eks: Some(urls.eks.clone()),
                sqs: None,
            },
            credentials: Some(AwsCredentials {
                access_key_id: "AKIAOPERATOR".to_owned(),
                secret_access_key: Secret::new(SECRET),
                session_token: None,
            }),
        };
        let env = Env {
            inventory: Arc::new(Inventory { workloads: vec![workload()], ..Inventory::default() }),
            settings: Settings::default(),
            aws,
            cluster: ClusterAccess {
                name: Some("lab".to_owned()),
                kubeconfig: Some(kubeconfig),
                ..ClusterAccess::default()
            },
            workloads: vec![Expected {
                workload: "orders".to_owned(),
                role_arn: Some(ROLE.to_owned()),
                artifacts: vec![],
            }],
        };
        Self { double, env, _folder: folder }
    }

    fn handle(&self) -> IdentityHandle {
        self.double.handle()
    }

    /// Puts a ServiceAccount with this annotation into the manifests.
    fn annotate(&mut self, role: &str) {
        let value = Sited { value: role.to_owned(), at: "orders.yaml:7".to_owned() };
        let account = ServiceAccount {
            namespace: "shop".to_owned(),
            name: "orders".to_owned(),
            at: "orders.yaml:1".to_owned(),
            annotations: BTreeMap::from([(ANNOTATION.to_owned(), value)]),
            automount_token: None,
        };
        Arc::make_mut(&mut self.env.inventory).service_accounts = vec![account];
    }

    /// Runs one check of the only workload. Nothing that it says or tells may hold a secret.
    async fn run(&self, id: &str) -> CheckResult {
        let entry = CATALOGUE.iter().find(|entry| entry.meta.id == id).unwrap();
        let item = (entry.items)(&self.env).remove(0);
        let ItemKind::Planned(check) = item.kind else { panic!("{id} is not planned") };
        let told = Arc::new(Mutex::new(String::new()));
        let sink = told.clone();
        let scope = Scope::new("0192-run", Duration::from_secs(60), Journal::in_memory("0192-run"), move |_, event| {
            sink.lock().unwrap().push_str(&format!("{event:?}"));
        });
        let result = judge(entry.meta, &item.subject, check, &scope).await;
        let text = format!("{}{}", serde_json::to_string(&result).unwrap(), told.lock().unwrap());
        for secret in [BEARER, SECRET, "eyJ", "ASIA", "SecretAccessKey", "SessionToken"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        result
    }
}

fn workload() -> Workload {
    let account = Sited { value: "orders".to_owned(), at: "orders.yaml:20".to_owned() };
    let eks = EksWorkload {
        namespace: "shop".to_owned(),
        kind: "Deployment".to_owned(),
        name: "orders".to_owned(),
        at: "orders.yaml:10".to_owned(),
        controller: Controller::Bare { replicas: Sited { value: 1, at: "orders.yaml:12".to_owned() } },
        autoscaler: None,
        selector: None,
        pod: Pod { service_account: Some(account), ..Pod::default() },
    };
    Workload { name: "orders".to_owned(), ecs: None, eks: Some(eks) }
}

#[track_caller]
fn passed(result: &CheckResult) {
    assert_eq!(result.outcome, Outcome::Pass, "{result:#?}");
}

#[track_caller]
fn failed(result: &CheckResult, observed: &str, fix: &str) {
    assert_eq!(result.outcome, Outcome::Fail, "{result:#?}");
    assert!(result.observed.contains(observed), "{}", result.observed);
    let text = &result.remediation.as_ref().unwrap().text;
    assert!(text.contains(fix), "{text}");
}

#[track_caller]
fn unknown(result: &CheckResult, reason: Reason, observed: &str) {
    assert_eq!((result.outcome, result.reason), (Outcome::Unknown, Some(reason)), "{result:#?}");
    assert!(result.observed.contains(observed), "{}", result.observed);
}
