//! `doctor`: what this tool can reach and may do from here. It logs in where a run would, asks what a run asks first, and
//! writes nothing.

use crate::areas::Areas;
use crate::cli::{Answer, DoctorArgs};
use crate::config::{Loaded, Without};
use crate::deployed::{inventory, is_of_inventory};
use crate::output::{say, say_json};
use crate::rights;
use crate::run::configuration;
use anyhow::Result;
use preflight_cluster::{ClusterAccess, Inventory, connect};
use preflight_connections::Login;
use preflight_connections::settings::Endpoint;
use preflight_core::{CannotTell, Journal, Permission, Right, Scope};
use preflight_report::ExitCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::pin::Pin;
use std::time::Duration;
use tokio::task::JoinSet;

/// The longest that one look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// The longest that all of them may take, which run at the same time.
const ALL_LIMIT: Duration = Duration::from_secs(30);

/// One thing that was looked at.
#[derive(Clone)]
struct Look {
    what: String,
    /// What was seen, or what is wrong and what to do about it.
    seen: Result<String, String>,
}

type Looking = Pin<Box<dyn Future<Output = Vec<Look>> + Send>>;

/// Looks at everything that the configuration names.
pub(crate) async fn doctor(args: &DoctorArgs) -> Result<ExitCode> {
    let loaded = configuration(&args.config.config, Without::Secrets)?;
    let (deployed, inventory) = deployed(&loaded).await;
    let mut found = not_there(&loaded);
    found.push(deployed);
    found.push(state(&args.state.state));
    found.extend(at_once(looks(&loaded, inventory)).await);
    let gaps = found.iter().filter(|look| look.seen.is_err()).count();
    match args.answer.output {
        Answer::Json => say_json(&found.iter().map(as_json).collect::<Value>())?,
        Answer::Text => say(&as_text(&found, gaps))?,
    }
    Ok(if gaps == 0 { ExitCode::Go } else { ExitCode::NoGo })
}

fn as_json(look: &Look) -> Value {
    json!({ "what": look.what, "problem": look.seen.as_ref().err(), "seen": look.seen.as_ref().ok() })
}

fn as_text(found: &[Look], gaps: usize) -> String {
    let mut text = String::new();
    for Look { what, seen } in found {
        match seen {
            Ok(seen) if seen.is_empty() => drop(writeln!(text, "  ok   {what}")),
            Ok(seen) => drop(writeln!(text, "  ok   {what}: {seen}")),
            Err(problem) => drop(writeln!(text, "  GAP  {what}: {problem}")),
        }
    }
    let _ = writeln!(text, "{} looked at, {gaps} gaps", found.len());
    text
}

/// Secrets and files that a run will miss.
fn not_there(loaded: &Loaded) -> Vec<Look> {
    let others = loaded.missing.iter().filter(|mistake| !is_of_inventory(mistake));
    let look = |mistake| Look { what: "the configuration".to_owned(), seen: Err(loaded.said(mistake)) };
    loaded.unset.iter().chain(others).map(look).collect()
}

async fn deployed(loaded: &Loaded) -> (Look, Inventory) {
    let what = "what is deployed".to_owned();
    match inventory(loaded).await {
        Ok(inventory) if inventory.workloads.is_empty() => {
            let problem = "no workload was found; name directories under `manifests` and `ecs`, or namespaces under \
                           `cluster`"
                .to_owned();
            (Look { what, seen: Err(problem) }, inventory)
        }
        Ok(inventory) => (Look { what, seen: Ok(format!("{} workloads", inventory.workloads.len())) }, inventory),
        Err(error) => (Look { what, seen: Err(format!("{error:#}")) }, Inventory::default()),
    }
}

/// Journals must be written before anything is created.
fn state(folder: &std::path::Path) -> Look {
    let probe = folder.join(".doctor");
    let attempt = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe));
    let cannot = |error| format!("cannot be written: {error}; name another one with --state");
    Look {
        what: format!("the folder for journals, `{}`", folder.display()),
        seen: attempt.map(|()| String::new()).map_err(cannot),
    }
}

/// What is looked at over the network.
fn looks(loaded: &Loaded, inventory: Inventory) -> Vec<Looking> {
    let areas = Areas::new(&loaded.config, inventory);
    let rights: BTreeSet<Right> = areas.items().into_iter().flat_map(|(_, item)| item.rights).collect();
    let is_of_cluster = |right: &Right| matches!(right.permission, Permission::Kubernetes { .. });
    let (of_cluster, of_aws): (Vec<Right>, Vec<Right>) = rights.into_iter().partition(is_of_cluster);
    let mut all: Vec<Looking> = vec![];
    for (index, endpoint) in loaded.config.endpoints.iter().enumerate() {
        all.extend(logins(loaded, index, endpoint));
    }
    for consumer in &loaded.config.idempotency.consumers {
        let what = format!("consumer {}", consumer.name);
        let of_endpoints = consumer.endpoints().filter_map(|name| {
            let index = loaded.config.endpoints.iter().position(|endpoint| endpoint.name == name)?;
            without(loaded, &format!("endpoints[{index}]"))
        });
        let missing = of_endpoints.chain(without(loaded, "aws")).next();
        let (consumer, env) = (consumer.clone(), areas.idempotency.clone());
        all.push(look(what, missing, async move { preflight_idempotency::reach(&consumer, &env).await }));
    }
    if !of_aws.is_empty() {
        all.push(aws(loaded, areas.irsa));
    }
    let access = &loaded.config.cluster;
    if access.is_reachable() {
        all.push(Box::pin(cluster(access.clone(), of_cluster)));
    }
    for target in &loaded.config.load.targets {
        for origin in [Some(&target.url), target.production.as_ref()].into_iter().flatten() {
            let what = format!("load target {} ({origin})", target.name);
            let (host, port) = (origin.url().host_str(), origin.url().port_or_known_default());
            let named = || format!("{}:{}", host.unwrap_or_default(), port.unwrap_or_default());
            let address = target.resolve.map_or_else(named, |address| address.to_string());
            all.push(look(what, None, dial(address)));
        }
    }
    all
}

/// Why something below a path of the configuration is not tried: a secret of it is not there.
fn without(loaded: &Loaded, path: &str) -> Option<String> {
    let is_below = |of: &str| of.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    let missing = loaded.unset.iter().find(|mistake| is_below(&mistake.path))?;
    Some(format!("not tried: {}: {}", missing.path, missing.text))
}

fn logins(loaded: &Loaded, index: usize, endpoint: &Endpoint) -> [Looking; 2] {
    let Endpoint { name, engine, address, username, observer, .. } = endpoint;
    let missing = without(loaded, &format!("endpoints[{index}]"));
    let place = format!("endpoint {name} ({engine} at {address})");
    let application = username.as_deref().map_or("without an account".to_owned(), |name| format!("as `{name}`"));
    let reader = observer.as_ref().map_or(application.clone(), |observer| format!("as `{}`", observer.username));
    let login = |what: String, login| {
        let endpoint = endpoint.clone();
        look(what, missing.clone(), async move { preflight_connections::reach(&endpoint, login).await })
    };
    [
        login(format!("{place}, logging in {application}"), Login::Application),
        login(format!("{place}, reading limits {reader}"), Login::Reader),
    ]
}

fn aws(loaded: &Loaded, env: preflight_irsa::Env) -> Looking {
    if let Some(missing) = without(loaded, "aws") {
        return Box::pin(async { vec![Look { what: "AWS".to_owned(), seen: Err(missing) }] });
    }
    Box::pin(async move {
        let fix = "`eks-preflight manifest iam` prints the policy that the plan needs";
        let asked = preflight_irsa::reach(&env, LOOK_LIMIT, &scope()).await;
        let look =
            |(what, seen): preflight_irsa::Asked| Look { what, seen: seen.map_err(|why| format!("{why}; {fix}")) };
        asked.into_iter().map(look).collect()
    })
}

/// Connects to the cluster and asks for every right that a plan needs.
async fn cluster(access: ClusterAccess, rights: Vec<Right>) -> Vec<Look> {
    let what = format!("cluster {}", access.name.as_deref().unwrap_or("of the kubeconfig"));
    let gap = |why: String| vec![Look { what: what.clone(), seen: Err(why) }];
    let scope = scope();
    let client = match scope.within(LOOK_LIMIT, "connecting to the cluster", connect(&access)).await {
        Ok(Ok(client)) => client,
        Ok(Err(why)) | Err(why) => return gap(format!("{why}; correct `cluster` in the configuration")),
    };
    // Whoever needs no right is answered about any.
    let any = Right::kubernetes("get", "", "serviceaccounts", "default", "default");
    let asked = if rights.is_empty() { vec![any] } else { rights.clone() };
    let answers = tokio::time::timeout(LOOK_LIMIT, rights::answers(&client, asked.clone(), &scope)).await;
    let answers = answers.unwrap_or_default();
    let unanswered = asked.iter().find_map(|right| match answers.get(right) {
        Some(Ok(_)) => None,
        Some(Err(why)) => Some(why.to_string()),
        None => Some(format!("no answer within {} s", LOOK_LIMIT.as_secs())),
    });
    if let Some(why) = unanswered {
        return gap(format!("{why}; check the kubeconfig's server and credentials, and the way from here"));
    }
    let lacking = rights.iter().filter(|right| matches!(answers.get(right), Some(Ok(false))));
    let lacking: Vec<Look> = lacking
        .map(|right| Look {
            what: format!("{what}: {}", rights::named(right)),
            seen: Err(
                "this is not allowed; `eks-preflight manifest rbac` prints the Role that the plan needs".to_owned()
            ),
        })
        .collect();
    let granted = format!("it answers, and grants {} of {} rights", rights.len() - lacking.len(), rights.len());
    [vec![Look { what, seen: Ok(granted) }], lacking].concat()
}

async fn dial(address: String) -> Result<String, CannotTell> {
    let fix = "check the address, and what network policies and security groups admit from here";
    match tokio::net::TcpStream::connect(&address).await {
        Ok(_) => Ok(format!("{address} accepts connections")),
        Err(error) => Err(CannotTell::unreachable(format!("{address}: {error}; {fix}"))),
    }
}

/// One look that ends in time, or the reason why it is not taken.
fn look(
    what: String,
    missing: Option<String>,
    work: impl Future<Output = Result<String, CannotTell>> + Send + 'static,
) -> Looking {
    Box::pin(async move {
        let seen = match missing {
            Some(missing) => Err(missing),
            None => match tokio::time::timeout(LOOK_LIMIT, work).await {
                Ok(seen) => seen.map_err(|why| why.to_string()),
                Err(_) => Err(format!(
                    "no answer within {} s; packets may be dropped on the way, or the server is busy",
                    LOOK_LIMIT.as_secs()
                )),
            },
        };
        vec![Look { what, seen }]
    })
}

/// Takes all looks at the same time; what they see comes in their order.
async fn at_once(looks: Vec<Looking>) -> Vec<Look> {
    let mut tasks = JoinSet::new();
    for (index, looking) in looks.into_iter().enumerate() {
        tasks.spawn(async move { (index, looking.await) });
    }
    let mut found = tasks.join_all().await;
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().flat_map(|(_, looks)| looks).collect()
}

fn scope() -> Scope {
    Scope::new("doctor", ALL_LIMIT, Journal::in_memory("doctor"), |_, _| ())
}
