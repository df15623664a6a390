//! The figures that the issues name: start-up, a large run in manifests mode with live reads, the size of the program.
//! `make bench` prints them; each beside its target.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures and prints")]

use anyhow::{Context, Result, ensure};
use preflight_fixtures::servers::{Redis, RedisOptions};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TOOL: &str = env!("CARGO_BIN_EXE_eks-preflight");
const WORKLOADS: usize = 200;
const ENDPOINTS: usize = 20;

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
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(large_run())
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
    ensure!(passed == 2 * ENDPOINTS as u64, "{passed} passed; {}", report["summary"]);
    println!(
        "{WORKLOADS} workloads × {ENDPOINTS} endpoints, live reads included: {:.2} s; target 5 s",
        took.as_secs_f64()
    );
    for mut server in servers {
        server.stop().await?;
    }
    Ok(())
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
        ecs_env.push(
            serde_json::json!({ "name": format!("CACHE_{index}_REDIS_URL"), "value": format!("redis://{address}/0") }),
        );
    }
    std::fs::write(folder.join("preflight.yaml"), config)?;
    std::fs::create_dir_all(folder.join("manifests"))?;
    std::fs::create_dir_all(folder.join("ecs"))?;
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
