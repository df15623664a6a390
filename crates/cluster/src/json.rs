//! JSON as the API answers it, as trees: without what no reader of an object needs and what may be the larger part of it.

use crate::node::{Node, Tree, scalars};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// What `kubectl apply` keeps of the object: all of it once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What of a status is read: whether it is over, and which of its pods run what it describes.
const OF_STATUS: &[&str] = &[
    "phase",
    "conditions",
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "currentNumberScheduled",
    "updatedNumberScheduled",
    "active",
];

/// One object of the API, or an item of a list.
pub(crate) struct Item(pub(crate) Node);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let begun = Cell::new(0);
        Part { begun: &begun, of: Of::Object }.deserialize(deserializer).map(Self)
    }
}

/// Which part of an object a value is.
#[derive(Clone, Copy)]
enum Of {
    Object,
    Metadata,
    Annotations,
    /// Who set what: who scaled it is read.
    Managers,
    Status,
    Rest,
}

impl Of {
    /// What the field of it is; nothing if nobody reads it.
    fn field(self, name: &str) -> Option<Self> {
        match (self, name) {
            (Self::Object, "metadata") => Some(Self::Metadata),
            (Self::Object, "status") => Some(Self::Status),
            (Self::Metadata, "managedFields") => Some(Self::Managers),
            (Self::Managers, "manager" | "subresource") => Some(Self::Rest),
            (Self::Managers, _) | (Self::Annotations, LAST_APPLIED) => None,
            (Self::Metadata, "annotations") => Some(Self::Annotations),
            (Self::Status, name) => OF_STATUS.contains(&name).then_some(Self::Rest),
            _ => Some(Self::Rest),
        }
    }
}

/// Reads one value and counts those that have begun.
#[derive(Clone, Copy)]
struct Part<'a> {
    begun: &'a Cell<u64>,
    of: Of,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let place = self.begun.replace(self.begun.get() + 1);
        Ok(Node { place, column: 0, tree: deserializer.deserialize_any(self)? })
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    scalars!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = vec![];
        let are_managers = matches!(self.of, Of::Managers);
        let of = if are_managers { self.of } else { Of::Rest };
        while let Some(item) = access.next_element_seed(Self { of, ..self })? {
            if !are_managers || scales(&item) {
                items.push(item);
            }
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut fields = vec![];
        while let Some(name) = access.next_key::<String>()? {
            match self.of.field(&name) {
                Some(of) => {
                    let field = access.next_value_seed(Self { of, ..self })?;
                    fields.push((name, field));
                }
                None => drop(access.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Tree::Map(fields))
    }
}

/// Whether a manager set the number of pods alone, as autoscalers do.
fn scales(manager: &Node) -> bool {
    let Tree::Map(fields) = &manager.tree else { return false };
    fields
        .iter()
        .any(|(name, value)| name == "subresource" && matches!(&value.tree, Tree::Text(text) if text == "scale"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Cursor;

    fn item(text: &str) -> Node {
        serde_json::from_str::<Item>(text).unwrap().0
    }

    #[test]
    fn every_value_has_the_path_that_leads_to_it() {
        let node = item(
            r#"{"metadata": {"managedFields": [{"a": {"b": 1}}], "annotations": {"a.b/c": "x"}, "name": "n"},
                "spec": {"list": [[], {"x": null, "y": [1, -2, 3.5]}], "after": true}}"#,
        );
        let object = Cursor::of_object("shop/Thing/n@7", &node);
        let at = |path: &[&str]| object.path(path).unwrap().at();
        assert_eq!(object.at(), "shop/Thing/n@7");
        assert_eq!(at(&["metadata", "name"]), "shop/Thing/n@7 metadata.name");
        assert_eq!(at(&["metadata", "annotations", "a.b/c"]), "shop/Thing/n@7 metadata.annotations[a.b/c]");
        assert_eq!(at(&["spec", "after"]), "shop/Thing/n@7 spec.after");
        let list = object.path(&["spec"]).unwrap().items("list").unwrap();
        let places: Vec<String> = list[1].items("y").unwrap().iter().map(Cursor::at).collect();
        let expected = [0, 1, 2].map(|index| format!("shop/Thing/n@7 spec.list[1].y[{index}]"));
        assert_eq!((places, list[0].at()), (expected.to_vec(), "shop/Thing/n@7 spec.list[0]".to_owned()));
    }

    #[test]
    fn what_nobody_reads_is_dropped_where_it_stands_and_nowhere_else() {
        let node = item(&format!(
            r#"{{"metadata": {{"managedFields": [{{"manager": "m", "subresource": "scale", "fieldsV1": {{}}}}, {{"manager": "n"}}], "annotations": {{"{LAST_APPLIED}": "{{}}", "a": "b"}}}},
                 "data": {{"managedFields": "kept", "status": "kept"}},
                 "status": {{"phase": "Running", "containerStatuses": [], "conditions": [], "updatedReplicas": 1}}}}"#
        ));
        let object = Cursor::of_object("x", &node);
        let fields = |path: &[&str]| {
            let fields = object.path(path).unwrap().fields().unwrap();
            fields.into_iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(fields(&["metadata"]), ["managedFields", "annotations"]);
        let managers = object.path(&["metadata"]).unwrap().items("managedFields").unwrap();
        assert_eq!((managers.len(), managers[0].fields().unwrap().len()), (1, 2));
        assert_eq!(managers[0].needed("manager").unwrap(), "m");
        assert_eq!(fields(&["metadata", "annotations"]), ["a"]);
        assert_eq!(fields(&["data"]), ["managedFields", "status"]);
        assert_eq!(fields(&["status"]), ["phase", "conditions", "updatedReplicas"]);
    }

    #[test]
    fn deep_nesting_ends_in_an_error() {
        assert!(serde_json::from_str::<Item>(&"[".repeat(100_000)).is_err());
    }
}
