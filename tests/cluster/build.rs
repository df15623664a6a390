//! The build of the program that figures are taken of.

use std::ffi::OsString;
use std::time::Duration;

/// The program as it is released, where it has been built.
const PROGRAM: &str = "EKS_PREFLIGHT_TEST_PROGRAM";

/// What is measured, and what it is held to.
pub(crate) struct Build {
    pub(crate) program: OsString,
    pub(crate) slowest: Duration,
    /// The most memory, in bytes.
    pub(crate) largest: u64,
}

/// The released program with its targets, else that of the tests, which is slower and larger.
pub(crate) fn build() -> Build {
    match std::env::var_os(PROGRAM) {
        Some(program) => Build { program, slowest: Duration::from_secs(3), largest: 64 << 20 },
        None => Build {
            program: env!("CARGO_BIN_EXE_eks-preflight").into(),
            slowest: Duration::from_secs(15),
            largest: 112 << 20,
        },
    }
}
