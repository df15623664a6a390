//! The only place that prints: data to standard output, everything else to standard error.

use super::clean::{clean, clean_json, clean_log};
use super::{Format, Style, github_summary, render};
use crate::ToolFailure;
use crate::cli::OutputTo;
use anyhow::{Context, Result};
use preflight_report::{ExitCode, Report};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

/// Prints data, made harmless to show.
pub(crate) fn say(text: &str) -> Result<()> {
    print(&clean(text))
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    printed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// A reader that has gone away is no error. That there is no room for the output is no mistake in what this tool was told.
fn printed(done: io::Result<()>) -> Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output").context(ToolFailure)
        }
        _ => Ok(()),
    }
}

/// Prints what the command line itself answers: help, the version, or what is wrong with the arguments.
pub(crate) fn answer(error: &clap::Error) -> Result<ExitCode> {
    let done = error.print();
    if error.use_stderr() {
        return Ok(ExitCode::Usage);
    }
    printed(done).map(|()| ExitCode::Go)
}

/// Prints JSON as data.
pub(crate) fn say_json(value: &serde_json::Value) -> Result<()> {
    print(&clean_json(&format!("{value:#}\n")))
}

/// Tells a person something that is not data, made harmless to show: errors quote what a target answered.
pub(crate) fn complain(text: &str) {
    // Nobody is left to be told where standard error is gone.
    let _ = writeln!(io::stderr().lock(), "{}", clean_log(text));
}

/// Puts one form of a report where it belongs.
pub(crate) fn deliver(report: &Report, to: &OutputTo, style: Style) -> Result<()> {
    let Some(path) = &to.file else {
        return match to.format {
            Format::Github => deliver_to_github(report, style),
            format => print(&render(format, report, style)),
        };
    };
    let text = render(to.format, report, Style { colour: false, ..style });
    preflight_report::write(path, text.as_bytes())
        .map_err(anyhow::Error::new)
        .with_context(|| format!("the report as {} was not written", to.format))
}

/// The summary goes to the file that GitHub names, the annotations to standard output, where GitHub reads them.
fn deliver_to_github(report: &Report, style: Style) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "GitHub names the file in the environment")]
    let summary = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from);
    if let Some(path) = summary {
        let attempt = || -> io::Result<()> {
            OpenOptions::new().create(true).append(true).open(&path)?.write_all(github_summary(report).as_bytes())
        };
        attempt().with_context(|| format!("appending the summary to `{}`", path.display()))?;
    }
    print(&render(Format::Github, report, style))
}
