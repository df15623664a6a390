//! Walks an archive and the archives in it, and keeps what matters. Every size, number and depth has a bound.

use super::home::Home;
use super::{GENERATIONS, Generation, JarError, KINDS, Kind, SeenVersion, class, version};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Cursor, Read, Seek};
use std::path::Path;
use zip::ZipArchive;

/// The most entries of all archives together.
const ENTRIES_MAX: u64 = 1_000_000;

/// How deep archives in archives, and directories in directories, are followed.
const DEPTH_MAX: usize = 4;
const FOLDERS_MAX: usize = 16;

/// The largest archive in an archive; it is held in memory.
const NESTED_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The most bytes of all archives in archives.
const NESTED_BYTES_TOTAL: u64 = 2 * 1024 * 1024 * 1024;

/// The largest class or properties file that is read.
const SMALL_BYTES_MAX: u64 = 1024 * 1024;

/// The most notes about what could not be read.
const NOTES_MAX: usize = 20;

/// A class that matters.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) generation: Generation,
    pub(super) kind: Kind,
    /// What stands before the known end of its name: `software/amazon/awssdk/`, or where it was moved to.
    pub(super) root: String,
    pub(super) at: String,
    pub(super) home: Home,
    /// The texts of a loader.
    pub(super) texts: Vec<String>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) classes: Vec<Found>,
    pub(super) versions: Vec<(Generation, SeenVersion, Home)>,
    /// The directories and zips with a jar in which there are jars: an application, and no library.
    pub(super) with_applications: BTreeSet<String>,
    pub(super) incomplete: Vec<String>,
    pub(super) archives: u64,
    entries: u64,
    nested_bytes: u64,
}

pub(super) fn scan(path: &Path) -> Result<Seen, JarError> {
    let read = |error| JarError::Read { path: path.to_owned(), error };
    let mut seen = Seen::default();
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    if fs::metadata(path).map_err(read)?.is_dir() {
        seen.folder(path, &Home::group(&name), "", 0).map_err(read)?;
        return Ok(seen);
    }
    let file = File::open(path).map_err(read)?;
    let archive = ZipArchive::new(file)
        .map_err(|error| JarError::NoArchive { path: path.to_owned(), detail: error.to_string() })?;
    seen.archive(archive, &name, &Home::top(&name), 0);
    Ok(seen)
}

fn is_archive(name: &str) -> bool {
    let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    ["jar", "war", "ear", "zip", "par", "rar"].contains(&ending.as_str()) && name.contains('.')
}

/// An entry that matters: where its known end begins.
fn interest(name: &str) -> Option<(Generation, Kind, &str)> {
    let name = plain(name);
    let of = |generation: Generation, kind: Kind| {
        let root = name.strip_suffix(generation.suffix(kind))?;
        (root.is_empty() || root.ends_with('/')).then_some((generation, kind, root))
    };
    GENERATIONS.into_iter().flat_map(|generation| KINDS.map(|kind| (generation, kind))).find_map(|(a, b)| of(a, b))
}

/// A class's name without the place where kinds of archives keep theirs.
fn plain(name: &str) -> &str {
    let name = ["BOOT-INF/classes/", "WEB-INF/classes/"].iter().find_map(|at| name.strip_prefix(at)).unwrap_or(name);
    let versioned = name.strip_prefix("META-INF/versions/").and_then(|rest| rest.split_once('/'));
    versioned.map_or(name, |(_, rest)| rest)
}

/// Generation and module of `META-INF/maven/GROUP/MODULE/pom.properties`.
fn pom(name: &str) -> Option<(Generation, &'static str)> {
    let (_, rest) = name.split_once("META-INF/maven/")?;
    let (group, module) = rest.strip_suffix("/pom.properties")?.split_once('/')?;
    let generation = GENERATIONS.into_iter().find(|generation| generation.group() == group)?;
    generation.modules().iter().find(|known| **known == module).map(|module| (generation, *module))
}

fn version_of(properties: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(properties);
    let line =
        text.lines().find_map(|line| line.trim().strip_prefix("version")?.trim_start().strip_prefix(['=', ':']))?;
    Some(line.trim().to_owned())
}

impl Seen {
    fn note(&mut self, note: String) {
        if self.incomplete.len() < NOTES_MAX {
            self.incomplete.push(note);
        }
    }

    /// Counts an entry; false once there were too many.
    fn counts(&mut self, place: &str) -> bool {
        self.entries += 1;
        if self.entries == ENTRIES_MAX {
            self.note(format!("{place}: more than {ENTRIES_MAX} entries, the rest was not looked at"));
        }
        self.entries < ENTRIES_MAX
    }

    /// A directory is an archive that was unpacked. `inside` is the path in it so far.
    fn folder(&mut self, path: &Path, home: &Home, inside: &str, depth: usize) -> std::io::Result<()> {
        let place = home.unit.as_str();
        if depth > FOLDERS_MAX {
            self.note(format!("{place}/{inside}: directories deeper than {FOLDERS_MAX} were not looked at"));
            return Ok(());
        }
        let mut entries = fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if !self.counts(place) {
                return Ok(());
            }
            let name = format!("{inside}{}", entry.file_name().to_string_lossy());
            let is_link = entry.file_type()?.is_symlink();
            match fs::metadata(entry.path()) {
                Ok(about) if about.is_dir() && is_link => {
                    self.note(format!("{place}/{name}: a link to a directory was not followed"));
                }
                Ok(about) if about.is_dir() => self.folder(&entry.path(), home, &format!("{name}/"), depth + 1)?,
                Ok(about) if about.is_file() => self.file(&entry.path(), home, &name),
                Ok(_) => (),
                Err(error) => self.note(format!("{place}/{name}: {error}")),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, home: &Home, name: &str) {
        let place = home.unit.as_str();
        let at = format!("{place}/{name}");
        if !is_archive(name) && interest(name).is_none() && pom(name).is_none() {
            return;
        }
        match File::open(path) {
            Err(error) => self.note(format!("{at}: {error}")),
            Ok(file) if is_archive(name) => match ZipArchive::new(file) {
                Ok(archive) => self.archive(archive, &at, &home.archive(name, &at), 1),
                Err(error) => self.note(format!("{at}: {error}")),
            },
            Ok(file) => match small(file) {
                Ok(bytes) => self.entry(name, &bytes, place, &home.class(name)),
                Err(why) => self.note(format!("{at}: {why}")),
            },
        }
    }

    fn archive<R: Read + Seek>(&mut self, mut archive: ZipArchive<R>, place: &str, home: &Home, depth: usize) {
        self.archives += 1;
        let (classes, versions) = (self.classes.len(), self.versions.len());
        for index in 0..archive.len() {
            if !self.counts(place) {
                return;
            }
            let name = match archive.name_for_index(index) {
                Some(Ok(name)) => name.into_owned(),
                _ => {
                    self.note(format!("{place}: the name of an entry cannot be read"));
                    continue;
                }
            };
            let is_nested = is_archive(&name);
            if name.ends_with('/') || (!is_nested && interest(&name).is_none() && pom(&name).is_none()) {
                continue;
            }
            let at = format!("{place}!/{name}");
            match archive.by_index(index) {
                Err(error) => self.note(format!("{at}: {error}")),
                Ok(entry) if is_nested => {
                    let group = home.group.as_ref().filter(|_| !home.is_group());
                    self.with_applications.extend(group.cloned());
                    self.nested(entry, &at, &home.archive(&name, &at), depth);
                }
                Ok(entry) => match small(entry) {
                    Ok(bytes) => self.entry(&name, &bytes, place, &home.class(&name)),
                    Err(why) => self.note(format!("{at}: {why}")),
                },
            }
        }
        self.name_version(place, home, classes, versions);
    }

    fn nested(&mut self, entry: impl Read, at: &str, home: &Home, depth: usize) {
        if depth >= DEPTH_MAX {
            self.note(format!("{at}: archives deeper than {DEPTH_MAX} were not looked at"));
            return;
        }
        let left = NESTED_BYTES_TOTAL.saturating_sub(self.nested_bytes).min(NESTED_BYTES_MAX);
        let mut bytes = vec![];
        let read = entry.take(left + 1).read_to_end(&mut bytes);
        self.nested_bytes += bytes.len() as u64;
        match read {
            Err(error) => self.note(format!("{at}: {error}")),
            Ok(_) if bytes.len() as u64 > left => self.note(format!("{at}: too large, it was not looked at")),
            Ok(_) => match ZipArchive::new(Cursor::new(bytes)) {
                Ok(archive) => self.archive(archive, at, home, depth + 1),
                Err(error) => self.note(format!("{at}: {error}")),
            },
        }
    }

    /// Keeps an entry that matters.
    fn entry(&mut self, name: &str, bytes: &[u8], place: &str, home: &Home) {
        let (at, home) = (place.to_owned(), home.clone());
        if let Some((generation, module)) = pom(name) {
            if let Some(version) = version_of(bytes) {
                self.versions.push((generation, SeenVersion { module: module.to_owned(), version, at }, home));
            }
            return;
        }
        let Some((generation, kind, root)) = interest(name) else { return };
        if kind == Kind::Version {
            let own = match generation {
                Generation::V1 => version_of(bytes),
                Generation::V2 => class::texts(bytes)
                    .into_iter()
                    .find(|text| text.starts_with("2.") && version::parse(text).is_some()),
            };
            let module = generation.modules()[usize::from(generation == Generation::V2)].to_owned();
            self.versions.extend(own.map(|version| (generation, SeenVersion { module, version, at }, home)));
            return;
        }
        let texts = if kind == Kind::Loader { class::texts(bytes) } else { vec![] };
        self.classes.push(Found { generation, kind, root: root.to_owned(), at, home, texts });
    }

    /// Takes the version from the archive's name, if nothing in it says one.
    fn name_version(&mut self, place: &str, home: &Home, classes: usize, versions: usize) {
        let Some(generation) = self.classes.get(classes).map(|found| found.generation) else { return };
        if self.versions[versions..].iter().any(|(known, ..)| *known == generation) {
            return;
        }
        let file = place.rsplit('/').next().unwrap_or(place);
        let Some((module, version)) = version::of_file(file) else { return };
        if generation.modules().contains(&module) {
            let seen = SeenVersion { module: module.to_owned(), version: version.to_owned(), at: place.to_owned() };
            self.versions.push((generation, seen, home.clone()));
        }
    }
}

fn small(file: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    file.take(SMALL_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > SMALL_BYTES_MAX { Err(format!("larger than {SMALL_BYTES_MAX} bytes")) } else { Ok(bytes) }
}
