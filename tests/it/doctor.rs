//! `doctor` tries what a run would do first.

use crate::commands::NOWHERE;
use crate::tool::World;

#[test]
fn a_doctor_names_each_gap() {
    let ran = World::new(NOWHERE).tool(&["doctor", "--output", "json"]);
    assert_eq!(ran.code, 10, "{ran:?}");
    let found = ran.json();
    let cache = found.as_array().unwrap().iter().find(|one| one["what"].as_str().unwrap().contains("cache")).unwrap();
    assert!(cache["problem"].as_str().unwrap().contains("refused"), "{cache}");
}
