//! Hostile and odd files.

use super::{Folder, manifests};
use preflight_cluster::{ExternalName, InventoryError, load};
use proptest::prelude::*;
use std::fmt::Write;

#[test]
fn a_billion_laughs_end_in_an_error() {
    let mut text = String::from("kind: ConfigMap\na: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (one, two) in ('a'..'j').zip('b'..='j') {
        let uses = vec![format!("*{one}"); 10].join(", ");
        writeln!(text, "{two}: &{two} [{uses}]").unwrap();
    }
    assert!(matches!(manifests(&text), Err(InventoryError::Syntax { .. })));
}

#[test]
fn a_long_text_that_aliases_repeat_ends_in_an_error() {
    let long = "x".repeat(1024 * 1024);
    let text = format!("kind: ConfigMap\na: &a {long}\nb: [{}]\n", vec!["*a"; 2_000].join(", "));
    assert!(matches!(manifests(&text), Err(InventoryError::Syntax { .. })));
}

#[test]
fn deep_nesting_ends_in_an_error() {
    assert!(matches!(manifests(&"[".repeat(100_000)), Err(InventoryError::Syntax { .. })));
    assert!(matches!(manifests(&"- ".repeat(100_000)), Err(InventoryError::Syntax { .. })));
    assert!(matches!(manifests(&"- ".repeat(129)), Err(InventoryError::Syntax { .. })));
    assert!(manifests(&"- ".repeat(127)).is_ok());
}

#[test]
fn anchors_and_merges_say_where_the_value_is_written() {
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nx-env: &env\n- name: HOST\n  value: db\n\
                spec:\n  template:\n    spec:\n      containers:\n      - {name: c, image: i, env: *env}\n";
    let inventory = manifests(text).unwrap();
    let variable = &inventory.workloads[0].eks.as_ref().unwrap().pod.containers[0].env[0];
    assert!(variable.at.ends_with("a.yaml:6"), "{}", variable.at);
}

#[test]
fn a_byte_order_mark_windows_line_ends_and_tabs_in_json_are_read() {
    let pod = "apiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: a\r\nspec:\r\n  containers:\r\n  - name: c\r\n";
    let inventory = manifests(&format!("\u{feff}{pod}")).unwrap();
    assert!(inventory.workloads[0].eks.as_ref().unwrap().pod.containers[0].at.ends_with("a.yaml:7"));
    let json = "{\n\t\"serviceName\": \"a\",\n\t\"desiredCount\": 1,\n\t\"x\": [\n\t\t1,\n\t\t{\n\t\t\t\"y\": 2\n\t\t}\n\t]\n}\n";
    let folder = Folder::new(&[("a.json", json)]);
    let inventory = load(&[], &[folder.root()], &[]).unwrap();
    let desired = inventory.workloads[0].ecs.as_ref().unwrap().desired.as_ref().unwrap().clone();
    assert_eq!((desired.value, desired.at.ends_with("a.json:3")), (1, true));
}

#[test]
fn json_in_one_long_line_is_read() {
    let padding = "y".repeat(5_000);
    let json =
        format!(r#"[{{"x":{{"long":"{padding}","z":[{{"a":"{padding}"}}]}},"serviceName":"a","desiredCount":7}}]"#);
    let folder = Folder::new(&[("a.json", &json)]);
    let inventory = load(&[], &[folder.root()], &[]).unwrap();
    assert_eq!(inventory.workloads[0].ecs.as_ref().unwrap().desired.as_ref().unwrap().value, 7);
}

#[cfg(unix)]
#[test]
fn links_in_circles_end_and_no_file_is_read_twice() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c}]}\n";
    let folder = Folder::new(&[("..data/a.yaml", pod), ("sub/b.txt", "")]);
    std::os::unix::fs::symlink(folder.path("..data/a.yaml"), folder.path("a.yaml")).unwrap();
    std::os::unix::fs::symlink(folder.root(), folder.path("sub/up")).unwrap();
    std::os::unix::fs::symlink(folder.path("sub"), folder.path("sub/self")).unwrap();
    let inventory = load(&[folder.root(), folder.path("a.yaml")], &[], &[]).unwrap();
    assert_eq!((inventory.sources.len(), inventory.workloads.len()), (1, 1));
}

#[test]
fn hidden_files_are_read_and_what_is_hidden_and_leads_nowhere_is_not() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c}]}\n";
    let folder = Folder::new(&[(".kn.yaml", pod), (".git/b.yaml", "kind: [")]);
    std::os::unix::fs::symlink("user@host.1", folder.path(".#kn.yaml")).unwrap();
    assert_eq!(load(&[folder.root()], &[], &[]).unwrap().workloads[0].name, "a");
}

#[test]
fn a_service_that_is_another_name_for_a_host_is_kept_and_no_other_one() {
    let service = |name: &str, spec: &str| {
        format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n")
    };
    let text = service("mysql", "type: ExternalName, externalName: db.internal") + &service("web", "clusterIP: None");
    let expected =
        ExternalName { namespace: "shop".to_owned(), name: "mysql".to_owned(), host: "db.internal".to_owned() };
    assert_eq!(manifests(&text).unwrap().external_names, [expected]);
}

#[test]
fn documents_of_other_kinds_are_ignored_and_values_files_noted() {
    let inventory = manifests("replicaCount: 2\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\n").unwrap();
    assert!(inventory.workloads.is_empty());
    assert_eq!(inventory.notes.len(), 1, "{:?}", inventory.notes);
}

/// Pieces that a manifest is made of, so that what is thrown at the loader gets beyond the parser.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "apiVersion: apps/v1\n",
        "apiVersion: v1\n",
        "kind: Deployment\n",
        "kind: List\n",
        "kind: Pod\n",
        "items:\n",
        "metadata:\n",
        "  name: a\n",
        "spec:\n",
        "  template:\n",
        "    spec:\n",
        "      containers:\n",
        "      - name: c\n",
        "        env:\n",
        "        - name: X\n",
        "          value: 1\n",
        "---\n",
        "...\n",
        "- ",
        "  ",
        "\t",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "|\n",
        ">\n",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "!!binary ",
        "? ",
        ": ",
        "null\n",
        ".nan\n",
        "#",
        "\u{0}",
        "é",
        "😀",
        "\u{feff}",
        "%YAML 1.2\n",
        "\"services\":",
        "\"taskDefinition\":",
        "\"serviceName\": \"a\"",
        ",",
        "\n",
    ];
    prop_oneof![4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = Folder::new(&[]);
        std::fs::write(folder.path("a.yaml"), bytes).unwrap();
        let _ = load(&[folder.root()], &[folder.root()], &[]);
    }

    #[test]
    fn no_pieces_make_the_loader_panic(pieces in proptest::collection::vec(piece(), 0..40)) {
        let folder = Folder::new(&[("a.yaml", &pieces.concat())]);
        let _ = load(&[folder.root()], &[], &[]);
        let _ = load(&[], &[folder.root()], &[]);
    }

    #[test]
    fn a_manifest_with_a_byte_changed_makes_no_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = std::fs::read(super::data("manifests/shop.yaml")).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let folder = Folder::new(&[]);
        std::fs::write(folder.path("a.yaml"), bytes).unwrap();
        let _ = load(&[folder.root()], &[], &[]);
    }
}
