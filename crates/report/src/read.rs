//! The reader: any report of this major version, unknown fields ignored, unknown words taken as the cautious ones.

use crate::{KeysOnce, Report, SCHEMA};
use serde_json::Value;
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
