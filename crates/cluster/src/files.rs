//! Finds and reads the files of an inventory, within limits.

use crate::node::{self, DOCUMENTS_MAX, Node};
use crate::{InventoryError, SourceFile};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
const ALL_BYTES_MAX: u64 = 256 * 1024 * 1024;
const FILES_MAX: usize = 10_000;

/// The most entries of directories that are looked at.
const ENTRIES_MAX: usize = 200_000;

/// Reads files one after the other and keeps account of them.
#[derive(Default)]
pub(crate) struct Reader {
    pub sources: Vec<SourceFile>,
    bytes: u64,
    documents: usize,
}

impl Reader {
    /// The documents in one file, and its name for people.
    pub(crate) fn read(&mut self, path: &Path) -> Result<(String, Vec<Node>), InventoryError> {
        let too_much = |limit: String| InventoryError::TooMuch { path: path.to_owned(), limit };
        let mut bytes = vec![];
        File::open(path)
            .map_err(failed(path))?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(failed(path))?;
        let length = bytes.len() as u64;
        if length > FILE_BYTES_MAX {
            return Err(too_much(format!("{} MiB", FILE_BYTES_MAX >> 20)));
        }
        self.bytes += length;
        if self.bytes > ALL_BYTES_MAX {
            return Err(too_much(format!("{} MiB in all files together", ALL_BYTES_MAX >> 20)));
        }
        let file = path.display().to_string();
        self.sources.push(SourceFile { path: file.clone(), sha256: preflight_report::sha256_hex(&bytes) });
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() as u64 + 1;
            let message = "this is not UTF-8; expected YAML or JSON".to_owned();
            InventoryError::Syntax { file: file.clone(), line, column: 0, message }
        })?;
        let documents = node::parse(&file, &text)?;
        self.documents += documents.len();
        if self.documents > DOCUMENTS_MAX {
            return Err(too_much(format!("{DOCUMENTS_MAX} documents in all files together")));
        }
        Ok((file, documents))
    }
}

/// The files that `paths` name: themselves, or what is below them, sorted. No file comes twice.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, InventoryError> {
    let mut found = vec![];
    let mut known = BTreeSet::new();
    for path in paths {
        let files = if metadata(path)?.is_dir() { below(path)? } else { vec![path.clone()] };
        for file in files {
            if known.insert(canonical(&file)?) {
                found.push(file);
            }
        }
        if found.len() > FILES_MAX {
            return Err(InventoryError::TooMuch { path: path.clone(), limit: format!("{FILES_MAX} files") });
        }
    }
    Ok(found)
}

/// Hidden folders are left out: a mounted ConfigMap keeps its files twice, once in a hidden one. Hidden files are read, as
/// `kubectl apply` does. A directory that
/// was seen under another name is not entered again, so that links cannot lead in circles.
fn below(root: &Path) -> Result<Vec<PathBuf>, InventoryError> {
    let mut found = vec![];
    let mut seen = BTreeSet::from([canonical(root)?]);
    let mut folders = vec![root.to_owned()];
    let mut entries = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(failed(&folder))? {
            let path = entry.map_err(failed(&folder))?.path();
            entries += 1;
            if entries > ENTRIES_MAX {
                let limit = format!("{ENTRIES_MAX} entries below it");
                return Err(InventoryError::TooMuch { path: root.to_owned(), limit });
            }
            let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            // One that leads nowhere is the lock of an editor.
            if is_hidden && !path.exists() {
                continue;
            }
            let kind = metadata(&path)?;
            if kind.is_dir() && !is_hidden && seen.insert(canonical(&path)?) {
                folders.push(path);
            } else if kind.is_file() && is_readable(&path) {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        return Err(InventoryError::Empty { path: root.to_owned() });
    }
    found.sort();
    Ok(found)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> InventoryError {
    move |error| InventoryError::Read { path: path.to_owned(), error }
}

fn metadata(path: &Path) -> Result<std::fs::Metadata, InventoryError> {
    std::fs::metadata(path).map_err(failed(path))
}

fn canonical(path: &Path) -> Result<PathBuf, InventoryError> {
    path.canonicalize().map_err(failed(path))
}

fn is_readable(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    ["yaml", "yml", "json"].iter().any(|known| end.eq_ignore_ascii_case(known))
}
