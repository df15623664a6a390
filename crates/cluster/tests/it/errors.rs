//! What cannot be read says where and why, and shows nothing of the file.

use super::{Folder, manifests};
use preflight_cluster::{InventoryError, load};

const POD: &str = "spec: {template: {spec: {containers: [{name: c, image: i}]}}}";

fn failed(text: &str) -> InventoryError {
    manifests(text).unwrap_err()
}

fn place(error: &InventoryError) -> (u64, u64) {
    match error {
        InventoryError::Syntax { line, column, .. } => (*line, *column),
        other => panic!("{other}"),
    }
}

#[test]
fn a_syntax_error_has_line_and_column_and_no_text_of_the_file() {
    let error = failed("kind: Secret\nstringData:\n  password: \"canary-unclosed\n  other: x\n");
    assert!(place(&error).0 >= 3, "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    let error = failed("kind: A\nmetadata:\n  - x\n  name: y\n");
    assert_eq!(place(&error).0, 4, "{error}");
    let text = error.to_string();
    assert!(text.contains("a.yaml:4:") && !text.contains(" at line"), "{text}");
}

#[test]
fn a_key_twice_is_an_error_that_names_it() {
    let error = failed("kind: A\nmetadata:\n  name: x\n  name: y\n");
    assert_eq!(place(&error), (4, 3), "{error}");
    assert!(error.to_string().contains("name"), "{error}");
}

#[test]
fn a_template_that_is_not_rendered_is_named_as_such() {
    let error = failed("kind: Deployment\nmetadata:\n  name: {{ .Values.name }}\n");
    assert!(error.to_string().contains("helm template"), "{error}");
}

#[test]
fn one_object_twice_is_an_error_with_both_places_unless_both_say_the_same() {
    let one = format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: a}}\n{POD}\n");
    let folder = Folder::new(&[("a.yaml", &one), ("b/c.yml", &one)]);
    assert_eq!(load(&[folder.root()], &[], &[]).unwrap().workloads.len(), 1);
    std::fs::write(folder.path("b/c.yml"), one.replace("image: i", "image: j")).unwrap();
    let error = load(&[folder.root()], &[], &[]).unwrap_err().to_string();
    assert!(error.starts_with("default/Deployment/a stands at "), "{error}");
    assert!(error.contains("a.yaml:1 and") && error.contains("c.yml:1;"), "{error}");
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_its_place_and_not_shown() {
    let deployment = |spec: &str| {
        let template = "  template: {spec: {containers: [{name: c, image: i}]}}";
        failed(&format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: a}}\nspec:\n{template}\n  {spec}\n"))
            .to_string()
    };
    let text = deployment("replicas: canary");
    assert!(text.ends_with("a.yaml:6:13: replicas is other text; expected a whole number, 0 or more"), "{text}");
    assert!(deployment("replicas: -1").contains("another number"));
    assert!(deployment("strategy: {rollingUpdate: {maxSurge: '2'}}").contains("one with `%`"));
    let text = failed("apiVersion: apps/v1\nkind: Deployment\nmetadata: {}\n").to_string();
    assert!(text.contains("name is absent"), "{text}");
    let text = failed("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n").to_string();
    assert!(text.contains("`containers`"), "{text}");
}

#[test]
fn what_is_not_there_or_empty_is_an_error() {
    let folder = Folder::new(&[("notes.txt", "x"), (".hidden/a.yaml", "kind: A")]);
    assert!(matches!(load(&[folder.root()], &[], &[]), Err(InventoryError::Empty { .. })));
    let error = load(&[folder.path("none")], &[], &[]).unwrap_err();
    assert!(matches!(error, InventoryError::Read { .. }));
    // The text says it already.
    assert!(std::error::Error::source(&error).is_none() && error.to_string().contains("No such file"), "{error}");
    std::fs::write(folder.path("a.yaml"), b"kind: A\nname: \xff\n").unwrap();
    let error = load(&[folder.root()], &[], &[]).unwrap_err();
    assert_eq!(place(&error).0, 2, "{error}");
}

#[test]
fn two_different_descriptions_of_a_service_or_a_task_are_an_error() {
    let ecs = |one: &str, two: &str| {
        let folder = Folder::new(&[("a.json", one), ("b.json", two)]);
        load(&[], &[folder.root()], &[])
    };
    let service = |desired: u64| format!(r#"{{"serviceName": "a", "desiredCount": {desired}}}"#);
    assert!(ecs(&service(1), &service(1)).is_ok());
    assert!(matches!(ecs(&service(1), &service(2)), Err(InventoryError::Twice { .. })));
    let task = |image: &str| {
        format!(r#"{{"family": "a", "revision": 1, "containerDefinitions": [{{"name": "c", "image": "{image}"}}]}}"#)
    };
    assert!(ecs(&task("i"), &task("i")).is_ok());
    assert!(matches!(ecs(&task("i"), &task("j")), Err(InventoryError::Twice { .. })));
}
