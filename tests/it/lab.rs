//! The lab that the journeys share, and what every one of them must leave as it was.

use crate::tool::{Ran, command};
use preflight_fixtures::lab::{Fault, Lab, LabOptions};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// A running lab with the runtime that its doubles live in. It ends with the last test that holds it.
pub(crate) struct Ground {
    lab: Mutex<Option<Lab>>,
    runtime: Runtime,
    folder: tempfile::TempDir,
}

impl Ground {
    /// A lab of one's own, for those that break it.
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = LabOptions { dir: folder.path().join("lab"), faults: vec![], address: None };
        let lab = runtime.block_on(Lab::start(options)).unwrap();
        Self { lab: Mutex::new(Some(lab)), runtime, folder }
    }

    /// The lab that everybody uses in turn. Tests that wait for it keep it running.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Ground>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let ground = Arc::new(Self::new());
            *shared = Arc::downgrade(&ground);
            ground
        })
    }

    /// Takes the lab for one test, with these faults and no others.
    pub(crate) fn with(&self, faults: &[Fault]) -> Turn<'_> {
        let mut guard = self.lab.lock().unwrap_or_else(PoisonError::into_inner);
        let lab = guard.as_mut().unwrap();
        for fault in Fault::ALL {
            let done = async { if faults.contains(&fault) { lab.plant(fault).await } else { lab.repair(fault).await } };
            self.runtime.block_on(done).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::start(guard.as_ref().unwrap().secrets());
        Turn { guard, runtime: &self.runtime, folder, watch: Some(watch) }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let lab = self.lab.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(lab) = lab else { return };
        let dir = lab.dir().to_owned();
        let ended = self.runtime.block_on(lab.end());
        if !std::thread::panicking() {
            ended.unwrap();
            assert!(!dir.exists(), "{} is left", dir.display());
            assert_eq!(std::fs::read_dir(self.folder.path()).unwrap().count(), 0);
            assert_eq!(preflight_fixtures::servers::running_in(self.folder.path()), []);
        }
    }
}

/// One test's turn on a lab, in a folder of its own.
pub(crate) struct Turn<'a> {
    guard: MutexGuard<'a, Option<Lab>>,
    runtime: &'a Runtime,
    folder: tempfile::TempDir,
    watch: Option<Watch>,
}

impl Turn<'_> {
    pub(crate) fn lab(&mut self) -> &mut Lab {
        self.guard.as_mut().unwrap()
    }

    pub(crate) fn stop(&mut self, server: preflight_fixtures::lab::Server) {
        let lab = self.guard.as_mut().unwrap();
        self.runtime.block_on(lab.stop(server)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.read("preflight-report.json")).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = command(self.folder.path());
        command
            .args(arguments)
            .envs(self.guard.as_ref().unwrap().environment().iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program with the lab's environment, which names the configuration and gives consent.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// The same with some variables otherwise, or not there.
    pub(crate) fn tool_with(&self, arguments: &[&str], variables: &[(&str, Option<&str>)]) -> Ran {
        let mut command = self.command(arguments);
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ran::of(command.output().unwrap())
    }

    /// Starts the program and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until the run's journal names something.
    pub(crate) fn wait_until_something_was_created(&self) {
        until("a journal names what was created", || {
            journals(&self.path(".eks-preflight")).iter().any(|one| one.1 > 0)
        });
    }

    /// The end of every turn: nothing is left on the servers or in the run's state, and no secret was seen anywhere.
    pub(crate) fn leaves_nothing(mut self, said: &[&Ran]) {
        let lab = self.guard.as_ref().unwrap();
        assert_eq!(self.runtime.block_on(lab.leftovers()).unwrap(), Vec::<String>::new());
        assert_eq!(journals(&self.path(".eks-preflight")), []);
        let secrets = lab.secrets();
        assert_eq!(self.watch.take().unwrap().stop(), Vec::<String>::new(), "a secret was an argument");
        for text in said.iter().flat_map(|ran| [&ran.out, &ran.err]) {
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "a secret was printed:\n{text}");
        }
        for file in files_in(self.folder.path()) {
            let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "{} has a secret", file.display());
        }
    }
}

/// The journals of a state folder, each with its length after the head.
fn journals(state: &Path) -> Vec<(PathBuf, usize)> {
    let files = files_in(state).into_iter().filter(|file| file.extension().is_some_and(|ext| ext == "journal"));
    files.map(|file| (file.clone(), std::fs::read_to_string(&file).unwrap_or_default().lines().count())).collect()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited for {} s until {what}", PATIENCE.as_secs());
        std::thread::sleep(PAUSE);
    }
}

/// Looks for secrets among the arguments of every process of the machine.
struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Watch {
    fn start(secrets: Vec<String>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut seen = vec![];
            while !is_over.load(Ordering::Relaxed) {
                let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
                let arguments = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
                let texts = arguments.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
                seen.extend(texts.filter(|text| secrets.iter().any(|secret| text.contains(secret))));
                std::thread::sleep(PAUSE);
            }
            seen
        });
        Self { over, thread }
    }

    fn stop(self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
