//! What holds for every format, and the committed samples.

use super::*;

const SAMPLES: [(&str, &str); 5] = [
    ("go", include_str!("../../crates/report/tests/it/golden/go.json")),
    ("no-go", include_str!("../../crates/report/tests/it/golden/no-go.json")),
    ("inconclusive", include_str!("../../crates/report/tests/it/golden/inconclusive.json")),
    ("interrupted", include_str!("../../crates/report/tests/it/golden/interrupted.json")),
    ("from-the-future", include_str!("../../crates/report/tests/it/golden/from-the-future.json")),
];

pub(super) const PLAIN: Style = Style { colour: false, width: 100 };

pub(super) fn sample(name: &str) -> Report {
    let (_, text) = SAMPLES.iter().find(|(known, _)| *known == name).unwrap();
    preflight_report::read(text).unwrap()
}

/// Compares with a committed file, or writes it for `make generated`.
pub(super) fn assert_committed(file: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/output/samples").join(file);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        preflight_report::write(&path, text.as_bytes()).unwrap();
        return;
    }
    assert!(std::fs::read_to_string(&path).unwrap() == text, "{file} is stale: run `make generated`, and look at it");
}

/// What another program says about a text on its standard input; nothing if there is no Python here.
pub(super) fn python(program: &str, input: &str) -> Option<String> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .inspect_err(|error| assert!(error.kind() == std::io::ErrorKind::NotFound, "{error}"))
        .ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the other reader refuses it:\n{input}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_generated_samples_of_text_are_current() {
    for (name, _) in SAMPLES {
        assert_committed(&format!("{name}.txt"), &render(Format::Text, &sample(name), PLAIN));
    }
}
