//! The self-check before a run: a missing right is named, and nothing runs that needs it.

use crate::tool::{Ran, World};
use preflight_fixtures::aws::{
    AccessRule, ApiUser, Cluster, Config, IdentityDouble, Operator, Provider, Role, Service, ServiceAccount,
};
use serde_json::Value;
use tokio::runtime::Runtime;

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/LAB";
const BEARER: &str = "bearer-canary";

/// The two workloads, each with its namespace.
const WORKLOADS: [(&str, &str); 2] = [("orders", "shop"), ("payments", "billing")];

fn role(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// A cluster whose ServiceAccounts are not in the manifests.
struct Shop {
    double: IdentityDouble,
    world: World,
    /// The double lives in it.
    _runtime: Runtime,
}

impl Shop {
    fn that_denies(rules: &[AccessRule]) -> Self {
        let user = rules.iter().cloned().fold(ApiUser::new("preflight", BEARER), ApiUser::deny);
        let mut cluster = Cluster::new("lab", ACCOUNT, REGION).issuer(ISSUER).user(user);
        let operator = Operator::new(ACCOUNT, "preflight", "AKIAOPERATOR", "secret-canary");
        let mut config = Config::new(REGION).operator(operator).provider(Provider::new(ACCOUNT, ISSUER));
        let mut yaml = String::new();
        let mut manifests = String::new();
        for (name, namespace) in WORKLOADS {
            cluster = cluster.service_account(ServiceAccount::new(namespace, name).role_arn(role(name)));
            config = config.role(Role::for_service_account(role(name), ISSUER, namespace, name));
            yaml += &format!("  - {{name: {name}, role: \"{}\"}}\n", role(name));
            manifests += &format!(
                "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: \
                 {{selector: {{matchLabels: {{app: a}}}}, template: {{metadata: {{labels: {{app: a}}}}, spec: \
                 {{serviceAccountName: {name}, containers: [{{name: app, image: i}}]}}}}}}\n"
            );
        }
        let runtime = Runtime::new().unwrap();
        let double = runtime.block_on(IdentityDouble::start(config.cluster(cluster))).unwrap();
        let urls = double.urls();
        let world = World::new(&format!(
            "environment: test\naws: {{accountId: \"{ACCOUNT}\", region: {REGION}, endpoints: {{sts: \"{}\", iam: \"{}\", \
             eks: \"{}\"}}, credentials: {{accessKeyId: AKIAOPERATOR, secretAccessKey: secret-canary}}}}\n\
             cluster: {{name: lab, kubeconfig: kubeconfig}}\nmanifests: [rendered.yaml]\nworkloads:\n{yaml}",
            urls.sts, urls.iam, urls.eks
        ));
        world.write("rendered.yaml", &manifests);
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
             clusters: [{{name: lab, cluster: {{server: '{}'}}}}]\n\
             users: [{{name: me, user: {{token: {BEARER}}}}}]\n\
             contexts: [{{name: lab, context: {{cluster: lab, user: me}}}}]\n",
            urls.kubernetes
        );
        world.write("kubeconfig", &kubeconfig);
        Self { double, world, _runtime: runtime }
    }

    fn run(&self) -> Ran {
        self.world.tool(&["run", "--to", "traffic-1", "--only", "irsa.*"])
    }

    fn asked(&self, operation: &str) -> usize {
        self.double.handle().count(Service::Kubernetes, operation)
    }

    /// The results that are not a pass, as `CHECK (SUBJECT)`, with each one's reason and text.
    fn open(&self) -> Vec<(String, String, String)> {
        let report = self.world.report();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let results = report["results"].as_array().unwrap().iter().filter(|one| one["outcome"] != "pass");
        let key = |one: &Value| format!("{} ({})", text(&one["check"]), text(&one["subject"]));
        results
            .map(|one| {
                (key(one), format!("{}: {}", text(&one["outcome"]), text(&one["reason"])), text(&one["observed"]))
            })
            .collect()
    }
}

#[test]
fn with_every_right_each_is_asked_about_once() {
    let shop = Shop::that_denies(&[]);
    let ran = shop.run();
    assert_eq!((ran.code, shop.open()), (0, vec![]), "{ran:?}");
    assert_eq!(shop.asked("CreateSelfSubjectAccessReview"), 4);
}

#[test]
fn each_missing_right_leaves_exactly_those_open_that_need_it() {
    let get: &[&str] = &["irsa.service-account-annotated", "irsa.trust-allows", "irsa.exchange-succeeds"];
    let rights = [("get", "serviceaccounts", get), ("create", "serviceaccounts/token", &get[2..])];
    for (verb, resource, needing) in rights {
        let shop = Shop::that_denies(&[AccessRule::new(verb, "", resource).namespace("billing")]);
        let ran = shop.run();
        assert_eq!(ran.code, 11, "{ran:?}");
        let open = shop.open();
        assert_eq!(
            open.iter().map(|one| one.0.clone()).collect::<Vec<_>>(),
            needing.iter().map(|check| format!("{check} (payments)")).collect::<Vec<_>>(),
        );
        for (_, outcome, text) in open {
            assert_eq!(outcome, "unknown: forbidden");
            assert!(text.contains(&format!("{verb} {resource} payments in the namespace billing")), "{text}");
        }
        let operation = if verb == "get" { "GetServiceAccount" } else { "CreateToken" };
        let requests = shop.double.handle().requests();
        let mut asked = requests.iter().filter(|one| one.operation == operation);
        assert!(!asked.any(|one| one.resource == "billing/payments"), "what is forbidden was tried");
    }
}

#[test]
fn a_doctor_names_each_missing_right_and_how_to_get_it() {
    let shop = Shop::that_denies(&[AccessRule::new("create", "", "serviceaccounts/token").namespace("billing")]);
    let gaps = crate::doctor::gaps(&shop.world.tool(&["doctor", "--output", "json"]));
    assert_eq!(
        gaps.keys().collect::<Vec<_>>(),
        ["cluster lab: create serviceaccounts/token payments in the namespace billing"]
    );
    assert!(gaps.values().all(|problem| problem.contains("manifest rbac")), "{gaps:?}");
    shop.double.handle().change_faults(|faults| faults.kubernetes.server_errors = 1_000);
    let gaps = crate::doctor::gaps(&shop.world.tool(&["doctor", "--output", "json"]));
    assert!(gaps["cluster lab"].contains("kubeconfig"), "{gaps:?}");
}

#[test]
fn where_the_question_is_not_answered_the_checks_say_what_they_meet() {
    let shop = Shop::that_denies(&[]);
    shop.double.handle().change_faults(|faults| faults.kubernetes.server_errors = 1_000);
    let ran = shop.run();
    assert_eq!(ran.code, 11, "{ran:?}");
    assert!(shop.open().iter().all(|one| one.1 == "unknown: unreachable"), "{:?}", shop.open());
}
