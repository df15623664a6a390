//! How long the program takes, and how much memory.

use crate::tool::Ran;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command with the variables of the image; gives how long it took, and the most memory that it held, in bytes.
pub(crate) fn measured(command: &mut Command) -> (Ran, Duration, u64) {
    let start = Instant::now();
    command.env("MALLOC_ARENA_MAX", "1");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let peak = std::thread::spawn(move || {
        let mut peak = 0;
        // The kernel keeps the peak as long as the process has memory at all.
        while let Some(bytes) = std::fs::read_to_string(&status).ok().as_deref().and_then(high_water) {
            peak = bytes;
            std::thread::sleep(Duration::from_millis(1));
        }
        peak
    });
    let output = child.wait_with_output().unwrap();
    let took = start.elapsed();
    (Ran::of(output), took, peak.join().unwrap())
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
}
