//! Consumers as processes of their own: the program `consumer` of the fixtures.
//!
//! `cargo test` of the whole workspace has built it already. Where only this crate is tested, it is built here, once for
//! all tests, with the cargo that built this binary; the first time that takes as long as its dependencies do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A consumer that runs until it is stopped or dropped.
pub(crate) struct Consumer {
    child: Child,
}

impl Consumer {
    /// Starts one with these variables and nothing else, and returns when it consumes.
    pub(crate) async fn start(variables: &BTreeMap<&str, String>) -> Self {
        // The kernel ends it with the thread of its test, also when that is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program().await);
        command.env_clear().envs(variables).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async { while lines.next_line().await.unwrap().unwrap() != "consumer ready" {} };
        tokio::time::timeout(READY_WITHIN, ready).await.expect("the consumer is not ready");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child }
    }

    /// Ends it at once; what it holds goes back to the broker.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Stops it where it stands, with what it holds.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

/// The program, from the target directory of this binary.
async fn program() -> &'static Path {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let find = || async {
        // `target/PROFILE/deps/it-…` is this binary.
        let own = std::env::current_exe().unwrap();
        let profile = own.ancestors().nth(2).unwrap();
        let program = profile.join("consumer");
        if !is_fresh(&program) {
            build(profile).await;
        }
        program
    };
    PROGRAM.get_or_init(find).await
}

/// Whether it was built after its source was written. It uses nothing of the fixtures' library.
fn is_fresh(program: &Path) -> bool {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let time = |path: &Path| path.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    time(program) > time(&fixtures.join("src/bin/consumer.rs")) && time(program) > time(&fixtures.join("Cargo.toml"))
}

async fn build(profile: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "eks-preflight-fixtures", "--bin", "consumer"]);
    cargo.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    cargo.arg("--target-dir").arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().await.unwrap().success(), "the consumer cannot be built");
}
