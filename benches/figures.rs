//! The figures that the issues name: start-up, a large run in manifests mode with live reads, the size of the program.
//! `make bench` prints each beside its target, and fails where one is missed. A build for tests is held to multiples of
//! them: it shows what grew with the square of something, and no more.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "it measures and prints")]

use anyhow::{Context, Result, ensure};
use preflight_fixtures::aws::{Cluster, Config, IdentityDouble, ServiceAccount};
use preflight_fixtures::servers::{Redis, RedisOptions};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "tests use the rest of it")]
#[path = "../tests/it/tool.rs"]
mod tool;

#[path = "../tests/cluster/measure.rs"]
mod measure;

const TOOL: &str = env!("CARGO_BIN_EXE_eks-preflight");
const WORKLOADS: usize = 200;
const ENDPOINTS: usize = 20;
const LIVE_WORKLOADS: usize = 1_000;

/// How much more a build for tests may take: of time, and of memory.
const SLACK: [f64; 2] = if cfg!(debug_assertions) { [8.0, 1.5] } else { [1.0, 1.0] };

/// Fails where a figure is above its target.
fn hold(what: &str, figure: f64, target: f64) -> Result<()> {
    ensure!(figure <= target, "{what}: {figure:.2}, and {target:.2} is the limit of this build");
    Ok(())
}

fn main() -> Result<()> {
    let bytes = std::fs::metadata(TOOL).context("the program")?.len();
    println!("size of the program: {:.1} MB", bytes as f64 / 1e6);
    let (tool, nothing) = (startup(TOOL, &["--version"])?, startup("/bin/true", &[])?);
    println!(
        "start-up (--version): {:.1} ms, {:.1} times that of /bin/true ({:.1} ms); target 20 ms",
        tool.as_secs_f64() * 1e3,
        tool.as_secs_f64() / nothing.as_secs_f64(),
        nothing.as_secs_f64() * 1e3
    );
    hold("start-up in ms", tool.as_secs_f64() * 1e3, 20.0 * SLACK[0])?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(large_run())?;
    large_cluster(&runtime)
}

/// 1,000 Deployments with two pods, a ReplicaSet and a ServiceAccount each, read from an API server.
fn large_cluster(runtime: &tokio::runtime::Runtime) -> Result<()> {
    let mut cluster = Cluster::new("bench", "111122223333", "eu-west-1");
    for index in 0..LIVE_WORKLOADS {
        let name = format!("service-{index:04}");
        cluster =
            cluster.service_account(ServiceAccount::new("shop", &name).role_arn("arn:aws:iam::111122223333:role/a"));
        for object in with_pods(&name) {
            cluster = cluster.object(object);
        }
    }
    let double = runtime.block_on(IdentityDouble::start(Config::new("eu-west-1").cluster(cluster)))?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = serde_json::json!({ "current-context": "a", "users": [],
        "clusters": [{ "name": "a", "cluster": { "server": double.urls().kubernetes } }],
        "contexts": [{ "name": "a", "context": { "cluster": "a", "user": "" } }] });
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string())?;
    let config = "environment: bench\ncluster: {kubeconfig: kubeconfig, namespaces: [shop]}\n";
    std::fs::write(folder.path().join("preflight.yaml"), config)?;
    let (ran, took, peak) =
        measure::measured(tool::command(folder.path()).args(["plan", "--to", "traffic-1", "--output", "json"]));
    let planned = ran.json()["items"].as_array().map_or(0, Vec::len);
    ensure!(ran.code == 0 && planned >= LIVE_WORKLOADS, "{planned} planned; {}", ran.err);
    println!(
        "{LIVE_WORKLOADS} workloads from a cluster's API: {:.2} s and {:.1} MiB; target 3 s and 64 MiB",
        took.as_secs_f64(),
        peak as f64 / f64::from(1 << 20)
    );
    hold("seconds to plan from a cluster", took.as_secs_f64(), 3.0 * SLACK[0])?;
    hold("MiB to plan from a cluster", peak as f64 / f64::from(1 << 20), 64.0 * SLACK[1])
}

/// A Deployment as an API server gives it, with what its controllers made.
fn with_pods(name: &str) -> Vec<serde_json::Value> {
    use serde_json::json;
    let env: Vec<_> = (0..20).map(|n| json!({ "name": format!("VARIABLE_{n}"), "value": "x".repeat(40) })).collect();
    let pod = json!({ "serviceAccountName": name, "containers": [{ "name": "app", "image": "registry.example/app:1", "env": env,
        "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } } }] });
    let template = json!({ "metadata": { "labels": { "app": name } }, "spec": pod });
    let owner =
        |kind: &str, name: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "controller": true }]);
    let metadata = |name: &str| {
        json!({ "name": name, "namespace": "shop", "resourceVersion": "12345",
        "managedFields": [{ "manager": "kubectl", "operation": "Apply", "fieldsV1": { "f:spec": template } }] })
    };
    let set = format!("{name}-5d9c7b");
    let mut objects = vec![
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(name),
            "spec": { "replicas": 2, "selector": { "matchLabels": { "app": name } }, "template": template } }),
        json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata(&set),
            "spec": { "replicas": 2, "template": template } }),
    ];
    objects[1]["metadata"]["ownerReferences"] = owner("Deployment", name);
    for suffix in ["a", "b"] {
        let statuses =
            json!([{ "name": "app", "ready": true, "image": "registry.example/app:1", "imageID": "x".repeat(80) }]);
        let mut made = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata(&format!("{set}-{suffix}")), "spec": pod,
            "status": { "phase": "Running", "containerStatuses": statuses } });
        made["metadata"]["ownerReferences"] = owner("ReplicaSet", &set);
        objects.push(made);
    }
    objects
}

/// The median of fifty starts.
fn startup(program: &str, arguments: &[&str]) -> Result<Duration> {
    let mut times = vec![];
    for _ in 0..50 {
        let start = Instant::now();
        let status = Command::new(program).args(arguments).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "{program} failed");
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

/// 200 workloads on both sides, each connecting to 20 real Redis servers.
async fn large_run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut servers = vec![];
    for index in 0..ENDPOINTS {
        let dir = folder.path().join(format!("redis-{index}"));
        servers.push(Redis::start(&dir, RedisOptions { maxclients: 20_000, ..RedisOptions::default() }).await?);
    }
    write_world(folder.path(), &servers)?;
    let start = Instant::now();
    let output = Command::new(TOOL)
        .args(["run", "--to", "deployed", "--only", "connections.*", "--output", "json", "--report", "report.json"])
        .current_dir(folder.path())
        .output()?;
    let took = start.elapsed();
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let passed = report["summary"]["counts"]["outcomes"]["pass"].as_u64().unwrap_or(0);
    let open = report["results"].as_array().and_then(|all| all.iter().find(|one| one["outcome"] != "pass"));
    ensure!(passed == 2 * ENDPOINTS as u64, "{passed} passed; {open:#?}");
    println!(
        "{WORKLOADS} workloads × {ENDPOINTS} endpoints, live reads included: {:.2} s; target 5 s",
        took.as_secs_f64()
    );
    for mut server in servers {
        server.stop().await?;
    }
    hold("seconds of the large run", took.as_secs_f64(), 5.0 * SLACK[0])
}

fn write_world(folder: &Path, servers: &[Redis]) -> Result<()> {
    let mut config = "environment: bench\nmanifests: [manifests]\necs: [ecs]\nendpoints:\n".to_owned();
    let (mut eks_env, mut ecs_env) = (String::new(), vec![]);
    for (index, server) in servers.iter().enumerate() {
        let address = server.address();
        let account = server.observer();
        writeln!(
            config,
            "  - {{name: cache-{index}, engine: redis, address: '{address}', username: {}, password: {}, reserve: 1}}",
            account.username, account.password
        )?;
        write!(
            eks_env,
            "\n            - {{name: CACHE_{index}_REDIS_URL, value: 'redis://{address}/0'}}\n            - {{name: CACHE_{index}_REDIS_LETTUCE_POOL_MAX_ACTIVE, value: '4'}}"
        )?;
        for (name, value) in [("URL", format!("redis://{address}/0")), ("LETTUCE_POOL_MAX_ACTIVE", "4".to_owned())] {
            ecs_env.push(serde_json::json!({ "name": format!("CACHE_{index}_REDIS_{name}"), "value": value }));
        }
    }
    std::fs::write(folder.join("preflight.yaml"), config)?;
    std::fs::create_dir_all(folder.join("manifests"))?;
    std::fs::create_dir_all(folder.join("ecs"))?;
    std::fs::write(folder.join("ecs/scalable-targets.json"), r#"{"ScalableTargets": []}"#)?;
    for index in 0..WORKLOADS {
        let name = format!("service-{index:03}");
        let manifest = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  replicas: 3\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      containers:\n        - name: app\n          image: registry.example/{name}:1\n          env:{eks_env}\n"
        );
        std::fs::write(folder.join(format!("manifests/{name}.yaml")), manifest)?;
        let task = serde_json::json!({ "taskDefinition": { "family": name, "revision": 1,
            "containerDefinitions": [{ "name": "app", "image": format!("registry.example/{name}:1"), "environment": ecs_env }] } });
        std::fs::write(folder.join(format!("ecs/{name}-task.json")), task.to_string())?;
        let service = serde_json::json!({ "services": [{ "serviceName": name, "desiredCount": 3, "taskDefinition": format!("{name}:1") }] });
        std::fs::write(folder.join(format!("ecs/{name}-service.json")), service.to_string())?;
    }
    Ok(())
}
