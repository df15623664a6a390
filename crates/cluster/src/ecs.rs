//! The ECS side, from what the AWS CLI prints: `ecs describe-services`, `ecs describe-task-definition` and
//! `application-autoscaling describe-scalable-targets`, or from task definitions as they are registered.

mod container;

use crate::cursor::Cursor;
use crate::node::Node;
use crate::{Container, EcsTask, EnvVar, InventoryError, Sited, Stray, Value};

/// `maximumPercent` where a service does not say.
const MAXIMUM_PERCENT: u64 = 200;

/// The same for one task on each instance (`DAEMON`).
const MAXIMUM_PERCENT_DAEMON: u64 = 100;

/// What prints the scalable targets of ECS.
pub const DESCRIBE_SCALABLE_TARGETS: &str =
    "aws application-autoscaling describe-scalable-targets --service-namespace ecs";

/// Everything in the files, not yet put together.
#[derive(Default)]
pub(crate) struct Tasks {
    services: Vec<Service>,
    /// Cluster and name of the services that have ended.
    ended: Vec<(String, String)>,
    definitions: Vec<Definition>,
    targets: Vec<Target>,
    /// Whether the whole list of targets was read.
    pub has_targets: bool,
    /// Targets of services that are not in the files.
    pub strays: Vec<Stray>,
    pub notes: Vec<String>,
}

#[derive(PartialEq)]
struct Service {
    /// The name of the cluster; empty if the service does not say.
    cluster: String,
    name: String,
    at: String,
    desired: Option<Sited<u64>>,
    maximum_percent: Sited<u64>,
    definition: Option<Sited<String>>,
}

struct Definition {
    family: String,
    revision: Option<u64>,
    at: String,
    role: Option<Sited<String>>,
    containers: Vec<Container>,
}

struct Target {
    cluster: String,
    service: String,
    max: Sited<u64>,
}

/// A service with the name of its cluster.
pub(crate) struct Deployed {
    pub cluster: String,
    pub family: Option<String>,
    pub task: EcsTask,
}

impl Tasks {
    /// Takes one document.
    pub(crate) fn add(&mut self, file: &str, document: &Node) -> Result<(), InventoryError> {
        self.add_any(&Cursor::new(file, document))
    }

    fn add_any(&mut self, cursor: &Cursor<'_>) -> Result<(), InventoryError> {
        if cursor.is_list() {
            return cursor.list()?.iter().try_for_each(|item| self.add_any(item));
        }
        for failure in cursor.items("failures")? {
            let arn = failure.text_of("arn")?.unwrap_or_default();
            let reason = failure.text_of("reason")?.unwrap_or_default();
            let text = format!("{}: AWS could not describe {arn}: {reason}", failure.at());
            self.strays.push(Stray { reference: None, text });
        }
        if let Some(definition) = cursor.get("taskDefinition").filter(Cursor::is_map) {
            self.add_definition(&definition)
        } else if cursor.get("containerDefinitions").is_some() {
            self.add_definition(cursor)
        } else if cursor.get("services").is_some() {
            cursor.items("services")?.iter().try_for_each(|service| self.add_service(service))
        } else if let Some(service) = cursor.get("service").filter(Cursor::is_map) {
            self.add_service(&service)
        } else if cursor.get("serviceName").is_some() {
            self.add_service(cursor)
        } else if cursor.get("ScalableTargets").is_some() {
            self.add_targets(cursor)
        } else {
            self.notes.push(format!("{}: neither service, task definition nor scalable target", cursor.at()));
            Ok(())
        }
    }

    fn add_service(&mut self, cursor: &Cursor<'_>) -> Result<(), InventoryError> {
        let name = cursor.needed("serviceName")?;
        let cluster = match cursor.text_of("clusterArn")? {
            Some(arn) => last(&arn).to_owned(),
            None => cursor.text_of("cluster")?.map(|name| last(&name).to_owned()).unwrap_or_default(),
        };
        if let Some(status @ ("INACTIVE" | "DRAINING")) = cursor.text_of("status")?.as_deref() {
            self.notes.push(format!("{}: service {name} is {status} and is left out", cursor.at()));
            self.ended.push((cluster, name));
            return Ok(());
        }
        let percent = cursor.get("deploymentConfiguration");
        let percent = percent.map(|percent| percent.sited("maximumPercent", Cursor::count)).transpose()?.flatten();
        let is_daemon = cursor.text_of("schedulingStrategy")?.as_deref() == Some("DAEMON");
        let default = if is_daemon { MAXIMUM_PERCENT_DAEMON } else { MAXIMUM_PERCENT };
        let service = Service {
            cluster,
            desired: cursor.sited("desiredCount", Cursor::count)?,
            maximum_percent: percent.unwrap_or_else(|| Sited { value: default, at: cursor.at() }),
            definition: cursor.sited("taskDefinition", Cursor::text)?,
            at: cursor.at(),
            name,
        };
        let known = self.services.iter().find(|known| known.name == service.name && known.cluster == service.cluster);
        if let Some(known) = known {
            return is_same_service(known, &service).then_some(()).ok_or_else(|| InventoryError::Twice {
                object: format!("service {}/{}", service.cluster, service.name),
                first: known.at.clone(),
                second: service.at.clone(),
            });
        }
        self.strays.extend(former_tasks(cursor, &service)?);
        self.services.push(service);
        Ok(())
    }

    fn add_definition(&mut self, cursor: &Cursor<'_>) -> Result<(), InventoryError> {
        let read = |one: &Cursor<'_>| container::read(one);
        let definition = Definition {
            family: cursor.needed("family")?,
            revision: cursor.get("revision").map(|revision| revision.count()).transpose()?,
            at: cursor.at(),
            role: cursor.sited("taskRoleArn", Cursor::text)?.filter(|role| !role.value.is_empty()),
            containers: cursor.items("containerDefinitions")?.iter().map(read).collect::<Result<_, _>>()?,
        };
        if definition.containers.is_empty() {
            return Err(cursor.unlike("a task definition with `containerDefinitions`"));
        }
        let same = |known: &&Definition| known.family == definition.family && known.revision == definition.revision;
        if let Some(known) = self.definitions.iter().find(same) {
            return known.says_the_same_as(&definition).then_some(()).ok_or_else(|| InventoryError::Twice {
                object: format!("task definition {}", definition.name()),
                first: known.at.clone(),
                second: definition.at.clone(),
            });
        }
        self.definitions.push(definition);
        Ok(())
    }

    /// A list is whole unless it goes on elsewhere, or is one of another service of AWS.
    fn add_targets(&mut self, cursor: &Cursor<'_>) -> Result<(), InventoryError> {
        let goes_on = cursor.get("NextToken").is_some();
        let (targets, before) = (cursor.items("ScalableTargets")?, self.targets.len());
        if goes_on {
            self.notes
                .push(format!("{}: the list of scalable targets goes on (`NextToken`); add all of it", cursor.at()));
        }
        targets.iter().try_for_each(|target| self.add_target(target))?;
        self.has_targets |= !goes_on && (targets.is_empty() || self.targets.len() > before);
        Ok(())
    }

    fn add_target(&mut self, cursor: &Cursor<'_>) -> Result<(), InventoryError> {
        let id = cursor.needed("ResourceId")?;
        let dimension = cursor.text_of("ScalableDimension")?;
        let is_count = dimension.is_none_or(|dimension| dimension == "ecs:service:DesiredCount");
        let parts: Vec<&str> = id.split('/').collect();
        let (["service", cluster, service], true) = (parts.as_slice(), is_count) else {
            self.notes.push(format!("{}: {id} is not the number of tasks of a service", cursor.at()));
            return Ok(());
        };
        let max = cursor.sited("MaxCapacity", Cursor::count)?;
        let max = max.ok_or_else(|| cursor.unlike("a scalable target with `MaxCapacity`"))?;
        self.targets.push(Target { cluster: (*cluster).to_owned(), service: (*service).to_owned(), max });
        Ok(())
    }

    /// Every service with its task definition, and every family that belongs to no service.
    pub(crate) fn services(&mut self) -> Vec<Deployed> {
        let (mut notes, mut used, mut found) = (vec![], vec![], vec![]);
        for service in std::mem::take(&mut self.services) {
            let definition = self.definition_of(&service, &mut notes);
            used.extend(definition.map(|definition| definition.family.clone()));
            found.push(self.deployed(service, definition));
        }
        if !found.is_empty() && !self.has_targets {
            notes.push(format!(
                "no list of scalable targets was read, so every service of ECS looks fixed at its `desiredCount`; add what \
                 `{DESCRIBE_SCALABLE_TARGETS}` prints"
            ));
        }
        self.stray_targets(&found, &mut notes);
        let mut families: Vec<&str> = self.definitions.iter().map(|definition| definition.family.as_str()).collect();
        families.sort_unstable();
        families.dedup();
        for family in families.into_iter().filter(|family| !used.iter().any(|used| used == family)) {
            if let Some(definition) = self.newest(family) {
                found.push(alone(definition));
            }
        }
        notes.append(&mut self.notes);
        self.notes = notes;
        found
    }

    /// AWS lists the targets of a whole region. One of a cluster of which nothing is here is somebody else's.
    fn stray_targets(&mut self, found: &[Deployed], notes: &mut Vec<String>) {
        let here = found.iter().map(|one| (one.cluster.as_str(), one.task.service.as_str()));
        let ended = self.ended.iter().map(|(cluster, name)| (cluster.as_str(), name.as_str()));
        let known: Vec<(&str, &str)> = here.chain(ended).collect();
        let is_known = |target: &&Target| known.iter().any(|(cluster, name)| target.is_of(cluster, name));
        for Target { cluster, service, max } in self.targets.iter().filter(|target| !is_known(target)) {
            let at = &max.at;
            let is_elsewhere =
                !known.is_empty() && known.iter().all(|(known, _)| !known.is_empty() && known != cluster);
            if is_elsewhere {
                notes.push(format!(
                    "{at}: a target for service {cluster}/{service} is left out, for no service of that cluster is here"
                ));
            } else {
                let text = format!(
                    "{at}: a target for service {cluster}/{service}, up to {} tasks, and the service is not in the files, \
                     so nobody knows what it connects to; add what `aws ecs describe-services --cluster {cluster} \
                     --services {service}` prints, and its task definition, or take the target out",
                    max.value
                );
                self.strays.push(Stray { reference: None, text });
            }
        }
    }

    fn definition_of(&self, service: &Service, notes: &mut Vec<String>) -> Option<&Definition> {
        let name = service.definition.as_ref()?;
        let wanted = last(&name.value);
        let (family, revision) = match wanted.rsplit_once(':') {
            Some((family, revision)) => (family, revision.parse().ok()),
            None => (wanted, None),
        };
        let exact = self.definitions.iter().find(|known| known.family == family && known.revision == revision);
        if let (Some(exact), true) = (exact, revision.is_some()) {
            return Some(exact);
        }
        let newest = self.newest(family);
        match (newest, revision) {
            (None, _) => notes.push(format!(
                "{}: task definition {wanted} of service {} is not in the files; its containers are not known",
                name.at, service.name
            )),
            (Some(newest), Some(_)) => notes.push(format!(
                "{}: task definition {wanted} of service {} is not in the files; {} at {} stands for it",
                name.at,
                service.name,
                newest.name(),
                newest.at
            )),
            (Some(_), None) => {}
        }
        newest
    }

    fn newest(&self, family: &str) -> Option<&Definition> {
        self.definitions.iter().filter(|known| known.family == family).max_by_key(|known| known.revision)
    }

    fn deployed(&self, service: Service, definition: Option<&Definition>) -> Deployed {
        let mut targets: Vec<&Target> =
            self.targets.iter().filter(|target| target.is_of(&service.cluster, &service.name)).collect();
        targets.sort_by_key(|target| target.max.value);
        let named = service.definition.map(|named| Sited { value: last(&named.value).to_owned(), at: named.at });
        let wanted = named.as_ref().map(|named| named.value.clone());
        let named = match (named, definition) {
            (Some(named), Some(definition)) => Some(Sited { value: definition.name(), at: named.at }),
            (named, _) => named,
        };
        let family = named.as_ref().map(|named| named.value.split(':').next().unwrap_or_default().to_owned());
        let mut containers = definition.map(|definition| definition.containers.clone()).unwrap_or_default();
        if let (Some(wanted), Some(named)) = (wanted.filter(|wanted| is_another(wanted, definition)), &named) {
            let value = Value::Unresolved(format!("task definition {wanted} is not in the files"));
            containers.iter_mut().for_each(|container| {
                let any = EnvVar { name: EnvVar::ANY.to_owned(), value: value.clone(), at: named.at.clone() };
                container.env.insert(0, any);
            });
        }
        let task = EcsTask {
            service: service.name,
            at: service.at,
            desired: service.desired,
            autoscaled_max: targets.last().map(|target| target.max.clone()),
            maximum_percent: service.maximum_percent,
            task_definition: named,
            task_role_arn: definition.and_then(|definition| definition.role.clone()),
            containers,
        };
        Deployed { cluster: service.cluster, family, task }
    }
}

/// Whether a task definition with a revision is not the one that was found. What stands for it may say anything else.
fn is_another(wanted: &str, found: Option<&Definition>) -> bool {
    wanted.contains(':') && found.is_some_and(|found| found.name() != wanted)
}

impl Target {
    fn is_of(&self, cluster: &str, service: &str) -> bool {
        self.service == service && (cluster.is_empty() || self.cluster == cluster)
    }
}

impl Definition {
    fn name(&self) -> String {
        self.revision.map_or_else(|| self.family.clone(), |revision| format!("{}:{revision}", self.family))
    }

    fn says_the_same_as(&self, other: &Self) -> bool {
        let role = |one: &Self| one.role.as_ref().map(|role| role.value.clone());
        let containers = |one: &Self| -> Vec<_> {
            let values = |one: &Container| -> Vec<_> {
                one.env.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect()
            };
            let arguments =
                |one: &Container| -> Vec<_> { one.arguments.iter().map(|argument| argument.value.clone()).collect() };
            one.containers
                .iter()
                .map(|one| (one.name.clone(), one.image.clone(), values(one), arguments(one)))
                .collect()
        };
        role(self) == role(other) && containers(self) == containers(other)
    }
}

/// Tasks of a service that run with another task definition than its own, as in the middle of a deployment.
fn former_tasks(cursor: &Cursor<'_>, service: &Service) -> Result<Option<Stray>, InventoryError> {
    let mut former = 0;
    for deployment in cursor.items("deployments")?.iter().chain(&cursor.items("taskSets")?) {
        let definition = deployment.text_of("taskDefinition")?;
        let is_primary = deployment.text_of("status")?.as_deref() == Some("PRIMARY");
        let is_other = !is_primary
            && definition.is_some()
            && definition.as_ref() != service.definition.as_ref().map(|own| &own.value);
        let running = deployment.get("runningCount").map_or(Ok(0), |count| count.count())?;
        former += if is_other { running } else { 0 };
    }
    let (at, name) = (cursor.at(), &service.name);
    let text = format!(
        "{at}: service {name} runs {former} tasks of another task definition than its own, which may hold other numbers of \
         connections; read it again when its deployment is over (`aws ecs wait services-stable`)"
    );
    Ok((former > 0).then_some(Stray { reference: None, text }))
}

fn is_same_service(one: &Service, two: &Service) -> bool {
    let number = |sited: &Option<Sited<u64>>| sited.as_ref().map(|sited| sited.value);
    let text = |sited: &Option<Sited<String>>| sited.as_ref().map(|sited| sited.value.clone());
    number(&one.desired) == number(&two.desired)
        && one.maximum_percent.value == two.maximum_percent.value
        && text(&one.definition) == text(&two.definition)
}

/// A task definition that no service runs.
fn alone(definition: &Definition) -> Deployed {
    let task = EcsTask {
        service: definition.family.clone(),
        at: definition.at.clone(),
        desired: None,
        autoscaled_max: None,
        maximum_percent: Sited { value: MAXIMUM_PERCENT, at: definition.at.clone() },
        task_definition: Some(Sited { value: definition.name(), at: definition.at.clone() }),
        task_role_arn: definition.role.clone(),
        containers: definition.containers.clone(),
    };
    Deployed { cluster: String::new(), family: Some(definition.family.clone()), task }
}

/// The name at the end of an ARN or of a path.
fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
