//! From what an archive holds to whether its SDK can exchange a token.

use super::home::Home;
use super::scan::{Found, Seen};
use super::{GENERATIONS, Generation, JarFindings, JarVerdict, Kind, SdkFinding, SeenVersion, version};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn judge(path: String, seen: Seen) -> JarFindings {
    let sdks: Vec<SdkFinding> = GENERATIONS.into_iter().flat_map(|generation| sdks(generation, &seen)).collect();
    let any = |verdict| sdks.iter().any(|sdk| sdk.verdict == verdict);
    let verdict = if !seen.incomplete.is_empty() {
        JarVerdict::CannotTell
    } else if sdks.is_empty() {
        JarVerdict::NoSdk
    } else if any(JarVerdict::Incapable) {
        JarVerdict::Incapable
    } else if any(JarVerdict::CannotTell) {
        JarVerdict::CannotTell
    } else {
        JarVerdict::Capable
    };
    JarFindings { path, verdict, sdks, incomplete: seen.incomplete, archives: seen.archives }
}

/// What one application has of a generation.
#[derive(Default)]
struct Part<'a> {
    classes: Vec<&'a Found>,
    versions: Vec<SeenVersion>,
}

/// One generation, in each application that has it.
fn sdks(generation: Generation, seen: &Seen) -> Vec<SdkFinding> {
    let classes = || seen.classes.iter().filter(|found| found.generation == generation);
    let apart = apart(classes(), seen);
    let mut parts: BTreeMap<&str, Part<'_>> = BTreeMap::new();
    for found in classes() {
        parts.entry(application(&found.home, &apart)).or_default().classes.push(found);
    }
    for (_, version, home) in seen.versions.iter().filter(|(of, ..)| *of == generation) {
        parts.entry(application(home, &apart)).or_default().versions.push(version.clone());
    }
    let has_others = parts.len() > 1;
    let target = |own: &str| {
        let is_target = |found: &&Found| found.kind == Kind::Target && application(&found.home, &apart) != own;
        classes().find(is_target).map(|found| found.at.as_str())
    };
    let one = |(own, part)| {
        let mut sdk = sdk(generation, part, target(own))?;
        if has_others {
            sdk.because = format!("{own}: {}", sdk.because);
        }
        Some(sdk)
    };
    parts.into_iter().filter_map(one).collect()
}

/// The directories and zips whose jars are taken one by one. Loose jars are libraries of one application, unless one of
/// them is an application itself, or several bring a chain of credentials along.
fn apart<'a>(classes: impl Iterator<Item = &'a Found>, seen: &'a Seen) -> BTreeSet<&'a str> {
    let mut chains: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for found in classes.filter(|found| found.kind == Kind::Chain) {
        if let Some(group) = &found.home.group {
            chains.entry(group).or_default().insert(&found.home.unit);
        }
    }
    let several = chains.into_iter().filter(|(_, units)| units.len() > 1).map(|(group, _)| group);
    several.chain(seen.with_applications.iter().map(String::as_str)).collect()
}

/// The application that something belongs to.
fn application<'a>(home: &'a Home, apart: &BTreeSet<&str>) -> &'a str {
    home.group.as_deref().filter(|group| !apart.contains(group)).unwrap_or(&home.unit)
}

/// One generation in one application, if it is there. `elsewhere` is an STS module of another application.
fn sdk(generation: Generation, part: Part<'_>, elsewhere: Option<&str>) -> Option<SdkFinding> {
    let Part { classes, mut versions } = part;
    versions.sort();
    versions.dedup();
    let of = |kind: Kind| -> Vec<&Found> { classes.iter().filter(|found| found.kind == kind).copied().collect() };
    let (chains, targets) = (of(Kind::Chain), of(Kind::Target));
    let is_named = versions.iter().any(|version| version.module != generation.sts_module());
    if chains.is_empty() && !is_named {
        return None;
    }
    let module = module(generation, &chains, &of(Kind::Loader), &targets);
    let has_provider = !of(Kind::Provider).is_empty();
    let (verdict, because) = match age(generation, &versions, has_provider) {
        Err(reason) => reason,
        Ok(version) => match module {
            Module::Present => (JarVerdict::Capable, format!("{version}, and its STS module are there")),
            Module::Missing(why) => match elsewhere {
                // Whether one application sees what belongs to another is up to its server.
                Some(at) => (
                    JarVerdict::CannotTell,
                    format!("{version} is there, {why}; {at} has one, which belongs to another application"),
                ),
                None => (JarVerdict::Incapable, format!("{version} is there, {why}")),
            },
            Module::Unclear(why) => (JarVerdict::CannotTell, format!("{version} is there, {why}")),
        },
    };
    let mut found_at: Vec<String> = chains.iter().chain(&targets).map(|found| found.at.clone()).collect();
    found_at.sort();
    found_at.dedup();
    let minimum = generation.minimum().to_owned();
    Some(SdkFinding { generation, versions, minimum, sts_module: !targets.is_empty(), found_at, verdict, because })
}

enum Module {
    Present,
    Missing(String),
    Unclear(String),
}

/// Whether every chain of credentials finds the class that it loads by name.
fn module(generation: Generation, chains: &[&Found], loaders: &[&Found], targets: &[&Found]) -> Module {
    let artifact = format!("{}:{}", generation.group(), generation.sts_module());
    if chains.is_empty() {
        return Module::Unclear("Maven's notes name it, and its classes are not to be seen".to_owned());
    }
    for chain in chains {
        // The loader that was moved together with the chain tells what it looks for; otherwise the default is known.
        let loader = loaders.iter().find(|loader| loader.root == chain.root);
        let wanted = loader.and_then(|loader| wanted(generation, loader));
        let is_moved = chain.root != generation.root();
        let wanted = wanted.or_else(|| (!is_moved).then(|| generation.root().to_owned()));
        match wanted {
            Some(root) if targets.iter().any(|target| target.root == root) => (),
            Some(_) if targets.is_empty() => {
                return Module::Missing(format!("its STS module ({artifact}) is not"));
            }
            Some(root) => {
                let class = format!("{root}{}", generation.suffix(Kind::Target));
                return Module::Missing(format!("and looks for its STS module at {class}, where it is not"));
            }
            None if targets.is_empty() => {
                return Module::Missing(format!("moved to {}, its STS module ({artifact}) is not", chain.root));
            }
            None => {
                return Module::Unclear(format!(
                    "moved to {}, and where it looks for its STS module is unclear",
                    chain.root
                ));
            }
        }
    }
    Module::Present
}

/// The root under which a loader looks for the STS module, from its constants.
fn wanted(generation: Generation, loader: &Found) -> Option<String> {
    let suffix = generation.suffix(Kind::Target).trim_end_matches(".class");
    loader.texts.iter().find_map(|text| text.replace('.', "/").strip_suffix(suffix).map(str::to_owned))
}

/// Name and version of an SDK that is new enough, or why it is not.
fn age(generation: Generation, versions: &[SeenVersion], has_provider: bool) -> Result<String, (JarVerdict, String)> {
    let name = match generation {
        Generation::V1 => "the AWS SDK for Java 1",
        Generation::V2 => "the AWS SDK for Java 2",
    };
    let minimum = generation.minimum();
    let mut known: Vec<([u64; 3], &str)> = versions
        .iter()
        .filter_map(|seen| version::parse(&seen.version).map(|parsed| (parsed, seen.version.as_str())))
        .collect();
    known.sort_unstable();
    known.dedup();
    let (Some(oldest), Some(newest)) = (known.first(), known.last()) else {
        return match (generation, has_provider) {
            (_, false) => Err((JarVerdict::Incapable, format!("{name} is there without a provider for web identity"))),
            (Generation::V2, true) => Ok(format!("{name} of an unnamed version, new enough for web identity")),
            // The first versions with the provider asked it after the node's role.
            (Generation::V1, true) => Err((
                JarVerdict::CannotTell,
                format!("{name} is there, and nothing says whether it is {minimum} or newer"),
            )),
        };
    };
    let least = version::parse(minimum).unwrap_or_default();
    let shown: Vec<&str> = known.iter().map(|(_, text)| *text).collect();
    let shown = shown.join(" and ");
    if newest.0 < least {
        return Err((JarVerdict::Incapable, format!("{name} is {shown}, web identity needs {minimum} or newer")));
    }
    if oldest.0 < least {
        let because =
            format!("{name} is there as {shown}; which one is loaded is unclear, web identity needs {minimum}");
        return Err((JarVerdict::CannotTell, because));
    }
    Ok(format!("{name} {shown}"))
}
