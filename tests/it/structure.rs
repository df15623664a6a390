//! The house's own rules, as far as machines can hold them.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--no-deps"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The normal and the development dependencies of every member.
fn dependencies() -> BTreeMap<String, [BTreeSet<String>; 2]> {
    let metadata = metadata();
    let of = |package: &Value, kind: Option<&str>| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|one| one["kind"].as_str() == kind).map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| (package["name"].as_str().unwrap().to_owned(), [of(package, None), of(package, Some("dev"))]))
        .collect()
}

#[test]
fn dependencies_follow_the_arrows_of_the_house() {
    let areas = ["irsa", "idempotency", "connections", "load"];
    let allowed: &[(&str, &[&str])] = &[
        ("eks-preflight", &["report", "core", "cluster", "irsa", "idempotency", "connections", "load"]),
        ("eks-preflight-report", &[]),
        ("eks-preflight-core", &["report"]),
        ("eks-preflight-openwire", &[]),
        ("eks-preflight-cluster", &["report", "core"]),
        ("eks-preflight-irsa", &["report", "core", "cluster"]),
        ("eks-preflight-idempotency", &["report", "core", "cluster"]),
        ("eks-preflight-connections", &["report", "core", "cluster", "openwire"]),
        ("eks-preflight-load", &["report", "core", "cluster"]),
        ("eks-preflight-fixtures", &[]),
    ];
    let found = dependencies();
    let names: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, allowed.iter().map(|(name, _)| *name).collect(), "a member without a place in the house");
    for (name, allowed) in allowed {
        let [normal, _] = &found[*name];
        let own = normal.iter().filter_map(|one| one.strip_prefix("eks-preflight-"));
        for one in own {
            assert!(allowed.contains(&one), "{name} must not depend on {one}");
        }
    }
    for area in areas {
        let [_, dev] = &found[&format!("eks-preflight-{area}")];
        for other in areas {
            assert!(!dev.contains(&format!("eks-preflight-{other}")), "{area} must not see {other}");
        }
    }
}

#[test]
fn the_contract_depends_on_serde_alone() {
    let [normal, _] = &dependencies()["eks-preflight-report"];
    assert_eq!(normal.iter().map(String::as_str).collect::<Vec<_>>(), ["serde", "serde_json"]);
}

#[test]
fn the_core_knows_no_vendor() {
    let [normal, _] = &dependencies()["eks-preflight-core"];
    for vendor in ["aws", "kube", "k8s", "lapin", "redis", "mysql", "reqwest", "hyper", "goose"] {
        assert!(!normal.iter().any(|one| one.starts_with(vendor)), "core depends on {vendor}…");
    }
}

fn sources(folder: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(Path::new(ROOT).join(folder)) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(path.to_str().unwrap(), found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_file_is_longer_than_four_hundred_lines_before_its_tests() {
    let mut files = vec![];
    for folder in ["src", "crates", "checks", "loadtests", "fixtures"] {
        sources(folder, &mut files);
    }
    assert!(files.len() > 100, "{} files", files.len());
    // A file of that name is nothing but tests.
    for file in files.into_iter().filter(|file| !file.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().take_while(|line| !line.starts_with("mod tests")).count();
        assert!(lines <= 400, "{} has {lines} lines before its tests", file.display());
    }
}

/// Copies what git knows or would add of this tree. A file that has not changed keeps its time, so that nothing is built
/// anew because of it.
fn copy_of_the_tree(to: &Path) {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    for name in String::from_utf8(listed.stdout).unwrap().split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (Path::new(ROOT).join(name), to.join(name));
        // A file that was removed and not committed yet is still listed.
        let Ok(content) = std::fs::read(&from) else { continue };
        if std::fs::read(&to).is_ok_and(|old| old == content) {
            continue;
        }
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, content).unwrap();
    }
}

/// Gives the packages of a copy another version. To cargo, members of one name and version are one in a target folder,
/// wherever they lie: what it built of the copy it would later take for what it builds of this tree, changed or not.
fn renumber(tree: &Path) {
    let version = |suffix: &str| format!("version = \"{}{suffix}\"", env!("CARGO_PKG_VERSION"));
    for file in ["Cargo.toml", "Cargo.lock"] {
        let text = std::fs::read_to_string(tree.join(file)).unwrap();
        let mut before = "";
        let mut renumbered = String::new();
        for line in text.lines() {
            let is_ours = file == "Cargo.toml" || before.starts_with("name = \"eks-preflight");
            let is_version = is_ours && line == version("");
            renumbered += &if is_version { version("-copy") } else { line.to_owned() };
            renumbered.push('\n');
            before = line;
        }
        assert!(renumbered.contains(&version("-copy")), "{file} has no version of this tree");
        std::fs::write(tree.join(file), renumbered).unwrap();
    }
}

#[test]
fn a_new_check_is_one_new_file_and_two_lines() {
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tree");
    copy_of_the_tree(&tree);
    renumber(&tree);
    let area = tree.join("checks/connections/src");
    let check = std::fs::read_to_string(area.join("path_admits.rs")).unwrap();
    let added = check.replace("connections.path-admits", "connections.added-here");
    std::fs::write(area.join("added_here.rs"), added).unwrap();
    let lib = std::fs::read_to_string(area.join("lib.rs")).unwrap();
    let with = lib
        .replacen("mod account;", "mod account;\nmod added_here;", 1)
        .replacen("    path_admits::ENTRY", "    added_here::ENTRY,\n    path_admits::ENTRY", 1)
        .replacen("[limit_covers_demand::ENTRY", "[added_here::ENTRY, limit_covers_demand::ENTRY", 1);
    assert_eq!(with.matches("added_here").count(), 2, "two places name it");
    std::fs::write(area.join("lib.rs"), with).unwrap();
    // The dependencies are built already in this target folder, with the features that the root package needs of them.
    // Nothing of it may be replaced that other tests run, so no program is built: the tests of the new check are, and
    // warnings (a check that no list names) are errors.
    let target = Path::new(env!("CARGO_BIN_EXE_eks-preflight")).parent().unwrap().parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args([
            "test",
            "--offline",
            "--locked",
            "-p",
            "eks-preflight",
            "-p",
            "eks-preflight-connections",
            "--lib",
            "added_here",
        ])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(&tree)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("added_here::tests::"), "{out}\n{err}");
    assert!(!err.contains("never used"), "{err}");
}
