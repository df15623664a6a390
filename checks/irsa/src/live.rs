//! The connections that the checks of one area share: AWS, the cluster's API, and the cluster's issuer, each made when it
//! is first needed.

use crate::arn;
use crate::aws::Failure;
use crate::{Env, Settings, place};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount as KubeAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use preflight_cluster::{AwsAccess, ClusterAccess, ServiceAccount, Sited, connect, refused};
use preflight_core::{CannotTell, Evidence, Reason, Scope, Secret};
use std::time::Duration;
use tokio::sync::OnceCell;

/// The longest that one call may take, with its retries.
const CALL_LIMIT: Duration = Duration::from_secs(12);

/// The longest that one attempt of a call may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(4);

/// How often a call is attempted.
const ATTEMPTS: u32 = 4;

/// The lifetime of a token: the shortest that Kubernetes gives.
const TOKEN_SECONDS: i64 = 600;

/// What is reached from here, and how.
pub(crate) struct Live {
    pub(crate) settings: Settings,
    pub(crate) aws: AwsAccess,
    cluster: ClusterAccess,
    sdk: OnceCell<SdkConfig>,
    kube: OnceCell<Client>,
    described: OnceCell<Described>,
}

/// What EKS says about the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Described {
    pub(crate) arn: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) issuer: Option<String>,
}

impl Live {
    pub(crate) fn new(env: &Env) -> Self {
        Self {
            settings: env.settings.clone(),
            aws: env.aws.clone(),
            cluster: env.cluster.clone(),
            sdk: OnceCell::new(),
            kube: OnceCell::new(),
            described: OnceCell::new(),
        }
    }

    pub(crate) fn reaches_cluster(&self) -> bool {
        self.cluster.is_reachable()
    }

    /// The cluster's name among the targets of a plan.
    pub(crate) fn cluster_target(&self) -> String {
        self.cluster.target()
    }

    /// The cluster's ARN: the configured one, or the one that follows from account, region and name.
    pub(crate) fn cluster_arn(&self) -> Option<String> {
        let made = || {
            let (region, account, name) =
                (self.aws.region.as_ref()?, self.aws.account_id.as_ref()?, self.cluster.name.as_ref()?);
            let partition = arn::partition_of(region);
            Some(format!("arn:{partition}:eks:{region}:{account}:cluster/{name}"))
        };
        self.cluster.arn.clone().or_else(made)
    }

    /// The region, without asking anybody.
    pub(crate) fn region(&self) -> Option<&str> {
        self.aws.region.as_deref()
    }

    async fn sdk(&self) -> &SdkConfig {
        let load = || async {
            let timeouts = TimeoutConfig::builder()
                .operation_timeout(CALL_LIMIT)
                .operation_attempt_timeout(ATTEMPT_LIMIT)
                .connect_timeout(ATTEMPT_LIMIT);
            let retries = RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(Duration::from_millis(200))
                .with_max_backoff(Duration::from_secs(2));
            let mut loader =
                aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts.build()).retry_config(retries);
            if let Some(region) = &self.aws.region {
                loader = loader.region(Region::new(region.clone()));
            }
            if let Some(keys) = &self.aws.credentials {
                let session = keys.session_token.as_ref().map(|token| token.reveal().to_owned());
                let secret = keys.secret_access_key.reveal();
                let keys = Credentials::new(&keys.access_key_id, secret, session, None, "settings");
                loader = loader.credentials_provider(keys);
            }
            loader.load().await
        };
        self.sdk.get_or_init(load).await
    }

    pub(crate) async fn iam(&self) -> aws_sdk_iam::Client {
        let mut config = aws_sdk_iam::config::Builder::from(self.sdk().await);
        if let Some(url) = &self.aws.endpoints.iam {
            config = config.endpoint_url(url);
        }
        aws_sdk_iam::Client::from_conf(config.build())
    }

    /// STS as this tool itself.
    pub(crate) async fn sts(&self) -> aws_sdk_sts::Client {
        self.sts_client(self.sdk().await)
    }

    /// STS as somebody else, or as nobody: this tool's own credentials must not take part.
    pub(crate) async fn sts_as(&self, credentials: Option<Credentials>) -> aws_sdk_sts::Client {
        let mut shared = self.sdk().await.to_builder();
        shared.set_credentials_provider(credentials.map(SharedCredentialsProvider::new));
        self.sts_client(&shared.build())
    }

    fn sts_client(&self, shared: &SdkConfig) -> aws_sdk_sts::Client {
        let mut config = aws_sdk_sts::config::Builder::from(shared);
        if let Some(url) = &self.aws.endpoints.sts {
            config = config.endpoint_url(url);
        }
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// Whether the configuration speaks of one cluster.
    pub(crate) fn agrees(&self) -> Result<(), CannotTell> {
        place::agrees(&self.aws, &self.cluster)
    }

    /// The cluster that EKS described, once it did.
    pub(crate) fn cluster_seen(&self) -> Option<Evidence> {
        let seen = self.described.get()?;
        let version = seen.version.as_deref().unwrap_or("unknown");
        Some(Evidence::new("cluster", seen.arn.as_deref()?, format!("version {version}")))
    }

    /// The cluster's OIDC issuer: the configured one, or the one that EKS tells. If what EKS describes is not what the
    /// configuration names, the reason is `control-failed`: nothing that is seen there says anything about the target.
    pub(crate) async fn issuer(&self, scope: &Scope) -> Result<&str, CannotTell> {
        self.agrees()?;
        if let Some(issuer) = &self.settings.issuer {
            return Ok(issuer);
        }
        let seen = self.described.get_or_try_init(|| self.describe(scope)).await?;
        seen.issuer.as_deref().ok_or_else(|| {
            let name = self.cluster_target();
            CannotTell::insufficient(format!("describing the cluster {name}: EKS tells no issuer"))
        })
    }

    async fn describe(&self, scope: &Scope) -> Result<Described, CannotTell> {
        let name = self.cluster.name.as_ref().ok_or_else(|| {
            CannotTell::prerequisite("the cluster's issuer is not known: give `irsa.issuer` or `cluster.name`")
        })?;
        let mut config = aws_sdk_eks::config::Builder::from(self.sdk().await);
        if let Some(url) = &self.aws.endpoints.eks {
            config = config.endpoint_url(url);
        }
        let call = aws_sdk_eks::Client::from_conf(config.build()).describe_cluster().name(name).send();
        let attempted = format!("describing the cluster {name}");
        let answer = scope.until_cancelled(call).await?.map_err(|error| Failure::of(error).cannot_tell(&attempted))?;
        let cluster = answer.cluster();
        let identity = cluster.and_then(|cluster| cluster.identity());
        let issuer = identity.and_then(|identity| identity.oidc()).and_then(|oidc| oidc.issuer());
        let seen = Described {
            arn: cluster.and_then(|cluster| cluster.arn()).map(str::to_owned),
            version: cluster.and_then(|cluster| cluster.version()).map(str::to_owned),
            issuer: issuer.map(str::to_owned),
        };
        place::is_cluster(&self.aws, &self.cluster, &seen)?;
        Ok(seen)
    }

    async fn kube(&self) -> Result<Client, CannotTell> {
        self.kube.get_or_try_init(|| connect(&self.cluster)).await.cloned()
    }

    /// A ServiceAccount, or nothing if the cluster has none of that name.
    pub(crate) async fn service_account(
        &self,
        scope: &Scope,
        namespace: &str,
        name: &str,
    ) -> Result<Option<ServiceAccount>, CannotTell> {
        let accounts: Api<KubeAccount> = Api::namespaced(self.kube().await?, namespace);
        let attempted = format!("reading the ServiceAccount {namespace}/{name}");
        match scope.within(CALL_LIMIT, &attempted, accounts.get(name)).await? {
            Ok(account) => Ok(Some(of_kube(account, namespace, name))),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(refused(&error, &attempted)),
        }
    }

    /// A token of a ServiceAccount, or nothing if the cluster has none of that name. Nothing is stored in the cluster.
    pub(crate) async fn token(
        &self,
        scope: &Scope,
        (namespace, name): (&str, &str),
        audience: &str,
    ) -> Result<Option<Secret>, CannotTell> {
        let accounts: Api<KubeAccount> = Api::namespaced(self.kube().await?, namespace);
        let attempted = format!("requesting a token of the ServiceAccount {namespace}/{name}");
        let spec = TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let post = PostParams::default();
        let call = accounts.create_token_request(name, &post, &request);
        match scope.within(CALL_LIMIT, &attempted, call).await? {
            Ok(answer) => {
                let token = answer.status.and_then(|status| status.token).map(Secret::new);
                let none = || CannotTell::new(Reason::Unsupported, format!("{attempted}: the answer has no token"));
                token.map(Some).ok_or_else(none)
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(refused(&error, &attempted)),
        }
    }
}

fn of_kube(account: KubeAccount, namespace: &str, name: &str) -> ServiceAccount {
    let version = account.metadata.resource_version.unwrap_or_default();
    let at = format!("{namespace}/ServiceAccount/{name}@{version}");
    let annotations = account.metadata.annotations.unwrap_or_default();
    let sited = |value| Sited { value, at: at.clone() };
    ServiceAccount {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        annotations: annotations.into_iter().map(|(key, value)| (key, sited(value))).collect(),
        automount_token: account.automount_service_account_token.map(|value| Sited { value, at: at.clone() }),
        at,
    }
}
