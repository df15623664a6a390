//! A value in a file or in an object of the API: a [`Node`] that knows where it comes from, and its own name.

use crate::node::{Node, Tree};
use crate::{InventoryError, Sited};
use std::fmt;

/// What a value is in.
#[derive(Clone, Copy)]
enum Origin<'a> {
    /// A file, by its path.
    File(&'a str),
    /// An object of the API: what it is called, and the whole of it.
    Object(&'a str, &'a Node),
}

/// A value in a file or in an object.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    origin: Origin<'a>,
    name: &'a str,
    node: &'a Node,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(file: &'a str, node: &'a Node) -> Self {
        Self { origin: Origin::File(file), name: "the document", node }
    }

    /// An object of the API, called `namespace/Kind/name@resourceVersion`.
    pub(crate) fn of_object(reference: &'a str, node: &'a Node) -> Self {
        Self { origin: Origin::Object(reference, node), name: "the object", node }
    }

    /// Where it stands.
    pub(crate) fn at(&self) -> String {
        match self.origin {
            Origin::File(file) => format!("{file}:{}", self.node.place),
            Origin::Object(reference, object) => {
                let path = object.path_of(self.node.place);
                if path.is_empty() { reference.to_owned() } else { format!("{reference} {path}") }
            }
        }
    }

    /// The same with its column in a file, for errors.
    fn place(&self) -> String {
        match self.origin {
            Origin::File(_) => format!("{}:{}", self.at(), self.node.column),
            Origin::Object(..) => self.at(),
        }
    }

    /// A field; none if it is absent or null, which Kubernetes takes for the same.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        let Tree::Map(fields) = &self.node.tree else {
            return None;
        };
        let (name, node) = fields.iter().find(|(name, _)| name == key)?;
        (!matches!(node.tree, Tree::Null)).then_some(Self { origin: self.origin, name, node })
    }

    /// A field of a field.
    pub(crate) fn path(&self, keys: &[&str]) -> Option<Self> {
        keys.iter().try_fold(*self, |cursor, key| cursor.get(key))
    }

    /// The items of the list in a field; none if the field is absent.
    pub(crate) fn items(&self, key: &str) -> Result<Vec<Self>, InventoryError> {
        self.get(key).map_or(Ok(vec![]), |list| list.list())
    }

    /// Its own items.
    pub(crate) fn list(&self) -> Result<Vec<Self>, InventoryError> {
        match &self.node.tree {
            Tree::List(items) => Ok(items.iter().map(|node| Self { node, ..*self }).collect()),
            _ => Err(self.unlike("a list")),
        }
    }

    /// Its fields, those without a value left out.
    pub(crate) fn fields(&self) -> Result<Vec<(&'a str, Self)>, InventoryError> {
        match &self.node.tree {
            Tree::Map(fields) => Ok(fields
                .iter()
                .filter(|(_, node)| !matches!(node.tree, Tree::Null))
                .map(|(name, node)| (name.as_str(), Self { origin: self.origin, name, node }))
                .collect()),
            _ => Err(self.unlike("a mapping")),
        }
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.tree, Tree::Map(_))
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.tree, Tree::List(_))
    }

    /// Whether it is text, or stands for text without being it (`8080`, `true`), which Kubernetes refuses.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.node.tree, Tree::Text(_))
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Result<String, InventoryError> {
        match &self.node.tree {
            Tree::Text(text) | Tree::Number(text) => Ok(text.clone()),
            Tree::Bool(value) => Ok(value.to_string()),
            _ => Err(self.unlike("text")),
        }
    }

    /// The text in a field.
    pub(crate) fn text_of(&self, key: &str) -> Result<Option<String>, InventoryError> {
        self.get(key).map(|field| field.text()).transpose()
    }

    /// The text in a field that has to be there.
    pub(crate) fn needed(&self, key: &'static str) -> Result<String, InventoryError> {
        self.text_of(key)?.filter(|text| !text.is_empty()).ok_or_else(|| self.wrong(key, "absent", "a name"))
    }

    /// A number that is not negative.
    pub(crate) fn count(&self) -> Result<u64, InventoryError> {
        let number = match &self.node.tree {
            Tree::Number(number) => number.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.unlike("a whole number, 0 or more"))
    }

    pub(crate) fn integer(&self) -> Result<i64, InventoryError> {
        let number = match &self.node.tree {
            Tree::Number(number) => number.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.unlike("a whole number"))
    }

    pub(crate) fn boolean(&self) -> Result<bool, InventoryError> {
        match self.node.tree {
            Tree::Bool(value) => Ok(value),
            _ => Err(self.unlike("true or false")),
        }
    }

    /// The value of a field with its place.
    pub(crate) fn sited<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Self) -> Result<T, InventoryError>,
    ) -> Result<Option<Sited<T>>, InventoryError> {
        self.get(key).map(|field| Ok(Sited { value: read(&field)?, at: field.at() })).transpose()
    }

    /// Whether both say the same, wherever they stand.
    pub(crate) fn says_the_same_as(&self, other: &Self) -> bool {
        self.node.says_the_same_as(other.node)
    }

    /// The error that it is something else.
    pub(crate) fn unlike(&self, expected: &'static str) -> InventoryError {
        let found = match &self.node.tree {
            Tree::Null => "nothing",
            Tree::Bool(_) => "true or false",
            Tree::Number(_) => "another number",
            Tree::Text(_) => "other text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a mapping",
        };
        self.wrong(self.name, found, expected)
    }

    fn wrong(&self, what: &str, found: &'static str, expected: &'static str) -> InventoryError {
        let error = InventoryError::Shape { at: self.place(), what: what.to_owned(), found, expected };
        if self.is_of_api() { error.of_api() } else { error }
    }

    /// Whether it is in an object of the API.
    pub(crate) fn is_of_api(&self) -> bool {
        matches!(self.origin, Origin::Object(..))
    }
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.at())
    }
}
