//! Why there is no inventory.

use preflight_core::{CannotTell, Reason};
use std::path::PathBuf;

/// Manifests, task definitions or the cluster could not be read, or contradict themselves. No text of a file is in it, so no
/// secret is.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The cluster could not be read.
    #[error("{0}")]
    Unread(CannotTell),
    /// The cluster refused a part of its side for want of rights.
    #[error("{why}")]
    Forbidden {
        /// Every right that is missing, in words.
        why: CannotTell,
        /// Whether it granted another part.
        is_reached: bool,
    },
    /// A file or a directory.
    #[error("reading {}: {error}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system says. It stands in the text, so it is no source of this error, or it would be said twice.
        error: std::io::Error,
    },
    /// A directory without a file to read.
    #[error("{}: there is no *.yaml, *.yml or *.json file in this directory", path.display())]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// More than this tool reads.
    #[error("{}: more than {limit}", path.display())]
    TooMuch {
        /// The path.
        path: PathBuf,
        /// The limit, in words.
        limit: String,
    },
    /// Not YAML, not JSON, or a key twice.
    #[error("{file}:{line}:{column}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1; 0 if it is not known.
        line: u64,
        /// The column, from 1; 0 if it is not known.
        column: u64,
        /// What is wrong and what was expected.
        message: String,
    },
    /// A value of the wrong kind.
    #[error("{at}: {what} is {found}; expected {expected}")]
    Shape {
        /// Where it stands, with line and column.
        at: String,
        /// The name of the field.
        what: String,
        /// What it is, without the value itself.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// One object twice, with different content.
    #[error("{object} stands at {first} and, different, at {second}; keep one of them")]
    Twice {
        /// The object.
        object: String,
        /// The first place.
        first: String,
        /// The second place.
        second: String,
    },
    /// A configured workload names something that is not there.
    #[error(
        "workload {workload}: there is no {wanted}{}",
        nearest.as_ref().map(|nearest| format!("; the nearest is `{nearest}`")).unwrap_or_default()
    )]
    NotFound {
        /// The configured name.
        workload: String,
        /// The key of the workload that names it: `name`, `eks` or `ecs`.
        key: &'static str,
        /// What it names.
        wanted: String,
        /// What it may mean.
        nearest: Option<String>,
    },
    /// A configured workload names something that is there more than once.
    #[error("workload {workload}: {wanted} may be any of {}", candidates.join(", "))]
    Ambiguous {
        /// The configured name.
        workload: String,
        /// The key of the workload that names it, as above.
        key: &'static str,
        /// What it names.
        wanted: String,
        /// All that it may mean.
        candidates: Vec<String>,
    },
    /// Two configured workloads have one name, or name the same thing.
    #[error("workload {workload}: {what} is already that of another workload")]
    Taken {
        /// The second one.
        workload: String,
        /// The key of the workload that both have, as above.
        key: &'static str,
        /// What both have.
        what: String,
    },
}

impl InventoryError {
    /// The same about an object of the API: no file is wrong, the API gave what it cannot give.
    pub(crate) fn of_api(self) -> Self {
        Self::Unread(CannotTell::new(Reason::Unsupported, format!("reading the cluster: {self}")))
    }
}
