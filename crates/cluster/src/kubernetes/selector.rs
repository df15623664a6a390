//! By which labels a workload knows its pods.

use crate::InventoryError;
use crate::cursor::Cursor;
use kube::core::{Expression, Selector};
use std::collections::BTreeSet;

/// What Deployments and Argo Rollouts add to the selector of each ReplicaSet: the version of its pods.
const VERSIONS: &[&str] = &["pod-template-hash", "rollouts-pod-template-hash"];

/// `selector` of the spec, which holds for every version of the pods; none if it is absent or selects everything.
pub(crate) fn read(spec: &Cursor<'_>) -> Result<Option<Selector>, InventoryError> {
    let Some(found) = spec.get("selector") else {
        return Ok(None);
    };
    let mut selector = Selector::default();
    let labels = found.get("matchLabels").map_or(Ok(vec![]), |labels| labels.fields())?;
    for (name, value) in labels.into_iter().filter(|(name, _)| !VERSIONS.contains(name)) {
        selector.extend(Expression::Equal(name.to_owned(), value.text()?));
    }
    for one in found.items("matchExpressions")? {
        let key = one.needed("key")?;
        let values: BTreeSet<String> = one.items("values")?.iter().map(Cursor::text).collect::<Result<_, _>>()?;
        selector.extend(match one.needed("operator")?.as_str() {
            "In" => Expression::In(key, values),
            "NotIn" => Expression::NotIn(key, values),
            "Exists" => Expression::Exists(key),
            "DoesNotExist" => Expression::DoesNotExist(key),
            _ => return Err(one.unlike("an expression with `In`, `NotIn`, `Exists` or `DoesNotExist`")),
        });
    }
    Ok((!selector.selects_all()).then_some(selector))
}
