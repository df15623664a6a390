//! Markdown: verdict first, then what is in its way, then tables. Bounded, and what was left out is said.
//!
//! GitHub refuses a job summary of more than 1 MiB without failing the step, so this one stays under it.

use super::clean::{clean, clean_log, one_line};
use super::view::{Case, Kind, View, describe};
use preflight_report::{Level, Verdict};

/// The most bytes of a document; GitHub takes 1 MiB from all summaries of a step.
const BYTES_MAX: usize = 900 * 1_024;

/// The most characters of one value.
const VALUE_MAX: usize = 2_000;

/// The most lines of reasons and pieces of evidence that are shown.
const LINES_MAX: usize = 50;

pub(super) fn render(view: &View<'_>) -> String {
    let mut page = Page { out: String::new(), left_out: 0 };
    head(view, &mut page);
    for (kind, heading) in [
        (Kind::Failed, "Failed"),
        (Kind::Open, "Not shown to hold"),
        (Kind::AdvisoryFailed, "Failed, advisory"),
        (Kind::AdvisoryOpen, "Not shown to hold, advisory"),
    ] {
        page.section(heading, view.of_kind(kind).map(details));
    }
    page.table("Passed", "| check | subject | observed |", view.of_kind(Kind::Passed).map(passed));
    let plan = &view.report.plan;
    let row = |cells: [&str; 3]| format!("| {} |\n", cells.map(cell).join(" | "));
    let excluded = plan.excluded.iter().map(|excluded| row([&excluded.check, &excluded.subject, &excluded.reason]));
    page.table("Not in the plan", "| check | subject | why |", excluded);
    let waivers = view.report.config.waivers.iter().map(|waiver| {
        let item = format!("{} ({})", waiver.check, waiver.subject);
        row([&item, &format!("{}, until {}", waiver.owner, waiver.expires), &waiver.reason])
    });
    page.table("Waived: these do not decide", "| check | owner | why |", waivers);
    if page.left_out > 0 {
        let left_out = page.left_out;
        page.out.push_str(&format!("\n**{left_out} entries are left out here; the JSON report has all of them.**\n"));
    }
    page.out
}

struct Page {
    out: String,
    left_out: usize,
}

impl Page {
    /// Adds a block if there is room for it, and counts it as left out otherwise.
    fn add(&mut self, block: &str) {
        if self.out.len() + block.len() <= BYTES_MAX {
            self.out.push_str(block);
        } else {
            self.left_out += 1;
        }
    }

    fn section(&mut self, heading: &str, blocks: impl Iterator<Item = String>) {
        for (i, block) in blocks.enumerate() {
            let heading = if i == 0 { format!("\n## {heading}\n") } else { String::new() };
            self.add(&format!("{heading}{block}"));
        }
    }

    fn table(&mut self, heading: &str, columns: &str, rows: impl Iterator<Item = String>) {
        let rule = "|---".repeat(columns.matches('|').count() - 1);
        for (i, row) in rows.enumerate() {
            let heading = if i == 0 { format!("\n## {heading}\n\n{columns}\n{rule}|\n") } else { String::new() };
            self.add(&format!("{heading}{row}"));
        }
    }
}

fn head(view: &View<'_>, page: &mut Page) {
    let mark = match view.verdict {
        Verdict::Go => "✅",
        Verdict::NoGo => "⛔",
        Verdict::Inconclusive => "❔",
    };
    let run = &view.report.run;
    page.add(&format!("# {mark} {}: {}\n\n", view.verdict, line(&view.transition())));
    page.add(&format!("{}. Not to be acted on after {}.\n\n", view.counts(), run.not_after));
    for reason in view.because.iter().take(LINES_MAX) {
        page.add(&format!("- {}\n", line(reason)));
    }
    if view.because.len() > LINES_MAX {
        page.add(&format!("- and {} more\n", view.because.len() - LINES_MAX));
    }
    let places: Vec<_> = view.places().iter().map(|(name, value)| format!("{name} {}", line(value))).collect();
    page.add(&format!("\n{} · run {} · started {}\n", places.join(" · "), line(&run.id), run.started_at));
}

fn details(case: &Case<'_>) -> String {
    let result = case.result;
    let name = line(&format!("{} ({})", result.check, result.subject));
    let mut block =
        format!("\n### {name}\n\n{}: **{}**\n\n| | |\n|---|---|\n", line(&result.title), cell(&case.state()));
    let mut row = |label: &str, text: &str| {
        if !text.is_empty() {
            block.push_str(&format!("| {label} | {} |\n", cell(text)));
        }
    };
    row("observed", &result.observed);
    row("expected", &result.expected);
    if let Some(remediation) = &result.remediation {
        row("remedy", &remediation.text);
        row("see", remediation.url.as_deref().unwrap_or_default());
    }
    for evidence in result.evidence.iter().take(LINES_MAX) {
        row("evidence", &describe(evidence));
    }
    if let Some(command) = result.remediation.as_ref().and_then(|remediation| remediation.command.as_deref()) {
        block.push_str(&format!("\n{}", fenced(command)));
    }
    block
}

fn passed(case: &Case<'_>) -> String {
    let result = case.result;
    let advisory = if case.level == Level::Advisory { " (advisory)" } else { "" };
    let observed = result.observed.lines().next().unwrap_or_default();
    format!("| {}{advisory} | {} | {} |\n", cell(&result.check), cell(&result.subject), cell(observed))
}

/// A command as a block of code that its own backticks cannot end.
fn fenced(command: &str) -> String {
    let command = clean_log(command);
    let longest = command.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let command: String = command.chars().take(VALUE_MAX).collect();
    format!("{fence}sh\n{}\n{fence}\n", command.trim_end())
}

/// A text as literal Markdown that fits into a cell: no markup, no HTML, no image, no link but a bare one.
fn cell(text: &str) -> String {
    let mut out = String::new();
    let lines = clean(text);
    let mut characters = lines.trim().chars();
    let mut before = ' ';
    for character in characters.by_ref().take(VALUE_MAX) {
        match character {
            // In a comment on GitHub, `@name` calls a person; with a comment of HTML in it, it does not.
            '@' if !before.is_alphanumeric() => out.push_str("@<!-- -->"),
            '\n' => out.push_str("<br>"),
            '\t' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '$' | '#' | '!' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
        before = character;
    }
    if characters.next().is_some() {
        out.push_str(" […]");
    }
    out
}

/// The same on one line, for headings and lists, where a line that begins like a list or a number is text too.
fn line(text: &str) -> String {
    cell(&one_line(text))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PLAIN, assert_committed, sample};
    use super::super::{Format, render};
    use super::*;

    #[test]
    fn the_generated_samples_of_markdown_are_current() {
        for name in ["go", "no-go"] {
            assert_committed(&format!("{name}.md"), &render(Format::Markdown, &sample(name), PLAIN));
        }
    }

    #[test]
    fn a_cell_holds_no_markup() {
        assert_eq!(
            cell("a|b\n![x](http://y) <img src=x> `c`"),
            "a\\|b<br>\\!\\[x\\](http://y) &lt;img src=x&gt; \\`c\\`"
        );
        assert_eq!(cell("@ops: ops@example.com (@a/b)"), "@<!-- -->ops: ops@example.com (@<!-- -->a/b)");
        assert_eq!(fenced("::stop-commands::x\n##[x]"), "```sh\n\\u{3a}:stop-commands::x\n#\\u{23}[x]\n```\n");
        assert_eq!(fenced("echo ```` "), "`````sh\necho ````\n`````\n");
    }

    #[test]
    fn a_huge_report_is_cut_and_says_so() {
        let mut report = sample("no-go");
        report.results[2].observed = "x|".repeat(4_000);
        let one = report.results[2].clone();
        report
            .results
            .extend((0..2_000).map(|i| preflight_report::CheckResult { subject: format!("s{i}"), ..one.clone() }));
        let text = render(Format::Markdown, &report, PLAIN);
        assert!(text.len() < 1_000_000 && text.contains(" entries are left out here"), "{}", text.len());
        assert!(text.starts_with("# ❔ inconclusive"), "the summary does not fit these results");
    }
}
