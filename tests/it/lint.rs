//! What `lint` finds, and what it does without.

use crate::tool::{Ran, World};

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: orders, namespace: shop}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: a}}\n  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: app, image: i}]}}\n";

const SERVICE: &str = r#"{"services": [{"serviceName": "orders", "desiredCount": 2}], "ScalableTargets": []}"#;

/// A world with one workload on both sides.
fn world(config: &str) -> World {
    let world = World::new(config);
    world.write("rendered/orders.yaml", DEPLOYMENT);
    world.write("ecs/services.json", SERVICE);
    world
}

/// Whether a run ends with 2, says each of these and puts nothing on standard output.
#[track_caller]
fn refuses(ran: &Ran, texts: &[&str]) {
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    for text in texts {
        assert!(ran.err.contains(text), "{text} is missing in:\n{}", ran.err);
    }
}

#[test]
fn lint_says_what_it_read() {
    let world = world("environment: test\nmanifests: [rendered]\necs: [ecs]\n");
    let ran = world.tool(&["lint"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
    let read = "preflight.yaml: no mistake; read 2 files under `manifests` and `ecs`: 1 workloads, 0 in EKS alone, 0 in \
                ECS alone, 1 in both";
    assert!(ran.err.contains(read), "{ran:?}");
}

#[test]
fn files_that_are_not_there_are_said_at_once_each_once_with_line_and_nearest() {
    let world = world(
        "environment: test\nmanifests: [renderd]\necs: [nope]\ncluster: {kubeconfig: kubeconfig}\n\
         workloads: [{name: orders, artifacts: [orders.jar]}]\n\
         endpoints: [{name: db, engine: mysql, address: h, tls: {ca: ca.pem}}]\n",
    );
    let ran = world.tool(&["lint"]);
    refuses(
        &ran,
        &[
            "preflight.yaml:2:13: manifests[0]: `./renderd` is not there; expected a file or directory of rendered \
             manifests; did you mean `rendered`?\n",
            "preflight.yaml:3:7: ecs[0]: `./nope` is not there; expected",
            "preflight.yaml:4:23: cluster.kubeconfig: `./kubeconfig` is not there; expected a kubeconfig file\n",
            "preflight.yaml:5:40: workloads[0].artifacts[0]: `./orders.jar` is not there",
            "preflight.yaml:6:61: endpoints[0].tls.ca: `./ca.pem` is not there",
        ],
    );
    assert!(!ran.err.contains("os error"), "{ran:?}");
    // What a plan needs of these is the inventory alone.
    for arguments in [&["plan", "--to", "async"][..], &["run", "--to", "async"]] {
        let ran = world.tool(arguments);
        refuses(&ran, &["2:13: manifests[0]: `./renderd` is not there", "3:7: ecs[0]: "]);
        assert!(!ran.err.contains("orders.jar"), "{ran:?}");
    }
}

#[test]
fn an_empty_directory_and_an_unreadable_file_have_the_line_that_names_them() {
    let world = world("environment: test\nmanifests:\n  - rendered\n  - empty\n");
    world.write("empty/notes.txt", "");
    refuses(&world.tool(&["lint"]), &["preflight.yaml:4:5: manifests[1]: ./empty: there is no *.yaml"]);
}

#[test]
fn a_mistake_in_a_manifest_has_its_own_file_line_and_column() {
    let world = world("environment: test\nmanifests: [rendered]\n");
    world.write("rendered/orders.yaml", &DEPLOYMENT.replace("replicas: 2", "replicas: many"));
    refuses(&world.tool(&["lint"]), &["./rendered/orders.yaml:5:13: replicas is other text; expected a whole number"]);
}

#[test]
fn a_workload_that_names_nothing_is_shown_where_it_stands_with_the_nearest() {
    let with = |workload: &str| {
        let config = format!("environment: test\nmanifests: [rendered]\necs: [ecs]\nworkloads:\n  - {workload}\n");
        world(&config).tool(&["lint"])
    };
    let text = "preflight.yaml:5:25: workloads[0].eks: workload orders: there is no `shop/Deployment/order` of EKS; \
                the nearest is `shop/Deployment/orders`";
    refuses(&with("{name: orders, eks: shop/Deployment/order}"), &[text]);
    let text = "preflight.yaml:5:25: workloads[0].ecs: workload orders: there is no service or task family `order` of \
                ECS; the nearest is `orders`";
    refuses(&with("{name: orders, ecs: order}"), &[text]);
    refuses(&with("{name: odrers}"), &["preflight.yaml:5:12: workloads[0].name: ", "the nearest is `"]);
}

#[test]
fn a_waiver_that_fits_nothing_is_shown_where_it_stands_with_the_nearest() {
    let config = "environment: test\nendpoints: [{name: cache, engine: redis, address: h}]\nwaivers:\n  - {check: connections.path-admits, subject: cash, owner: a, reason: b, expires: 2099-01-01T00:00:00Z}\n";
    refuses(
        &World::new(config).tool(&["lint"]),
        &["preflight.yaml:4:47: waivers[0].subject: ", "fits nothing in the plan; remove it; did you mean `cache`?"],
    );
}

#[test]
fn an_empty_file_and_a_wrong_number_say_what_was_expected() {
    let lint = |config: &str| World::new(config).tool(&["lint"]);
    refuses(
        &lint(""),
        &["preflight.yaml:1:1: expected a mapping with the keys `environment`,", "`eks-preflight init`"],
    );
    let wrong = "environment: test\nrun: {concurrency: -1}\n";
    refuses(&lint(wrong), &["preflight.yaml:2:20: run.concurrency: expected a whole number from 1 to 64, got `-1`"]);
}

const SECRETS: &str = "environment: test\nendpoints:\n  - {name: db, engine: mysql, address: 'h:1', password: '${LINT_PASSWORD}'}\n  - {name: db2, engine: mysql, address: 'h:2', password: {file: /run/secrets/nowhere}}\n";

#[test]
fn lint_and_plan_need_no_secret_and_name_those_that_a_run_will() {
    let world = World::new(SECRETS);
    let variable = "warning: preflight.yaml:3:57: endpoints[0].password: the variable `LINT_PASSWORD` is not set";
    let file = "warning: preflight.yaml:4:65: endpoints[1].password.file: `/run/secrets/nowhere` is not there";
    for arguments in [&["lint"][..], &["plan", "--to", "async"]] {
        let ran = world.tool(arguments);
        assert!(ran.code == 0 && ran.err.contains(variable) && ran.err.contains(file), "{ran:?}");
    }
    let ran = world.tool(&["run", "--to", "async"]);
    refuses(&ran, &[variable.trim_start_matches("warning: "), file.trim_start_matches("warning: ")]);
    assert!(!world.path("preflight-report.json").exists());
}

#[test]
fn lint_does_without_any_variable_and_a_plan_only_without_secrets() {
    let world = World::new(&SECRETS.replace("'h:1'", "'${LINT_HOST}:3306'"));
    let text = "preflight.yaml:3:40: endpoints[0].address: the variable `LINT_HOST` is not set";
    let ran = world.tool(&["lint"]);
    assert!(ran.code == 0 && ran.err.contains(&format!("warning: {text}")), "{ran:?}");
    refuses(&world.tool(&["plan", "--to", "async"]), &[text]);
    let open = World::new("environment: test\nmanifests: ['${LINT_DIR}']\nworkloads: [{name: orders, eks: a/b/c}]\n");
    let ran = open.tool(&["lint"]);
    assert!(
        ran.code == 0 && ran.err.contains("neither `manifests` nor `ecs` were read, for manifests[0] is open"),
        "{ran:?}"
    );
}
