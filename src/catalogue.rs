//! `explain` and `list`, and the reference pages made from the same texts.

use crate::areas::{AREAS, metas};
use crate::cli::{Answer, AnswerArgs, ExplainArgs};
use crate::config::nearest;
use crate::output::{say, say_json};
use anyhow::{Result, bail};
#[cfg(test)]
use preflight_core::PHASES;
use preflight_core::{Levels, Meta, Permission, Phase};
use preflight_report::ExitCode;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Explains one check.
pub(crate) fn explain(args: &ExplainArgs) -> Result<ExitCode> {
    let Some(meta) = metas().find(|meta| meta.id == args.id) else {
        let hint = nearest(&args.id, metas().map(|meta| meta.id));
        let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("no check is called `{}`{hint} (`eks-preflight list` lists them)", args.id);
    };
    match args.answer.output {
        Answer::Json => say_json(&as_json(meta))?,
        Answer::Text => say(&page(meta))?,
    }
    Ok(ExitCode::Go)
}

/// Lists every check.
pub(crate) fn list(args: &AnswerArgs) -> Result<ExitCode> {
    if args.output == Answer::Json {
        say_json(&metas().map(as_json).collect())?;
        return Ok(ExitCode::Go);
    }
    let width = metas().map(|meta| meta.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (area, claim) in AREAS {
        let _ = writeln!(text, "{claim}");
        for meta in metas().filter(|meta| meta.area() == *area) {
            let _ = writeln!(text, "  {:width$}  {}", meta.id, meta.title);
        }
    }
    say(&text)?;
    Ok(ExitCode::Go)
}

fn as_json(meta: &Meta) -> Value {
    json!({
        "id": meta.id,
        "title": meta.title,
        "proves": meta.proves,
        "failsWhen": meta.fails_when,
        "unknownWhen": meta.unknown_when,
        "fix": meta.fix,
        "permissions": meta.permissions.iter().map(permission).collect::<Vec<_>>(),
        "disruption": meta.disruption.as_str(),
        "required": levels(meta),
        "limitMs": meta.limit_ms,
        "maxAgeMs": meta.max_age_ms,
    })
}

fn levels(meta: &Meta) -> String {
    match meta.levels {
        Levels::RequiredFrom(Phase::Deployed) => "in every phase".to_owned(),
        Levels::RequiredFrom(phase) => format!("from `{phase}` on; advisory before"),
        Levels::Advisory => "never; advisory".to_owned(),
    }
}

fn permission(permission: &Permission) -> String {
    match permission {
        Permission::Kubernetes { verb, group, resource } => {
            let group = if group.is_empty() { "the core group" } else { group };
            format!("Kubernetes: `{verb}` on `{resource}` in {group}")
        }
        Permission::Aws { action } => format!("AWS: `{action}`"),
        Permission::Engine { engine, grant } => format!("{engine}: {grant}"),
    }
}

/// The reference page of a check, in Markdown that reads well as it is.
pub(crate) fn page(meta: &Meta) -> String {
    let mut text = format!("# {}\n\n{}.\n", meta.id, meta.title);
    let sections = [
        ("A pass proves", meta.proves),
        ("It fails when", meta.fails_when),
        ("It cannot tell when", meta.unknown_when),
        ("What to do", meta.fix),
    ];
    for (title, body) in sections {
        let _ = write!(text, "\n## {title}\n\n{body}\n");
    }
    text.push_str("\n## Facts\n\n");
    let consent = if meta.disruption.needs_consent() { "; needs `--consent` for its target" } else { "" };
    let _ = writeln!(text, "- Required: {}", levels(meta));
    let _ = writeln!(text, "- What it does to its targets: {}{consent}", meta.disruption.as_str());
    let _ = writeln!(
        text,
        "- Takes at most {} s; its result stays true for {} min",
        meta.limit_ms / 1_000,
        meta.max_age_ms / 60_000
    );
    for one in meta.permissions {
        let _ = writeln!(text, "- Needs: {}", permission(one));
    }
    text
}

/// The index of the reference pages.
#[cfg(test)]
fn index() -> String {
    let mut text =
        "# Checks\n\nGenerated from the catalogue; `eks-preflight explain ID` prints the same pages.\n".to_owned();
    for (area, claim) in AREAS {
        let _ = write!(text, "\n## {claim}\n\n");
        for meta in metas().filter(|meta| meta.area() == *area) {
            let _ = writeln!(text, "- [`{}`]({}.md): {}", meta.id, meta.id, meta.title);
        }
    }
    let phases = PHASES.iter().map(|(_, word)| format!("`{word}`")).collect::<Vec<_>>().join(" → ");
    let _ = write!(text, "\n## Phases\n\n{phases}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn generated_reference_pages_are_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checks");
        let mut pages: Vec<(String, String)> = metas().map(|meta| (format!("{}.md", meta.id), page(meta))).collect();
        pages.push(("README.md".to_owned(), index()));
        if generated::is_wanted() {
            drop(std::fs::remove_dir_all(&folder));
        }
        for (name, text) in &pages {
            generated::assert_current(&format!("docs/checks/{name}"), text);
        }
        let names: BTreeSet<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names.len(), pages.len(), "docs/checks holds a page of no check: run `make generated`");
    }

    #[test]
    fn every_check_has_an_id_of_its_area_and_every_text() {
        let mut ids = BTreeSet::new();
        for meta in metas() {
            assert!(ids.insert(meta.id), "{} is there twice", meta.id);
            assert!(AREAS.iter().any(|(area, _)| *area == meta.area()), "{}", meta.id);
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(meta.id.split_once('.').is_some_and(|(_, property)| property.chars().all(allowed)), "{}", meta.id);
            for text in [meta.title, meta.proves, meta.fails_when, meta.unknown_when, meta.fix] {
                assert!(!text.trim().is_empty(), "{}", meta.id);
                assert!(!text.contains("  "), "{}: {text}", meta.id);
            }
            assert!(meta.limit_ms > 0 && meta.max_age_ms > 0, "{}", meta.id);
        }
    }
}
