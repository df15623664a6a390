//! Demand from whole inventories, each against the number that a person would work out. The server is a Redis with room
//! for all of them.

use crate::fleet::{Deployment, Fleet};
use crate::lab::Lab;
use crate::{Case, passed, sum, unknown};
use preflight_connections::settings::Scenario;
use preflight_core::Reason;
use preflight_fixtures::servers::Redis;
use serde_json::json;

/// Pools of 5 on the server.
fn env(server: &Redis) -> [(String, String); 2] {
    [
        ("REDIS_URL".to_owned(), format!("redis://{}/0", server.address())),
        ("REDIS_POOL_SIZE".to_owned(), "5".to_owned()),
    ]
}

fn case(server: &Redis) -> Case {
    let observer = server.observer();
    Case::new(json!({
        "engine": "redis", "address": server.address().to_string(), "username": "app",
        "observer": { "username": observer.username, "password": observer.password },
    }))
}

fn one(server: &Redis, spec: &str) -> Deployment {
    let env = env(server);
    Deployment::new(&[(&env[0].0, &env[0].1), (&env[1].0, &env[1].1)]).spec(spec)
}

/// The demand in each scenario.
async fn demand(server: &Redis, fleet: &Fleet) -> [u64; 3] {
    let mut found = [0; 3];
    for (number, scenario) in found.iter_mut().zip(Scenario::ALL) {
        let result = case(server).during(scenario).covers(fleet).await;
        passed(&result);
        *number = sum(&result, "maxclients")[0];
    }
    found
}

#[tokio::test]
async fn an_autoscaler_on_one_side_says_nothing_about_the_other() {
    let server = Lab::redis().await;
    let env = env(&server);
    let env = [(env[0].0.as_str(), env[0].1.as_str()), (env[1].0.as_str(), env[1].1.as_str())];
    let scaled_tasks =
        Fleet::default().service("orders", &env, 3, Some(9)).deployment(&one(&server, "  replicas: 4\n"));
    // 9 tasks and 4 pods; twice as many in a rollout; in the worst case 27 tasks, and 4 + 1 + 4 pods.
    assert_eq!(demand(&server, &scaled_tasks).await, [13 * 5, 26 * 5, (27 + 9) * 5]);
    let scaled_pods = Fleet::default()
        .service("orders", &env, 3, None)
        .deployment(&one(&server, "  replicas: 4\n"))
        .autoscaler("orders", 20);
    assert_eq!(demand(&server, &scaled_pods).await, [23 * 5, 46 * 5, (9 + 45) * 5]);
}

#[tokio::test]
async fn what_governs_the_number_of_pods_decides_about_their_overlap() {
    let server = Lab::redis().await;
    let fleet = |spec: &str| Fleet::default().deployment(&one(&server, spec));
    assert_eq!(demand(&server, &fleet("  replicas: 4\n  strategy: {type: Recreate}\n")).await, [20, 20, 20]);
    let surge = |surge: &str| format!("  replicas: 10\n  strategy: {{rollingUpdate: {{maxSurge: {surge}}}}}\n");
    // 21 % of 10 are 3 pods, not 2.
    assert_eq!(demand(&server, &fleet(&surge("21%"))).await, [50, 100, (10 + 3 + 10) * 5]);
    assert_eq!(demand(&server, &fleet(&surge("0"))).await, [50, 100, 100]);
    assert_eq!(demand(&server, &fleet("  replicas: 4\n  paused: true\n")).await, [20, 40, (4 + 1 + 4) * 5]);
    assert_eq!(demand(&server, &fleet("  replicas: 0\n")).await, [0, 0, 0]);
}

#[tokio::test]
async fn sets_jobs_and_scaled_objects_count_as_what_they_are() {
    let server = Lab::redis().await;
    let env = env(&server);
    let template = format!(
        "template: {{spec: {{containers: [{{name: c, image: i, env: [{{name: REDIS_URL, value: '{}'}}, \
         {{name: REDIS_POOL_SIZE, value: '5'}}]}}]}}}}",
        env[0].1
    );
    let object = |version: &str, kind: &str, spec: &str| {
        Fleet::default().manifest(&format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: orders, namespace: shop}}\nspec: {{{spec}}}\n"
        ))
    };
    let set = object("apps/v1", "StatefulSet", &format!("replicas: 3, {template}"));
    assert_eq!(demand(&server, &set).await, [15, 15, 15]);
    let job = object("batch/v1", "Job", &format!("parallelism: 4, {template}"));
    assert_eq!(demand(&server, &job).await, [20, 20, 20]);
    let cron = format!(
        "schedule: '@daily', concurrencyPolicy: Replace, jobTemplate: {{spec: {{parallelism: 2, {template}}}}}"
    );
    assert_eq!(demand(&server, &object("batch/v1", "CronJob", &cron)).await, [10, 20, 20]);
    let endless = object("batch/v1", "CronJob", &cron.replace("concurrencyPolicy: Replace, ", ""));
    unknown(&case(&server).covers(&endless).await, Reason::InsufficientData, "there is no bound");
    let unknown_kind = object("apps.kruise.io/v1alpha1", "CloneSet", &format!("replicas: 3, {template}"));
    assert_eq!(demand(&server, &unknown_kind).await, [15, 30, 45]);
    let uncounted = object("serving.knative.dev/v1", "Service", &template);
    unknown(&case(&server).covers(&uncounted).await, Reason::InsufficientData, "Service.serving.knative.dev at");
    let daemon = object("apps/v1", "DaemonSet", &template);
    unknown(&case(&server).covers(&daemon).await, Reason::InsufficientData, "the number of nodes is not known");
    let nodes = daemon.manifest("apiVersion: v1\nkind: Node\nmetadata: {name: a}\n");
    let nodes = nodes.manifest("apiVersion: v1\nkind: Node\nmetadata: {name: b}\n");
    assert_eq!(demand(&server, &nodes).await, [10, 20, 20]);
    let keda = Fleet::default().deployment(&one(&server, "  replicas: 1\n")).manifest(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: k, namespace: shop}\nspec: {scaleTargetRef: \
         {name: orders}, maxReplicaCount: 30}\n",
    );
    assert_eq!(demand(&server, &keda).await[..2], [30 * 5, 60 * 5]);
}

#[tokio::test]
async fn a_second_name_of_the_server_hides_a_part_of_the_demand() {
    let server = Lab::redis().await;
    let fleet = Fleet::default().deployment(&one(&server, "  replicas: 4\n"));
    let second = |host: &str| {
        let address = format!("{host}:{}", server.address().port());
        case(&server).beside(json!({ "name": "cache", "address": address }))
    };
    let found = second("localhost").covers(&fleet).await;
    unknown(&found, Reason::InsufficientData, "endpoint cache leads to the same server (127.0.0.1:");
    passed(&second("127.0.0.1").covers(&fleet).await);
}

#[tokio::test]
async fn another_revision_of_a_task_definition_tells_nothing_for_sure() {
    let server = Lab::redis().await;
    let env = env(&server);
    let env = [(env[0].0.as_str(), env[0].1.as_str()), (env[1].0.as_str(), env[1].1.as_str())];
    let of = |revision: u64| {
        let mut fleet = Fleet::default().service("orders", &env, 3, None).deployment(&one(&server, "  replicas: 4\n"));
        fleet.run_revision(revision);
        fleet
    };
    passed(&case(&server).covers(&of(7)).await);
    let found = case(&server).covers(&of(8)).await;
    unknown(&found, Reason::InsufficientData, "(task definition orders:8 is not in the files)");
    passed(&case(&server).uses("orders", Some(5)).covers(&of(8)).await);
}

#[tokio::test]
async fn a_number_that_nobody_wrote_is_not_one() {
    let server = Lab::redis().await;
    let unsaid = Fleet::default().deployment(&one(&server, "  minReadySeconds: 5\n"));
    unknown(&case(&server).covers(&unsaid).await, Reason::InsufficientData, "neither `replicas` nor an autoscaler");
    assert_eq!(demand(&server, &unsaid.autoscaler("orders", 7)).await[..2], [35, 70]);
    // A task definition that no service runs.
    let env = env(&server);
    let environment = json!([{ "name": "REDIS_URL", "value": env[0].1 }, { "name": "REDIS_POOL_SIZE", "value": "5" }]);
    let container = json!({ "name": "c", "image": "i", "environment": environment });
    let alone = Fleet::default().ecs(json!({ "family": "orders", "containerDefinitions": [container] }));
    unknown(&case(&server).covers(&alone).await, Reason::InsufficientData, "the number of tasks is not known");
}

#[tokio::test]
async fn the_processes_of_every_container_multiply_its_pool() {
    let server = Lab::redis().await;
    let workers = |command: &str| Deployment {
        container: format!("        command: {command}\n"),
        ..one(&server, "  replicas: 2\n  strategy: {type: Recreate}\n")
    };
    let fleet = |command| Fleet::default().deployment(&workers(command));
    assert_eq!(demand(&server, &fleet("[gunicorn, --workers=4, app]")).await[0], 2 * 4 * 5);
    assert_eq!(demand(&server, &fleet("[sh, -c, 'exec gunicorn -w 3 app']")).await[0], 2 * 3 * 5);
    let unread = fleet("[sh, -c, 'exec gunicorn -w $WORKERS app']");
    unknown(&case(&server).covers(&unread).await, Reason::InsufficientData, "the number of its processes is not known");
}

#[tokio::test]
async fn services_whose_autoscaling_was_not_read_are_no_reason_to_pass() {
    let server = Lab::redis().await;
    let env = env(&server);
    let env = [(env[0].0.as_str(), env[0].1.as_str()), (env[1].0.as_str(), env[1].1.as_str())];
    let fleet = Fleet::default().service("orders", &env, 3, None);
    unknown(&case(&server).covers(&fleet).await, Reason::InsufficientData, "orders (ecs): found in ECS and not in EKS");
    let fleet = fleet.staying("orders");
    assert_eq!(demand(&server, &fleet).await[..2], [15, 30], "an empty list is one");
    let found = case(&server).covers(&fleet.without_targets()).await;
    unknown(
        &found,
        Reason::InsufficientData,
        "orders (ecs): nobody tells how far autoscaling may raise `desiredCount`",
    );
    assert!(found.observed.contains("describe-scalable-targets --service-namespace ecs"), "{found:#?}");
    // It does not matter where no service uses the server.
    let pods = Fleet::default().deployment(&one(&server, "  replicas: 4\n")).service("mail", &[("A", "1")], 3, None);
    assert_eq!(demand(&server, &pods.without_targets()).await[..2], [20, 40]);
}

#[tokio::test]
async fn an_autoscaler_of_a_workload_that_is_not_in_the_files_is_no_reason_to_pass() {
    let server = Lab::redis().await;
    let fleet = Fleet::default().deployment(&one(&server, "  replicas: 4\n"));
    let stray = fleet.clone().autoscaler("order", 9);
    let expected = "shop/HorizontalPodAutoscaler/order scales shop/Deployment/order, which is not in the manifests";
    unknown(&case(&server).covers(&stray).await, Reason::InsufficientData, expected);
    let target =
        |cluster| json!({ "ScalableTargets": [{ "ResourceId": format!("service/{cluster}/gone"), "MaxCapacity": 9 }] });
    let tasks = fleet.service("mail", &[("A", "1")], 1, None);
    unknown(
        &case(&server).covers(&tasks.clone().ecs(target("shop"))).await,
        Reason::InsufficientData,
        "a target for service shop/gone",
    );
    passed(&case(&server).covers(&tasks.ecs(target("of-somebody-else"))).await);
}

#[tokio::test]
async fn an_autoscaler_of_an_unknown_kind_makes_its_workload_unclear_and_no_other() {
    let server = Lab::redis().await;
    let scaler = |name: &str| {
        format!(
            "apiVersion: datadoghq.com/v1alpha1\nkind: WatermarkPodAutoscaler\nmetadata: {{name: w, namespace: shop}}\n\
             spec: {{scaleTargetRef: {{kind: Deployment, name: {name}}}, maxReplicas: 40}}\n"
        )
    };
    let other = Deployment { name: "mail", ..Deployment::new(&[("LEVEL", "info")]) };
    let fleet = Fleet::default().deployment(&one(&server, "  replicas: 4\n")).deployment(&other);
    let found = case(&server).covers(&fleet.clone().manifest(&scaler("orders"))).await;
    unknown(&found, Reason::InsufficientData, "orders (eks): shop/WatermarkPodAutoscaler/w at");
    passed(&case(&server).covers(&fleet.manifest(&scaler("mail"))).await);
}

#[tokio::test]
async fn a_service_that_is_another_name_for_the_server_names_it() {
    let server = Lab::redis().await;
    let port = server.address().port();
    let host = server.address().ip();
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: cache, namespace: shop}}\nspec: {{type: ExternalName, \
         externalName: '{host}'}}\n"
    );
    let workload =
        Deployment::new(&[("REDIS_URL", &format!("redis://cache.shop.svc:{port}/0")), ("REDIS_POOL_SIZE", "5")]);
    let fleet = Fleet::default().deployment(&workload.spec("  replicas: 2\n"));
    let known = case(&server).covers(&fleet.clone().manifest(&service)).await;
    passed(&known);
    assert_eq!(sum(&known, "maxclients")[0], 4 * 5);
    unknown(&case(&server).covers(&fleet).await, Reason::InsufficientData, "");
}

#[tokio::test]
async fn who_may_use_the_server_unseen_is_no_reason_to_pass_and_who_is_not_seen_is_named() {
    let server = Lab::redis().await;
    let job = |container: &str| {
        Fleet::default().deployment(&one(&server, "  replicas: 2\n")).deployment(&Deployment {
            name: "job",
            container: container.to_owned(),
            ..Deployment::new(&[("LEVEL", "info")])
        })
    };
    let plain = case(&server).covers(&job("")).await;
    passed(&plain);
    let notes: Vec<&str> = plain.evidence.iter().map(|one| one.detail.as_str()).collect();
    assert!(notes.contains(&"not seen to use it, and not counted: job (eks)"), "{notes:?}");
    let hidden = job("        envFrom: [{secretRef: {name: job}}]\n");
    let found = case(&server).covers(&hidden).await;
    unknown(&found, Reason::InsufficientData, "job (eks): the variables `*` at");
    passed(&case(&server).uses_nothing("job").covers(&hidden).await);
    let told = case(&server).uses("job", Some(3)).covers(&hidden).await;
    passed(&told);
    assert_eq!(sum(&told, "maxclients")[0], 4 * 5 + 4 * 3);
}
