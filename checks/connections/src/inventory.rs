//! The inventory, as far as connections are concerned.

use crate::demand::{Container, Deployed, Part};
use crate::headroom::{Instances, Side};
use crate::instances::{Amount, Controller, Overlap};
use crate::services::Services;
use crate::unseen::Unread;
use crate::variables::{Variable, expand};
use preflight_cluster::{
    self as cluster, Autoscaler, DESCRIBE_SCALABLE_TARGETS, EcsTask, EksWorkload, EnvVar, Inventory, MASKED, Sited,
    Surge, Value, Volume,
};
use preflight_core::written;

/// Every workload on each side.
pub(crate) fn deployed(inventory: &Inventory) -> Vec<Deployed> {
    let sides = inventory.workloads.iter().flat_map(|workload| {
        let is_missing = workload.eks.is_none() && !inventory.stays_in_ecs.contains(&workload.name);
        let more = || more(inventory.has_scalable_targets, is_missing);
        let ecs = workload.ecs.as_ref().map(|task| of_ecs(&workload.name, task, more));
        let mut eks = workload.eks.as_ref().map(|found| of_eks(&workload.name, found, inventory));
        if let (Some(eks), Some(Ok(tasks))) = (&mut eks, ecs.as_ref().map(|ecs| &ecs.instances)) {
            take_over(eks, *tasks);
        }
        [ecs, eks]
    });
    sides.flatten().collect()
}

/// Why there may be more of a service's workload than its tasks.
fn more(has_scalable_targets: bool, is_missing: bool) -> Option<String> {
    if !has_scalable_targets {
        return Some(format!(
            "nobody tells how far autoscaling may raise `desiredCount`; add what `{DESCRIBE_SCALABLE_TARGETS}` prints, also \
             if that is an empty list"
        ));
    }
    is_missing.then(|| {
        "found in ECS and not in EKS, where it may connect as well; add its manifests, pair it with `eks`, or say `eks: \
         none` if it stays in ECS"
            .to_owned()
    })
}

/// Whoever takes over from tasks and has no pods yet will need as many as there are tasks.
fn take_over(eks: &mut Deployed, tasks: Instances) {
    if eks.instances == Ok(Instances::default()) {
        eks.instances = Ok(tasks);
    }
}

fn of_ecs(workload: &str, task: &EcsTask, more: impl FnOnce() -> Option<String>) -> Deployed {
    let counts = [&task.desired, &task.autoscaled_max].into_iter().flatten();
    let instances = match counts.map(|count| count.value).max() {
        Some(desired) => Ok(Controller::Service { desired, maximum_percent: task.maximum_percent.value }.instances()),
        None => Err("no service runs the task definition, so the number of tasks is not known; add what `aws ecs \
                     describe-services` prints"
            .to_owned()),
    };
    let more = if instances.is_ok() { more() } else { None };
    let mut containers: Vec<Container> =
        task.containers.iter().map(|one| container(one, &[], Services::NONE)).collect();
    if containers.is_empty() {
        // Without its task definition, a service may be told anything.
        let why = "the task definition is not in the files".to_owned();
        let anything = Unread { name: EnvVar::ANY.to_owned(), is_file: false, why, at: task.at.clone() };
        containers.push(Container { unread: vec![anything], ..Container::default() });
    }
    Deployed { workload: workload.to_owned(), side: Side::Ecs, instances, more, at: task.at.clone(), containers }
}

fn of_eks(workload: &str, found: &EksWorkload, inventory: &Inventory) -> Deployed {
    let services = Services { namespace: &found.namespace, names: &inventory.external_names };
    let part_of = |one: &cluster::Container| if one.is_sidecar { Part::Sidecar } else { Part::Init };
    let init = found.pod.init_containers.iter().map(|one| (part_of(one), one));
    let all = init.chain(found.pod.containers.iter().map(|one| (Part::Main, one)));
    Deployed {
        workload: workload.to_owned(),
        side: Side::Eks,
        instances: instances(found, inventory.nodes),
        more: None,
        at: found.at.clone(),
        containers: all.map(|(part, one)| Container { part, ..container(one, &found.pod.volumes, services) }).collect(),
    }
}

/// Those at the maximum of the autoscaler. A deployment of the manifest sets `replicas` again where it holds more.
fn instances(found: &EksWorkload, nodes: Option<u64>) -> Result<Instances, String> {
    let max = found.autoscaler.as_ref().map(|scaler| {
        scaler.max.as_ref().map(|max| max.value).ok_or_else(|| {
            let Autoscaler { name, at, .. } = scaler;
            format!(
                "{name} at {at} scales it and is of a kind that this tool does not know, so the largest number of its pods \
                 is not known; give it a HorizontalPodAutoscaler with that number instead"
            )
        })
    });
    let max = max.transpose()?;
    let at_most = |replicas: &Option<Sited<u64>>| {
        replicas.as_ref().map(|replicas| replicas.value).max(max).ok_or_else(|| {
            format!(
                "{} at {} has neither `replicas` nor an autoscaler in the manifests, so whoever sets the number of its \
                 pods is not known; add it, or `replicas`",
                found.kind, found.at
            )
        })
    };
    let controller = match &found.controller {
        cluster::Controller::Deployment { replicas, surge, waits_for_termination } => Controller::Deployment {
            replicas: at_most(replicas)?,
            surge: surge.as_ref().map(|surge| amount(surge.value)),
            waits_for_termination: *waits_for_termination,
        },
        cluster::Controller::StatefulSet { replicas } => Controller::StatefulSet { replicas: at_most(replicas)? },
        cluster::Controller::DaemonSet { surge } => {
            let unknown = || "a DaemonSet runs on every node, and the number of nodes is not known".to_owned();
            Controller::DaemonSet { nodes: nodes.ok_or_else(unknown)?, surge: amount(surge.value) }
        }
        cluster::Controller::Job { parallelism } => Controller::Job { parallelism: parallelism.value },
        cluster::Controller::CronJob { parallelism, overlap, runs } => Controller::CronJob {
            parallelism: parallelism.value,
            overlap: match overlap {
                cluster::Overlap::Allow => Overlap::Allow { runs: runs.ok_or_else(|| without_end(found))? },
                cluster::Overlap::Forbid => Overlap::Forbid,
                cluster::Overlap::Replace => Overlap::Replace,
            },
        },
        // Whatever it does, it is taken to do it as a Deployment with a second set of pods.
        cluster::Controller::Unknown { replicas } => Controller::Deployment {
            replicas: at_most(replicas)?,
            surge: Some(Amount::Percent(100)),
            waits_for_termination: false,
        },
        // Nobody replaces them, as nobody replaces the pods of a Job.
        cluster::Controller::Bare { replicas } => Controller::Job { parallelism: replicas.value.max(max.unwrap_or(0)) },
    };
    Ok(controller.instances())
}

fn without_end(found: &EksWorkload) -> String {
    format!(
        "{} at {} starts a run whether or not the last one has ended, so there is no bound; set `concurrencyPolicy: Forbid` \
         or `activeDeadlineSeconds` of its jobs",
        found.kind, found.at
    )
}

fn amount(surge: Surge) -> Amount {
    match surge {
        Surge::Count(count) => Amount::Count(count),
        Surge::Percent(percent) => Amount::Percent(percent),
    }
}

fn container(container: &cluster::Container, volumes: &[Volume], services: Services<'_>) -> Container {
    let variable =
        |one: &EnvVar| Variable { name: one.name.clone(), value: one.plain().map(str::to_owned), at: one.at.clone() };
    let variables: Vec<Variable> = container.env.iter().map(variable).collect();
    let arguments: Vec<Variable> = container
        .arguments
        .iter()
        .map(|one| Variable { name: String::new(), value: Some(one.value.clone()), at: one.at.clone() })
        .collect();
    let mounted = volumes.iter().filter(|volume| container.mounts.iter().any(|(_, name)| *name == volume.name));
    let files: Vec<&EnvVar> = mounted.flat_map(|volume| &volume.files).collect();
    let unread = container.env.iter().filter_map(|one| unread(one, false)).chain(masked(&container.arguments));
    let unread = unread.chain(container.env.iter().filter_map(|one| open(one, &container.env)));
    Container {
        part: Part::Main,
        variables: expand(&variables, &arguments).into_iter().map(|one| services.resolved(one)).collect(),
        arguments: arguments.into_iter().map(|one| services.resolved(one)).collect(),
        unread: unread.chain(files.iter().filter_map(|one| self::unread(one, true))).collect(),
        files: files
            .into_iter()
            .filter(|file| file.plain().is_some())
            .map(|file| services.resolved(variable(file)))
            .collect(),
    }
}

fn unread(one: &EnvVar, is_file: bool) -> Option<Unread> {
    let why = match &one.value {
        Value::Secret(why) | Value::Unresolved(why) => why.clone(),
        // What stands beside a mask is read all the same.
        Value::Plain(text) if written::hides(text) => format!("a part of it: {MASKED}"),
        Value::Plain(_) | Value::OfPod(_) => return None,
    };
    Some(Unread { name: one.name.clone(), is_file, why, at: one.at.clone() })
}

/// What the names of variables with addresses have in them.
const OF_ADDRESSES: &[&str] = &[
    "ADDR",
    "AMQP",
    "BROKER",
    "CACHE",
    "CONNECTION",
    "DATABASE",
    "DATASOURCE",
    "DB",
    "DSN",
    "ENDPOINT",
    "HOST",
    "MYSQL",
    "NODES",
    "RABBIT",
    "REDIS",
    "SERVER",
    "STOMP",
    "URI",
    "URL",
];

/// A variable that is called like an address and is another one or has its host from there, which nobody sets here. One with
/// a default is what it says, one with dots is a property of the application's, and some are set by who runs the container.
fn open(one: &EnvVar, env: &[EnvVar]) -> Option<Unread> {
    let upper = one.name.to_ascii_uppercase();
    if !OF_ADDRESSES.iter().any(|part| upper.contains(part)) {
        return None;
    }
    let is_set = |name: &str| {
        matches!(name, "HOSTNAME" | "HOME")
            || name.contains('.')
            || name.starts_with("AWS_")
            || name.ends_with("_SERVICE_HOST")
            || name.ends_with("_SERVICE_PORT")
            || env.iter().any(|other| other.name == name && other.name != one.name)
    };
    let without_default = |name: &&str| !name.contains([':', '-']) || name.contains('?');
    let names = written::hosts_from(one.plain()?).into_iter().filter(without_default);
    let name = names.map(|name| name.split([':', '?']).next().unwrap_or(name)).find(|name| !is_set(name))?;
    let why = format!("it stands for the variable `{name}`, which is not set here");
    Some(Unread { name: one.name.clone(), is_file: false, why, at: one.at.clone() })
}

/// The arguments that are masked, whole or in part, where that may hide an address. One may be the value of the one before.
fn masked(arguments: &[Sited<String>]) -> impl Iterator<Item = Unread> {
    let before = std::iter::once("").chain(arguments.iter().map(|one| one.value.as_str()));
    let of_password = |flag: &str| matches!(flag, "-a" | "-p" | "-w" | "--pass") || written::names_secret(flag);
    arguments.iter().zip(before).filter_map(move |(one, before)| {
        let flag = if before.starts_with('-') { before } else { "" };
        let is_hidden = written::hides(&one.value) && !(written::is_mask(&one.value) && of_password(flag));
        is_hidden.then(|| {
            let option = one.value.split(['=', ' ']).next().filter(|option| option.starts_with('-')).unwrap_or(flag);
            let name = if option.is_empty() { "an argument" } else { option }.to_owned();
            Unread { name, is_file: false, why: MASKED.to_owned(), at: one.at.clone() }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::demand;
    use crate::settings::{Endpoint, Use};
    use preflight_cluster::{Pod, Workload};
    use std::collections::BTreeMap;

    fn sited<T>(value: T) -> Sited<T> {
        Sited { value, at: "a.yaml:1".to_owned() }
    }

    fn with(name: &str, value: Value) -> cluster::Container {
        let variable = EnvVar { name: name.to_owned(), value, at: format!("{name}.yaml:7") };
        cluster::Container { env: vec![variable], ..cluster::Container::default() }
    }

    fn plain(name: &str, value: &str) -> cluster::Container {
        with(name, Value::Plain(value.to_owned()))
    }

    fn eks(controller: cluster::Controller, max: Option<u64>, containers: Vec<cluster::Container>) -> Workload {
        let autoscaler =
            max.map(|max| Autoscaler { name: "a".into(), at: "a.yaml:2".into(), min: sited(1), max: Some(sited(max)) });
        let found = EksWorkload {
            namespace: "shop".into(),
            kind: "Deployment".into(),
            name: "orders".into(),
            at: "a.yaml:1".into(),
            controller,
            autoscaler,
            selector: None,
            pod: Pod { containers, ..Pod::default() },
        };
        Workload { name: "orders".into(), ecs: None, eks: Some(found) }
    }

    fn ecs(desired: Option<u64>, max: Option<u64>, containers: Vec<cluster::Container>) -> Workload {
        let task = EcsTask {
            service: "orders".into(),
            at: "services.json:3".into(),
            desired: desired.map(sited),
            autoscaled_max: max.map(sited),
            maximum_percent: sited(150),
            task_definition: None,
            task_role_arn: None,
            containers,
        };
        Workload { name: "orders".into(), ecs: Some(task), eks: None }
    }

    fn deployment(replicas: u64) -> cluster::Controller {
        let surge = Some(sited(Surge::Percent(25)));
        cluster::Controller::Deployment { replicas: Some(sited(replicas)), surge, waits_for_termination: false }
    }

    fn only(workload: Workload, nodes: Option<u64>) -> Deployed {
        let inventory = Inventory { workloads: vec![workload], nodes, ..Inventory::default() };
        deployed(&inventory).pop().unwrap()
    }

    fn numbers(workload: Workload, nodes: Option<u64>) -> Result<[u64; 3], String> {
        only(workload, nodes).instances.map(|one| [one.steady, one.rollout, one.worst])
    }

    #[test]
    fn each_side_of_a_workload_counts_for_itself() {
        let mut both = ecs(Some(3), None, vec![]);
        both.eks = eks(deployment(2), None, vec![]).eks;
        let inventory = Inventory { workloads: vec![both], ..Inventory::default() };
        let sides: Vec<_> = deployed(&inventory).iter().map(|one| (one.workload.clone(), one.side)).collect();
        assert_eq!(sides, [("orders".to_owned(), Side::Ecs), ("orders".to_owned(), Side::Eks)]);
    }

    #[test]
    fn replicas_are_those_at_the_maximum_of_the_autoscaler() {
        assert_eq!(numbers(eks(deployment(2), None, vec![]), None), Ok([2, 4, 5]));
        assert_eq!(numbers(eks(deployment(2), Some(8), vec![]), None), Ok([8, 16, 18]));
        assert_eq!(numbers(eks(deployment(9), Some(8), vec![]), None), Ok([9, 18, 21]));
        let set = cluster::Controller::StatefulSet { replicas: Some(sited(1)) };
        assert_eq!(numbers(eks(set, Some(4), vec![]), None), Ok([4, 4, 4]));
        assert_eq!(numbers(ecs(Some(2), Some(4), vec![]), None), Ok([4, 8, 10]));
    }

    #[test]
    fn who_has_no_pods_yet_counts_as_many_as_the_tasks_that_it_takes_over() {
        let beside = |tasks: Option<u64>, replicas| {
            let mut both = eks(deployment(replicas), None, vec![]);
            both.ecs = tasks.and_then(|tasks| ecs(Some(tasks), None, vec![]).ecs);
            only(both, None).instances.map(|one| one.steady)
        };
        let found = [beside(Some(3), 0), beside(Some(0), 0), beside(None, 0), beside(Some(3), 2)];
        assert_eq!(found, [Ok(3), Ok(0), Ok(0), Ok(2)]);
    }

    #[test]
    fn absent_replicas_are_what_the_autoscaler_allows_and_unknown_without_one() {
        let unsaid = || cluster::Controller::Deployment { replicas: None, surge: None, waits_for_termination: false };
        assert_eq!(numbers(eks(unsaid(), Some(8), vec![]), None), Ok([8, 8, 8]));
        assert!(numbers(eks(unsaid(), None, vec![]), None).unwrap_err().contains("neither `replicas` nor"));
    }

    #[test]
    fn a_kind_that_is_not_known_holds_as_much_as_any_and_has_a_number_or_none() {
        let unknown = |replicas: Option<u64>| cluster::Controller::Unknown { replicas: replicas.map(sited) };
        assert_eq!(numbers(eks(unknown(Some(4)), None, vec![]), None), Ok([4, 8, 12]));
        assert!(numbers(eks(unknown(None), None, vec![]), None).is_err());
    }

    #[test]
    fn jobs_and_bare_pods_are_as_many_as_they_say() {
        let cron = |overlap, runs| cluster::Controller::CronJob { parallelism: sited(2), overlap, runs };
        assert_eq!(numbers(eks(cron(cluster::Overlap::Forbid, None), None, vec![]), None), Ok([2, 2, 2]));
        assert_eq!(numbers(eks(cron(cluster::Overlap::Allow, Some(3)), None, vec![]), None), Ok([6, 8, 8]));
        let unbounded = numbers(eks(cron(cluster::Overlap::Allow, None), None, vec![]), None).unwrap_err();
        assert!(unbounded.contains("set `concurrencyPolicy: Forbid` or `activeDeadlineSeconds`"), "{unbounded}");
        let job = cluster::Controller::Job { parallelism: sited(5) };
        assert_eq!(numbers(eks(job, None, vec![]), None), Ok([5, 5, 5]));
        let bare = cluster::Controller::Bare { replicas: sited(1) };
        assert_eq!(numbers(eks(bare, None, vec![]), None), Ok([1, 1, 1]));
    }

    #[test]
    fn a_number_that_nobody_tells_is_a_reason() {
        let daemon = || cluster::Controller::DaemonSet { surge: sited(Surge::Count(0)) };
        assert!(numbers(eks(daemon(), None, vec![]), None).unwrap_err().contains("number of nodes"));
        assert_eq!(numbers(eks(daemon(), None, vec![]), Some(3)), Ok([3, 6, 6]));
        assert!(numbers(ecs(None, None, vec![]), None).unwrap_err().contains("describe-services"));
    }

    #[test]
    fn every_container_of_a_pod_is_there_with_its_part() {
        let mut workload = eks(deployment(1), None, vec![plain("A", "1")]);
        let pod = &mut workload.eks.as_mut().unwrap().pod;
        pod.init_containers = vec![plain("MIGRATE", "1"), plain("PROXY", "1")];
        pod.init_containers[1].is_sidecar = true;
        let found = only(workload, None).containers;
        let parts: Vec<_> = found.iter().map(|one| (one.variables[0].name.as_str(), one.part)).collect();
        assert_eq!(parts, [("MIGRATE", Part::Init), ("PROXY", Part::Sidecar), ("A", Part::Main)]);
    }

    #[test]
    fn variables_keep_their_place_and_arguments_are_properties() {
        let mut container = plain("HOST", "db");
        container.arguments.push(Sited { value: "--db.url=mysql://$(HOST)/x".into(), at: "a.yaml:9".into() });
        let found = only(eks(deployment(1), None, vec![container]), None);
        let variables: Vec<_> = found.containers[0]
            .variables
            .iter()
            .map(|one| (one.name.as_str(), one.value.as_deref(), one.at.as_str()))
            .collect();
        assert_eq!(variables, [("HOST", Some("db"), "HOST.yaml:7"), ("db.url", Some("mysql://db/x"), "a.yaml:9")]);
    }

    #[test]
    fn what_is_hidden_from_this_tool_is_unclear_until_the_settings_say_what_is_used() {
        let endpoint: Endpoint =
            serde_json::from_value(serde_json::json!({ "name": "db", "engine": "mysql", "address": "db" })).unwrap();
        let unclear = |workload: Workload, uses: &[(&str, &str)]| {
            let inventory = Inventory { workloads: vec![workload], has_scalable_targets: true, ..Inventory::default() };
            let endpoints = std::slice::from_ref(&endpoint);
            let one = |endpoint: &str| {
                vec![Use { endpoint: endpoint.to_owned(), pool: None, processes: None, account: None }]
            };
            let uses: BTreeMap<String, Vec<Use>> =
                uses.iter().map(|(workload, endpoint)| ((*workload).to_owned(), one(endpoint))).collect();
            demand(&endpoint, endpoints, &deployed(&inventory), &uses).unclear
        };
        let hidden = || eks(deployment(1), None, vec![with("APP_*", Value::Secret("Secret x".into()))]);
        let found = unclear(hidden(), &[]);
        assert!(found[0].contains("orders (eks)") && found[0].contains("APP_*.yaml:7"), "{found:?}");
        // A service without its task definition may be told anything.
        assert!(unclear(ecs(Some(1), None, vec![]), &[])[0].contains("services.json:3"));
        assert_eq!(unclear(hidden(), &[("orders", "cache")]), Vec::<String>::new());
        assert_eq!(unclear(eks(deployment(1), None, vec![plain("A", "1")]), &[]), Vec::<String>::new());
        // What a pod is told about itself is no address.
        let of_pod = with("NODE", Value::OfPod("field spec.nodeName of the running pod".into()));
        assert_eq!(unclear(eks(deployment(1), None, vec![of_pod]), &[]), Vec::<String>::new());
    }

    #[test]
    fn what_is_masked_may_be_an_address_and_a_masked_password_is_none() {
        let unread = |container: cluster::Container| {
            let found = only(eks(deployment(1), None, vec![container]), None).containers.remove(0);
            found.unread.into_iter().map(|one| one.name).collect::<Vec<_>>()
        };
        let told = |arguments: &[&str]| {
            let arguments = arguments.iter().map(|one| sited((*one).to_owned())).collect();
            unread(cluster::Container { arguments, ..cluster::Container::default() })
        };
        assert_eq!(unread(plain("OPTIONS", "-Dredis.url=*** -Dpool=5")), ["OPTIONS"]);
        assert_eq!(unread(plain("URL", "redis://:***@cache:6379")), [""; 0]);
        assert_eq!(told(&["--redis-url=***"]), ["--redis-url"]);
        assert_eq!(told(&["--redis-url", "***"]), ["--redis-url"]);
        assert_eq!(told(&["serve", "***"]), ["an argument"]);
        assert_eq!(told(&["--password=***", "--db-password", "***", "--url=redis://:***@cache:6379"]), [""; 0]);
    }

    #[test]
    fn a_server_whose_url_is_masked_is_unclear_on_both_sides_and_counted_where_its_password_alone_is() {
        let endpoint: Endpoint = serde_json::from_value(
            serde_json::json!({ "name": "cache", "engine": "redis", "address": "cache.internal:6379" }),
        )
        .unwrap();
        let of = |value: &str| {
            let folder = tempfile::tempdir().unwrap();
            let pods = format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: orders, namespace: shop}}\nspec:\n  replicas: 20\n  \
                 selector: {{matchLabels: {{app: a}}}}\n  template:\n    metadata: {{labels: {{app: a}}}}\n    spec:\n      \
                 containers: [{{name: app, image: i, env: [{{name: REDIS_URL, value: '{value}'}}]}}]\n"
            );
            let task = serde_json::json!({ "taskDefinition": { "family": "payments", "revision": 1, "containerDefinitions":
                [{ "name": "app", "image": "i", "environment": [{ "name": "REDIS_URL", "value": value }] }] } });
            let (eks, ecs) = (folder.path().join("a.yaml"), folder.path().join("t.json"));
            std::fs::write(&eks, pods).unwrap();
            std::fs::write(&ecs, task.to_string()).unwrap();
            let inventory = cluster::load(&[eks], &[ecs], &[]).unwrap();
            let found = demand(&endpoint, std::slice::from_ref(&endpoint), &deployed(&inventory), &BTreeMap::new());
            let mut counted: Vec<String> = found.contributors.into_iter().map(|one| one.workload).collect();
            counted.sort();
            (found.unclear.join("; "), counted)
        };
        for mask in ["${REDIS_URL}", "***", "*****", "REDACTED", "<redacted>", "redis://***"] {
            let (unclear, counted) = of(mask);
            assert!(counted.is_empty(), "{mask}: {counted:?}");
            for side in ["orders (eks)", "payments (ecs)"] {
                assert!(unclear.contains(side), "{mask}: {unclear}");
            }
            assert_eq!(unclear.matches("REDIS_URL at").count(), 2, "{mask}: {unclear}");
            assert!(unclear.contains("the address of cache"), "{mask}: {unclear}");
        }
        for url in ["redis://:***@cache.internal:6379/0", "redis://***@cache.internal:6379/0"] {
            let (unclear, counted) = of(url);
            assert!(counted.contains(&"orders".to_owned()), "{url}: {counted:?}");
            assert!(!unclear.contains("REDIS_URL"), "{url}: {unclear}");
        }
    }

    #[test]
    fn a_variable_that_stands_for_one_that_nobody_sets_may_be_an_address() {
        let unread = |value: &str| {
            let mut container = plain("HOST", "db");
            container.env.extend(plain("URL", value).env);
            let found = only(eks(deployment(1), None, vec![container]), None).containers.remove(0);
            found.unread.into_iter().map(|one| (one.name, one.why.contains("`OTHER`"))).collect::<Vec<_>>()
        };
        for value in ["${OTHER}", "$(OTHER)", "redis://:${PW}@${OTHER}:6379", "${OTHER:?it is not set}"] {
            assert_eq!(unread(value), [("URL".to_owned(), true)], "{value}");
        }
        let set = ["${HOST}", "redis://${HOST}:6379", "redis://:${PW}@db:6379", "a"];
        let of_others =
            ["${spring.cache}", "${OTHER:redis://db:6379}", "${OTHER:-db}", "http://$(SHOP_SERVICE_HOST):80"];
        for value in set.into_iter().chain(of_others) {
            assert_eq!(unread(value), [], "{value}");
        }
    }

    #[test]
    fn a_container_has_the_files_of_the_volumes_that_it_mounts() {
        let file = |name: &str, value| EnvVar { name: name.into(), value, at: format!("{name}:1") };
        let volume = |name: &str, files| Volume { name: name.into(), tokens: vec![], files, at: "a.yaml:9".into() };
        let mut container = plain("A", "1");
        container.mounts = vec![("/etc/app".into(), "config".into())];
        let mut workload = eks(deployment(1), None, vec![container]);
        workload.eks.as_mut().unwrap().pod.volumes = vec![
            volume(
                "config",
                vec![file("a.yml", Value::Plain("url: x".into())), file("b.yml", Value::Secret("Secret b".into()))],
            ),
            volume("other", vec![file("c.yml", Value::Secret("Secret c".into()))]),
        ];
        let found = &only(workload, None).containers[0];
        let files: Vec<_> = found.files.iter().map(|one| (one.name.as_str(), one.value.as_deref())).collect();
        assert_eq!(files, [("a.yml", Some("url: x"))]);
        let unread: Vec<_> = found.unread.iter().map(|one| (one.name.as_str(), one.is_file)).collect();
        assert_eq!(unread, [("b.yml", true)]);
    }

    #[test]
    fn a_service_may_be_raised_by_an_autoscaler_that_nobody_listed() {
        let more = |has_scalable_targets, stays: bool| {
            let workloads = vec![ecs(Some(3), None, vec![plain("A", "1")])];
            let stays_in_ecs = stays.then(|| workloads[0].name.clone()).into_iter().collect();
            let inventory = Inventory { workloads, has_scalable_targets, stays_in_ecs, ..Inventory::default() };
            deployed(&inventory).pop().unwrap().more
        };
        assert!(more(false, true).unwrap().contains("describe-scalable-targets --service-namespace ecs"));
        assert_eq!(more(true, true), None);
        assert!(more(true, false).unwrap().starts_with("found in ECS and not in EKS"));
    }
}
