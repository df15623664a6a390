//! Reads `preflight.yaml` and says everything that is wrong with it.

use super::Config;
use super::error::{ConfigError, Mistake, said};
use super::files;
use super::place::Node;
use super::problems::{phases, problems};
use super::schema::Schema;
use super::shape::{Shape, compare};
use super::variables::{expandable, expanded};
use preflight_core::{Phases, Timestamp, secrets_from};
use preflight_report::{ConfigSource, sha256_hex, sha256_of};
use serde_saphyr::{Error, MessageFormatter, PropertySyntax, UserMessageFormatter};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest configuration that is read.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How alike two words are, from 0 to 1, before one is suggested for the other.
const LIKENESS_MIN: f64 = 0.7;

/// What a command can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Without {
    /// It needs everything.
    Nothing,
    /// It logs in nowhere: the variables and files of secrets may be missing.
    Secrets,
    /// It checks what is written: any variable may be missing.
    Variables,
}

/// A configuration with everything that is known about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub config: Config,
    /// The phases of the migration.
    pub phases: Phases,
    /// The file itself. Where secrets are written down in it, its digest is that over what it says.
    pub source: ConfigSource,
    /// The digest over what the file says, secrets hidden.
    pub sha256: String,
    /// Secrets that are written down, which is allowed and unwise.
    pub written_secrets: Vec<Mistake>,
    /// Variables and files of secrets that are not there, where the command can do without. What they would hold is
    /// filled up with something that fits.
    pub unset: Vec<Mistake>,
    /// Files and directories that it names and that are not there.
    pub missing: Vec<Mistake>,
    document: Node,
}

impl Loaded {
    /// A mistake in the value at a path such as `workloads[0].eks`.
    pub(crate) fn mistake(&self, path: &str, text: impl Into<String>) -> Mistake {
        Mistake::new(self.document.nearest(path).at, path, text)
    }

    /// Mistakes as the error that they are.
    pub(crate) fn mistaken(&self, mistakes: Vec<Mistake>) -> ConfigError {
        ConfigError::Mistaken { path: PathBuf::from(&self.source.path), mistakes }
    }

    /// A mistake with the file in front.
    pub(crate) fn said(&self, mistake: &Mistake) -> String {
        said(Path::new(&self.source.path), mistake)
    }
}

/// Reads a configuration. `${NAME}` in a value is replaced by the variable of that name.
pub(crate) fn load(
    path: &Path,
    mut variables: HashMap<String, String>,
    now: Timestamp,
    without: Without,
) -> Result<Loaded, ConfigError> {
    let bytes = bytes_of(path).map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let mistaken = |mut mistakes: Vec<Mistake>| {
        mistakes.sort_by_key(|mistake| mistake.at);
        ConfigError::Mistaken { path: path.to_owned(), mistakes }
    };
    let text = text_of(bytes).map_err(|mistake| mistaken(vec![mistake]))?;
    let document = document(&text).map_err(|mistake| mistaken(vec![mistake]))?;
    let schema = Schema::of_config();
    let shape = compare(&schema, &document, &variables);
    let Gaps { mut mistakes, unset } = gaps(&shape, &mut variables, &folder, without);
    mistakes.extend(shape.mistakes);
    if !mistakes.is_empty() {
        return Err(mistaken(mistakes));
    }
    // Who does without secrets does not read them.
    let secrets = (without == Without::Nothing).then_some(folder.as_path());
    // Of the parser's syntaxes this is the only one that looks into quoted values, too.
    let options = serde_saphyr::options! { with_snippet: false, property_syntax: PropertySyntax::DockerCompose };
    let options = options.with_properties(variables);
    let read = || serde_saphyr::from_str_with_options(&expandable(&text), options);
    let mut config: Config =
        secrets_from(secrets, read).map_err(|error| mistaken(vec![refused(&error, &document, &schema)]))?;
    // Of what is filled up nothing can be said, nor of references to what has such a name.
    let is_unset = |fits: &dyn Fn(&str) -> bool| unset.iter().any(|mistake| fits(&mistake.path));
    let no_names = |list: &str| is_unset(&|path| path.starts_with(list) && path.ends_with("].name"));
    let is_open = |path: &str| {
        is_unset(&|unset| unset == path)
            || (path.ends_with(".endpoint") && no_names("endpoints["))
            || (path.contains(".workloads[") && no_names("workloads["))
    };
    let located = |found: Vec<(String, String)>| {
        let known = found.into_iter().filter(|(path, _)| !is_open(path));
        known.map(|(path, text)| Mistake::new(document.nearest(&path).at, path, text)).collect::<Vec<_>>()
    };
    let mistakes = located(problems(&config, &document, now));
    if !mistakes.is_empty() {
        return Err(mistaken(mistakes));
    }
    resolve(&mut config, &folder);
    let missing = located(files::missing(&config));
    let written = |(what, at)| {
        let text = format!(
            "{what} is written down here; name a variable, `${{NAME}}`, or, where a secret alone stands, a file, `{{file: \
             PATH}}`, instead"
        );
        Mistake::new(at, "", text)
    };
    let sha256 = sha256_of(&document.masked());
    let written_secrets: Vec<Mistake> = document.literal_secrets().into_iter().map(written).collect();
    // Or whoever has a report could try passwords against the digest of the file.
    let of_file = if written_secrets.is_empty() { sha256_hex(text.as_bytes()) } else { sha256.clone() };
    Ok(Loaded {
        phases: phases(&config).unwrap_or_default(),
        source: ConfigSource { path: path.display().to_string(), sha256: of_file },
        sha256,
        written_secrets,
        unset,
        missing,
        config,
        document,
    })
}

fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn text_of(bytes: Vec<u8>) -> Result<String, Mistake> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let line = valid.matches('\n').count() as u64 + 1;
        let column = valid.chars().rev().take_while(|c| *c != '\n').count() as u64 + 1;
        Mistake::new((line, column), "", "this is not UTF-8; expected YAML in UTF-8")
    })
}

/// What is written, nothing replaced.
fn document(text: &str) -> Result<Node, Mistake> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        Mistake::new(at(error), "", UserMessageFormatter.format_message(error))
    })
}

fn at(error: &Error) -> (u64, u64) {
    error.location().map_or((0, 0), |at| (at.line(), at.column()))
}

/// What is not there of what values name.
struct Gaps {
    /// What the command cannot do without.
    mistakes: Vec<Mistake>,
    unset: Vec<Mistake>,
}

/// Looks for every variable and every file of a secret. Fills up the variables that the command can do without.
fn gaps(shape: &Shape, variables: &mut HashMap<String, String>, folder: &Path, without: Without) -> Gaps {
    let mut gaps = Gaps { mistakes: vec![], unset: vec![] };
    let mut filled = HashMap::new();
    for one in shape.uses.iter().filter(|one| !variables.contains_key(&one.name)) {
        let needed = if one.is_secret { Without::Nothing } else { Without::Secrets };
        let mistake = Mistake::new(one.at, &one.path, format!("the variable `{}` is not set", one.name));
        if without > needed {
            filled.entry(one.name.clone()).or_insert_with(|| one.stand_in.clone());
            gaps.unset.push(mistake);
        } else {
            gaps.mistakes.push(mistake);
        }
    }
    for (at, path, file) in &shape.files {
        let mut gone = gaps.unset.iter().chain(&gaps.mistakes).chain(&shape.mistakes);
        let is_open = file.contains("${") && gone.any(|gap| gap.path == *path);
        if is_open {
            continue;
        }
        let file = folder.join(expanded(file, variables));
        let Err(error) = File::open(&file) else { continue };
        let mistake = Mistake::new(*at, path, files::unreadable(&file, "a file with the secret", &error));
        if without > Without::Nothing { gaps.unset.push(mistake) } else { gaps.mistakes.push(mistake) }
    }
    variables.extend(filled);
    gaps
}

/// What the types say about a value that is of the right kind and yet wrong.
fn refused(error: &Error, document: &Node, schema: &Schema) -> Mistake {
    let error = error.without_snippet();
    let said = UserMessageFormatter.format_message(error);
    let Some((path, node)) = document.standing(at(error)) else { return Mistake::new(at(error), "", said) };
    let text = match error {
        Error::Message { .. } => format!("{said}{}", schema.example(&path)),
        _ => schema.refused(&path, node).unwrap_or_else(|| said.into_owned()),
    };
    Mistake::new(node.at, path, text)
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

/// The most alike of some words.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |other: &str| strsim::jaro_winkler(&word.to_lowercase(), &other.to_lowercase());
    let best = known.map(|other| (likeness(other), other)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= LIKENESS_MIN).then_some(best.1)
}
