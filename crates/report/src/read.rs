//! The reader: any report of this major version, unknown fields ignored, unknown words taken as the cautious ones.

use crate::{Report, SCHEMA};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// The most bytes of a report. A reader that takes files from elsewhere need not load more.
pub const REPORT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a text is not a report that this version can read.
#[derive(Debug)]
pub enum ReadError {
    /// It has more than [`REPORT_BYTES_MAX`] bytes.
    TooLarge(usize),
    /// It is not JSON, or cut off.
    NotJson(serde_json::Error),
    /// It is JSON in which one object has a key twice: two readers would see two reports.
    Ambiguous(serde_json::Error),
    /// It is JSON, but of something else or of another major version.
    OtherSchema(String),
    /// It claims to be a report of this major version and lacks something that every one has.
    Malformed(serde_json::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(bytes) => write!(f, "{bytes} bytes; a report has at most {REPORT_BYTES_MAX}"),
            Self::Ambiguous(error) => write!(f, "not one document: {error}"),
            Self::NotJson(error) => write!(f, "not a complete JSON document: {error}"),
            Self::OtherSchema(found) => write!(f, "expected schema `{SCHEMA}`, found {found}"),
            Self::Malformed(error) => write!(f, "not a well-formed `{SCHEMA}`: {error}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads a report of this major version, of any minor.
///
/// # Errors
/// [`ReadError`] if the text is too large, is not JSON, has a key twice, has another schema or major version, or lacks a
/// field that every report has.
pub fn read(text: &str) -> Result<Report, ReadError> {
    read_document(text).map(|(_, report)| report)
}

/// The report, and the document as it stood, for digests that must cover fields unknown to this version.
pub(crate) fn read_document(text: &str) -> Result<(Value, Report), ReadError> {
    if text.len() > REPORT_BYTES_MAX {
        return Err(ReadError::TooLarge(text.len()));
    }
    let document: Value = serde_json::from_str(text).map_err(ReadError::NotJson)?;
    serde_json::from_str::<KeysOnce>(text).map_err(ReadError::Ambiguous)?;
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    let schema = document["schema"].as_str();
    let version = document["schemaVersion"].as_str();
    if schema != Some(SCHEMA) || version.and_then(major).as_deref() != Some("1") {
        let found = format!("{} version {}", document["schema"], document["schemaVersion"]);
        return Err(ReadError::OtherSchema(found.chars().take(200).collect()));
    }
    let report = Report::deserialize_from(&document).map_err(ReadError::Malformed)?;
    Ok((document, report))
}

impl Report {
    fn deserialize_from(document: &Value) -> Result<Self, serde_json::Error> {
        serde::Deserialize::deserialize(document)
    }
}

/// Any JSON in which no object has a key twice. Apart from reading the document so that numbers stay serde_json's own.
struct KeysOnce;

impl<'de> Deserialize<'de> for KeysOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for KeysOnce {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, Self)) = entries.next_entry::<String, Self>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} stands twice in one object")));
            }
            keys.insert(key);
        }
        Ok(self)
    }
}
