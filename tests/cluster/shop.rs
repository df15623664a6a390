//! Workloads with a role each, an AWS that trusts the cluster's own tokens, and everything that `manifest` prints for it.

use crate::live::{Place, host};
use crate::tool::{self, Ran, World};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use preflight_fixtures::aws::{Cluster, Config, IdentityDouble, Operator, Provider, Role as IamRole};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The workloads; each has a ServiceAccount and a role of its name.
const WORKLOADS: [&str; 3] = ["orders", "payments", "notifications"];

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
/// The keys of the account that asks AWS.
pub(crate) const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "AKIAPREFLIGHT0000000"), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
const SECRET_KEY: &str = "canary-of-the-job";

/// The image of the program, where the cluster's nodes have it.
const TOOL_IMAGE: &str = "EKS_PREFLIGHT_TEST_TOOL_IMAGE";

/// The shop, in a test's namespace.
pub(crate) struct Shop {
    pub(crate) place: Arc<Place>,
    pub(crate) aws: IdentityDouble,
    pub(crate) config: String,
    /// What the configuration names: path and text.
    pub(crate) files: Vec<(String, String)>,
    /// What the configuration takes from the environment, and AWS's keys.
    pub(crate) secrets: BTreeMap<String, String>,
    /// What is to be checked.
    pub(crate) choice: Vec<String>,
    pub(crate) image: String,
}

impl Shop {
    /// A shop whose ServiceAccounts are annotated and whose roles trust them: every check passes. Nothing where the image or
    /// the way from pods to this host is missing.
    pub(crate) async fn new(place: &Arc<Place>) -> Option<Self> {
        let (image, host) = (crate::live::setting(TOOL_IMAGE)?, host()?);
        let discovery: Value = get(place, "/.well-known/openid-configuration").await;
        let issuer = discovery["issuer"].as_str().unwrap();
        let keys = get(place, "/openid/v1/jwks").await;
        let mut config = Config::new(REGION)
            .address(host.parse().unwrap())
            .operator(Operator::new(ACCOUNT, "preflight", KEYS[0].1, KEYS[1].1))
            .cluster(Cluster::new("shop", ACCOUNT, REGION).issuer(issuer))
            .provider(Provider::new(ACCOUNT, issuer).keys(keys));
        for name in WORKLOADS {
            config = config.role(IamRole::for_service_account(role(name), issuer, &place.namespace, name));
            place.account(name, Some(&role(name))).await;
        }
        let aws = IdentityDouble::start(config).await.unwrap();
        let url = &aws.urls().sts;
        let workloads = json!(WORKLOADS.map(|name| json!({"name": name, "role": role(name)})));
        let config = format!(
            r#"
environment: test
aws: {{accountId: "{ACCOUNT}", region: {REGION}, endpoints: {{sts: "{url}", iam: "{url}", eks: "{url}"}}}}
cluster: {{name: shop, kubeconfig: kubeconfig, inCluster: true}}
manifests: [rendered]
workloads: {workloads}
"#
        );
        let enforce = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        let namespaces: Api<Namespace> = Api::all(place.client.clone());
        namespaces.patch(&place.namespace, &PatchParams::default(), &Patch::Merge(enforce)).await.unwrap();
        Some(Self {
            place: place.clone(),
            aws,
            config,
            files: WORKLOADS.map(|name| (format!("rendered/{name}.yaml"), deployment(place, name))).into(),
            secrets: KEYS.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            choice: vec!["--to=deployed".to_owned()],
            image,
        })
    }

    /// A folder in which the program runs as a ServiceAccount of the namespace.
    pub(crate) async fn world_as(&self, account: &str) -> World {
        self.with_manifests(self.place.world_as(account, &self.config).await)
    }

    /// A folder in which the program runs as the cluster's administrator.
    pub(crate) fn world(&self) -> World {
        self.with_manifests(self.place.world(&self.config))
    }

    fn with_manifests(&self, world: World) -> World {
        for (path, text) in &self.files {
            world.write(path, text);
        }
        world
    }

    /// What `manifest` prints.
    pub(crate) fn manifest(&self, of: &str) -> Vec<Value> {
        let mut arguments = vec!["manifest", of, "--name=preflight", "--output=json", "--image", &self.image];
        arguments.extend(["--namespace", &self.place.namespace]);
        arguments.extend(self.choice.iter().map(String::as_str));
        let ran = self.world().tool(&arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()["items"].as_array().unwrap().clone()
    }

    /// Makes everything that the Job needs, with the generated rights.
    pub(crate) async fn grant(&self) {
        for document in self.manifest("rbac") {
            self.create(document).await;
        }
        self.keep_secrets().await;
    }

    /// Makes the Secret that the Job takes variables from.
    pub(crate) async fn keep_secrets(&self) {
        let secret = json!({"metadata": {"name": "preflight-secrets"}, "stringData": self.secrets});
        self.place.create::<Secret>(secret).await;
    }

    /// Takes one right away, a verb on one object. Gives the Role as it was.
    pub(crate) async fn revoke(&self, resource: &str, name: &str) -> Role {
        let whole = self.place.api::<Role>().get("preflight").await.unwrap();
        let mut left = whole.clone();
        let rules = left.rules.as_mut().unwrap();
        for rule in rules.iter_mut() {
            if rule.resources.as_ref().is_some_and(|resources| resources.iter().any(|one| one == resource)) {
                rule.resource_names.as_mut().unwrap().retain(|one| one != name);
            }
        }
        // A rule without names would be one for every name.
        rules.retain(|rule| rule.resource_names.as_ref().is_none_or(|names| !names.is_empty()));
        assert_ne!(left.rules, whole.rules, "there is no right on {resource} {name}");
        self.put(left).await;
        whole
    }

    /// Puts a Role in the place of what is there.
    pub(crate) async fn put(&self, mut role: Role) {
        role.metadata.resource_version = None;
        self.place.api().replace("preflight", &PostParams::default(), &role).await.unwrap();
    }

    /// Runs the program outside of the cluster, while AWS's double goes on in this thread.
    pub(crate) async fn run(world: &World) -> Ran {
        let mut command = tool::command(&world.path(""));
        command.args(["run", "--to", "deployed"]).envs(KEYS);
        tokio::task::spawn_blocking(move || Ran::of(command.output().unwrap())).await.unwrap()
    }

    async fn create(&self, document: Value) {
        match document["kind"].as_str().unwrap() {
            "ServiceAccount" => drop(self.place.create::<ServiceAccount>(document).await),
            "ConfigMap" => drop(self.place.create::<ConfigMap>(document).await),
            "Role" => drop(self.place.create::<Role>(document).await),
            "RoleBinding" => drop(self.place.create::<RoleBinding>(document).await),
            other => panic!("a {other}, which is no part of it"),
        }
    }

    /// Starts the Job, changed or as it is printed; gives its name.
    pub(crate) async fn start(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut name = None;
        let mut change = Some(change);
        for mut document in self.manifest("job") {
            if document["kind"] == "Job" {
                change.take().unwrap()(&mut document);
                name = self.place.create::<Job>(document).await.metadata.name;
            } else {
                self.create(document).await;
            }
        }
        name.unwrap()
    }

    /// The type and the reason of the condition that a Job came to, once it did.
    pub(crate) async fn ended(&self, job: &str) -> Option<(String, String)> {
        let conditions = self.place.api::<Job>().get(job).await.unwrap().status?.conditions?;
        let end = conditions.into_iter().find(|one| ["Complete", "Failed"].contains(&one.type_.as_str()))?;
        Some((end.type_, end.reason.unwrap_or_default()))
    }

    /// The Job's pods.
    pub(crate) async fn pods(&self, job: &str) -> Vec<Pod> {
        let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
        self.place.api::<Pod>().list(&of_job).await.unwrap().items
    }

    /// `report fetch` and `report verify`; gives the report.
    pub(crate) fn fetched(&self, job: &str) -> Value {
        let world = self.world();
        let place = ["--namespace", &self.place.namespace, "--kubeconfig", "kubeconfig"];
        let got = world.tool(&[&["report", "fetch", &format!("job/{job}")], place.as_slice()].concat());
        assert_eq!(got.code, 0, "{got:?}");
        let report = world.report();
        let text = report.to_string();
        assert!(!self.secrets.values().any(|secret| text.contains(secret)), "a secret is in the report");
        let verified = world.tool(&["report", "verify", "preflight-report.json", "--environment", "test"]);
        let is_go = report["summary"]["verdict"] == "go";
        assert_eq!(verified.code == 0, is_go, "only a go verifies: {verified:?}");
        report
    }
}

/// A Deployment whose pods have the ServiceAccount of its name.
fn deployment(place: &Place, name: &str) -> String {
    let pod = json!({"serviceAccountName": name, "containers": [{"name": "app", "image": format!("{name}:1")}]});
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": pod});
    let spec = json!({"selector": {"matchLabels": {"app": name}}, "template": template});
    let metadata = json!({"name": name, "namespace": place.namespace});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}).to_string()
}

async fn get(place: &Place, path: &str) -> Value {
    place.client.request(http::Request::get(path).body(vec![]).unwrap()).await.unwrap()
}

/// The role of a workload.
pub(crate) fn role(workload: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{workload}")
}

/// The exit code of a pod's container, once it ended.
pub(crate) fn exit_code(pod: &Pod) -> Option<i32> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    Some(container.state.as_ref()?.terminated.as_ref()?.exit_code)
}
