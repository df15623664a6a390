//! Where a value of the configuration stands.

use super::error::At;
use super::variables::names;
use preflight_core::written::{self, MASK, Written};
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
        self.with(&written::masked)
    }

    /// The same with texts as something makes them.
    fn with(&self, of_text: &dyn Fn(&str) -> String) -> Value {
        match &self.content {
            Content::Scalar(Value::String(text)) => Value::from(of_text(text)),
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(|item| item.with(of_text)).collect(),
            Content::Map(fields) => {
                let masked = |field: &Field| (field.key.clone(), field.masked());
                Value::Object(fields.iter().map(masked).collect::<Map<_, _>>())
            }
        }
    }

    /// Secrets that are written down instead of named: what they are, and their places.
    pub(crate) fn literal_secrets(&self) -> Vec<(String, At)> {
        self.secrets_in(&written::written_in)
    }

    fn secrets_in(&self, of_text: &dyn Fn(&str) -> Vec<Written>) -> Vec<(String, At)> {
        match &self.content {
            Content::Scalar(Value::String(text)) => of_text(text).into_iter().map(|one| (one.what, self.at)).collect(),
            Content::Scalar(_) => vec![],
            Content::List(items) => items.iter().flat_map(|item| item.secrets_in(of_text)).collect(),
            Content::Map(fields) => fields.iter().flat_map(Field::literal_secrets).collect(),
        }
    }
}

impl Field {
    fn masked(&self) -> Value {
        match (&self.value.content, self.key.as_str()) {
            _ if self.is_literal_secret() => Value::from(MASK),
            (Content::Map(headers), "headers") => {
                let masked = |header: &Self| if header.is_credential() { Value::from(MASK) } else { header.masked() };
                let masked = headers.iter().map(|header| (header.key.clone(), masked(header)));
                Value::Object(masked.collect::<Map<_, _>>())
            }
            (_, key) if PROSE.contains(&key) => self.value.with(&written::masked_quoted),
            _ => self.value.masked(),
        }
    }

    fn literal_secrets(&self) -> Vec<(String, At)> {
        match (&self.value.content, self.key.as_str()) {
            _ if self.is_literal_secret() => vec![(self.key.clone(), self.value.at)],
            (Content::Map(headers), "headers") => {
                let of = |header: &Self| match header.is_credential() {
                    true => vec![(format!("the header {}", header.key), header.value.at)],
                    false => header.literal_secrets(),
                };
                headers.iter().flat_map(of).collect()
            }
            (_, key) if PROSE.contains(&key) => self.value.secrets_in(&written::quoted_in),
            _ => self.value.literal_secrets(),
        }
    }

    fn is_literal_secret(&self) -> bool {
        let Content::Scalar(value) = &self.value.content else { return false };
        let is_variable = self.value.text().is_some_and(|text| text.starts_with("${"));
        SECRETS.contains(&self.key.as_str()) && !value.is_null() && !is_variable
    }

    /// Whether it is a header that lets somebody in, with a value that is written down.
    fn is_credential(&self) -> bool {
        let Content::Scalar(value) = &self.value.content else { return false };
        let name = self.key.to_lowercase();
        let has_word =
            name.split(['-', '_']).any(|word| ["auth", "session", "sessionid", "jwt", "sid"].contains(&word));
        let is_one = CREDENTIALS.contains(&name.as_str()) || name.contains("key") || has_word;
        let is_one = is_one || written::names_secret(&name);
        let text = value.as_str().unwrap_or("0");
        is_one && names(text).next().is_none() && written::is_literal(text)
    }
}

/// The path of a key below a path.
pub(crate) fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The keys of `Secret`s.
const SECRETS: &[&str] = &["password", "secretAccessKey", "sessionToken"];

/// Headers that let somebody in, beside those whose names say so.
const CREDENTIALS: &[&str] = &["authorization", "proxy-authorization", "cookie"];

/// Keys of what is written in languages in which `token = :key` is no secret, of stores and of people. A secret in quotes
/// is one.
const PROSE: &[&str] = &["query", "cleanup", "keys", "reason"];

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
