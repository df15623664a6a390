//! How this tool reaches AWS and the cluster: the sections `aws` and `cluster` of the configuration.

use preflight_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// The AWS account that the migration happens in, and how this tool reaches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AwsAccess {
    /// The account's twelve digits, in quotes.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    pub account_id: Option<String>,
    /// The region, for example `eu-west-1`. What the SDK finds if left out.
    pub region: Option<String>,
    /// Endpoints other than the public ones, for example VPC endpoints.
    pub endpoints: AwsEndpoints,
    /// Credentials of this tool. Leave them out where the SDK finds some by itself: environment, profile, role.
    pub credentials: Option<AwsCredentials>,
}

/// URLs of AWS services other than the public ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AwsEndpoints {
    /// Security Token Service.
    pub sts: Option<String>,
    /// Identity and Access Management.
    pub iam: Option<String>,
    /// Elastic Kubernetes Service.
    pub eks: Option<String>,
    /// Simple Queue Service.
    pub sqs: Option<String>,
}

/// Credentials of this tool for AWS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AwsCredentials {
    /// The access key's id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token, for temporary credentials.
    #[serde(default)]
    pub session_token: Option<Secret>,
}

/// The EKS cluster, and how this tool reaches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ClusterAccess {
    /// The cluster's name in EKS.
    pub name: Option<String>,
    /// Its ARN.
    pub arn: Option<String>,
    /// The kubeconfig file. If left out, nothing asks the cluster's API unless `inCluster` is set.
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig; its current one if left out.
    pub context: Option<String>,
    /// Whether this tool, where it runs in a pod of the cluster, reaches the API with the pod's own ServiceAccount. Outside
    /// of one it takes the kubeconfig.
    pub in_cluster: bool,
    /// The uid of its namespace `kube-system`, which stands for the cluster. Where the EKS side is read from another cluster,
    /// no check can tell.
    pub uid: Option<String>,
    /// The namespaces of the EKS side. With them it is read from the cluster's API, and no `manifests` are given.
    #[schemars(inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")))]
    pub namespaces: Vec<String>,
}

impl ClusterAccess {
    /// Whether it says how to reach the cluster's API.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.in_cluster || self.kubeconfig.is_some()
    }

    /// The cluster's name among the targets of a plan.
    #[must_use]
    pub fn target(&self) -> String {
        self.name.clone().unwrap_or_else(|| "cluster".to_owned())
    }

    /// Whether the EKS side of the inventory is read from the cluster's API.
    #[must_use]
    pub fn is_source(&self) -> bool {
        !self.namespaces.is_empty()
    }
}
