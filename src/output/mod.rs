//! One file per report format. Every format is a pure function of a finished report.
//!
//! No format judges. [`View`] is what all of them share: each result with its level, and the verdict. It holds the one
//! rule above all formats: nothing that did not run may read as passed.

mod clean;
mod ctrf;
mod github;
mod html;
mod json;
mod junit;
mod markdown;
mod stream;
mod text;
mod view;

#[cfg(test)]
mod tests;

use anyhow::Context;
use clean::clean;
pub(crate) use clean::one_line;
use preflight_report::Report;
use std::str::FromStr;
pub(crate) use stream::{answer, complain, deliver, say, say_json};
use view::View;

/// A report format, by its word on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people, on a terminal or in a log.
    Text,
    /// The report itself.
    Json,
    /// JUnit XML, for the test views of CI systems.
    Junit,
    /// The Common Test Report Format.
    Ctrf,
    /// Markdown, for pull requests and chats.
    Markdown,
    /// Annotations of GitHub Actions; the job summary is [`github_summary`].
    Github,
    /// One page for a browser and for paper.
    Html,
}

impl Format {
    /// Every format, in the order of the help.
    pub(crate) const ALL: &[Self] =
        &[Self::Text, Self::Json, Self::Junit, Self::Ctrf, Self::Markdown, Self::Github, Self::Html];

    /// The word on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Ctrf => "ctrf",
            Self::Markdown => "markdown",
            Self::Github => "github",
            Self::Html => "html",
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> anyhow::Result<Self> {
        let known = Self::ALL.iter().find(|format| format.as_str() == word);
        known.copied().with_context(|| {
            let words: Vec<_> = Self::ALL.iter().map(|format| format.as_str()).collect();
            format!("`{}` is not a format; expected one of {}", clean(word), words.join(", "))
        })
    }
}

/// The widest lines, and those where nobody knows how wide the terminal is.
const WIDTH: usize = 110;

/// How text is laid out. The other formats do not look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Whether to write ANSI colours.
    pub(crate) colour: bool,
    /// The most columns of a line; only commands and links are never broken. At least 40.
    pub(crate) width: usize,
}

impl Style {
    /// For standard output: colours on a terminal that can show them, unless somebody does not want any.
    #[expect(clippy::disallowed_methods, reason = "a terminal says in the environment what it can do")]
    pub(crate) fn of(no_color: bool, is_terminal: bool) -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width = console::Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| usize::from(columns));
        Self { colour: is_terminal && !no_color && !is_set("NO_COLOR") && !is_dumb, width: width.clamp(40, WIDTH) }
    }
}

/// A finished report in one format.
pub(crate) fn render(format: Format, report: &Report, style: Style) -> String {
    let view = View::of(report);
    match format {
        Format::Text => text::render(&view, style),
        Format::Json => json::render(report),
        Format::Junit => junit::render(&view),
        Format::Ctrf => ctrf::render(&view),
        Format::Markdown => markdown::render(&view),
        Format::Github => github::annotations(&view),
        Format::Html => html::render(&view),
    }
}

/// What belongs into the file named by `GITHUB_STEP_SUMMARY`. Under 1 MiB.
pub(crate) fn github_summary(report: &Report) -> String {
    github::summary(&View::of(report))
}
