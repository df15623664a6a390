//! Files that are made from the code and committed: each is compared with what the code makes now, or written for
//! `make generated`.

use std::path::Path;

/// Compares a committed file with what it should be, or writes it.
pub(crate) fn assert_current(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if is_wanted() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == *text, "{name} is stale: run `make generated`");
}

/// Whether the files are to be written.
#[expect(clippy::disallowed_methods, reason = "whoever makes the generated files says so in the environment")]
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("UPDATE_GENERATED").is_some()
}
