//! What a check saw, where, and what to do about it.

use serde::{Deserialize, Serialize};

/// One thing that a check saw about its subject. Data only: no colours, no layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the subject is as expected.
    pub met: bool,
    /// What was seen.
    pub observed: String,
    /// What was expected.
    pub expected: String,
    /// Where it was seen.
    pub evidence: Vec<Evidence>,
    /// What to do, where that is more precise than the check's general advice.
    pub remediation: Option<Remediation>,
}

impl Finding {
    /// The subject is as expected.
    pub fn met(observed: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { met: true, observed: observed.into(), expected: expected.into(), evidence: vec![], remediation: None }
    }

    /// The subject is not as expected.
    pub fn unmet(observed: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { met: false, ..Self::met(observed, expected) }
    }

    /// With a place where it was seen.
    #[must_use]
    pub fn with(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn fix(mut self, text: impl Into<String>) -> Self {
        self.remediation = Some(Remediation { text: text.into(), command: None, url: None });
        self
    }
}

/// Where something was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// What kind of place it is, for example `manifest`, `query`, `response`, `counter`.
    pub kind: String,
    /// Which place: file and line, object and version, endpoint and statement.
    #[serde(rename = "ref")]
    pub reference: String,
    /// What was there.
    #[serde(default)]
    pub detail: String,
    /// The digest of what was there in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether `detail` is only a part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl Evidence {
    /// The most bytes that `detail` keeps; the rest is cut and `truncated` set.
    pub const DETAIL_BYTES_MAX: usize = 4_096;

    /// The longest beginning of a text that has at most so many bytes and ends between two characters.
    #[must_use]
    pub fn cut(text: &str, bytes_max: usize) -> &str {
        &text[..text.floor_char_boundary(bytes_max)]
    }

    /// A place and what was there.
    pub fn new(kind: impl Into<String>, reference: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        let truncated = detail.len() > Self::DETAIL_BYTES_MAX;
        detail.truncate(Self::cut(&detail, Self::DETAIL_BYTES_MAX).len());
        Self { kind: kind.into(), reference: reference.into(), detail, sha256: None, truncated }
    }
}

/// What to do about a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Remediation {
    /// What to do, in words.
    pub text: String,
    /// A command that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
