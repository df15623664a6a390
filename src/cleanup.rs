//! `cleanup`: removes what interrupted runs created, from their journals.

use crate::areas::Areas;
use crate::cli::CleanupArgs;
use crate::config::Without;
use crate::output::complain;
use crate::run::configuration;
use anyhow::{Context, Result};
use preflight_cluster::Inventory;
use preflight_core::{CannotTell, journal};
use preflight_report::ExitCode;
use std::path::{Path, PathBuf};

/// The journals in a folder, oldest first, those of runs that go on among them.
fn journals(state: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(state) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.with_context(|| format!("looking for journals in `{}`", state.display()))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "journal");
    let mut found: Vec<PathBuf> = paths.into_iter().filter(is_journal).collect();
    found.sort();
    Ok(found)
}

/// How many runs that are over left a journal in a folder.
pub(crate) fn runs_left(state: &Path) -> Result<usize> {
    Ok(journals(state)?.iter().filter(|path| !matches!(journal::left(path), Ok(None))).count())
}

/// Removes what the journals name. A journal goes when everything in it is gone.
pub(crate) async fn cleanup(args: &CleanupArgs) -> Result<ExitCode> {
    let journals = journals(&args.state.state)?;
    if journals.is_empty() {
        complain(&format!("no run left a journal in `{}`: there is nothing to remove", args.state.state.display()));
        return Ok(ExitCode::Go);
    }
    let loaded = configuration(&args.config.config, Without::Nothing)?;
    let areas = Areas::new(&loaded.config, Inventory::default());
    let mut left = 0;
    for path in journals {
        left += of_journal(&path, &areas).await?;
    }
    if left == 0 {
        return Ok(ExitCode::Go);
    }
    complain(&format!(
        "{left} thing(s) could not be removed; they stay in their journals, and `cleanup` may be run again"
    ));
    Ok(ExitCode::Inconclusive)
}

/// How much of one journal could not be removed.
async fn of_journal(path: &Path, areas: &Areas) -> Result<usize> {
    let found = match journal::left(path) {
        Ok(Some(found)) => found,
        Ok(None) => {
            complain(&format!("{}: that run still goes on, and removes by itself what it creates", path.display()));
            return Ok(0);
        }
        Err(error) => {
            complain(&format!("{}: {error}; look at it by hand", path.display()));
            return Ok(1);
        }
    };
    let mut left = 0;
    for entry in &found.entries {
        let what = format!("{} `{}` on {}", entry.kind, entry.name, entry.target);
        match remove(entry, areas).await {
            Ok(()) => complain(&format!("removed {what}")),
            Err(error) => {
                left += 1;
                complain(&format!("NOT removed: {what}: {error}"));
            }
        }
    }
    if left == 0 {
        found.remove()?;
    }
    Ok(left)
}

async fn remove(entry: &journal::Entry, areas: &Areas) -> Result<(), CannotTell> {
    match entry.kind.as_str() {
        preflight_idempotency::JOURNAL_KIND => preflight_idempotency::remove(entry, &areas.idempotency).await,
        kind => Err(CannotTell::prerequisite(format!("this version does not know how to remove `{kind}`"))),
    }
}
