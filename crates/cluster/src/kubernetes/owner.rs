//! With which object the pods of another one are counted.

use super::kinds::group_of;
use crate::InventoryError;
use crate::cursor::Cursor;

/// An object that another one names as its controller.
pub(crate) struct Owner {
    pub group: String,
    pub kind: String,
    pub name: String,
}

/// The controller of an object, which made it and makes another one when it is gone. A pod (Spark's driver, of its executors)
/// and a node (of what its kubelet runs by itself) are none: what they make is no part of their own description.
pub(crate) fn controller(object: &Cursor<'_>) -> Result<Option<Owner>, InventoryError> {
    let Some(metadata) = object.get("metadata") else { return Ok(None) };
    for owner in metadata.items("ownerReferences")? {
        if !owner.get("controller").map_or(Ok(false), |controls| controls.boolean())? {
            continue;
        }
        let version = owner.text_of("apiVersion")?.unwrap_or_default();
        let (group, kind) = (group_of(&version), owner.needed("kind")?);
        let describes_it = !(group.is_empty() && matches!(kind.as_str(), "Pod" | "Node"));
        let owner = Owner { group: group.to_owned(), kind, name: owner.needed("name")? };
        return Ok(Some(owner).filter(|_| describes_it));
    }
    Ok(None)
}
