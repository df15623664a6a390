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

/// A container with these variables.
fn deployment(name: &str, env: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  replicas: 1\n  template:\n    spec:\n      containers:\n        - name: app\n          image: i\n          env:\n{env}"
    )
}

#[test]
fn a_host_without_a_port_and_a_value_that_cannot_be_read_are_in_a_starter_that_lints() {
    let world = World::new("");
    let plain = |name: &str, value: &str| format!("            - {{name: {name}, value: '{value}'}}\n");
    let env = [
        plain("REDIS_HOST", "cache.internal"),
        plain("AMQP_URL", "amqps://app@rabbit.internal"),
        plain("DB_HOST", "db.internal"),
        plain("ODD", "a ${PATH} b ${"),
        "            - {name: DATABASE_URL, valueFrom: {secretKeyRef: {name: db, key: url}}}\n".to_owned(),
    ];
    world.write("manifests/orders.yaml", &deployment("orders", &env.concat()));
    let services = r#"{"services": [{"serviceName": "orders", "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/one"},
                       {"serviceName": "orders", "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/two"}]}"#;
    world.write("ecs/services.json", services);
    std::fs::create_dir(world.path("sub")).unwrap();
    let written = world.tool(&["init", "--manifests", "manifests", "--ecs", "ecs", "--config", "sub/new.yaml"]);
    assert_eq!(written.code, 0, "{written:?}");
    let text = std::fs::read_to_string(world.path("sub/new.yaml")).unwrap();
    for part in [
        "address: \"cache.internal:6379\"",
        "address: \"rabbit.internal:5671\", tls: true",
        "address: \"db.internal:3306\"",
        "orders.yaml:15; no port stands there, so it is the usual one; the engine is a guess",
        "DATABASE_URL at ",
        "# \"orders\" is the name of several services; write \"CLUSTER/orders\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let linted = world.tool(&["lint", "--config", "sub/new.yaml"]);
    assert_eq!((linted.code, linted.out.as_str()), (0, ""), "{linted:?}\n{text}");
    world.tool(&["init", "--ecs", "ecs", "--config", "ecs.yaml"]);
    let linted = world.tool(&["lint", "--config", "ecs.yaml"]);
    assert!(linted.code == 0 && linted.err.contains("2 in ECS alone"), "{linted:?}");
}

#[test]
fn a_starter_from_nothing_lints() {
    let world = World::new("");
    let written = world.tool(&["init", "--config", "new.yaml"]);
    let linted = world.tool(&["lint", "--config", "new.yaml"]);
    assert_eq!((written.code, linted.code), (0, 0), "{written:?}\n{linted:?}");
}
