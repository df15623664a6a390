//! What is read from files as they come out of the tools, and where every value stands.

use super::{data, named};
use preflight_cluster::{
    Container, Controller, EksWorkload, EnvVar, Inventory, Overlap, Sited, Surge, Value, Workload, load,
};

fn inventory() -> Inventory {
    load(
        &[data("manifests")],
        &[data("ecs")],
        &[named("invoices", Some("shop/StatefulSet/billing"), Some("billing-svc"))],
    )
    .unwrap()
}

fn eks<'a>(inventory: &'a Inventory, name: &str) -> &'a EksWorkload {
    inventory.workload(name).and_then(|workload| workload.eks.as_ref()).unwrap()
}

/// The line in the named file.
fn at(file: &str, line: u64) -> String {
    format!("{}:{line}", data(file).display())
}

fn variable<'a>(container: &'a Container, name: &str) -> &'a EnvVar {
    container.env.iter().find(|variable| variable.name == name).unwrap()
}

/// The line on which a text stands, from 1. The lines in the recorded files may move; what a line is may not.
fn line(file: &str, text: &str) -> String {
    let content = std::fs::read_to_string(data(file)).unwrap();
    let lines: Vec<usize> = content.lines().enumerate().filter(|(_, l)| l.contains(text)).map(|(n, _)| n + 1).collect();
    assert_eq!(lines.len(), 1, "{text} stands on {lines:?}");
    at(file, lines[0] as u64)
}

const SHOP: &str = "manifests/shop.yaml";

#[test]
fn every_workload_of_both_sides_is_there_under_its_name() {
    let inventory = inventory();
    let sides = |workload: &Workload| {
        let eks = workload.eks.as_ref().map_or("-".to_owned(), EksWorkload::reference);
        let ecs = workload.ecs.as_ref().map_or("-", |ecs| ecs.service.as_str());
        format!("{}: {eks} {ecs}", workload.name)
    };
    let found: Vec<String> = inventory.workloads.iter().map(sides).collect();
    assert_eq!(
        found,
        [
            "agent: default/DaemonSet/agent -",
            "batch: shop/Deployment/batch -",
            "import-: shop/Job/import- -",
            "invoices: shop/StatefulSet/billing billing-svc",
            "mystery: - mystery",
            "nightly: shop/CronJob/nightly -",
            "orders: shop/Deployment/orders orders",
            "reports: - reports",
            "web: shop/Rollout/web -",
        ]
    );
    assert!(!inventory.is_whole && inventory.nodes.is_none() && inventory.has_scalable_targets);
}

#[test]
fn a_deployment_has_its_numbers_with_their_places() {
    let inventory = inventory();
    let orders = eks(&inventory, "orders");
    let start = line(SHOP, "# Source: shop/templates/orders.yaml");
    let start = format!("{}:{}", data(SHOP).display(), start.rsplit(':').next().unwrap().parse::<u64>().unwrap() + 1);
    assert_eq!(orders.at, start);
    assert_eq!(
        orders.controller,
        Controller::Deployment {
            replicas: None,
            surge: Some(Sited { value: Surge::Count(2), at: line(SHOP, "maxSurge: 2") }),
            waits_for_termination: false,
        }
    );
    let autoscaler = orders.autoscaler.as_ref().unwrap();
    assert_eq!(autoscaler.max, Some(Sited { value: 12, at: line(SHOP, "maxReplicas") }));
    assert_eq!(autoscaler.min, Sited { value: 2, at: line(SHOP, "minReplicas") });
}

#[test]
fn a_pod_has_what_identity_and_connections_depend_on() {
    let inventory = inventory();
    let pod = &eks(&inventory, "orders").pod;
    assert_eq!(pod.service_account, Some(Sited { value: "orders".into(), at: line(SHOP, "serviceAccountName") }));
    assert_eq!(pod.fs_group, Some(Sited { value: 2000, at: line(SHOP, "fsGroup") }));
    assert_eq!(pod.run_as_user, Some(Sited { value: 1000, at: line(SHOP, "runAsUser: 1000") }));
    assert_eq!(pod.grace_s, 45);
    assert_eq!(pod.labels["app"], "orders");
    assert_eq!(pod.annotations["eks.amazonaws.com/skip-containers"], "proxy");
    assert_eq!(pod.volumes[0].tokens, [("sts.amazonaws.com".to_owned(), 86_400, "token".to_owned())]);
    assert!(pod.volumes[1].tokens.is_empty());
    let sidecars: Vec<_> = pod.init_containers.iter().map(|one| (one.name.as_str(), one.is_sidecar)).collect();
    assert_eq!(sidecars, [("migrate", false), ("proxy", true)]);
    let container = &pod.containers[0];
    assert_eq!(container.image, "shop/orders:1.2.3");
    assert_eq!(container.run_as_user.as_ref().unwrap().value, 1001);
    assert_eq!(container.mounts, [("/var/run/token".to_owned(), "token".to_owned())]);
    assert!(container.has_readiness);
    let arguments: Vec<_> = container.arguments.iter().map(|one| one.value.as_str()).collect();
    assert_eq!(arguments, ["java", "-jar", "--spring.rabbitmq.port=5671"]);
    assert_eq!(container.arguments[2].at, line(SHOP, "--spring.rabbitmq.port"));
    assert_eq!(eks(&inventory, "batch").pod.grace_s, 30);
}

#[test]
fn an_environment_is_put_together_as_kubernetes_does_it() {
    let inventory = inventory();
    let container = &eks(&inventory, "orders").pod.containers[0];
    let url = variable(container, "SPRING_DATASOURCE_URL");
    assert_eq!((url.plain(), url.at.clone()), (Some("jdbc:mysql://db.internal:3306/shop"), line(SHOP, "value: jdbc")));
    // What comes later wins, and what comes from a ConfigMap stands in it.
    assert_eq!(variable(container, "LOG_LEVEL").plain(), Some("debug"));
    assert_eq!(container.env.iter().filter(|one| one.name == "LOG_LEVEL").count(), 1);
    let host = variable(container, "SPRING_RABBITMQ_HOST");
    assert_eq!((host.plain(), host.at.clone()), (Some("rabbit.internal"), line(SHOP, "SPRING_RABBITMQ_HOST")));
    // A block begins with its text.
    assert_eq!(variable(container, "application.yaml").at, line(SHOP, "    spring:"));
    assert_eq!(variable(container, "HOST_LEVEL").plain(), Some("info"));
    assert_eq!(variable(container, "EMPTY").plain(), Some(""));
    // An optional key that is known to be absent sets nothing.
    assert!(!container.env.iter().any(|one| one.name == "FEATURE"));
    let value = |name| variable(container, name).value.clone();
    assert_eq!(value("APP_DB_PASSWORD"), Value::Secret("key DB_PASSWORD of Secret database".into()));
    assert_eq!(value("DB_PASSWORD"), Value::Secret("key DB_PASSWORD of Secret database".into()));
    assert_eq!(value("POD_IP"), Value::OfPod("field status.podIP of the running pod".into()));
    assert!(matches!(value("POOL"), Value::Unresolved(why) if why.contains("tuning")));
    let import = &eks(&inventory, "import-").pod.containers[0];
    assert!(import.env.iter().all(EnvVar::is_any) && import.env.len() == 2);
    assert!(matches!(&import.env[0].value, Value::Secret(why) if why.contains("elsewhere")));
}

#[test]
fn every_kind_of_controller_has_the_defaults_of_kubernetes() {
    let inventory = inventory();
    let controller = |name| &eks(&inventory, name).controller;
    assert!(matches!(controller("batch"), Controller::Deployment { surge: None, .. }));
    assert!(matches!(controller("web"), Controller::Deployment { replicas: Some(replicas), surge: Some(surge), .. }
        if replicas.value == 4 && surge.value == Surge::Percent(100)));
    assert!(matches!(controller("agent"), Controller::DaemonSet { surge } if surge.value == Surge::Percent(10)));
    assert!(matches!(controller("nightly"), Controller::CronJob { parallelism, overlap: Overlap::Forbid, .. }
        if parallelism.value == 3));
    assert!(matches!(controller("import-"), Controller::Job { parallelism } if parallelism.value == 1));
    assert!(
        matches!(controller("invoices"), Controller::StatefulSet { replicas: Some(replicas) } if replicas.value == 3)
    );
}

#[test]
fn json_has_lines_and_its_escapes() {
    let inventory = inventory();
    let container = &eks(&inventory, "invoices").pod.containers[0];
    let greeting = variable(container, "GREETING");
    assert_eq!(greeting.plain(), Some("grüß 😀 a/b"));
    assert_eq!(greeting.at, line("manifests/billing.json", "GREETING"));
    assert_eq!(container.at, at("manifests/billing.json", 14));
}

#[test]
fn a_service_account_has_annotations_with_their_places() {
    let inventory = inventory();
    let account = inventory.service_account("shop", "orders").unwrap();
    assert_eq!(
        account.annotations["eks.amazonaws.com/role-arn"],
        Sited { value: "arn:aws:iam::123456789012:role/orders".into(), at: line(SHOP, "role-arn") }
    );
    assert_eq!(account.automount_token, Some(Sited { value: true, at: line(SHOP, "automountServiceAccountToken") }));
}

#[test]
fn a_service_has_its_task_definition_and_its_autoscaling() {
    let inventory = inventory();
    let orders = inventory.workload("orders").unwrap().ecs.as_ref().unwrap();
    let services = |text| line("ecs/services.json", text);
    assert_eq!(orders.desired, Some(Sited { value: 3, at: services("\"desiredCount\": 3") }));
    assert_eq!(orders.maximum_percent, Sited { value: 150, at: services("maximumPercent") });
    assert_eq!(orders.autoscaled_max, Some(Sited { value: 10, at: line("ecs/targets.json", "\"MaxCapacity\": 10") }));
    let definition = orders.task_definition.as_ref().unwrap();
    assert_eq!((definition.value.as_str(), &definition.at), ("orders-task:41", &services("orders-task:41")));
    let task = |text| line("ecs/orders.json", text);
    assert_eq!(
        orders.task_role_arn,
        Some(Sited { value: "arn:aws:iam::123456789012:role/orders".into(), at: task("taskRoleArn") })
    );
    let container = &orders.containers[0];
    let pool = variable(container, "SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE");
    assert_eq!((pool.plain(), &pool.at), (Some("20"), &task("\"value\": \"20\"")));
    assert!(
        matches!(&variable(container, "SPRING_DATASOURCE_PASSWORD").value, Value::Secret(arn) if arn.contains(":ssm:"))
    );
    assert!(matches!(&variable(container, "*").value, Value::Unresolved(why) if why.contains("orders.env")));
    assert_eq!(
        container.arguments.iter().map(|one| one.value.as_str()).collect::<Vec<_>>(),
        ["java", "-jar", "orders.jar"]
    );
    assert_eq!(container.run_as_user.as_ref().unwrap().value, 1000);
    assert_eq!(container.mounts, [("/work".to_owned(), "work".to_owned())]);
    assert!(container.has_readiness);
}

#[test]
fn a_revision_that_is_not_there_is_the_highest_that_is_and_a_note_says_so() {
    let inventory = inventory();
    let billing = inventory.workload("invoices").unwrap().ecs.as_ref().unwrap();
    assert_eq!(billing.task_definition.as_ref().unwrap().value, "billing:8");
    assert_eq!(billing.containers[0].image, "billing:8");
    assert_eq!(billing.maximum_percent.value, 200);
    let reports = inventory.workload("reports").unwrap().ecs.as_ref().unwrap();
    assert!(reports.desired.is_none() && reports.containers.len() == 1);
    let mystery = inventory.workload("mystery").unwrap().ecs.as_ref().unwrap();
    assert!(mystery.containers.is_empty());
}

#[test]
fn what_is_not_understood_is_noted_and_nothing_else() {
    let notes = inventory().notes;
    let expected = [
        "makes or scales pods that this tool does not know",
        "shop/Pod/shop-test is left out: it runs in `helm test` alone",
        "shop/HorizontalPodAutoscaler/gone scales shop/Deployment/gone",
        "gone: MISSING",
        "service old is INACTIVE",
        "table/orders is not the number of tasks",
        "task definition billing:9 of service billing-svc is not in the files; billing:8",
        "task definition mystery:1 of service mystery is not in the files; its containers are not known",
    ];
    for text in expected {
        assert_eq!(notes.iter().filter(|note| note.contains(text)).count(), 1, "{text}: {notes:#?}");
    }
    assert_eq!(notes.len(), expected.len(), "{notes:#?}");
}

#[test]
fn every_file_is_listed_with_its_digest_and_no_secret_is_kept() {
    let inventory = inventory();
    let names: Vec<&str> = inventory.sources.iter().map(|source| source.path.rsplit('/').next().unwrap()).collect();
    let expected =
        ["billing.json", "jobs.yml", "shop.yaml", "orders.json", "registered.json", "services.json", "targets.json"];
    assert_eq!(names, expected);
    let bytes = std::fs::read(data(SHOP)).unwrap();
    assert_eq!(inventory.sources[2].sha256, preflight_report::sha256_hex(&bytes));
    assert!(!format!("{inventory:?}").contains("canary-kubernetes-secret"));
}

#[test]
fn what_a_live_cluster_prints_is_one_workload_and_not_its_pods() {
    let inventory = load(&[data("live")], &[], &[]).unwrap();
    let found: Vec<String> =
        inventory.workloads.iter().filter_map(|one| one.eks.as_ref()).map(EksWorkload::reference).collect();
    assert_eq!(found, ["shop/CloneSet/clone", "shop/Pod/debug", "shop/Deployment/orders"]);
    assert_eq!(inventory.nodes, Some(2));
    let orders = eks(&inventory, "orders");
    assert_eq!(variable(&orders.pod.containers[0], "DB_PORT").at, line("live/get.yaml", "\"3306\""));
    assert!(matches!(&orders.controller, Controller::Deployment { replicas: Some(replicas), surge: Some(surge), .. }
        if replicas.value == 2 && surge.value == Surge::Percent(25)));
    // Its pods are known, and itself is not.
    assert!(matches!(&eks(&inventory, "clone").controller, Controller::Unknown { replicas: Some(replicas) }
        if replicas.value == 1));
    assert_eq!(inventory.notes.len(), 1, "{:?}", inventory.notes);
    assert!(inventory.notes[0].contains(
        "belongs to shop/CloneSet/clone, which is not in the manifests or not known; as many pods as there are now, 1,"
    ));
}
