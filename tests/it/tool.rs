//! The program under test, run as a user would.

use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own with a configuration in it.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("preflight.yaml"), config).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn tool(&self, arguments: &[&str]) -> Ran {
        Ran::of(command(self.folder.path()).args(arguments).output().unwrap())
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path("preflight-report.json")).unwrap()).unwrap()
    }
}

/// The program, in a folder and with nothing of ours in its environment.
pub(crate) fn command(folder: &Path) -> Command {
    command_of(env!("CARGO_BIN_EXE_eks-preflight").as_ref(), folder)
}

/// The same of another build of the program.
pub(crate) fn command_of(program: &OsStr, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EKS_PREFLIGHT") || name.to_string_lossy().starts_with("GITHUB_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
