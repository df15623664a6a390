//! The writer: a report is on disk whole or not at all.

use crate::Report;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The most names that are tried for a temporary file.
const TEMPORARY_MAX: u32 = 1_000;

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
/// new, never a part. What is no file, a pipe or a terminal, is written to as it is: it cannot be replaced.
///
/// # Errors
/// [`WriteError`] with the path; the temporary file is removed then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let is_other = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    let written = if is_other {
        File::options().write(true).open(path).and_then(|mut file| file.write_all(bytes))
    } else {
        replace(path, bytes)
    };
    written.map_err(|source| WriteError { path: path.to_owned(), source })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (temporary, mut file) = create_beside(path)?;
    let mut attempt = || {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    attempt().inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    // The rename itself lasts only once the folder is synced; not every file system lets a folder be opened.
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// A new file of nobody else. In a container every run has the same process id, so a run that was killed may have left
/// a file with the first name.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 0_u32;
    loop {
        let temporary = path.with_file_name(format!(".{name}.{}.{number}.tmp", std::process::id()));
        match File::options().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < TEMPORARY_MAX => number += 1,
            Err(error) => return Err(error),
        }
    }
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
