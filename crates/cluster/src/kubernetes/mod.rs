//! The EKS side, from manifests as `helm template` and `kubectl get -o yaml` print them.

mod environment;
mod kinds;
mod objects;
mod owner;
mod pod;
mod running;
mod selector;
mod volume;
mod workload;

#[cfg(test)]
pub(crate) use kinds::KINDS;
pub(crate) use kinds::{MAKERS, is_kept, makes};
pub(crate) use objects::Objects;
pub(crate) use owner::controller;
