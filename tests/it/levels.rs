//! What decides about the verdict, and what is said of the rest.

use crate::commands::NOWHERE;
use crate::tool::World;
use serde_json::Value;

fn items(world: &World) -> Vec<(String, String)> {
    let plan = world.tool(&["plan", "--to", "deployed", "--output", "json"]).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = plan["items"].as_array().unwrap().iter();
    items.map(|item| (text(&item["check"]), text(&item["level"]))).collect()
}

#[test]
fn a_check_that_is_required_by_name_and_finds_nothing_to_look_at_stays_open() {
    let is_of_load = |(check, _): &&(String, String)| check.starts_with("load.");
    assert_eq!(items(&World::new(NOWHERE)).iter().find(is_of_load), None);
    let world = World::new(&format!("{NOWHERE}required: ['load.slo-*']\n"));
    let planned = items(&world);
    let of_load: Vec<_> = planned.iter().filter(is_of_load).collect();
    assert_eq!(of_load, [&("load.slo-holds".to_owned(), "required".to_owned())]);
    world.tool(&["run", "--to", "deployed"]);
    let report = world.report();
    let result = report["results"].as_array().unwrap().iter().find(|one| one["check"] == "load.slo-holds").unwrap();
    assert_eq!((&result["outcome"], &result["reason"]), (&"unknown".into(), &"prerequisite-failed".into()));
    assert!(result["observed"].as_str().unwrap().contains("`required` in the configuration names it"), "{result:#}");
}

#[test]
fn an_area_of_which_nothing_was_planned_is_named_beside_the_verdict() {
    let world = World::new(NOWHERE);
    let ran = world.tool(&["run", "--to", "deployed"]);
    let (_, beside) = ran.out.split_once("connections.path-admits").unwrap();
    for area in ["idempotency", "irsa", "load"] {
        let said = format!("{area}: nothing of it was planned");
        assert!(beside.contains(&said), "{said}: {}", ran.out);
    }
    assert!(!ran.out.contains("connections: nothing of it was planned"), "{}", ran.out);
}
