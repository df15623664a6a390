//! The EKS side, from manifests as `helm template` and `kubectl get -o yaml` print them.

mod environment;
mod objects;
mod pod;
mod selector;
mod volume;
mod workload;

#[cfg(test)]
pub(crate) use objects::KINDS;
pub(crate) use objects::{Objects, is_maker};
