//! What is wrong with a configuration, with its place.

use std::fmt;
use std::path::PathBuf;

/// Line and column, from 1.
pub(crate) type At = (u64, u64);

/// One mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Where it stands; line 0 if it is in no particular line.
    pub at: At,
    /// The path of the value, such as `endpoints[0].limit`; empty if it is in no particular value.
    pub path: String,
    /// What is wrong and what was expected.
    pub text: String,
}

impl Mistake {
    pub(crate) fn new(at: At, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { at, path: path.into(), text: text.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.0 > 0 {
            write!(f, "{}:{}: ", self.at.0, self.at.1)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)
    }
}

/// A configuration that cannot be used.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    Unreadable { path: PathBuf, error: std::io::Error },
    /// It says something wrong.
    Mistaken { path: PathBuf, mistakes: Vec<Mistake> },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "{}: cannot be read: {error}", path.display())?;
                if error.kind() == std::io::ErrorKind::NotFound {
                    write!(f, "\nWrite one with `eks-preflight init`, or name it with `--config FILE`.")?;
                }
                Ok(())
            }
            Self::Mistaken { path, mistakes } => {
                let lines: Vec<String> = mistakes.iter().map(|mistake| said(path, mistake)).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// A mistake as editors and terminals find its place: `FILE:LINE:COLUMN: TEXT`.
pub(crate) fn said(path: &std::path::Path, mistake: &Mistake) -> String {
    let gap = if mistake.at.0 > 0 { "" } else { " " };
    format!("{}:{gap}{mistake}", path.display())
}
