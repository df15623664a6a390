//! The types of the inventory. Plain data; where it came from is in [`Sited::at`] and the fields `at`.

use kube::core::Selector;
use preflight_core::{Right, written};
use std::collections::{BTreeMap, BTreeSet};

/// What is said of a value that is masked.
pub const MASKED: &str = "it is masked; in a URL mask the password alone";

/// A value and where it stands: `path/file.yaml:12`, or `namespace/Kind/name@resourceVersion spec.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sited<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: String,
}

/// Everything that is deployed on both sides, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// The workloads of both sides, those that belong together as one, ordered by name.
    pub workloads: Vec<Workload>,
    /// Every ServiceAccount of the EKS side.
    pub service_accounts: Vec<ServiceAccount>,
    /// The Services of the EKS side that are another name for a host (`ExternalName`).
    pub external_names: Vec<ExternalName>,
    /// The number of nodes, if it is known.
    pub nodes: Option<u64>,
    /// Whether every object of the EKS side is known to be here: those of the namespaces that were read from the cluster.
    /// In manifests an object that is missing may still exist.
    pub is_whole: bool,
    /// Whether the list of scalable targets of ECS was read, if only to find it empty. Without it a service that is
    /// autoscaled looks fixed at `desiredCount`.
    pub has_scalable_targets: bool,
    /// Who scales a workload that is not here, what could not be read and may make pods or tasks, and what has pods now that
    /// are not what it describes. Somebody's demand is missing then. All of them are among the notes.
    pub strays: Vec<Stray>,
    /// The names of the workloads that are meant to have no side of EKS.
    pub stays_in_ecs: BTreeSet<String>,
    /// Every file that was read, in order.
    pub sources: Vec<SourceFile>,
    /// What was read and could not be understood, one line each with its place. Nothing is left out in silence.
    pub notes: Vec<String>,
    /// The cluster, if the EKS side was read from it.
    pub cluster: Option<SeenCluster>,
    /// The rights that reading it took.
    pub rights: Vec<Right>,
}

/// An object that makes, scales or has pods or tasks of which nothing more is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// `namespace/Kind/name`, if it is an object of EKS that has a name.
    pub reference: Option<String>,
    /// One line with its place and what to do.
    pub text: String,
}

/// A cluster as its API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCluster {
    /// The uid of the namespace `kube-system`, which stands for the cluster.
    pub uid: String,
    /// The version of its API server, for example `v1.33.1-eks-1fbb135`.
    pub version: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as it was given.
    pub path: String,
    /// The SHA-256 of its bytes in hexadecimal.
    pub sha256: String,
}

/// One service on one side or on both.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its name: the configured one, or that of the EKS workload, or that of the ECS service.
    pub name: String,
    /// What runs in ECS.
    pub ecs: Option<EcsTask>,
    /// What runs in EKS.
    pub eks: Option<EksWorkload>,
}

/// A service of ECS with its task definition.
#[derive(Clone, Debug, PartialEq)]
pub struct EcsTask {
    /// The name of the service; the family of the task definition if no service was given.
    pub service: String,
    /// Where the service stands; the task definition if no service was given.
    pub at: String,
    /// `desiredCount`, if a service was given.
    pub desired: Option<Sited<u64>>,
    /// The largest number that application autoscaling may set, if a scalable target was given.
    pub autoscaled_max: Option<Sited<u64>>,
    /// `deploymentConfiguration.maximumPercent`; 200 where the service does not say.
    pub maximum_percent: Sited<u64>,
    /// The task definition as `family:revision`: the one that the service names, given or not, or the one on its own.
    pub task_definition: Option<Sited<String>>,
    /// `taskRoleArn`.
    pub task_role_arn: Option<Sited<String>>,
    /// The containers; empty if no task definition was given.
    pub containers: Vec<Container>,
}

/// A workload of Kubernetes: whatever makes pods.
#[derive(Clone, Debug, PartialEq)]
pub struct EksWorkload {
    /// The namespace; `default` where the manifest names none.
    pub namespace: String,
    /// For example `Deployment`.
    pub kind: String,
    /// The name.
    pub name: String,
    /// Where it stands.
    pub at: String,
    /// What governs the number of pods.
    pub controller: Controller,
    /// What names it as the workload that it scales.
    pub autoscaler: Option<Autoscaler>,
    /// `spec.selector`, by which it knows its pods of whatever version.
    pub selector: Option<Selector>,
    /// The template of its pods.
    pub pod: Pod,
}

impl EksWorkload {
    /// `namespace/Kind/name`, as the configuration and the report write it.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.kind, self.name)
    }
}

/// What governs a number of pods, in the words of Kubernetes.
#[derive(Clone, Debug, PartialEq)]
pub enum Controller {
    /// A Deployment.
    Deployment {
        /// `spec.replicas`. None where it is absent: 1 when the object is made, and later whatever somebody has set.
        replicas: Option<Sited<u64>>,
        /// `maxSurge`; none with the strategy `Recreate`.
        surge: Option<Sited<Surge>>,
        /// Whether `spec.podReplacementPolicy` is `TerminationComplete`.
        waits_for_termination: bool,
    },
    /// A StatefulSet.
    StatefulSet {
        /// `spec.replicas`, as that of a Deployment.
        replicas: Option<Sited<u64>>,
    },
    /// A DaemonSet.
    DaemonSet {
        /// `maxSurge`.
        surge: Sited<Surge>,
    },
    /// A Job.
    Job {
        /// `spec.parallelism`; 1 where it is absent.
        parallelism: Sited<u64>,
    },
    /// A CronJob.
    CronJob {
        /// `parallelism` of the job template; 1 where it is absent.
        parallelism: Sited<u64>,
        /// `spec.concurrencyPolicy`.
        overlap: Overlap,
        /// The most runs at the same time with [`Overlap::Allow`], by schedule and `activeDeadlineSeconds`. None where
        /// nothing ends a run.
        runs: Option<u64>,
    },
    /// A kind that this tool does not know, with the template of its pods where Kubernetes' own kinds have it.
    Unknown {
        /// `spec.replicas`, or the most pods of the jobs of a ScaledJob.
        replicas: Option<Sited<u64>>,
    },
    /// A Pod on its own, or a ReplicaSet without a Deployment.
    Bare {
        /// How many.
        replicas: Sited<u64>,
    },
}

/// A number of pods or a part of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surge {
    /// A number.
    Count(u64),
    /// A percentage.
    Percent(u64),
}

/// What a CronJob does when its time has come and the last run is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It starts another one; the default.
    Allow,
    /// It waits.
    Forbid,
    /// It ends the last run and starts another one.
    Replace,
}

/// What scales a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaler {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub at: String,
    /// `minReplicas`; 1 where it is absent.
    pub min: Sited<u64>,
    /// `maxReplicas`; none where this tool does not know the kind of autoscaler.
    pub max: Option<Sited<u64>>,
}

/// The template of pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Where the pod's spec begins.
    pub at: String,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
    /// `serviceAccountName`; none means `default`.
    pub service_account: Option<Sited<String>>,
    /// `automountServiceAccountToken`.
    pub automount_token: Option<Sited<bool>>,
    /// `securityContext.fsGroup`.
    pub fs_group: Option<Sited<i64>>,
    /// `securityContext.runAsUser`.
    pub run_as_user: Option<Sited<i64>>,
    /// `terminationGracePeriodSeconds`; 30 where it is absent.
    pub grace_s: u64,
    /// The containers.
    pub containers: Vec<Container>,
    /// The init containers, native sidecars included.
    pub init_containers: Vec<Container>,
    /// The volumes.
    pub volumes: Vec<Volume>,
}

/// One container of either side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub at: String,
    /// The image.
    pub image: String,
    /// The environment in order, `envFrom` and `environmentFiles` resolved as far as they can be.
    pub env: Vec<EnvVar>,
    /// `command` (`entryPoint` in ECS), then `args` (`command` in ECS).
    pub arguments: Vec<Sited<String>>,
    /// `securityContext.runAsUser`.
    pub run_as_user: Option<Sited<i64>>,
    /// Where the container sees which volume: mount path and name of the volume.
    pub mounts: Vec<(String, String)>,
    /// Whether it has a readiness probe (Kubernetes) or a health check (ECS).
    pub has_readiness: bool,
    /// Whether it is a native sidecar (an init container with `restartPolicy: Always`).
    pub is_sidecar: bool,
}

/// One variable of an environment, or one file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvVar {
    /// Its name, or one that ends with [`EnvVar::ANY`].
    pub name: String,
    /// Its value, or why there is none here.
    pub value: Value,
    /// Where it stands.
    pub at: String,
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// It is written down.
    Plain(String),
    /// It stands in a secret (Secret, Secrets Manager, Parameter Store), which this tool does not read, or it is masked.
    /// The text says which one.
    Secret(String),
    /// It comes from something that is not here, for example a ConfigMap that is not in the manifests.
    Unresolved(String),
    /// It describes the running pod (its address, its resources) and is known there alone.
    OfPod(String),
}

impl Value {
    /// What is written down; of what is masked nothing is known, as of a secret.
    pub(crate) fn of_text(text: String) -> Self {
        if written::is_mask(&text) { Self::Secret(MASKED.to_owned()) } else { Self::Plain(text) }
    }
}

impl EnvVar {
    /// Stands in [`EnvVar::name`] for every name that a source may hold which is not here (`envFrom`,
    /// `environmentFiles`), after the prefix that all of them have.
    pub const ANY: &str = "*";

    /// Whether it stands for variables whose names are not known.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.name.ends_with(Self::ANY)
    }

    /// The value, if it is written down.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(value) => Some(value),
            Value::Secret(_) | Value::Unresolved(_) | Value::OfPod(_) => None,
        }
    }
}

/// Adds a variable to an environment; it replaces one of the same name. Sources whose names are not known all stay.
pub(crate) fn push_variable(environment: &mut Vec<EnvVar>, variable: EnvVar) {
    if !variable.is_any() {
        environment.retain(|known| known.name != variable.name);
    }
    environment.push(variable);
}

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// The audiences, expirations in seconds and paths of projected ServiceAccount tokens in it.
    pub tokens: Vec<(String, u64, String)>,
    /// The files in it that hold configuration (from ConfigMaps, Secrets and the store of secrets), each under its key,
    /// or one that ends with [`EnvVar::ANY`] where the keys are not known.
    pub files: Vec<EnvVar>,
    /// Where it stands.
    pub at: String,
}

/// A ServiceAccount.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceAccount {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Where it stands.
    pub at: String,
    /// Its annotations, each with its place.
    pub annotations: BTreeMap<String, Sited<String>>,
    /// `automountServiceAccountToken`.
    pub automount_token: Option<Sited<bool>>,
}

/// A Service that is another name for a host: `name.namespace.svc` and the like, to the pods of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// `spec.externalName`.
    pub host: String,
}

impl Inventory {
    /// The ServiceAccount, if it is here.
    #[must_use]
    pub fn service_account(&self, namespace: &str, name: &str) -> Option<&ServiceAccount> {
        self.service_accounts.iter().find(|account| account.namespace == namespace && account.name == name)
    }

    /// The workload with this name.
    #[must_use]
    pub fn workload(&self, name: &str) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.name == name)
    }
}
