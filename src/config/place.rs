//! Where a value of the configuration stands.

use super::error::At;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use std::fmt;

/// A document as it is written: every value with its line and column, `${…}` not replaced.
#[derive(Debug)]
pub(crate) struct Node {
    pub at: At,
    pub content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Field>),
}

/// A key with its value.
#[derive(Debug)]
pub(crate) struct Field {
    pub key: String,
    /// Where the key stands.
    pub at: At,
    pub value: Node,
}

impl Node {
    /// The value at a path such as `idempotency.consumers[1].name`, or the nearest one above it.
    pub(crate) fn nearest(&self, path: &str) -> &Self {
        let mut node = self;
        for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
            let next = match &node.content {
                Content::Map(fields) => fields.iter().find(|field| field.key == step).map(|field| &field.value),
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

    /// Shows every value with its path, outer ones before what is in them.
    pub(crate) fn each<'a>(&'a self, path: &str, see: &mut impl FnMut(&str, &'a Self)) {
        self.each_at(self.at, path, &mut |_, path, node| see(path, node));
    }

    /// The same with the place of the key, or of the value where it has none.
    fn each_at<'a>(&'a self, at: At, path: &str, see: &mut impl FnMut(At, &str, &'a Self)) {
        see(at, path, self);
        match &self.content {
            Content::Scalar(_) => {}
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.each_at(item.at, &format!("{path}[{index}]"), see);
                }
            }
            Content::Map(fields) => {
                for field in fields {
                    field.value.each_at(field.at, &below(path, &field.key), see);
                }
            }
        }
    }

    /// The innermost value at a place or behind the key at a place, with its path.
    pub(crate) fn standing(&self, at: At) -> Option<(String, &Self)> {
        let mut found = None;
        self.each_at(self.at, "", &mut |of_key, path, node| {
            if node.at == at || of_key == at {
                found = Some((path.to_owned(), node));
            }
        });
        found
    }

    /// Its text, if it is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(value) => value.as_str(),
            _ => None,
        }
    }

    /// The document as JSON, with secrets hidden that are written down: whoever knows the digest of a configuration must
    /// not be able to try passwords against it.
    pub(crate) fn masked(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::masked).collect(),
            Content::Map(fields) => Value::Object(fields.iter().map(masked_field).collect::<Map<_, _>>()),
        }
    }

    /// Secrets that are written down instead of named: their keys and places.
    pub(crate) fn literal_secrets(&self) -> Vec<(&str, At)> {
        match &self.content {
            Content::Scalar(_) => vec![],
            Content::List(items) => items.iter().flat_map(Self::literal_secrets).collect(),
            Content::Map(fields) => fields
                .iter()
                .flat_map(|field| match is_literal_secret(field) {
                    true => vec![(field.key.as_str(), field.value.at)],
                    false => field.value.literal_secrets(),
                })
                .collect(),
        }
    }
}

/// The path of a key below a path.
pub(crate) fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The keys of `Secret`s.
const SECRETS: &[&str] = &["password", "secretAccessKey", "sessionToken"];

fn is_literal_secret(Field { key, value: node, .. }: &Field) -> bool {
    let Content::Scalar(value) = &node.content else { return false };
    SECRETS.contains(&key.as_str()) && !value.is_null() && !node.text().is_some_and(|text| text.starts_with("${"))
}

fn masked_field(field: &Field) -> (String, Value) {
    let value = if is_literal_secret(field) { Value::from("***") } else { field.value.masked() };
    (field.key.clone(), value)
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

            fn visit_i128<E>(self, value: i128) -> Result<Content, E> {
                Ok(Content::Scalar((value as f64).into()))
            }

            fn visit_u128<E>(self, value: u128) -> Result<Content, E> {
                Ok(Content::Scalar((value as f64).into()))
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
                while let Some((key, value)) = entries.next_entry::<Spanned<String>, Node>()? {
                    let Spanned { value: key, referenced, .. } = key;
                    map.push(Field { key, at: (referenced.line(), referenced.column()), value });
                }
                Ok(Content::Map(map))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
