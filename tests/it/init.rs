//! `init` writes a configuration that `lint` takes.

use crate::tool::World;

#[test]
fn a_starter_configuration_passes_lint_and_is_never_written_over_another() {
    let world = World::new("mine");
    world.write(
        "manifests/orders.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: orders, namespace: shop}\nspec:\n  template:\n    spec:\n      containers:\n        - {name: app, image: orders:1, env: [{name: DATABASE_URL, value: 'mysql://app@db.internal/shop'}]}\n",
    );
    let kept = world.tool(&["init", "--manifests", "manifests"]);
    assert!(kept.code == 2 && kept.err.contains("kept"), "{kept:?}");
    assert_eq!(std::fs::read_to_string(world.path("preflight.yaml")).unwrap(), "mine");
    let written = world.tool(&["init", "--manifests", "manifests", "--config", "new.yaml"]);
    assert_eq!(written.code, 0, "{written:?}");
    let text = std::fs::read_to_string(world.path("new.yaml")).unwrap();
    for part in ["shop/Deployment/orders", "engine: mysql", "db.internal:3306", "manifests/orders.yaml:"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let linted = world.tool(&["lint", "--config", "new.yaml"]);
    assert!(linted.code == 0 && linted.out.is_empty(), "{linted:?}");
}
