//! goose must not take what belongs to the program around it: its signals and its terminal. The test runs this test
//! binary again as that program.

use crate::bench::{Bench, run, until};
use rustix::process::{Signal, getpid, kill_process};
use std::process::{Command, Stdio};
use tokio::signal::unix::{SignalKind, signal};

const CHILD: &str = "EKS_PREFLIGHT_LOAD_TEST_CHILD";
const PROGRAM: &str = "interrupts::the_program_around_it";

/// Does nothing unless the other test runs it.
#[tokio::test]
async fn the_program_around_it() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    preflight_load::claim_interrupts();
    let mut interrupt = signal(SignalKind::interrupt()).unwrap();
    let bench = Bench::start().await;
    let mut target = bench.target();
    let said = run("load.slo-holds", &target).await;
    println!("FIRST {:?}", said.result.outcome);
    target["durationS"] = serde_json::json!(20);
    let before = bench.eks.requests();
    tokio::select! {
        said = run("load.slo-holds", &target) => println!("ENDED {:?} {}", said.result.reason, said.result.observed),
        () = async {
            until(|| bench.eks.requests() > before + 50).await;
            // Twice, because on the second one goose's own handler ends the process.
            for _ in 0..2 {
                kill_process(getpid(), Signal::INT).unwrap();
                interrupt.recv().await;
            }
        } => println!("HEARD"),
    }
}

#[test]
fn a_program_still_hears_sigint_while_goose_runs_and_nothing_is_printed() {
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .args(["--exact", PROGRAM, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{stdout}\n{stderr}");
    assert_eq!(stderr, "");
    // Between what the test harness itself says.
    assert!(stdout.contains(&format!("test {PROGRAM} ... FIRST Pass\nHEARD\nok\n")), "{stdout}");
}
