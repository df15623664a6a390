//! Reads `preflight.yaml` and says everything that is wrong with it.

use super::error::{ConfigError, Mistake};
use super::place::Node;
use super::{Config, Waiver};
use crate::areas;
use crate::pattern;
use preflight_core::{PHASES, Phases, Timestamp, secrets_from};
use preflight_report::{ConfigSource, sha256_hex, sha256_of};
use serde_saphyr::{Error, MessageFormatter, Options, PropertySyntax, UserMessageFormatter};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest configuration that is read.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How alike two words are, from 0 to 1, before one is suggested for the other.
const LIKENESS_MIN: f64 = 0.7;

/// A configuration with everything that is known about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub config: Config,
    /// The phases of the migration.
    pub phases: Phases,
    /// The file itself.
    pub source: ConfigSource,
    /// The digest over what the file says, secrets hidden.
    pub sha256: String,
    /// What is allowed and unwise.
    pub warnings: Vec<Mistake>,
}

/// Reads a configuration. `${NAME}` in a value is replaced by the variable of that name.
pub(crate) fn load(path: &Path, variables: HashMap<String, String>, now: Timestamp) -> Result<Loaded, ConfigError> {
    let text = text_of(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let mistaken = |mistakes| ConfigError::Mistaken { path: path.to_owned(), mistakes };
    // Of the parser's syntaxes this is the only one that looks into quoted values, too.
    let expanded = serde_saphyr::options! { with_snippet: false, property_syntax: PropertySyntax::DockerCompose };
    let as_written = serde_saphyr::options! { with_snippet: false };
    let expandable = expandable(&text);
    let parse = |options: Options| secrets_from(&folder, || serde_saphyr::from_str_with_options(&expandable, options));
    let node: Node =
        serde_saphyr::from_str_with_options(&text, as_written).map_err(|error| mistaken(vec![mistake(&error)]))?;
    let mut config: Config =
        parse(expanded.with_properties(variables)).map_err(|error| mistaken(vec![mistake(&error)]))?;
    let mistakes: Vec<Mistake> = problems(&config, now)
        .into_iter()
        .map(|(path, text)| {
            let (line, column) = node.nearest(&path).at;
            Mistake { line, column, text: format!("{path}: {text}") }
        })
        .collect();
    if !mistakes.is_empty() {
        return Err(mistaken(mistakes));
    }
    resolve(&mut config, &folder);
    let warnings = node.literal_secrets().into_iter().map(|(key, (line, column))| Mistake {
        line,
        column,
        text: format!("{key} is written down here; name a variable, `${{NAME}}`, or a file, `{{file: PATH}}`, instead"),
    });
    Ok(Loaded {
        phases: phases(&config).unwrap_or_default(),
        source: ConfigSource { path: path.display().to_string(), sha256: sha256_hex(text.as_bytes()) },
        sha256: sha256_of(&node.masked()),
        warnings: warnings.collect(),
        config,
    })
}

/// The text as the parser takes it: `${NAME}` must be set, and any other `$` is only a dollar sign. `$${` is `${`.
fn expandable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest.strip_prefix("${").and_then(|after| after.split_once('}')).map(|(name, _)| name);
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        rest = match name.filter(|name| is_name(name)) {
            _ if rest.starts_with("$${") => {
                out.push_str("$${");
                &rest[3..]
            }
            Some(name) => {
                out.push_str(&format!("${{{name}?}}"));
                &rest[name.len() + 3..]
            }
            None => {
                out.push_str("$$");
                &rest[1..]
            }
        };
    }
    out + rest
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Paths in the file are relative to it.
fn resolve(config: &mut Config, folder: &Path) {
    let in_folder = |path: &mut PathBuf| *path = folder.join(&*path);
    config.manifests.iter_mut().for_each(in_folder);
    config.ecs.iter_mut().for_each(in_folder);
    config.workloads.iter_mut().flat_map(|workload| &mut workload.artifacts).for_each(in_folder);
    config.cluster.kubeconfig.iter_mut().for_each(in_folder);
    for endpoint in &mut config.endpoints {
        if let preflight_connections::settings::Tls::Authority(path) = &mut endpoint.tls {
            in_folder(path);
        }
    }
}

fn mistake(error: &Error) -> Mistake {
    let error = error.without_snippet();
    let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
    let text = match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
        Error::PropertyRequiredButUnset { name, .. } => format!("the variable `{name}` is not set"),
        Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        other => UserMessageFormatter.format_message(other).into_owned(),
    };
    Mistake { line, column, text }
}

fn unknown(what: &str, word: &str, expected: &[&'static str]) -> String {
    let hint = nearest(word, expected.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
    format!("unknown {what} `{word}`, expected one of {}{}", listed(expected.iter().copied()), hint.unwrap_or_default())
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The most alike of some words.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |other: &str| strsim::jaro_winkler(&word.to_lowercase(), &other.to_lowercase());
    let best = known.map(|other| (likeness(other), other)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= LIKENESS_MIN).then_some(best.1)
}

fn hint<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(word, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

type Problems = Vec<(String, String)>;

/// What types alone do not catch: the path of each value, and what was expected there.
fn problems(config: &Config, now: Timestamp) -> Problems {
    let mut problems = Problems::new();
    let endpoints: Vec<&str> = config.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    if config.environment.trim().is_empty() {
        problems.push(("environment".to_owned(), "a name is needed".to_owned()));
    }
    twice("endpoints", endpoints.iter().copied(), &mut problems);
    for (index, endpoint) in config.endpoints.iter().enumerate().filter(|(_, one)| one.host_and_port().is_none()) {
        // A URL may hold a password.
        let shown = if endpoint.address.contains('@') { "a URL with an account" } else { &endpoint.address };
        let text = format!("`{shown}` is not `host` or `host:port`");
        problems.push((format!("endpoints[{index}].address"), text));
    }
    twice("workloads", config.workloads.iter().map(|workload| workload.name.as_str()), &mut problems);
    of_workloads(config, &endpoints, &mut problems);
    of_load(config, &mut problems);
    if let Some(account) = &config.aws.account_id
        && (account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()))
    {
        problems.push(("aws.accountId".to_owned(), format!("`{account}` is not twelve digits; put them in quotes")));
    }
    problems.extend(config.idempotency.problems(&endpoints));
    problems.extend(config.load.problems());
    if let Err(found) = phases(config) {
        problems.extend(found);
    }
    let ids: Vec<&str> = areas::metas().map(|meta| meta.id).collect();
    for (index, wanted) in config.required.iter().enumerate() {
        if !ids.iter().any(|id| pattern::matches(wanted, id)) {
            let text = format!("no check is called `{wanted}`{}", hint(wanted, ids.iter().copied()));
            problems.push((format!("required[{index}]"), text));
        }
    }
    for (index, waiver) in config.waivers.iter().enumerate() {
        of_waiver(index, waiver, &ids, now, &mut problems);
    }
    of_run(config, &mut problems);
    problems
}

fn twice<'a>(list: &str, names: impl Iterator<Item = &'a str>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        let text = match name {
            "" => "a name is needed".to_owned(),
            name if !seen.insert(name) => format!("another one is called `{name}`, too; names must differ"),
            _ => continue,
        };
        problems.push((format!("{list}[{index}].name"), text));
    }
}

fn of_workloads(config: &Config, endpoints: &[&str], problems: &mut Problems) {
    for (index, workload) in config.workloads.iter().enumerate() {
        if let Some(eks) = &workload.eks
            && eks.split('/').filter(|part| !part.is_empty()).count() != 3
        {
            let text = format!("`{eks}` is not `namespace/Kind/name`, for example `shop/Deployment/orders`");
            problems.push((format!("workloads[{index}].eks"), text));
        }
        for (at, one) in workload.uses.iter().enumerate() {
            if !endpoints.contains(&one.endpoint.as_str()) {
                let text = format!(
                    "no endpoint is called `{}`{}",
                    one.endpoint,
                    hint(&one.endpoint, endpoints.iter().copied())
                );
                problems.push((format!("workloads[{index}].uses[{at}].endpoint"), text));
            }
        }
    }
}

/// The workloads that targets name.
fn of_load(config: &Config, problems: &mut Problems) {
    let known = || config.workloads.iter().map(|workload| workload.name.as_str());
    for (index, target) in config.load.targets.iter().enumerate() {
        for (at, name) in target.workloads.iter().enumerate().filter(|(_, name)| !known().any(|one| one == *name)) {
            let text = format!("`workloads` lists none that is called `{name}`{}", hint(name, known()));
            problems.push((format!("load.targets[{index}].workloads[{at}]"), text));
        }
    }
}

fn of_waiver(index: usize, waiver: &Waiver, ids: &[&str], now: Timestamp, problems: &mut Problems) {
    let mut add = |key: &str, text: String| problems.push((format!("waivers[{index}].{key}"), text));
    if !ids.contains(&waiver.check.as_str()) {
        add("check", format!("no check is called `{}`{}", waiver.check, hint(&waiver.check, ids.iter().copied())));
    }
    if waiver.expires <= now {
        add(
            "expires",
            format!("this waiver of {} ended at {}; decide anew or remove it", waiver.check, waiver.expires),
        );
    }
    for (key, value) in [("subject", &waiver.subject), ("owner", &waiver.owner), ("reason", &waiver.reason)] {
        if value.trim().is_empty() {
            add(key, "must not be empty".to_owned());
        }
    }
}

fn of_run(config: &Config, problems: &mut Problems) {
    let run = &config.run;
    let mut within = |key: &str, value: u64, least: u64, most: u64| {
        if !(least..=most).contains(&value) {
            problems.push((format!("run.{key}"), format!("expected {least} to {most}, got {value}")));
        }
    };
    within("concurrency", run.concurrency as u64, 1, 64);
    within("limitS", run.limit_s, 1, 86_400);
    within("validS", run.valid_s, 60, 604_800);
}

/// The phases, built-in or of its own.
fn phases(config: &Config) -> Result<Phases, Problems> {
    if config.phases.is_empty() {
        return Ok(Phases::default());
    }
    let mut problems = Problems::new();
    twice("phases", config.phases.iter().map(|phase| phase.name.as_str()), &mut problems);
    let mut own = vec![];
    for (index, phase) in config.phases.iter().enumerate() {
        match phase.like.parse() {
            Ok(like) => own.push((phase.name.clone(), like)),
            Err(()) => {
                let words = || PHASES.iter().map(|(_, word)| *word);
                let text = format!("unknown phase `{}`, expected one of {}", phase.like, listed(words()));
                problems.push((format!("phases[{index}].like"), text));
            }
        }
    }
    if problems.is_empty() { Ok(Phases::new(own)) } else { Err(problems) }
}
