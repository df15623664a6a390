//! The workloads of both worlds, EKS and ECS, as one inventory with the provenance of every value.
//!
//! [`Inventory`] is what the checks read; it does not matter to them where it came from. It is filled from rendered
//! Kubernetes manifests and from task definitions and services as the AWS CLI prints them.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod inventory;

pub use access::{AwsAccess, AwsCredentials, AwsEndpoints, ClusterAccess};
pub use inventory::{
    Autoscaler, Container, Controller, EcsTask, EksWorkload, EnvVar, Inventory, Overlap, Pod, ServiceAccount, Sited,
    SourceFile, Surge, Value, Volume, Workload,
};
