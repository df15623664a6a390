//! Text: results by area, each failure with what was seen, what was expected and what to do; the verdict last.
//!
//! No line starts with `::` and none holds `##`, so that no CI system takes a target's answer for a command.

use super::Style;
use super::clean::{clean, one_line};
use super::view::{Case, Kind, View, describe};
use preflight_report::{CheckResult, Outcome, Verdict};
use unicode_width::UnicodeWidthStr;

/// The fewest columns that the layout needs; a narrower style is taken as this.
const WIDTH_MIN: usize = 40;

/// The most columns of a rule.
const RULE_MAX: usize = 100;

/// The most lines of the reasons under the verdict; all of them stand above, with the results.
const BECAUSE_MAX: usize = 30;

/// Where the details of a result begin.
const DETAIL: usize = 11;

/// Where the values of the details begin.
const VALUE: usize = DETAIL + 10;

pub(super) fn render(view: &View<'_>, style: Style) -> String {
    let mut page = Page { out: String::new(), width: style.width.max(WIDTH_MIN), colour: style.colour };
    head(view, &mut page);
    for (area, cases) in view.areas() {
        page.blank();
        page.heading(&one_line(area));
        for case in cases {
            result(&case, &mut page);
        }
    }
    beside_the_results(view, &mut page);
    verdict(view, &mut page);
    page.out
}

struct Page {
    out: String,
    width: usize,
    colour: bool,
}

#[derive(Clone, Copy)]
enum Paint {
    None,
    Bold,
    Dim,
    Green,
    Red,
    Yellow,
}

impl Paint {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Passed => Self::Green,
            Kind::Failed => Self::Red,
            Kind::Open | Kind::AdvisoryFailed => Self::Yellow,
            Kind::AdvisoryOpen => Self::Dim,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Red => "1;31",
            Self::Yellow => "1;33",
        }
    }
}

impl Page {
    fn blank(&mut self) {
        self.out.push('\n');
    }

    fn painted(&mut self, text: &str, paint: Paint) {
        if self.colour && !paint.code().is_empty() {
            self.out.push_str(&format!("\u{1b}[{}m{text}\u{1b}[0m", paint.code()));
        } else {
            self.out.push_str(text);
        }
    }

    fn heading(&mut self, text: &str) {
        self.line(0, text, Paint::Bold);
    }

    fn line(&mut self, at: usize, text: &str, paint: Paint) {
        self.entry(at, ("", Paint::None), (text, paint));
    }

    /// A label at its column and a text beside it that keeps its own column when it is wrapped.
    fn entry(&mut self, label_at: usize, (label, label_paint): (&str, Paint), (text, paint): (&str, Paint)) {
        let text_at = match (label, label_at) {
            ("", at) => at,
            (_, DETAIL) => VALUE,
            _ => DETAIL,
        };
        for (i, line) in wrap(text, self.width.saturating_sub(text_at)).iter().enumerate() {
            let shown = if i == 0 { label } else { "" };
            self.out.push_str(&" ".repeat(label_at));
            self.painted(shown, label_paint);
            self.out.push_str(&" ".repeat(text_at.saturating_sub(label_at + shown.width())));
            self.painted(line, paint);
            self.out.push('\n');
        }
    }

    fn detail(&mut self, label: &str, text: &str) {
        if !text.trim().is_empty() {
            self.entry(DETAIL, (label, Paint::Dim), (text, Paint::None));
        }
    }

    /// A detail on one line, whatever its length, so that it can be copied.
    fn whole(&mut self, label: &str, text: &str) {
        self.out.push_str(&" ".repeat(DETAIL));
        self.painted(label, Paint::Dim);
        self.out.push_str(&" ".repeat(VALUE - DETAIL - label.len()));
        self.out.push_str(&one_line(text).replace("##", "#\\u{23}"));
        self.out.push('\n');
    }

    fn rule(&mut self) {
        let rule = "═".repeat(self.width.min(RULE_MAX));
        self.painted(&rule, Paint::Dim);
        self.out.push('\n');
    }
}

fn head(view: &View<'_>, page: &mut Page) {
    let (tool, run) = (&view.report.tool, &view.report.run);
    page.heading(&one_line(&format!("{} {}: {}", tool.name, tool.version, view.transition())));
    let places: Vec<_> = view.places().iter().map(|(name, value)| format!("{name} {}", one_line(value))).collect();
    page.line(0, &places.join(" · "), Paint::None);
    let took = run.finished_at.since(run.started_at).as_secs_f64();
    let run = format!("run {} · started {} · took {took:.1} s", one_line(&run.id), run.started_at);
    page.line(0, &run, Paint::Dim);
}

fn result(case: &Case<'_>, page: &mut Page) {
    let result = case.result;
    let label = match (case.kind, result.outcome) {
        (Kind::Failed, _) => "FAIL",
        (Kind::Open, Outcome::Skipped) => "SKIPPED",
        (Kind::Open, _) => "UNKNOWN",
        (_, outcome) => outcome.as_str(),
    };
    let reason = result.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let advisory = if matches!(case.kind, Kind::AdvisoryFailed | Kind::AdvisoryOpen) { " – advisory" } else { "" };
    let name = format!("{}{reason}{advisory}", name(result));
    let bold = if case.kind == Kind::Passed { Paint::None } else { Paint::Bold };
    page.entry(2, (label, Paint::of(case.kind)), (&name, bold));
    if case.kind != Kind::Passed {
        details(result, page);
    }
}

fn details(result: &CheckResult, page: &mut Page) {
    page.line(DETAIL, &result.title, Paint::None);
    page.detail("observed", &result.observed);
    page.detail("expected", &result.expected);
    if let Some(remediation) = &result.remediation {
        page.detail("remedy", &remediation.text);
        if let Some(command) = &remediation.command {
            page.whole("command", command);
        }
        if let Some(url) = &remediation.url {
            page.whole("see", url);
        }
    }
    for evidence in &result.evidence {
        page.detail("evidence", &describe(evidence));
    }
}

fn name(result: &CheckResult) -> String {
    one_line(&format!("{} ({})", result.check, result.subject))
}

fn beside_the_results(view: &View<'_>, page: &mut Page) {
    let (plan, config) = (&view.report.plan, &view.report.config);
    if !plan.excluded.is_empty() {
        page.blank();
        page.heading("not in the plan");
        for excluded in &plan.excluded {
            let text = format!("{} ({}): {}", excluded.check, excluded.subject, excluded.reason);
            page.line(2, &one_line(&text), Paint::None);
        }
    }
    if !config.waivers.is_empty() {
        page.blank();
        page.heading("waived: these do not decide");
        for waiver in &config.waivers {
            page.line(2, &one_line(&format!("{} ({})", waiver.check, waiver.subject)), Paint::None);
            let text = format!("until {} by {}: {}", waiver.expires, waiver.owner, waiver.reason);
            page.line(4, &one_line(&text), Paint::Dim);
        }
    }
}

fn verdict(view: &View<'_>, page: &mut Page) {
    page.blank();
    page.rule();
    for line in view.because.iter().take(BECAUSE_MAX) {
        page.line(2, &one_line(line), Paint::None);
    }
    match view.because.len().saturating_sub(BECAUSE_MAX) {
        0 => {}
        more => page.line(2, &format!("and {more} more"), Paint::None),
    }
    if !view.because.is_empty() {
        page.blank();
    }
    page.line(2, &view.counts(), Paint::None);
    page.line(2, &format!("not to be acted on after {}", view.report.run.not_after), Paint::None);
    page.blank();
    let (word, code) = match view.verdict {
        Verdict::Go => ("GO", "1;97;42"),
        Verdict::NoGo => ("NO-GO", "1;97;41"),
        Verdict::Inconclusive => ("INCONCLUSIVE", "1;30;43"),
    };
    let shown = if page.colour { format!("\u{1b}[{code}m {word} \u{1b}[0m") } else { word.to_owned() };
    page.out.push_str(&format!("  VERDICT  {shown}\n"));
    page.line(DETAIL, &one_line(&view.transition()), Paint::None);
    page.rule();
}

/// The lines of a text with at most so many columns each. A word that is too long is broken; nothing is lost.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = vec![];
    for paragraph in clean(text).replace('\t', " ").replace("##", "#\\u{23}").lines() {
        let mut line = String::new();
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            if !line.is_empty() {
                if line.width() + 1 + word.width() <= width {
                    line.push(' ');
                    line.push_str(word);
                    continue;
                }
                lines.push(std::mem::take(&mut line));
            }
            begin(word, width, &mut line, &mut lines);
        }
        lines.push(line);
    }
    lines
}

/// Puts a word at the start of a line, and over several lines if it is longer than one.
fn begin(word: &str, width: usize, line: &mut String, lines: &mut Vec<String>) {
    let mut rest = word;
    while let Some(character) = rest.chars().next() {
        // GitHub obeys a line that starts with two colons.
        let colons = line.is_empty() && rest.starts_with("::");
        let piece = if colons { "\\u{3a}" } else { &rest[..character.len_utf8()] };
        if line.width() + piece.width() > width {
            lines.push(std::mem::take(line));
            continue;
        }
        line.push_str(piece);
        rest = &rest[character.len_utf8()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_wrap_and_long_ones_break() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghijkl", 8), ["abcdefgh", "ijkl"]);
        assert_eq!(wrap("日本語日本語", 8), ["日本語日", "本語"]);
        assert_eq!(wrap("a\n\nb", 8), ["a", "", "b"]);
    }

    #[test]
    fn no_line_is_a_command_of_a_ci_system() {
        assert_eq!(wrap("::set-output name=x::y", 80), ["\\u{3a}:set-output name=x::y"]);
        assert_eq!(wrap("12345678 ::stop", 8), ["12345678", "\\u{3a}:s", "top"]);
        assert_eq!(wrap("12345678::stop", 8), ["12345678", "\\u{3a}:s", "top"]);
        assert_eq!(wrap("a ##[error]b", 80), ["a #\\u{23}[error]b"]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_nothing_is_lost(text in "(\\PC|::|##|\\n){0,200}", width in 8_usize..100) {
            let lines = wrap(&text, width);
            for line in &lines {
                prop_assert!(line.width() <= width && !line.starts_with("::") && !line.contains("##"), "{line:?}");
            }
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
            prop_assert!(letters(&lines.concat()).len() >= letters(&text).len());
        }
    }
}
