//! Where a value of the configuration stands.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use std::fmt;

/// A document as it is written: every value with its line and column, `${…}` not replaced.
#[derive(Debug)]
pub(crate) struct Node {
    /// Line and column, from 1.
    pub at: (u64, u64),
    pub content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value at a path such as `idempotency.consumers[1].name`, or the nearest one above it.
    pub(crate) fn nearest(&self, path: &str) -> &Self {
        let mut node = self;
        for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
            let next = match &node.content {
                Content::Map(entries) => entries.iter().find(|(key, _)| key == step).map(|(_, node)| node),
                Content::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                Content::Scalar(_) => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// The document as JSON, with secrets hidden that are written down: whoever knows the digest of a configuration must
    /// not be able to try passwords against it.
    pub(crate) fn masked(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::masked).collect(),
            Content::Map(entries) => Value::Object(entries.iter().map(masked_entry).collect::<Map<_, _>>()),
        }
    }

    /// Secrets that are written down instead of named: their keys and places.
    pub(crate) fn literal_secrets(&self) -> Vec<(&str, (u64, u64))> {
        match &self.content {
            Content::Scalar(_) => vec![],
            Content::List(items) => items.iter().flat_map(Self::literal_secrets).collect(),
            Content::Map(entries) => entries
                .iter()
                .flat_map(|(key, node)| match is_literal_secret(key, node) {
                    true => vec![(key.as_str(), node.at)],
                    false => node.literal_secrets(),
                })
                .collect(),
        }
    }
}

/// The keys of `Secret`s.
const SECRETS: &[&str] = &["password", "secretAccessKey", "sessionToken"];

fn is_literal_secret(key: &str, node: &Node) -> bool {
    let Content::Scalar(value) = &node.content else { return false };
    SECRETS.contains(&key) && !value.is_null() && !value.as_str().is_some_and(|text| text.starts_with("${"))
}

fn masked_entry((key, node): &(String, Node)) -> (String, Value) {
    let value = if is_literal_secret(key, node) { Value::from("***") } else { node.masked() };
    (key.clone(), value)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { at: (referenced.line(), referenced.column()), content: value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
                Ok(Content::Scalar(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
                Ok(Content::Scalar(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
                Ok(Content::Scalar(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
                Ok(Content::Scalar(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Content, E> {
                Ok(Content::Scalar(value.into()))
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::Scalar(Value::Null))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let mut list = vec![];
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Content::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
                let mut map = vec![];
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Content::Map(map))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
