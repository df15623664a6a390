//! A report is on disk whole or not at all, and the exit code says which.

use crate::tool::{Ran, World};
use std::fs;
use std::process::Command;

/// Nobody listens there; about thirty kilobytes of report.
fn world() -> World {
    let endpoint = |n: usize| format!("  - {{name: cache-{n}, engine: redis, address: '127.0.0.1:1'}}\n");
    World::new(&format!("environment: test\nendpoints:\n{}", (0..12).map(endpoint).collect::<String>()))
}

/// Runs the program where no file may become larger than so many KiB, as on a full disk.
fn with_little_room(world: &World, kib: u32, arguments: &str) -> Ran {
    // Blocks of the limit are of 1024 bytes. Ignored, the signal becomes an error of the write.
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" {arguments}");
    let program = env!("CARGO_BIN_EXE_eks-preflight");
    let output = Command::new("bash").args(["-c", &script, program]).current_dir(world.path("")).output().unwrap();
    Ran::of(output)
}

fn names(world: &World) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(world.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".eks-preflight")
        .collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_leaves_the_old_report_aside_and_no_part_of_the_new_and_exits_22() {
    let world = world();
    world.tool(&["run", "--to", "deployed"]);
    let old = fs::read(world.path("preflight-report.json")).unwrap();
    assert!(old.len() > 8 * 1024, "{} bytes", old.len());
    let ran = with_little_room(&world, 4, "run --to deployed --output junit=junit.xml");
    assert_eq!(ran.code, 22, "{ran:?}");
    assert!(ran.err.contains("writing `preflight-report.json`") && ran.err.contains("junit"), "{ran:?}");
    assert_eq!(fs::read(world.path("preflight-report.json.previous")).unwrap(), old);
    assert_eq!(names(&world), ["preflight-report.json.previous", "preflight.yaml"], "no temporary file is left");
}

#[test]
fn with_room_enough_the_same_run_writes_everything() {
    let world = world();
    let ran = with_little_room(&world, 4096, "run --to deployed --output junit=junit.xml --output html=page.html");
    assert_eq!(ran.code, 20, "{ran:?}");
    assert_eq!(names(&world), ["junit.xml", "page.html", "preflight-report.json", "preflight.yaml"]);
}

#[test]
fn what_a_forged_report_says_reaches_a_terminal_as_text() {
    let world = world();
    world.tool(&["run", "--to", "deployed"]);
    let report = fs::read_to_string(world.path("preflight-report.json")).unwrap();
    world.write(
        "forged.json",
        &report.replace("\"environment\": \"test\"", "\"environment\": \"\\u001b[2Jx\\n::error::y\""),
    );
    let ran = world.tool(&["report", "verify", "forged.json", "--environment", "test"]);
    assert_eq!((ran.code, ran.out.as_str()), (30, ""), "{ran:?}");
    assert!(ran.err.contains("\\u{1b}[2Jx") && !ran.err.contains('\u{1b}'), "{ran:?}");
    assert!(!ran.err.lines().any(|line| line.starts_with("::")), "{ran:?}");
}
