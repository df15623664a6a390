//! What a run writes must be nothing that it reads, and no two forms of the report may go to one file.

use crate::cli::{OutputTo, RunArgs};
use crate::config::Config;
use crate::deliver::Route;
use anyhow::{Context, Result, bail};
use preflight_connections::settings::Tls;
use preflight_report::REPORT_BYTES_MAX;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// The ends of names of files that are read where a directory is named.
const READ: [&str; 6] = ["yaml", "yml", "json", "jar", "war", "ear"];

/// One file that a run writes, and how it was asked for.
pub(crate) struct Written {
    asked: String,
    place: PathBuf,
}

/// The files that a run writes, if they are apart from each other and from the configuration.
pub(crate) fn written(args: &RunArgs) -> Result<Vec<Written>> {
    let report = format!("--report {}", args.report.display());
    let mut all = vec![(report.clone(), args.report.as_path())];
    let previous = previous(&args.report);
    all.push((format!("{report} (what was there before)"), &previous));
    all.extend(args.output.iter().filter_map(form));
    all.extend(args.deliver.iter().filter_map(|route| match route {
        Route::File(file) => Some((format!("--deliver file={}", file.display()), file.as_path())),
        Route::Termination(file) => Some((format!("--deliver termination={}", file.display()), file.as_path())),
        Route::Log | Route::ConfigMap { .. } | Route::Put(_) => None,
    }));
    apart(all, (&args.config.config, "the configuration"))
}

/// Refuses to write a form of a report over the report or over another form.
pub(crate) fn converted(report: &Path, output: &[OutputTo]) -> Result<()> {
    apart(output.iter().filter_map(form).collect(), (report, "the report")).map(drop)
}

/// The file of one form, and how it was asked for.
fn form(to: &OutputTo) -> Option<(String, &Path)> {
    let file = to.file.as_deref()?;
    Some((format!("--output {}={}", to.format, file.display()), file))
}

fn apart(all: Vec<(String, &Path)>, (read, what): (&Path, &str)) -> Result<Vec<Written>> {
    let read = place(read);
    let mut written: Vec<Written> = vec![];
    for (asked, file) in all {
        let Some(place) = place(file) else { continue };
        if read.as_ref() == Some(&place) {
            bail!("`{asked}` would overwrite {what}; name another file");
        }
        if let Some(other) = written.iter().find(|other| other.place == place) {
            bail!("`{asked}` and `{}` name one file; each needs its own", other.asked);
        }
        written.push(Written { asked, place });
    }
    Ok(written)
}

/// Refuses to write what the configuration names to be read.
pub(crate) fn spare(written: &[Written], config: &Config) -> Result<()> {
    let of = |list: &[PathBuf], key: &str| {
        list.iter().enumerate().map(|(index, path)| (format!("{key}[{index}]"), path.clone())).collect::<Vec<_>>()
    };
    let mut read = [of(&config.manifests, "manifests"), of(&config.ecs, "ecs")].concat();
    for (index, workload) in config.workloads.iter().enumerate() {
        read.extend(of(&workload.artifacts, &format!("workloads[{index}].artifacts")));
    }
    read.extend(config.cluster.kubeconfig.iter().map(|path| ("cluster.kubeconfig".to_owned(), path.clone())));
    read.extend(config.endpoints.iter().enumerate().filter_map(|(index, endpoint)| match &endpoint.tls {
        Tls::Authority(path) => Some((format!("endpoints[{index}].tls.ca"), path.clone())),
        _ => None,
    }));
    for (key, path) in read {
        let Ok(path) = path.canonicalize() else { continue };
        if let Some(one) = written.iter().find(|one| is_read(&one.place, &path)) {
            bail!("`{}` would overwrite what `{key}` names to be read; name another file", one.asked);
        }
    }
    Ok(())
}

/// Whether a file is one that is named, or is there and read because it is below a directory that is named.
fn is_read(file: &Path, named: &Path) -> bool {
    let Ok(below) = file.strip_prefix(named) else { return false };
    if below.as_os_str().is_empty() {
        return true;
    }
    let end = file.extension().and_then(|end| end.to_str()).unwrap_or_default();
    let folders = below.parent().into_iter().flat_map(Path::components);
    let is_hidden = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
    READ.iter().any(|known| end.eq_ignore_ascii_case(known)) && file.is_file() && !folders.into_iter().any(is_hidden)
}

/// Moves an earlier report to `NAME.previous`: whoever looks for the report of a run that never wrote one must not find the
/// verdict of another. What is no report is somebody's and stays.
pub(crate) fn set_aside(report: &Path) -> Result<()> {
    // A pipe or a device holds no earlier report.
    if !report.is_file() {
        return Ok(());
    }
    let shown = report.display();
    let mut bytes = vec![];
    let read = File::open(report).and_then(|file| file.take(REPORT_BYTES_MAX as u64).read_to_end(&mut bytes));
    read.with_context(|| format!("reading the earlier report `{shown}`"))?;
    if !bytes.is_empty() && !is_report(&bytes) {
        bail!("`--report {shown}`: there is a file already that is no report of this tool; name another file");
    }
    std::fs::rename(report, previous(report)).with_context(|| format!("setting the earlier report `{shown}` aside"))
}

fn is_report(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Named {
        schema: String,
    }
    serde_json::from_slice(bytes).is_ok_and(|named: Named| named.schema.starts_with("eks-preflight/report/"))
}

fn previous(report: &Path) -> PathBuf {
    let mut previous = report.as_os_str().to_owned();
    previous.push(".previous");
    previous.into()
}

/// Where a file is or will be, whatever links lead there; none for pipes and devices, which hold nothing.
fn place(file: &Path) -> Option<PathBuf> {
    if let Ok(there) = file.canonicalize() {
        return there.is_file().then_some(there);
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).join(file.file_name()?))
}
