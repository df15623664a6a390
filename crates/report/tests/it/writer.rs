//! Writer and reader agree, and a file is whole or not there.

use crate::any::{after, any_report, go};
use preflight_report::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::ffi::OsStrExt;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_reader_sees_what_the_writer_wrote(report in any_report()) {
        let text = to_json(&report);
        let again = read(&text).unwrap();
        prop_assert_eq!(&again, &report);
        prop_assert_eq!(to_json(&again), text.clone());
        prop_assert_eq!(seal(again), report.clone(), "sealing once more changes nothing");
        // Whatever else may be wrong with it: digests and summary are not.
        let problems = verify(&text, &Expected::at(after(20))).err().unwrap_or_default();
        let of_the_writer = problems.iter().any(|one| matches!(one, Problem::Digest { .. } | Problem::OtherVerdict { .. }));
        prop_assert!(!of_the_writer, "{:?}", problems);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        prop_assert!(read(&text).is_err());
    }

    #[test]
    fn no_byte_of_a_report_can_be_changed_unseen(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let text = to_json(&go());
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(changed) = String::from_utf8(bytes)
            && let Ok(verified) = verify(&changed, &Expected::at(after(20)))
        {
            // White space outside of strings is not part of the document.
            prop_assert_eq!(verified, read(&text).unwrap());
        }
    }
}

#[test]
fn a_written_report_is_read_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    write(&path, to_json(&go()).as_bytes()).unwrap();
    assert_eq!(read(&fs::read_to_string(&path).unwrap()).unwrap(), go());
}

#[test]
fn what_a_killed_run_left_is_not_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let left = folder.path().join(format!(".report.json.{}.0.tmp", std::process::id()));
    fs::write(&left, "of a run with the same process id").unwrap();
    write(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::read(&left).unwrap(), b"of a run with the same process id");
}

#[test]
fn writers_of_one_path_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let texts: Vec<Vec<u8>> = (0..8_u8).map(|n| vec![b'a' + n; 100_000]).collect();
    std::thread::scope(|scope| {
        for text in &texts {
            scope.spawn(|| write(&path, text).unwrap());
        }
    });
    assert!(texts.contains(&fs::read(&path).unwrap()), "one of them, whole");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_pipe_is_written_to_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let reader = std::thread::spawn({
        let path = path.clone();
        move || fs::read(path).unwrap()
    });
    write(&path, b"through").unwrap();
    assert_eq!(reader.join().unwrap(), b"through");
    assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
}

#[test]
fn a_name_of_any_bytes_can_be_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"r\xff.json"));
    write(&path, b"x").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"x");
}
