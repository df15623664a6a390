//! `init`: a commented starter configuration from what manifests or a cluster, and task definitions tell.

mod servers;

use crate::cli::InitArgs;
use crate::output::{complain, say};
use anyhow::{Result, bail};
use preflight_cluster::{ClusterAccess, Inventory, InventoryError, Workload, as_kubectl, connect, load_live};
use preflight_report::ExitCode;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The annotation of IRSA.
const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";

/// Writes a configuration, and never over one that is there.
pub(crate) async fn init(args: &InitArgs) -> Result<ExitCode> {
    let (inventory, source) = found(args).await?;
    let text = starter(args, &source, &inventory);
    if args.config == Path::new("-") {
        say(&text)?;
        return Ok(ExitCode::Go);
    }
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&args.config) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("`{}` is there already and was kept; `--config -` prints instead", args.config.display());
        }
        Err(error) => bail!("writing `{}`: {error}", args.config.display()),
    };
    file.write_all(text.as_bytes())?;
    for note in &inventory.notes {
        complain(&format!("note: {note}"));
    }
    complain(&format!(
        "wrote `{}`: {} workloads; fill in what is marked, then run `eks-preflight lint`",
        args.config.display(),
        inventory.workloads.len()
    ));
    Ok(ExitCode::Go)
}

/// What runs, and what the configuration says about where that was found.
async fn found(args: &InitArgs) -> Result<(Inventory, String)> {
    let mut source = String::new();
    if !args.cluster {
        if !args.namespace.is_empty() {
            bail!("--namespace: there are namespaces in a cluster; add --cluster");
        }
        source.push_str("# cluster: {name: shop, kubeconfig: kubeconfig.yaml}\n\n");
        list(&mut source, "manifests", args, &args.manifests);
        return Ok((preflight_cluster::load(&args.manifests, &args.ecs, &[])?, source));
    }
    let (kubeconfig, context) = (args.kubeconfig.clone(), args.context.clone());
    let mut access = as_kubectl(ClusterAccess { kubeconfig, context, ..ClusterAccess::default() })?;
    let client = connect(&access).await.map_err(InventoryError::Unread)?;
    let own = || vec![client.default_namespace().to_owned()];
    access.namespaces = if args.namespace.is_empty() { own() } else { args.namespace.clone() };
    let inventory = load_live(&client, &access, &args.ecs, &[]).await?;
    let mut parts: Vec<String> = vec![];
    parts.extend(access.kubeconfig.map(|path| format!("kubeconfig: {}", in_config(args, &path))));
    parts.extend(access.context.map(|context| format!("context: {}", quoted(&context))));
    parts.extend(access.in_cluster.then(|| "inCluster: true".to_owned()));
    parts.extend(inventory.cluster.as_ref().map(|seen| format!("uid: {}", quoted(&seen.uid))));
    let namespaces = access.namespaces.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    parts.push(format!("namespaces: [{namespaces}]"));
    let _ = writeln!(source, "# What runs in EKS is read from there; add its name in EKS, `name`.");
    let _ = writeln!(source, "cluster: {{{}}}\n", parts.join(", "));
    Ok((inventory, source))
}

fn starter(args: &InitArgs, source: &str, inventory: &Inventory) -> String {
    let mut text = String::from(
        "# What eks-preflight is told about one environment. `eks-preflight schema config` prints the JSON Schema for editors.\n\
         # Secrets: ${VARIABLE} from the environment, or {file: PATH}.\n\n\
         environment: staging # <- its name; a report is valid for it alone\n\n\
         # aws: {accountId: \"111122223333\", region: eu-west-1}\n",
    );
    text.push_str(source);
    list(&mut text, "ecs", args, &args.ecs);
    workloads(&mut text, inventory);
    text.push_str(&servers::Servers::of(inventory).section());
    text.push_str(
        "# The situation that limits must cover: steady, rollout or worst.\nconnections: {scenario: rollout}\n\n\
         # Consumers and load need a test queue and an isolated host name; see docs/configuration.md.\n\
         # idempotency: {consumers: []}\n# load: {targets: []}\n",
    );
    text
}

fn list(text: &mut String, key: &str, args: &InitArgs, paths: &[PathBuf]) {
    if paths.is_empty() {
        let _ = writeln!(text, "# {key}: [DIRECTORY]");
        return;
    }
    let paths = paths.iter().map(|path| in_config(args, path)).collect::<Vec<_>>();
    let _ = writeln!(text, "{key}: [{}]", paths.join(", "));
}

/// A path of the command line as it stands in the configuration, whose paths are relative to its own folder.
fn in_config(args: &InitArgs, path: &Path) -> String {
    let is_here = args.config.parent().is_none_or(|folder| folder.as_os_str().is_empty());
    let path = if is_here { path.to_owned() } else { std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) };
    quoted(&path.display().to_string())
}

/// YAML reads a JSON string as it is; what would be a variable is none here.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value.replace("${", "$${")).to_string()
}

fn workloads(text: &mut String, inventory: &Inventory) {
    if inventory.workloads.is_empty() {
        text.push_str("\n# workloads: []\n\n");
        return;
    }
    let services = |name: &str| {
        let all = inventory.workloads.iter().filter_map(|workload| workload.ecs.as_ref());
        all.filter(|ecs| ecs.service == name).count()
    };
    // Which of them is meant, the name alone does not tell.
    let is_one_of_several = |workload: &Workload| workload.ecs.as_ref().is_some_and(|ecs| services(&ecs.service) > 1);
    let none = inventory.workloads.iter().all(is_one_of_several);
    text.push_str(if none { "\nworkloads: []\n" } else { "\nworkloads:\n" });
    for workload in &inventory.workloads {
        let mut parts = vec![format!("name: {}", quoted(&workload.name))];
        parts.extend(workload.eks.as_ref().map(|eks| format!("eks: {}", quoted(&eks.reference()))));
        parts.extend(workload.ecs.as_ref().map(|ecs| format!("ecs: {}", quoted(&ecs.service))));
        parts.extend(role(inventory, workload).map(|role| format!("role: {}", quoted(&role))));
        if let Some(ecs) = workload.ecs.as_ref().filter(|_| is_one_of_several(workload)) {
            let (name, whole) = (quoted(&ecs.service), quoted(&format!("CLUSTER/{}", ecs.service)));
            let _ = write!(text, "  # {name} is the name of several services; write {whole}\n  #");
        }
        let _ = writeln!(text, "  - {{{}}}", parts.join(", "));
    }
    text.push('\n');
}

/// The role that the ServiceAccount names; what the pods must get is what the ECS tasks have, where that is known.
fn role(inventory: &Inventory, workload: &Workload) -> Option<String> {
    let of_task = workload.ecs.as_ref().and_then(|ecs| ecs.task_role_arn.as_ref()).map(|role| role.value.clone());
    let of_account = || {
        let eks = workload.eks.as_ref()?;
        let account = inventory.service_account(&eks.namespace, &eks.pod.service_account.as_ref()?.value)?;
        account.annotations.get(ROLE_ANNOTATION).map(|role| role.value.clone())
    };
    of_account().or(of_task)
}
