//! From what an archive holds to whether its SDK can exchange a token.

use super::scan::{Found, Seen};
use super::{GENERATIONS, Generation, JarFindings, JarVerdict, Kind, SdkFinding, SeenVersion, version};

pub(super) fn judge(path: String, seen: Seen) -> JarFindings {
    let sdks: Vec<SdkFinding> = GENERATIONS.into_iter().filter_map(|generation| sdk(generation, &seen)).collect();
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

/// One generation, if it is there.
fn sdk(generation: Generation, seen: &Seen) -> Option<SdkFinding> {
    let mut versions: Vec<SeenVersion> =
        seen.versions.iter().filter(|(of, _)| *of == generation).map(|(_, version)| version.clone()).collect();
    versions.sort();
    versions.dedup();
    let of = |kind: Kind| -> Vec<&Found> {
        seen.classes.iter().filter(|found| found.generation == generation && found.kind == kind).collect()
    };
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
            Module::Missing(why) => (JarVerdict::Incapable, format!("{version} is there, {why}")),
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
