//! The writer: a report is on disk whole or not at all.

use crate::Report;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The report as UTF-8 JSON, indented, with a final line break.
///
/// # Panics
/// Never: every type of the report has a JSON form.
#[must_use]
pub fn to_json(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("every type of the report has a JSON form");
    text.push('\n');
    text
}

/// A report or another output that could not be put on disk.
#[derive(Debug)]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writing `{}`", self.path.display())
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Writes bytes to a temporary file beside `path`, syncs it and renames it, so that a reader sees the old content or the
/// new, never a part.
///
/// # Errors
/// [`WriteError`] with the path; the temporary file is removed then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let attempt = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The rename itself lasts only once the folder is synced; not every file system lets a folder be opened.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    };
    attempt().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        WriteError { path: path.to_owned(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_whole_and_leaves_no_other_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unwritable_target_keeps_the_old_file_and_names_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("report.json");
        let error = write(&path, b"new").unwrap_err();
        assert!(error.to_string().contains("missing"));
        let blocked = folder.path().join("blocked");
        fs::create_dir_all(blocked.join("child")).unwrap();
        assert!(write(&blocked, b"new").is_err(), "a folder cannot be replaced");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
