//! A cluster to test in, and for each test a namespace of its own that is always removed.

use crate::tool::World;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long showing what was in a namespace may take.
const DUMP_LIMIT: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(100);

/// The kubeconfig of the cluster to test in. Its user must be allowed to do anything in namespaces that it makes.
const KUBECONFIG: &str = "EKS_PREFLIGHT_TEST_KUBECONFIG";

/// The image of `fixtures/cluster/pause`, where the cluster's nodes have it.
const IMAGE: &str = "EKS_PREFLIGHT_TEST_IMAGE";

/// The API server's audit log, where this host can read it.
const AUDIT: &str = "EKS_PREFLIGHT_TEST_AUDIT";

/// The address at which pods reach this host, where they do.
const HOST: &str = "EKS_PREFLIGHT_TEST_HOST";

/// Set where all of these are: what would be skipped fails.
const COMPLETE: &str = "EKS_PREFLIGHT_TEST_COMPLETE";

/// What a test may use.
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) kubeconfig: PathBuf,
}

/// Runs a test in a namespace of its own, removes it, and shows what was in it if the test failed.
pub(crate) fn live<T: Future<Output = ()> + 'static>(test: impl FnOnce(Arc<Place>) -> T + 'static) {
    let Some(kubeconfig) = setting(KUBECONFIG) else { return };
    // One thread, the test's own: what it prints belongs to it.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let place = Arc::new(Place::new(kubeconfig.into()).await);
        let own = place.clone();
        let ended = spawn_local(async move {
            own.ready().await;
            test(own).await;
        })
        .await;
        if ended.is_err() {
            // Whatever becomes of it, the namespace goes.
            let own = place.clone();
            let dumped = spawn_local(async move { timeout(DUMP_LIMIT, own.dump()).await }).await;
            if !matches!(dumped, Ok(Ok(()))) {
                eprintln!("what was in {} could not be shown whole", place.namespace);
            }
        }
        place.remove().await;
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    });
}

/// An environment variable that names something to test with; says that the test is skipped where it is not set.
pub(crate) fn setting(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        skip(&format!("{name} is not set"));
    }
    value
}

fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    assert!(!is_complete(), "skipped: {test}: {why}");
    eprintln!("skipped: {test}: {why}");
}

/// Whether it is the cluster of `fixtures/cluster`, in which everything is allowed.
fn is_complete() -> bool {
    std::env::var_os(COMPLETE).is_some()
}

/// Whether a test may use a name that somebody else may use as well.
pub(crate) fn alone() -> bool {
    if !is_complete() {
        skip("the names in README may be in use there");
    }
    is_complete()
}

/// A program that a user of a cluster has; says that the test is skipped where it is missing.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("there is no {name}"));
    }
    found
}

/// The image that pods of the tests run.
pub(crate) fn image() -> Option<String> {
    setting(IMAGE)
}

/// The audit log.
pub(crate) fn audit() -> Option<PathBuf> {
    setting(AUDIT).map(PathBuf::from)
}

/// The address at which pods reach servers of this host.
pub(crate) fn host() -> Option<String> {
    setting(HOST)
}

/// Waits until something is there.
pub(crate) async fn wait<T, F: Future<Output = Option<T>>>(what: &str, mut seen: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = seen().await {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}

impl Place {
    async fn new(kubeconfig: PathBuf) -> Self {
        let read = Kubeconfig::read_from(&kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let wanted = json!({"metadata": {"generateName": "preflight-test-"}});
        let wanted: Namespace = serde_json::from_value(wanted).unwrap();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let made = namespaces.create(&PostParams::default(), &wanted).await.unwrap();
        Self { client, namespace: made.metadata.name.unwrap(), kubeconfig }
    }

    /// Pods and tokens need the default ServiceAccount, and the controller makes it a moment later.
    async fn ready(&self) {
        wait("the namespace's default ServiceAccount", || async {
            self.api::<ServiceAccount>().get_opt("default").await.unwrap()
        })
        .await;
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object in the test's namespace.
    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug,
    {
        self.api().create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    /// A ServiceAccount, annotated with a role if one is given.
    pub(crate) async fn account(&self, name: &str, role: Option<&str>) {
        let annotations = role.map(|role| json!({"eks.amazonaws.com/role-arn": role}));
        self.create::<ServiceAccount>(json!({"metadata": {"name": name, "annotations": annotations}})).await;
    }

    /// A token of a ServiceAccount, for an audience or for the API server itself.
    pub(crate) async fn token(&self, account: &str, audience: Option<&str>) -> String {
        let audiences: Vec<&str> = audience.into_iter().collect();
        let request = json!({"spec": {"audiences": audiences, "expirationSeconds": 600}});
        let request: TokenRequest = serde_json::from_value(request).unwrap();
        let api = self.api::<ServiceAccount>();
        let answer = api.create_token_request(account, &PostParams::default(), &request).await.unwrap();
        answer.status.unwrap().token.unwrap()
    }

    /// A folder with a configuration that reaches the cluster as its administrator does.
    pub(crate) fn world(&self, config: &str) -> World {
        self.world_with(config, self.kubeconfig_value())
    }

    /// A folder with a configuration that reaches the cluster as a ServiceAccount of the test's namespace.
    pub(crate) async fn world_as(&self, account: &str, config: &str) -> World {
        let mut kubeconfig = self.kubeconfig_value();
        let token = self.token(account, None).await;
        for user in kubeconfig["users"].as_array_mut().unwrap() {
            user["user"] = json!({"token": token});
        }
        self.world_with(config, kubeconfig)
    }

    fn kubeconfig_value(&self) -> Value {
        serde_saphyr::from_str(&std::fs::read_to_string(&self.kubeconfig).unwrap()).unwrap()
    }

    fn world_with(&self, config: &str, kubeconfig: Value) -> World {
        let world = World::new(config);
        world.write("kubeconfig", &kubeconfig.to_string());
        world
    }

    async fn dump(&self) {
        let all = ListParams::default();
        match self.api::<Pod>().list(&all).await {
            Ok(pods) => pods.into_iter().for_each(|pod| {
                eprintln!("pod {}", json!({"name": pod.metadata.name, "status": pod.status}));
            }),
            Err(error) => eprintln!("pods of {}: {error}", self.namespace),
        }
        match self.api::<Event>().list(&all).await {
            Ok(events) => events.into_iter().for_each(|event| {
                eprintln!("event {}", json!([event.involved_object.name, event.reason, event.message]));
            }),
            Err(error) => eprintln!("events of {}: {error}", self.namespace),
        }
    }

    async fn remove(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
        wait("the namespace's removal", || async {
            namespaces.get_opt(&self.namespace).await.unwrap().is_none().then_some(())
        })
        .await;
    }
}
