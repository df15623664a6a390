//! The words of the contract: outcomes, reasons, levels, verdicts.
//!
//! An unknown word, written by a newer tool, reads as the cautious one: `unknown`, `required`, `inconclusive`.

use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The property holds; it was looked at in this run.
    Pass,
    /// The property does not hold.
    Fail,
    /// It was not looked at, on purpose. Always with a [`Reason`]; never counts as passed.
    Skipped,
    /// It could not be found out. Always with a [`Reason`]. Also any word that this reader does not know.
    Unknown,
}

/// Why an outcome is `unknown` or `skipped`. A closed list; a reader takes any other word as [`Reason::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The check did not end within its limit.
    Timeout,
    /// The target refused this tool's own credentials or rights.
    Forbidden,
    /// The target did not answer.
    Unreachable,
    /// Too little was seen for an answer either way.
    InsufficientData,
    /// A control that guards against a lying check did not fire, so that nothing the check saw can be trusted.
    ControlFailed,
    /// The run was interrupted before the check ended.
    Interrupted,
    /// The check itself broke.
    Panicked,
    /// The check writes to or loads its target, and nobody consented to that.
    NotConsented,
    /// Something the check needs was not there.
    PrerequisiteFailed,
    /// The caller selected other checks for this run.
    NotSelected,
    /// The target speaks a version or a dialect that the check does not understand.
    Unsupported,
    /// A reason that this reader does not know.
    Other,
}

/// Whether an item of the plan decides about the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It is shown and never changes the verdict.
    Advisory,
    /// Without its pass there is no `go`. Also any word that this reader does not know.
    Required,
}

/// The answer of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every required item of the plan passed.
    Go,
    /// At least one required item failed.
    NoGo,
    /// Neither could be shown. Also any word that this reader does not know.
    Inconclusive,
}

/// The word as it stands in the report: every one of these types is a plain string there.
///
/// Read by hand because a derived reader takes `{"pass": null}` for `"pass"`.
macro_rules! words {
    ($type:ty, otherwise $cautious:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <Cow<'de, str>>::deserialize(deserializer)?;
                Ok(match word.as_ref() { $($word => Self::$variant,)+ _ => Self::$cautious })
            }
        }

        impl $type {
            /// The word as it stands in the report.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        #[cfg(test)]
        impl $type {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];
        }
    };
}

words!(Outcome, otherwise Unknown { Pass => "pass", Fail => "fail", Skipped => "skipped", Unknown => "unknown" });
words!(Level, otherwise Required { Advisory => "advisory", Required => "required" });
words!(Verdict, otherwise Inconclusive { Go => "go", NoGo => "no-go", Inconclusive => "inconclusive" });
words!(Reason, otherwise Other {
    Timeout => "timeout",
    Forbidden => "forbidden",
    Unreachable => "unreachable",
    InsufficientData => "insufficient-data",
    ControlFailed => "control-failed",
    Interrupted => "interrupted",
    Panicked => "panicked",
    NotConsented => "not-consented",
    PrerequisiteFailed => "prerequisite-failed",
    NotSelected => "not-selected",
    Unsupported => "unsupported",
    Other => "other",
});

#[cfg(test)]
mod tests {
    use super::*;

    fn word(value: &impl Serialize) -> String {
        serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn every_word_prints_as_it_is_written() {
        for outcome in Outcome::ALL {
            assert_eq!(word(outcome), outcome.as_str());
        }
        for level in Level::ALL {
            assert_eq!(word(level), level.as_str());
        }
        for verdict in Verdict::ALL {
            assert_eq!(word(verdict), verdict.as_str());
        }
        for reason in Reason::ALL {
            assert_eq!(word(reason), reason.as_str());
        }
    }

    #[test]
    fn an_unknown_word_reads_as_the_cautious_one() {
        assert_eq!(serde_json::from_str::<Outcome>("\"flawless\"").unwrap(), Outcome::Unknown);
        assert_eq!(serde_json::from_str::<Level>("\"nice-to-have\"").unwrap(), Level::Required);
        assert_eq!(serde_json::from_str::<Verdict>("\"go-ahead\"").unwrap(), Verdict::Inconclusive);
        assert_eq!(serde_json::from_str::<Reason>("\"full-moon\"").unwrap(), Reason::Other);
        assert_eq!(serde_json::from_str::<Verdict>("\"GO\"").unwrap(), Verdict::Inconclusive);
        assert_eq!(serde_json::from_str::<Verdict>("\"g\\u006f\"").unwrap(), Verdict::Go);
    }

    #[test]
    fn what_is_no_word_is_refused() {
        for text in [r#"{"pass":null}"#, "null", "0", "true", r#"["pass"]"#] {
            assert!(serde_json::from_str::<Outcome>(text).is_err(), "{text}");
        }
    }
}
