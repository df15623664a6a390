//! The workloads of both worlds, EKS and ECS, as one inventory with the provenance of every value.
//!
//! [`Inventory`] is what the checks read; it does not matter to them where it came from. [`load`] fills it from rendered
//! Kubernetes manifests, [`load_live`] from a cluster's API, and both from task definitions and services as the AWS CLI
//! prints them.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod api;
mod budgets;
mod cursor;
mod ecs;
mod endpoints;
mod error;
mod exposed;
mod files;
mod inventory;
mod json;
mod kind;
mod kubernetes;
mod live;
mod load;
mod node;
mod outcome;
mod pages;
mod pairs;
mod pods;
mod rights;
mod wait;

pub use access::{AwsAccess, AwsCredentials, AwsEndpoints, ClusterAccess};
pub use api::{as_kubectl, connect, may, refused};
pub use budgets::{BudgetCounts, SeenBudget, budgets};
pub use ecs::DESCRIBE_SCALABLE_TARGETS;
pub use endpoints::{EndpointTarget, SeenEndpoint, endpoints};
pub use error::InventoryError;
pub use exposed::{exposed, exposed_beside};
pub use inventory::{
    Autoscaler, Container, Controller, EcsTask, EksWorkload, EnvVar, ExternalName, Inventory, MASKED, Overlap, Pod,
    SeenCluster, ServiceAccount, Sited, SourceFile, Stray, Surge, Value, Volume, Workload,
};
pub use kube::Client;
pub use kube::core::{Selector, SelectorExt};
pub use live::load_live;
pub use load::load;
pub use outcome::{JobRun, PodRun, ResultMap, job_run, log, result_bytes};
pub use pairs::Pair;
pub use pods::{SeenCondition, SeenContainer, SeenExit, SeenPod, pods};
pub use rights::{named, not_granted};
