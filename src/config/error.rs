//! What is wrong with a configuration, with its place.

use std::fmt;
use std::path::PathBuf;

/// One mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// From 1; 0 if the mistake is in no particular line.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// What is wrong and what was expected.
    pub text: String,
}

/// A configuration that cannot be used.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    Unreadable { path: PathBuf, source: std::io::Error },
    /// It says something wrong.
    Mistaken { path: PathBuf, mistakes: Vec<Mistake> },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(f, "{}: cannot be read: {source}", path.display())?;
                if source.kind() == std::io::ErrorKind::NotFound {
                    write!(f, "\nWrite one with `eks-preflight init`, or name it with `--config FILE`.")?;
                }
                Ok(())
            }
            Self::Mistaken { path, mistakes } => {
                for (index, mistake) in mistakes.iter().enumerate() {
                    if index > 0 {
                        writeln!(f)?;
                    }
                    match mistake.line {
                        0 => write!(f, "{}: {}", path.display(), mistake.text)?,
                        line => write!(f, "{}:{line}:{}: {}", path.display(), mistake.column, mistake.text)?,
                    }
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}
