//! `doctor`: what this tool can reach and read from here. It opens one connection to each target and speaks no protocol.

use crate::cli::{Answer, DoctorArgs};
use crate::config::Loaded;
use crate::output::{say, say_json};
use crate::run::{configuration, inventory};
use anyhow::Result;
use preflight_report::ExitCode;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// How long a target may take to answer a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// One thing that was looked at.
struct Gap {
    what: String,
    /// What is wrong and what to do about it; nothing if all is well.
    problem: Option<String>,
}

/// Looks at everything that the configuration names.
pub(crate) async fn doctor(args: &DoctorArgs) -> Result<ExitCode> {
    let loaded = configuration(&args.config.config)?;
    let mut found = vec![];
    found.push(deployed(&loaded).await);
    found.push(state(&args.state.state));
    let targets = targets(&loaded);
    found.extend(futures_of(targets).await);
    let gaps = found.iter().filter(|one| one.problem.is_some()).count();
    match args.answer.output {
        Answer::Json => {
            say_json(&found.iter().map(|one| json!({ "what": one.what, "problem": one.problem })).collect::<Value>())?
        }
        Answer::Text => say(&as_text(&found, gaps))?,
    }
    Ok(if gaps == 0 { ExitCode::Go } else { ExitCode::NoGo })
}

fn as_text(found: &[Gap], gaps: usize) -> String {
    let mut text = String::new();
    for one in found {
        match &one.problem {
            None => drop(writeln!(text, "  ok   {}", one.what)),
            Some(problem) => drop(writeln!(text, "  GAP  {}: {problem}", one.what)),
        }
    }
    let _ = writeln!(text, "{} looked at, {gaps} gaps", found.len());
    text
}

async fn deployed(loaded: &Loaded) -> Gap {
    let what = "what is deployed".to_owned();
    match inventory(loaded).await {
        Ok(inventory) if inventory.workloads.is_empty() => {
            let problem = "no workload was found; name directories under `manifests` and `ecs`, or namespaces under \
                           `cluster`"
                .to_owned();
            Gap { what, problem: Some(problem) }
        }
        Ok(inventory) => Gap { what: format!("{what}: {} workloads", inventory.workloads.len()), problem: None },
        Err(error) => Gap { what, problem: Some(format!("{error:#}")) },
    }
}

/// Journals must be written before anything is created.
fn state(folder: &std::path::Path) -> Gap {
    let probe = folder.join(".doctor");
    let attempt = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe));
    Gap {
        what: format!("the folder for journals, `{}`", folder.display()),
        problem: attempt.err().map(|error| format!("cannot be written: {error}; name another one with --state")),
    }
}

/// Name, host and port of everything that checks connect to.
fn targets(loaded: &Loaded) -> Vec<(String, String, u16)> {
    let config = &loaded.config;
    let mut all = vec![];
    for endpoint in &config.endpoints {
        if let Some((host, port)) = endpoint.host_and_port() {
            all.push((format!("endpoint {} ({} at {})", endpoint.name, endpoint.engine, endpoint.address), host, port));
        }
    }
    let aws = &config.aws.endpoints;
    let urls = [("STS", &aws.sts), ("IAM", &aws.iam), ("EKS", &aws.eks), ("SQS", &aws.sqs)];
    for (name, url) in urls {
        let parsed = url.as_deref().and_then(|url| url::Url::parse(url).ok());
        if let Some((host, port)) =
            parsed.and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)))
        {
            all.push((format!("{name} at {host}:{port}"), host, port));
        }
    }
    all
}

async fn futures_of(targets: Vec<(String, String, u16)>) -> Vec<Gap> {
    let mut tasks = tokio::task::JoinSet::new();
    for (index, (what, host, port)) in targets.into_iter().enumerate() {
        tasks.spawn(async move { (index, reach(what, &host, port).await) });
    }
    let mut found = tasks.join_all().await;
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, gap)| gap).collect()
}

async fn reach(what: String, host: &str, port: u16) -> Gap {
    let connecting = tokio::net::TcpStream::connect((host, port));
    let problem = match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(format!("{error}; check the address, the network policy and the security group")),
        Err(_) => Some(format!("no answer within {} s; packets may be dropped on the way", CONNECT_LIMIT.as_secs())),
    };
    Gap { what, problem }
}
