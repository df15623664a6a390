//! GitHub Actions: annotations for the log, and the job summary.
//!
//! GitHub shows about ten annotations of a step and drops the rest without a word, so the last of ours says how many are
//! left out. The summary is the Markdown report; the caller appends it to the file named by `GITHUB_STEP_SUMMARY`.

use super::clean::{clean, one_line};
use super::markdown;
use super::view::{Case, Kind, View};
use preflight_report::{Evidence, Verdict};

/// The most annotations, the one with the verdict and the one with the rest included.
const ANNOTATIONS_MAX: usize = 10;

/// The most bytes of one message.
const MESSAGE_BYTES_MAX: usize = 2_000;

/// The text for the job summary.
pub(super) fn summary(view: &View<'_>) -> String {
    markdown::render(view)
}

/// The annotations as workflow commands, one a line: the verdict, then the gravest results.
pub(super) fn annotations(view: &View<'_>) -> String {
    let command = match view.verdict {
        Verdict::Go => "notice",
        Verdict::NoGo | Verdict::Inconclusive => "error",
    };
    let title = format!("eks-preflight: {}", view.verdict);
    let counts =
        format!("{}: {}. Not to be acted on after {}.", view.transition(), view.counts(), view.report.run.not_after);
    let mut out = annotation(command, &title, "", &counts);
    let mut worth: Vec<&Case<'_>> = view.cases.iter().filter(|case| case.kind != Kind::Passed).collect();
    worth.sort_by_key(|case| case.kind);
    let room = ANNOTATIONS_MAX - 1;
    let shown = if worth.len() > room { room - 1 } else { worth.len() };
    for case in &worth[..shown] {
        out.push_str(&of_result(case));
    }
    if worth.len() > shown {
        let message = format!("{} more results did not pass; the job summary has them.", worth.len() - shown);
        out.push_str(&annotation("warning", "eks-preflight", "", &message));
    }
    out
}

fn of_result(case: &Case<'_>) -> String {
    let result = case.result;
    let command = match case.kind {
        Kind::Failed | Kind::Open => "error",
        Kind::AdvisoryFailed | Kind::AdvisoryOpen | Kind::Passed => "warning",
    };
    let title = format!("{} ({}): {}", result.check, result.subject, case.state());
    let mut message = format!("observed: {}\nexpected: {}", result.observed, result.expected);
    if let Some(remediation) = &result.remediation {
        message.push_str(&format!("\nremedy: {}", remediation.text));
    }
    annotation(command, &title, &place(&result.evidence), &message)
}

/// The first file and line among the evidence, as properties of a command.
fn place(evidence: &[Evidence]) -> String {
    let place = evidence.iter().filter(|evidence| evidence.kind == "manifest").find_map(|evidence| {
        let (file, line) = evidence.reference.rsplit_once(':')?;
        Some((file, line.parse::<u32>().ok()?))
    });
    place.map_or_else(String::new, |(file, line)| format!("file={},line={line},", property(file)))
}

fn annotation(command: &str, title: &str, place: &str, message: &str) -> String {
    format!("::{command} {place}title={}::{}\n", property(title), data(Evidence::cut(message, MESSAGE_BYTES_MAX)))
}

fn data(text: &str) -> String {
    clean(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(Evidence::cut(&one_line(text), MESSAGE_BYTES_MAX)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PLAIN, assert_committed, sample};
    use super::super::{Format, github_summary, render};

    #[test]
    fn the_generated_samples_of_github_are_current() {
        assert_committed("no-go.github.txt", &render(Format::Github, &sample("no-go"), PLAIN));
        assert_committed("inconclusive.github.txt", &render(Format::Github, &sample("inconclusive"), PLAIN));
        assert_eq!(github_summary(&sample("go")), render(Format::Markdown, &sample("go"), PLAIN));
    }

    #[test]
    fn at_most_ten_annotations_and_the_last_says_how_many_are_left_out() {
        let text = render(Format::Github, &sample("inconclusive"), PLAIN);
        assert_eq!(text.lines().count(), 10);
        assert!(text.lines().all(|line| line.starts_with("::")));
        // 11 results did not pass; 8 of them are shown after the verdict.
        assert!(text.lines().last().unwrap().contains("3 more results"), "{text}");
    }

    #[test]
    fn a_result_cannot_end_its_command_or_begin_another() {
        let mut report = sample("no-go");
        report.results[2].observed = "100 %\r\n::error title=x::y".to_owned();
        report.results[2].subject = "a,file=b::c%0A".to_owned();
        let text = render(Format::Github, &report, PLAIN);
        assert!(text.contains("observed: 100 %25%0A::error title=x::y%0A"), "{text}");
        assert!(text.contains("(a%2Cfile=b%3A%3Ac%250A)"), "{text}");
    }
}
