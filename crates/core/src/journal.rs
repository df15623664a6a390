//! The journal: what a run creates on targets, written down before it is created.
//!
//! One JSON object a line, synced one by one, so that after SIGKILL `eks-preflight cleanup` knows what may be left. The
//! journal holds names, never secrets; how to reach a target is in the configuration. A run holds a lock on its journal for
//! as long as the file is there, so that nobody removes what it still works with; the lock ends with the process.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest journal that is read back.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One thing that a run created or was about to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The run.
    pub run_id: String,
    /// Unique within the run.
    pub id: u64,
    /// What it is, `area.kind`, for example `idempotency.effects`.
    pub kind: String,
    /// The name of the endpoint or consumer in the configuration.
    pub target: String,
    /// What identifies it there.
    pub name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Created(Entry),
    Removed { id: u64 },
}

/// Where a run writes down what it creates. Clones share one journal.
#[derive(Clone)]
pub struct Journal(Arc<Mutex<State>>);

struct State {
    run_id: String,
    path: Option<PathBuf>,
    file: Option<File>,
    /// Set when a part of a line may stand at the end of the file and could not be removed.
    is_torn: bool,
    next: u64,
    open: BTreeMap<u64, Entry>,
}

impl Journal {
    /// A journal in a file, which is made when the first entry is written and removed when every entry was removed.
    #[must_use]
    pub fn at(path: &Path, run_id: &str) -> Self {
        Self::new(Some(path.to_owned()), run_id)
    }

    /// A journal that ends with the process. For tests and for runs that create nothing.
    #[must_use]
    pub fn in_memory(run_id: &str) -> Self {
        Self::new(None, run_id)
    }

    fn new(path: Option<PathBuf>, run_id: &str) -> Self {
        let state =
            State { run_id: run_id.to_owned(), path, file: None, is_torn: false, next: 1, open: BTreeMap::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Writes down what is about to be created. Create it only after this returned, and hand the id to
    /// [`Journal::removed`] once it is gone.
    ///
    /// # Errors
    /// If the entry cannot be put on disk; nothing may be created then.
    pub fn created(&self, kind: &str, target: &str, name: &str) -> io::Result<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = state.next;
        let entry = Entry {
            run_id: state.run_id.clone(),
            id,
            kind: kind.to_owned(),
            target: target.to_owned(),
            name: name.to_owned(),
        };
        state.append(&Line::Created(entry.clone()))?;
        state.next += 1;
        state.open.insert(id, entry);
        Ok(id)
    }

    /// Writes down that something is gone. With the last one the file is gone, too.
    ///
    /// # Errors
    /// If that cannot be put on disk; `cleanup` will then look for it once more, which does no harm.
    pub fn removed(&self, id: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.remove(&id);
        if !state.open.is_empty() {
            return state.append(&Line::Removed { id });
        }
        // The file goes before its lock does: whoever gets the lock must find the name gone.
        let removed = state.path.as_deref().map(std::fs::remove_file);
        state.file = None;
        match removed {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What was created and not removed yet.
    #[must_use]
    pub fn open(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open.values().cloned().collect()
    }
}

impl State {
    fn append(&mut self, line: &Line) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.is_torn {
            return Err(io::Error::other("an earlier line could not be written whole"));
        }
        if self.file.is_none() {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut options = OpenOptions::new();
            options.create(true).append(true);
            // It names what stands on targets: nobody else's business.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(path)?;
            file.try_lock()?;
            self.file = Some(file);
        }
        let file = self.file.as_mut().expect("opened above");
        let whole = file.metadata()?.len();
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).inspect_err(|_| {
            // The next line must not continue this one: a reader would know neither.
            self.is_torn = file.set_len(whole).is_err();
        })
    }
}

/// The journal of a run that is over, locked against others for as long as this value lives.
#[derive(Debug)]
pub struct Left {
    /// What was created and not removed. A last line that was cut off by a crash is not an error: its entry was not
    /// created yet.
    pub entries: Vec<Entry>,
    path: PathBuf,
    _lock: File,
}

impl Left {
    /// Removes the file, when everything in it is gone.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// What a run left behind. Nothing if the run still goes on, or ended and removed its journal at this moment.
///
/// # Errors
/// If the file cannot be read, is larger than 64 MiB, or a line before the last is not of a journal.
pub fn left(path: &Path) -> io::Result<Option<Left>> {
    let lock = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match lock.try_lock() {
        Ok(()) if path.exists() => {}
        Ok(()) | Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(Some(Left { entries: read(&lock)?, path: path.to_owned(), _lock: lock }))
}

fn read(file: &File) -> io::Result<Vec<Entry>> {
    let mut bytes = vec![];
    file.take(JOURNAL_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > JOURNAL_BYTES_MAX {
        return Err(io::Error::other(format!("the journal is larger than {JOURNAL_BYTES_MAX} bytes")));
    }
    let mut open = BTreeMap::new();
    let mut broken = None;
    // Bytes, not text: a crash may have cut a line off within a character.
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        if let Some(number) = broken {
            return Err(io::Error::other(format!("line {number} is not of a journal")));
        }
        match serde_json::from_slice(line) {
            Ok(Line::Created(entry)) => drop(open.insert((entry.run_id.clone(), entry.id), entry)),
            Ok(Line::Removed { id }) => open.retain(|(_, known), _| *known != id),
            Err(_) => broken = Some(number + 1),
        }
    }
    Ok(open.into_values().collect())
}

/// The moment an entry was read belongs to nobody; kept here so that callers can name files by time.
#[must_use]
pub fn file_name(run_id: &str, started_at: Timestamp) -> String {
    format!("{}-{run_id}.journal", started_at.to_string().replace([':', '.'], "-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(path: &Path) -> io::Result<Vec<Entry>> {
        read(&File::open(path)?)
    }

    /// Writes a journal with the given names; of every second one, if it says so, the thing is removed later. Gives the
    /// file and, after each of its lines, how long it was and what was open.
    fn written(folder: &Path, names: &[(String, bool)]) -> (Vec<u8>, Vec<(usize, Vec<Entry>)>) {
        let path = folder.join("run.journal");
        let journal = Journal::at(&path, "run-größe");
        let mut after = vec![];
        let mut note =
            |journal: &Journal| after.push((std::fs::metadata(&path).unwrap().len() as usize, journal.open()));
        journal.created("area.kind", "kept", "so that the file stays").unwrap();
        note(&journal);
        let mut waiting = None;
        for (name, removed) in names {
            let id = journal.created("area.kind", "orders", name).unwrap();
            note(&journal);
            if let Some(earlier) = waiting.take().filter(|_| *removed) {
                journal.removed(earlier).unwrap();
                note(&journal);
            }
            waiting = Some(id);
        }
        (std::fs::read(&path).unwrap(), after)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_journal_cut_off_at_any_byte_gives_every_whole_entry(
            names in proptest::collection::vec((".{0,12}", any::<bool>()), 0..6),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (bytes, after) = written(folder.path(), &names);
            let cut = folder.path().join("cut.journal");
            for end in 0..=bytes.len() {
                std::fs::write(&cut, &bytes[..end]).unwrap();
                // A line is whole with its last brace; the line break after it adds nothing.
                let open = after.iter().rev().find(|(length, _)| *length <= end + 1).map(|(_, open)| open.clone());
                prop_assert_eq!(read(&File::open(&cut).unwrap()).unwrap(), open.unwrap_or_default(), "the first {} bytes", end);
            }
        }
    }

    #[test]
    fn a_line_that_could_not_be_written_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.journal");
        let journal = Journal::at(&path, "run-1");
        journal.created("a.b", "c", "first").unwrap();
        // A file opened for reading takes nothing, as a full disk would.
        let writable = journal.0.lock().unwrap().file.replace(File::open(&path).unwrap());
        assert!(journal.created("a.b", "c", "second").is_err());
        assert_eq!(journal.open().len(), 1, "what could not be written down is not created");
        journal.0.lock().unwrap().file = writable;
        assert!(journal.created("a.b", "c", "third").is_err(), "nor could a torn line be taken back");
        assert_eq!(entries(&path).unwrap().len(), 1);
    }

    #[test]
    fn what_was_created_and_not_removed_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/run.journal");
        let journal = Journal::at(&path, "run-1");
        let first = journal.created("idempotency.effects", "orders", "key-1").unwrap();
        let second = journal.created("idempotency.effects", "orders", "key-2").unwrap();
        journal.removed(first).unwrap();
        assert_eq!(entries(&path).unwrap().iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["key-2"]);
        journal.removed(second).unwrap();
        assert!(!path.exists(), "an empty journal is no file");
        assert!(journal.open().is_empty());
    }

    #[test]
    fn the_journal_of_a_run_that_goes_on_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.journal");
        let journal = Journal::at(&path, "run-1");
        let only = journal.created("idempotency.effects", "orders", "key-1").unwrap();
        assert!(left(&path).unwrap().is_none(), "the run goes on");
        drop(journal);
        let found = left(&path).unwrap().unwrap();
        assert_eq!((found.entries.len(), found.entries[0].id), (1, only));
        assert!(left(&path).unwrap().is_none(), "somebody cleans up already");
        found.remove().unwrap();
        assert!(left(&path).unwrap().is_none(), "it is gone");
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_reads_a_journal() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.journal");
        let journal = Journal::at(&path, "run-1");
        journal.created("idempotency.effects", "orders", "key-1").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_cut_off_by_a_crash_is_no_error_and_a_foreign_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.journal");
        let journal = Journal::at(&path, "run-1");
        journal.created("idempotency.effects", "orders", "key-1").unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"created\":{\"run");
        std::fs::write(&path, &text).unwrap();
        assert_eq!(entries(&path).unwrap().len(), 1);
        std::fs::write(&path, "once\nupon\na time").unwrap();
        assert!(entries(&path).unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn nothing_may_be_created_when_the_journal_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        assert!(Journal::at(&blocked.join("run.journal"), "run-1").created("a.b", "c", "d").is_err());
    }
}
