//! Collects the objects of all files, or of the API, and makes workloads of them once all are there.

use super::kinds::{TEMPLATES, WORKLOADS, called, group_of, is_known, is_maker, makes};
use super::{owner, pod, running, workload};
use crate::cursor::Cursor;
use crate::node::{Node, Tree};
use crate::{EksWorkload, ExternalName, InventoryError, ServiceAccount, Stray};
use std::collections::{BTreeMap, BTreeSet};

/// What tells objects of a cluster apart. Ordered by namespace, then name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub namespace: String,
    pub name: String,
    pub kind: String,
}

impl Key {
    pub(crate) fn new(namespace: &str, kind: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
    }

    /// As configuration and report write it.
    pub(crate) fn reference(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.kind, self.name)
    }
}

/// Where an object was found.
enum Source {
    /// A file, by its path.
    File(String),
    /// The API; as `namespace/Kind/name@resourceVersion`.
    Api(String),
}

struct Object {
    source: Source,
    node: Node,
}

impl Object {
    fn cursor(&self) -> Cursor<'_> {
        match &self.source {
            Source::File(file) => Cursor::new(file, &self.node),
            Source::Api(reference) => Cursor::of_object(reference, &self.node),
        }
    }
}

/// What an object says about who made it.
enum Maker {
    /// Nobody.
    Nobody,
    /// An object that is here.
    Known(Key),
    /// One that is not here.
    Missing(Key),
}

/// The objects of all files, or of the API.
pub(crate) struct Objects {
    /// Where they are from, for texts: `in the manifests`.
    pub place: &'static str,
    objects: BTreeMap<Key, Object>,
    /// The names of the keys of every Secret. Their values are dropped as soon as they are parsed.
    secrets: BTreeMap<Key, BTreeSet<String>>,
    /// Those of kinds that this tool does not know, and that have a template of pods.
    unknown: BTreeSet<Key>,
    /// Those of kinds that this tool does not know, and that scale a workload.
    scalers: BTreeSet<Key>,
    nodes: BTreeSet<String>,
    /// Who scales a workload that is not in the manifests, and what makes pods that nobody can count.
    pub strays: Vec<Stray>,
    pub notes: Vec<String>,
}

impl Objects {
    pub(crate) fn new(place: &'static str) -> Self {
        Self {
            place,
            objects: BTreeMap::new(),
            secrets: BTreeMap::new(),
            unknown: BTreeSet::new(),
            scalers: BTreeSet::new(),
            nodes: BTreeSet::new(),
            strays: vec![],
            notes: vec![],
        }
    }

    /// Takes one document of a file.
    pub(crate) fn add(&mut self, file: &str, document: Node) -> Result<(), InventoryError> {
        let cursor = Cursor::new(file, &document);
        let Some(kind) = cursor.text_of("kind")? else {
            self.notes.push(format!("{}: not an object of Kubernetes, for it has no `kind`", cursor.at()));
            return Ok(());
        };
        let Some(items) = kind.strip_suffix("List").filter(|_| cursor.get("items").is_some()) else {
            return self.add_one(&kind, Object { source: Source::File(file.to_owned()), node: document });
        };
        cursor.items("items")?;
        let version = cursor.text_of("apiVersion")?.unwrap_or_default();
        let Tree::Map(fields) = document.tree else {
            return Ok(());
        };
        let list = fields.into_iter().find(|(name, _)| name == "items").map(|(_, node)| node.tree);
        if let Some(Tree::List(nodes)) = list {
            for mut node in nodes {
                if !items.is_empty() {
                    name_kind(&mut node, items, &version);
                }
                self.add(file, node)?;
            }
        }
        Ok(())
    }

    /// Takes one object of the API.
    pub(crate) fn add_live(&mut self, version: &str, kind: &str, mut node: Node) -> Result<(), InventoryError> {
        name_kind(&mut node, kind, version);
        let cursor = Cursor::of_object(kind, &node);
        let key = key(&cursor, kind)?;
        let revision = cursor.path(&["metadata", "resourceVersion"]).map_or(Ok(String::new()), |found| found.text())?;
        let source = Source::Api(format!("{}@{revision}", key.reference()));
        self.add_one(kind, Object { source, node })
    }

    fn add_one(&mut self, kind: &str, object: Object) -> Result<(), InventoryError> {
        let cursor = object.cursor();
        let version = cursor.text_of("apiVersion")?.unwrap_or_default();
        let group = group_of(&version);
        if !is_known(kind, group) {
            self.add_unknown(kind, group, object);
            return Ok(());
        }
        let key = key(&cursor, kind)?;
        match kind {
            "Node" => {
                self.nodes.insert(key.name);
            }
            // Of the others, none is another name for a host.
            "Service" if cursor.path(&["spec", "externalName"]).is_none() => {}
            "Secret" => {
                let names = self.secrets.entry(key).or_default();
                for field in ["data", "stringData"].into_iter().filter_map(|field| cursor.get(field)) {
                    names.extend(field.fields()?.into_iter().map(|(name, _)| name.to_owned()));
                }
            }
            _ => return self.keep(key, object),
        }
        Ok(())
    }

    /// Takes an object of a kind that this tool does not know, if it has a template of pods or scales some. Whatever is odd about it is a
    /// note and no error: nobody promised that it looks like Kubernetes' own kinds.
    fn add_unknown(&mut self, kind: &str, group: &str, object: Object) {
        let cursor = object.cursor();
        let has_template =
            |path: &&[&str]| cursor.path(path).and_then(|template| template.path(&["spec", "containers"])).is_some();
        let makes_pods = TEMPLATES.iter().any(has_template);
        let scales = cursor.path(&["spec", "scaleTargetRef"]).is_some();
        match key(&cursor, &called(kind, group)) {
            Ok(key) if (makes_pods || scales) && self.get(&key).is_none() => {
                let of_its_use = if makes_pods { &mut self.unknown } else { &mut self.scalers };
                of_its_use.insert(key.clone());
                self.objects.insert(key, object);
            }
            found if makes_pods || scales || is_maker(kind, group) => match workload::is_over(&cursor) {
                Ok(Some(why)) => {
                    let name = found.map_or_else(|_| kind.to_owned(), |key| key.reference());
                    self.notes.push(left_out(&cursor, &name, why));
                }
                _ => self.strays.push(unreadable(&cursor, kind, found.as_ref().ok())),
            },
            _ => {}
        }
    }

    fn keep(&mut self, key: Key, object: Object) -> Result<(), InventoryError> {
        let Some(known) = self.objects.get(&key) else {
            self.objects.insert(key, object);
            return Ok(());
        };
        if known.node.says_the_same_as(&object.node) {
            return Ok(());
        }
        let (first, second) = (known.cursor(), object.cursor());
        let error = InventoryError::Twice { object: key.reference(), first: first.at(), second: second.at() };
        Err(if second.is_of_api() { error.of_api() } else { error })
    }

    /// An object, if it is here.
    pub(crate) fn get(&self, key: &Key) -> Option<Cursor<'_>> {
        self.objects.get(key).map(Object::cursor)
    }

    /// The keys of a Secret, if it is here.
    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Option<&BTreeSet<String>> {
        self.secrets.get(&Key::new(namespace, "Secret", name))
    }

    /// Every object of some kinds.
    pub(crate) fn of<'a>(&'a self, kinds: &'a [&str]) -> impl Iterator<Item = (&'a Key, Cursor<'a>)> {
        let all = self.objects.iter().filter(|(key, _)| kinds.contains(&key.kind.as_str()));
        all.map(|(key, object)| (key, object.cursor()))
    }

    /// Every object of a kind that this tool does not know, and that scales a workload.
    pub(crate) fn scalers(&self) -> impl Iterator<Item = (&Key, Cursor<'_>)> {
        self.scalers.iter().filter_map(|key| Some((key, self.get(key)?)))
    }

    /// The number of nodes, if any is here.
    pub(crate) fn nodes(&self) -> Option<u64> {
        (!self.nodes.is_empty()).then_some(self.nodes.len() as u64)
    }

    /// Every workload that no other workload made.
    pub(crate) fn workloads(&mut self) -> Result<Vec<EksWorkload>, InventoryError> {
        let mut notes = vec![];
        let mut workloads = vec![];
        let mut orphans: BTreeMap<Key, Vec<(&Key, Cursor<'_>)>> = BTreeMap::new();
        let mut strays = std::mem::take(&mut self.strays);
        let mut jobs: BTreeMap<Key, Vec<Cursor<'_>>> = BTreeMap::new();
        for (key, cursor) in self.of(WORKLOADS) {
            let (maker, over) = (self.maker(key, &cursor)?, workload::is_over(&cursor)?);
            match (maker, over) {
                (Maker::Known(maker), None) if maker.kind == "CronJob" => jobs.entry(maker).or_default().push(cursor),
                (Maker::Known(_), _) => {}
                (_, Some(why)) => notes.push(left_out(&cursor, &key.reference(), why)),
                (Maker::Missing(maker), None) => orphans.entry(maker).or_default().push((key, cursor)),
                (Maker::Nobody, None) => {
                    workloads.extend(workload::read(self, key, &cursor, &mut notes)?);
                    strays.extend(running::of_another_template(key, &cursor)?);
                }
            }
        }
        for workload in workloads.iter().filter(|one| one.kind == "CronJob") {
            let key = Key::new(&workload.namespace, &workload.kind, &workload.name);
            if let (Some(cursor), Some(jobs)) = (self.get(&key), jobs.get(&key)) {
                strays.extend(running::beyond_its_runs(&key, (workload, &cursor), jobs)?);
            }
        }
        for (maker, made) in &orphans {
            workloads.extend(workload::of_what_it_made(self, maker, made, &mut notes)?);
        }
        let mut unread = vec![];
        for (key, cursor) in self.unknown.iter().filter_map(|key| Some((key, self.get(key)?))) {
            let mut own = vec![];
            let read = self.maker(key, &cursor).and_then(|maker| match maker {
                Maker::Known(_) => Ok(None),
                _ => workload::read(self, key, &cursor, &mut own),
            });
            match read {
                Ok(found) => {
                    // What is odd about its status is no reason not to read it.
                    let is_read = found.is_some();
                    strays.extend(running::of_another_template(key, &cursor).unwrap_or_default().filter(|_| is_read));
                    workloads.extend(found);
                    notes.append(&mut own);
                }
                Err(_) => unread.push(unreadable(&cursor, &key.kind, Some(key))),
            }
        }
        strays.append(&mut unread);
        let governed = workload::govern(self, &mut workloads, &mut strays)?;
        workload::autoscale(self, &mut workloads, &governed, &mut strays)?;
        self.notes.append(&mut notes);
        self.strays = strays;
        Ok(workloads)
    }

    /// Pods of a ReplicaSet and ReplicaSets of a Deployment are those of the Deployment. What says that it belongs to a
    /// kind that never makes such objects is nobody's but its own, and so is a job that runs something else than the
    /// template of a kind that this tool does not know.
    fn maker(&self, key: &Key, cursor: &Cursor<'_>) -> Result<Maker, InventoryError> {
        if !matches!(key.kind.as_str(), "Pod" | "ReplicaSet" | "Job") && !self.unknown.contains(key) {
            return Ok(Maker::Nobody);
        }
        let Some(owner) = owner::controller(cursor)? else { return Ok(Maker::Nobody) };
        let owner = Key::new(&key.namespace, &called(&owner.kind, &owner.group), &owner.name);
        let made = makes(&owner.kind, &key.kind);
        if made == Some(false) {
            return Ok(Maker::Nobody);
        }
        let has_template = WORKLOADS.contains(&owner.kind.as_str()) || self.unknown.contains(&owner);
        let Some(found) = self.get(&owner).filter(|_| has_template) else { return Ok(Maker::Missing(owner)) };
        let is_own = made.is_none() && key.kind == "Job" && !running::is_of_template(&owner, &found, cursor)?;
        Ok(if is_own { Maker::Nobody } else { Maker::Known(owner) })
    }

    /// Namespace and name of every ConfigMap that the pods of a workload use. What is odd about a workload
    /// is said when it is read, and what it made is not read.
    pub(crate) fn config_maps(&self) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for (key, object) in &self.objects {
            let cursor = object.cursor();
            if matches!(self.maker(key, &cursor), Ok(Maker::Known(_))) {
                continue;
            }
            let names = pod::config_maps(key, &cursor).unwrap_or_default();
            found.extend(names.into_iter().map(|name| (key.namespace.clone(), name)));
        }
        found
    }

    /// Whether there is an object of a kind.
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.objects.keys().any(|key| key.kind == kind)
    }

    /// Every Service that is another name for a host.
    pub(crate) fn external_names(&self) -> Result<Vec<ExternalName>, InventoryError> {
        let read = |(key, cursor): (&Key, Cursor<'_>)| {
            let host = cursor.path(&["spec", "externalName"]).map_or(Ok(String::new()), |host| host.text())?;
            Ok(ExternalName { namespace: key.namespace.clone(), name: key.name.clone(), host })
        };
        self.of(&["Service"]).map(read).collect()
    }

    /// Every ServiceAccount.
    pub(crate) fn service_accounts(&self) -> Result<Vec<ServiceAccount>, InventoryError> {
        let read = |(key, cursor): (&Key, Cursor<'_>)| {
            let mut annotations = BTreeMap::new();
            if let Some(found) = cursor.path(&["metadata", "annotations"]) {
                for (name, value) in found.fields()? {
                    annotations.insert(name.to_owned(), crate::Sited { value: value.text()?, at: value.at() });
                }
            }
            Ok(ServiceAccount {
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                at: cursor.at(),
                annotations,
                automount_token: cursor.sited("automountServiceAccountToken", Cursor::boolean)?,
            })
        };
        self.of(&["ServiceAccount"]).map(read).collect()
    }
}

/// Says kind and version in the object itself: the API leaves them out where the list tells them.
fn name_kind(node: &mut Node, kind: &str, version: &str) {
    let Tree::Map(fields) = &mut node.tree else { return };
    if fields.iter().any(|(name, _)| name == "kind") {
        return;
    }
    let (place, column) = (node.place, node.column);
    let text = |text: &str| Node { place, column, tree: Tree::Text(text.to_owned()) };
    // In front: the places of fields grow.
    fields.splice(0..0, [("kind".to_owned(), text(kind)), ("apiVersion".to_owned(), text(version))]);
}

fn left_out(cursor: &Cursor<'_>, name: &str, why: &str) -> String {
    format!("{}: {name} is left out: {why}", cursor.at())
}

pub(crate) fn unreadable(cursor: &Cursor<'_>, kind: &str, key: Option<&Key>) -> Stray {
    let (at, reference) = (cursor.at(), key.map(Key::reference));
    let name = reference.as_deref().unwrap_or(kind);
    let text = format!("{at}: {name} makes or scales pods that this tool does not know; nothing of it is checked");
    Stray { reference, text }
}

fn key(cursor: &Cursor<'_>, kind: &str) -> Result<Key, InventoryError> {
    let Some(metadata) = cursor.get("metadata") else {
        return Err(cursor.unlike("an object with `metadata`"));
    };
    let name = match metadata.text_of("generateName")? {
        Some(stem) if metadata.get("name").is_none() => stem,
        _ => metadata.needed("name")?,
    };
    let namespace = metadata.text_of("namespace")?.unwrap_or_else(|| workload::DEFAULT_NAMESPACE.to_owned());
    Ok(Key::new(&namespace, kind, &name))
}
