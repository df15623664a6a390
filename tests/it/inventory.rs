//! The EKS side read from a cluster's API: what a run, a plan, the manifests and `init` make of it.

use crate::tool::{Ran, World, command};
use preflight_fixtures::aws::{AccessRule, ApiUser, Cluster, Config, IdentityDouble, ServiceAccount};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use tokio::runtime::Runtime;

const ROLE: &str = "arn:aws:iam::111122223333:role/orders";
const BEARER: &str = "bearer-canary";
const UID: &str = "6f1d7c02-1f4e-4a55-9d5f-0d6f4c7f3b21";
const CHECK: &str = "irsa.service-account-annotated";

const CONFIG: &str = r#"
environment: test
aws: {accountId: "111122223333", region: eu-west-1}
cluster: {name: lab, kubeconfig: kubeconfig, namespaces: [shop]}
workloads:
  - {name: orders, eks: shop/Deployment/orders, role: "arn:aws:iam::111122223333:role/orders"}
"#;

/// A cluster with a Deployment, and a configuration that reads it.
struct Shop {
    double: IdentityDouble,
    world: World,
    /// The double lives in it.
    _runtime: Runtime,
}

fn deployment() -> Value {
    let env = json!([{"name": "CACHE_URL", "value": "redis://cache.internal:6380/0"}]);
    let container =
        json!({"name": "app", "image": "orders:1", "env": env, "envFrom": [{"configMapRef": {"name": "common"}}]});
    let template = json!({"metadata": {"labels": {"app": "orders"}},
        "spec": {"serviceAccountName": "orders", "containers": [container]}});
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "orders"}}, "template": template});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec,
        "metadata": {"name": "orders", "namespace": "shop", "resourceVersion": "41"}})
}

fn config_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "common", "namespace": "shop"},
        "data": {"DB_URL": "jdbc:mysql://db.internal:3306/shop"}})
}

impl Shop {
    fn that_denies(rules: &[AccessRule]) -> Self {
        Self::with(rules, deployment())
    }

    fn with(rules: &[AccessRule], deployment: Value) -> Self {
        let user = rules.iter().cloned().fold(ApiUser::new("preflight", BEARER), ApiUser::deny);
        let mut cluster = Cluster::new("lab", "111122223333", "eu-west-1").user(user);
        cluster.uid = Some(UID.to_owned());
        let account = ServiceAccount::new("shop", "orders").role_arn(ROLE);
        let cluster = cluster.service_account(account).object(deployment).object(config_map());
        let runtime = Runtime::new().unwrap();
        let double = runtime.block_on(IdentityDouble::start(Config::new("eu-west-1").cluster(cluster))).unwrap();
        let world = World::new(CONFIG);
        world.write("kubeconfig", &kubeconfig(&double.urls().kubernetes));
        Self { double, world, _runtime: runtime }
    }

    fn run(&self) -> Ran {
        self.world.tool(&["run", "--to", "traffic-1", "--only", CHECK])
    }
}

fn kubeconfig(url: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\nclusters: [{{name: lab, cluster: {{server: '{url}'}}}}]\n\
         users: [{{name: me, user: {{token: {BEARER}}}}}]\n\
         contexts: [{{name: lab, context: {{cluster: lab, user: me, namespace: shop}}}}]\n"
    )
}

/// Every result of a report, as `OUTCOME: REASON` and the text.
fn results(report: &Value) -> Vec<(String, String)> {
    let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let results = report["results"].as_array().unwrap();
    results
        .iter()
        .map(|one| (format!("{}: {}", text(one, "outcome"), text(one, "reason")), text(one, "observed")))
        .collect()
}

#[test]
fn a_run_checks_what_the_cluster_holds_and_its_report_names_the_cluster() {
    let shop = Shop::that_denies(&[]);
    let ran = shop.run();
    let report = shop.world.report();
    let result = report["results"].as_array().unwrap().iter().find(|one| one["check"] == CHECK).unwrap();
    assert_eq!((ran.code, &result["outcome"]), (11, &json!("pass")), "{ran:?} {result:#}");
    let annotation = "shop/ServiceAccount/orders@1 metadata.annotations[eks.amazonaws.com/role-arn]";
    assert_eq!(result["evidence"][0]["ref"], annotation);
    let cluster = json!({"name": "lab", "arn": "", "uid": UID, "version": "v1.33.0-eks-0000000"});
    assert_eq!(report["subject"]["cluster"], cluster);
    assert_eq!(report["subject"]["workloads"][0]["eks"], "shop/Deployment/orders");
    let verified =
        |cluster: &str| shop.world.tool(&["report", "verify", "preflight-report.json", "--cluster", cluster]).code;
    assert_eq!((verified(UID), verified("6f1d7c02")), (11, 30));
}

#[test]
fn an_odd_object_of_the_cluster_is_no_mistake_in_the_configuration() {
    let mut odd = deployment();
    odd["spec"]["replicas"] = json!("many");
    let shop = Shop::with(&[], odd);
    // There is a file that could be meant.
    shop.world.write("ecs/services.json", r#"{"services": [{"serviceName": "orders", "desiredCount": 2}]}"#);
    shop.world.write("preflight.yaml", &format!("{CONFIG}ecs: [ecs]\n"));
    for arguments in [&["plan", "--to", "traffic-1"][..], &["run", "--to", "traffic-1"]] {
        let ran = shop.world.tool(arguments);
        assert!([11, 20].contains(&ran.code) && ran.err.contains("replicas is other text"), "{ran:?}");
    }
}

#[test]
fn what_may_not_be_read_leaves_every_check_open_and_none_passed() {
    let denied = [
        AccessRule::new("list", "apps", "deployments").namespace("shop"),
        AccessRule::new("list", "", "pods").namespace("shop"),
    ];
    let shop = Shop::that_denies(&denied);
    shop.world.write("preflight-report.json", r#"{"schema": "eks-preflight/report/v1"}"#);
    let ran = shop.world.tool(&["run", "--to", "traffic-1"]);
    assert_eq!(ran.code, 11, "{ran:?}");
    let report = shop.world.report();
    assert_eq!((&report["summary"]["verdict"], &report["subject"]["workloads"]), (&json!("inconclusive"), &json!([])));
    let items = report["plan"]["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["level"] == "required"), "{items:?}");
    let results = results(&report);
    assert!(results.len() >= 6, "{results:?}");
    let missing = "does not allow this tool to list deployments.apps, pods in the namespace shop";
    for (outcome, text) in results {
        assert_eq!(outcome, "unknown: forbidden", "{text}");
        assert!(text.contains(missing) && text.contains("manifest rbac"), "{text}");
    }
    for arguments in [&["plan", "--to", "traffic-1"][..], &["manifest", "rbac", "--to", "traffic-1"]] {
        let ran = shop.world.tool(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (20, ""), "{ran:?}");
        assert!(ran.err.contains(missing), "{ran:?}");
    }
    let doctor = shop.world.tool(&["doctor"]);
    assert!(doctor.code == 10 && doctor.out.contains("GAP  what is deployed"), "{doctor:?}");
    assert!(doctor.out.contains(missing), "{doctor:?}");
}

#[test]
fn a_cluster_that_grants_nothing_is_not_reached() {
    let shop = Shop::that_denies(&[AccessRule::new("*", "*", "*")]);
    let ran = shop.run();
    assert_eq!(ran.code, 20, "{ran:?}");
}

/// A server that takes every command for a PING.
fn redis() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut bytes) {
                    let commands = bytes[..read].iter().filter(|byte| **byte == b'*').count();
                    if stream.write_all("+PONG\r\n".repeat(commands).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn what_the_configuration_alone_decides_runs_where_the_cluster_may_not_be_read() {
    let shop = Shop::that_denies(&[AccessRule::new("list", "", "serviceaccounts").namespace("shop")]);
    let waiver = |check: &str, subject: &str| {
        format!("  - {{check: {check}, subject: {subject}, owner: me, reason: r, expires: '2099-01-01T00:00:00Z'}}\n")
    };
    let config = format!(
        "{CONFIG}endpoints: [{{name: cache, engine: redis, address: '{}'}}]\nwaivers:\n{}{}",
        redis(),
        waiver("irsa.trust-allows", "orders"),
        waiver(CHECK, "everything")
    );
    shop.world.write("preflight.yaml", &config);
    let open = |arguments: &[&str]| {
        let ran = shop.world.tool(&[&["run", "--to", "traffic-1"], arguments].concat());
        assert_eq!(ran.code, 11, "{ran:?}");
        let report = shop.world.report();
        let of = |one: &Value| format!("{} ({})", one["check"].as_str().unwrap(), one["subject"].as_str().unwrap());
        let all = report["results"].as_array().unwrap();
        let that = |outcome: &str| all.iter().filter(|one| one["outcome"] == outcome).map(of).collect::<Vec<_>>();
        assert_eq!(report["config"]["waivers"], json!([]), "nobody knows whether it fits");
        (that("pass"), that("unknown"), all.len())
    };
    let admits = vec!["connections.path-admits (cache)".to_owned()];
    let (passed, unknown, all) = open(&[]);
    assert_eq!((passed, unknown.len()), (admits.clone(), all - 1));
    assert!(unknown.contains(&"connections.limit-covers-demand (everything)".to_owned()), "{unknown:?}");
    assert_eq!(open(&["--only", "connections.path-admits:cache"]), (admits, vec![], all));
    // The workload and the target may be among those that nobody could read.
    let (passed, unknown, _) = open(&["--only", "irsa.trust-allows:orders", "--consent", "shop"]);
    assert_eq!((passed, unknown), (vec![], vec!["irsa.trust-allows (everything)".to_owned()]));
}

#[test]
fn a_cluster_that_does_not_answer_leaves_every_check_open() {
    let shop = Shop::that_denies(&[]);
    // A port that nobody listens on.
    let url = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    shop.world.write("kubeconfig", &kubeconfig(&url));
    let ran = shop.world.tool(&["run", "--to", "traffic-1"]);
    assert_eq!(ran.code, 20, "{ran:?}");
    assert!(results(&shop.world.report()).iter().all(|(outcome, _)| outcome == "unknown: unreachable"), "{ran:?}");
}

#[test]
fn a_run_that_is_stopped_while_it_reads_still_writes_its_report() {
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new(CONFIG);
    world.write("kubeconfig", &kubeconfig(&format!("http://{}", silent.local_addr().unwrap())));
    let mut tool = command(&world.path("."));
    let tool = tool.args(["run", "--to", "traffic-1"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let asked = silent.accept().unwrap();
    let sent = Command::new("kill").args(["-s", "TERM", &tool.id().to_string()]).status().unwrap();
    let ran = Ran::of(tool.wait_with_output().unwrap());
    drop(asked);
    assert!(sent.success() && ran.code == 21, "{ran:?}");
    let report = world.report();
    assert_eq!(report["summary"]["verdict"], "inconclusive");
    assert!(results(&report).iter().all(|(outcome, _)| outcome == "unknown: interrupted"), "{report:#}");
}

#[test]
fn lint_asks_nobody() {
    let shop = Shop::that_denies(&[]);
    let ran = shop.world.tool(&["lint"]);
    assert!(ran.code == 0 && ran.err.contains("no mistake; what runs in EKS is in the cluster"), "{ran:?}");
    assert_eq!(shop.double.handle().requests().len(), 0);
}

#[test]
fn the_generated_rights_are_those_that_reading_takes() {
    let shop = Shop::that_denies(&[]);
    let ran = shop.world.tool(&["manifest", "rbac", "--to", "traffic-1", "--only", CHECK, "--output", "json"]);
    let documents = ran.json()["items"].as_array().unwrap().clone();
    let rules = |kind: &str, namespace: Value| {
        let fits = |one: &&Value| one["kind"] == kind && one["metadata"]["namespace"] == namespace;
        documents.iter().find(fits).map(|one| one["rules"].clone()).unwrap_or_default()
    };
    let rule = |group: &str, resource: &str, verb: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
    let named = |resource: &str, name: &str| json!({"apiGroups": [""], "resources": [resource], "resourceNames": [name], "verbs": ["get"]});
    assert_eq!(rules("ClusterRole", Value::Null), json!([named("namespaces", "kube-system")]));
    let in_shop = [
        named("configmaps", "common"),
        named("namespaces", "shop"),
        rule("", "pods", "list"),
        rule("", "replicationcontrollers", "list"),
        rule("", "serviceaccounts", "list"),
        rule("", "services", "list"),
        rule("apps", "daemonsets", "list"),
        rule("apps", "deployments", "list"),
        rule("apps", "replicasets", "list"),
        rule("apps", "statefulsets", "list"),
        rule("autoscaling", "horizontalpodautoscalers", "list"),
        rule("batch", "cronjobs", "list"),
        rule("batch", "jobs", "list"),
    ];
    assert_eq!(rules("Role", json!("shop")), json!(in_shop));
}

#[test]
fn init_writes_from_the_cluster_what_it_writes_from_the_same_manifests() {
    let shop = Shop::that_denies(&[]);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "orders", "namespace": "shop", "annotations": {"eks.amazonaws.com/role-arn": ROLE}}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [deployment(), config_map(), account]});
    shop.world.write("rendered/all.json", &list.to_string());
    let from_files = shop.world.tool(&["init", "--manifests", "rendered", "--config", "-"]);
    let live = shop.world.tool(&["init", "--cluster", "--kubeconfig", "kubeconfig", "--config", "live.yaml"]);
    assert_eq!((from_files.code, live.code), (0, 0), "{from_files:?} {live:?}");
    let text = std::fs::read_to_string(shop.world.path("live.yaml")).unwrap();
    let source = format!("\ncluster: {{kubeconfig: \"kubeconfig\", uid: \"{UID}\", namespaces: [\"shop\"]}}\n");
    assert!(text.contains(&source), "{text}");
    assert!(text.contains("eks: \"shop/Deployment/orders\", role:") && text.contains("\"db.internal:3306\""), "{text}");
    let same = |text: &str| {
        let source = ["# What runs in EKS is read", "cluster: ", "# cluster: ", "manifests: ", "  # seen at "];
        let lines = text.lines().filter(|line| !source.iter().any(|start| line.starts_with(start)) && !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(same(&text), same(&from_files.out));
    assert_eq!(shop.world.tool(&["lint", "--config", "live.yaml"]).code, 0);
    assert_eq!(shop.world.tool(&["plan", "--to", "traffic-1", "--config", "live.yaml"]).code, 0);
    let neither = shop.world.tool(&["init", "--namespace", "shop", "--config", "-"]);
    assert!(neither.code == 2 && neither.err.contains("add --cluster"), "{neither:?}");
    let both = shop.world.tool(&["init", "--cluster", "--manifests", "rendered", "--config", "-"]);
    assert_eq!(both.code, 2, "{both:?}");
}
