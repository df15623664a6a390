//! HTML: one file that needs nothing else. It is read without scripts, prints, and follows the reader's light or dark.
//!
//! Any text of a report may come from a target, so every one is escaped, a link is one only if it is `http` or `https`,
//! and the page forbids itself to load anything.

mod picture;

use super::clean::{clean, disobeyed, one_line};
use super::view::{Case, Kind, View};
use preflight_report::{Evidence, Level, Remediation, Timestamp, Verdict};
use std::collections::BTreeMap;
use std::fmt::Write;

const STYLE: &str = include_str!("html.css");

pub(super) fn render(view: &View<'_>) -> String {
    let mut out = String::new();
    begin(view, &mut out);
    banner(view, &mut out);
    overview(view, &mut out);
    for (kind, heading) in [
        (Kind::Failed, "Failed"),
        (Kind::Open, "Not shown to hold"),
        (Kind::AdvisoryFailed, "Failed, advisory"),
        (Kind::AdvisoryOpen, "Not shown to hold, advisory"),
    ] {
        let cases: Vec<_> = view.cases.iter().enumerate().filter(|(_, case)| case.kind == kind).collect();
        if !cases.is_empty() {
            let _ = writeln!(out, "<section><h2>{heading} <small>{}</small></h2>", cases.len());
            cases.iter().for_each(|case| result(case, &mut out));
            out.push_str("</section>\n");
        }
    }
    out.push_str(&picture::headroom(&view.report.measurements));
    out.push_str(&picture::latency(&view.report.measurements));
    passed(view, &mut out);
    beside_the_results(view, &mut out);
    provenance(view, &mut out);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn begin(view: &View<'_>, out: &mut String) {
    let environment = &view.report.subject.environment;
    let title = text(&one_line(&format!("{}: {} ({environment})", view.verdict, view.transition())));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
}

fn banner(view: &View<'_>, out: &mut String) {
    let verdict = view.verdict;
    let places: Vec<&str> = view.places().iter().map(|(_, value)| *value).collect();
    let _ = writeln!(
        out,
        "<header class=\"{verdict}\"><p class=\"value\">{}</p><h1>{verdict}</h1><p class=\"step value\">{}</p>\
         <p class=\"meaning\">{}</p><p>{}</p></header>",
        text(&places.join(" · ")),
        text(&view.transition()),
        text(&meaning(view)),
        text(&view.counts())
    );
}

/// The verdict as a sentence for whoever reads nothing else.
fn meaning(view: &View<'_>) -> String {
    let until = clock(view.report.run.not_after);
    match view.verdict {
        Verdict::Go if view.cases.iter().all(|case| case.level == Level::Advisory) => {
            "No check in the plan is required, so this rests on nothing that was shown.".to_owned()
        }
        Verdict::Go => format!("Every required check passed. Act on it before {until}."),
        Verdict::NoGo => match view.of_kind(Kind::Failed).count() {
            1 => "One required check failed. Do not take this step.".to_owned(),
            failed => format!("{failed} required checks failed. Do not take this step."),
        },
        Verdict::Inconclusive => "Nobody showed that this step is safe. Do not take it on this report.".to_owned(),
    }
}

/// A time for people; reports are in UTC, and so is this.
fn clock(time: Timestamp) -> String {
    let time = time.to_string();
    format!("{} {} UTC", &time[..10], &time[11..19])
}

fn overview(view: &View<'_>, out: &mut String) {
    let (report, run) = (view.report, &view.report.run);
    let took = run.finished_at.since(run.started_at).as_secs_f64();
    let (started, until) = (format!("{}, took {took:.1} s", clock(run.started_at)), clock(run.not_after));
    out.push_str("<div class=\"card\">");
    out.push_str(&picture::outcomes(view));
    out.push_str("</div>\n<div class=\"card\"><dl class=\"facts\">");
    let mut facts = view.places();
    facts.extend([("started", started.as_str()), ("not to be acted on after", &until)]);
    for (name, value) in facts {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", text(value));
    }
    for (name, anchor, count) in
        [("waived", "waived", report.config.waivers.len()), ("not in the plan", "excluded", report.plan.excluded.len())]
    {
        if count > 0 {
            let _ = write!(out, "<div><dt>{name}</dt><dd><a href=\"#{anchor}\">{count}</a></dd></div>");
        }
    }
    out.push_str("</dl></div>\n");
    because(view, out);
}

/// What is in the way, the gravest first. A line about a result leads to it.
fn because(view: &View<'_>, out: &mut String) {
    if view.because.is_empty() {
        return;
    }
    let name = |case: &Case<'_>| format!("{} ({}): {}", case.result.check, case.result.subject, case.state());
    let cases: BTreeMap<String, (usize, &Case<'_>)> =
        view.cases.iter().enumerate().rev().map(|(at, case)| (name(case), (at, case))).collect();
    let mut lines: Vec<_> = view.because.iter().map(|line| (cases.get(line), line)).collect();
    lines.sort_by_key(|(case, _)| case.map(|(_, case)| case.kind));
    out.push_str("<section><h2>Because</h2><div class=\"card\"><ul class=\"because\">");
    for (case, line) in lines {
        let _ = match case {
            None => write!(out, "<li class=\"value\"><b>{}</b></li>", text(line)),
            Some((at, case)) => write!(
                out,
                "<li><a href=\"#r{at}\">{}<span class=\"id\">{}</span> <span class=\"value\">{}</span></a> \
                 <span class=\"soft value\">{}</span></li>",
                badges(case),
                text(&case.result.check),
                text(&case.result.subject),
                text(case.result.observed.lines().next().unwrap_or_default())
            ),
        };
    }
    out.push_str("</ul></div></section>\n");
}

/// The outcome, its reason, and whether it decides.
fn badges(case: &Case<'_>) -> String {
    let class = class(case.kind);
    let mut badges = badge(class, case.result.outcome.as_str());
    if let Some(reason) = case.result.reason {
        badges.push_str(&badge(class, reason.as_str()));
    }
    if case.level == Level::Advisory {
        badges.push_str(&badge("advisory", "advisory"));
    }
    badges
}

const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Failed | Kind::AdvisoryFailed => "fail",
        Kind::Open | Kind::AdvisoryOpen => "open",
        Kind::Passed => "pass",
    }
}

fn result((at, case): &(usize, &Case<'_>), out: &mut String) {
    let result = case.result;
    let advisory = if case.level == Level::Advisory { " lesser" } else { "" };
    let _ = write!(
        out,
        "<article class=\"card result {}{advisory}\" id=\"r{at}\"><h3>{}\
         <span class=\"id\">{}</span> <span class=\"value\">{}</span></h3><p class=\"title value\">{}</p><dl class=\"detail\">",
        class(case.kind),
        badges(case),
        text(&result.check),
        text(&result.subject),
        text(&result.title)
    );
    for (name, value) in [("observed", &result.observed), ("expected", &result.expected)] {
        if !value.is_empty() {
            let _ = write!(out, "<dt>{name}</dt><dd class=\"value\">{}</dd>", text(value));
        }
    }
    if let Some(remediation) = &result.remediation {
        remedy(remediation, out);
    }
    if !result.evidence.is_empty() {
        out.push_str("<dt>evidence</dt><dd>");
        result.evidence.iter().for_each(|piece| evidence(piece, out));
        out.push_str("</dd>");
    }
    out.push_str("</dl></article>\n");
}

fn remedy(remediation: &Remediation, out: &mut String) {
    let _ = write!(out, "<dt>remedy</dt><dd class=\"value remedy\">{}</dd>", text(&remediation.text));
    if let Some(command) = &remediation.command {
        let _ = write!(out, "<dt>command</dt><dd><pre>{}</pre></dd>", text(command));
    }
    if let Some(url) = &remediation.url {
        let shown = text(url);
        let link = if url.starts_with("https://") || url.starts_with("http://") {
            format!("<a href=\"{shown}\" rel=\"noopener noreferrer\">{shown}</a>")
        } else {
            shown
        };
        let _ = write!(out, "<dt>see</dt><dd>{link}</dd>");
    }
}

fn evidence(evidence: &Evidence, out: &mut String) {
    let _ = write!(out, "<p class=\"evidence value\">{} <b>{}</b>", text(&evidence.kind), text(&evidence.reference));
    if !evidence.detail.is_empty() {
        let _ = write!(out, "\n{}", text(&evidence.detail));
    }
    out.push_str(if evidence.truncated { " […]</p>" } else { "</p>" });
}

fn passed(view: &View<'_>, out: &mut String) {
    let areas = view
        .areas()
        .into_iter()
        .map(|(area, cases)| (area, cases.into_iter().filter(|case| case.kind == Kind::Passed).collect::<Vec<_>>()));
    for (area, cases) in areas.filter(|(_, cases)| !cases.is_empty()) {
        let rows = cases.iter().map(|case| {
            let check = format!("{}<span class=\"id\">{}</span>", badges(case), text(&case.result.check));
            [check, text(&case.result.subject), text(&case.result.observed)]
        });
        table(
            &format!("<h2>Passed: {} <small>{}</small></h2>", text(area), cases.len()),
            ["check", "subject", "observed"],
            rows,
            out,
        );
    }
}

fn beside_the_results(view: &View<'_>, out: &mut String) {
    let excluded = view.report.plan.excluded.iter().map(|excluded| {
        [
            format!("<span class=\"id\">{}</span>", text(&excluded.check)),
            text(&excluded.subject),
            text(&excluded.reason),
        ]
    });
    table("<h2 id=\"excluded\">Not in the plan</h2>", ["check", "subject", "why"], excluded, out);
    let waivers = view.report.config.waivers.iter().map(|waiver| {
        [
            format!("<span class=\"id\">{}</span> {}", text(&waiver.check), text(&waiver.subject)),
            format!("{} until {}", text(&waiver.owner), clock(waiver.expires)),
            text(&waiver.reason),
        ]
    });
    table("<h2 id=\"waived\">Waived: these do not decide</h2>", ["check", "owner", "why"], waivers, out);
    let workloads = view.report.subject.workloads.iter().map(|workload| {
        let sides = format!("ECS {} · EKS {}", or_none(&workload.ecs), or_none(&workload.eks));
        [text(&workload.name), text(&sides), text(or_none(&workload.image_digest))]
    });
    table("<h2>Workloads</h2>", ["name", "sides", "image"], workloads, out);
    let pins = view.report.pins.iter().map(|pin| {
        let kind = serde_json::to_value(pin.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        [text(&pin.resource), kind.unwrap_or_default(), text(&pin.token)]
    });
    table("<h2>Versions that were looked at</h2>", ["resource", "kind", "version"], pins, out);
}

fn or_none(value: &str) -> &str {
    if value.is_empty() { "–" } else { value }
}

/// Heading and cells are HTML already.
fn table(heading: &str, columns: [&str; 3], rows: impl Iterator<Item = [String; 3]>, out: &mut String) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let head = columns.map(|column| format!("<th scope=\"col\">{column}</th>")).concat();
    let _ = write!(out, "<section>{heading}<div class=\"card scroll\"><table class=\"rows\"><tr>{head}</tr>");
    for row in rows {
        let _ = write!(out, "<tr>{}</tr>", row.map(|cell| format!("<td class=\"value\">{cell}</td>")).concat());
    }
    out.push_str("</table></div></section>\n");
}

fn provenance(view: &View<'_>, out: &mut String) {
    let report = view.report;
    let _ = write!(
        out,
        "<footer class=\"value\">A copy for people. What counts is the JSON report with the digest below; \
         eks-preflight report verify says whether it may be acted on.\n\
         {} {} ({}) · run {} · attempt {} · {}\nconfiguration {}\nplan {}\nreport {}</footer>\n",
        text(&report.tool.name),
        text(&report.tool.version),
        text(&report.tool.commit),
        text(&report.run.id),
        report.run.attempt,
        text(&report.schema),
        text(&report.config.sha256),
        text(&report.plan.sha256),
        text(&report.integrity.sha256)
    );
}

fn badge(class: &str, word: &str) -> String {
    format!("<span class=\"badge {class}\">{word}</span>")
}

/// A text of the report as HTML, for content and for attributes in double quotes.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for character in clean(raw).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    disobeyed(&out, "&#58;", "&#35;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PLAIN, assert_committed, sample};
    use super::super::{Format, render};
    use super::*;

    #[test]
    fn the_generated_sample_of_html_is_current() {
        assert_committed("no-go.html", &render(Format::Html, &sample("no-go"), PLAIN));
    }

    #[test]
    fn a_hostile_text_stays_text_and_a_hostile_link_is_none() {
        let mut report = sample("no-go");
        let attack = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>";
        report.results[2].observed = attack.to_owned();
        report.results[2].remediation.as_mut().unwrap().url = Some("javascript:alert(3)".to_owned());
        report.subject.transition.to = attack.to_owned();
        report.subject.environment = attack.to_owned();
        let measured = report.measurements["connections"].as_object_mut().unwrap();
        let value = measured["mariadb.internal:3306"].take();
        measured.insert(attack.to_owned(), value);
        let html = render(Format::Html, &report, PLAIN);
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("href=\"javascript"));
        assert!(html.contains("&quot;&gt;&lt;script&gt;alert(1)"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let html = render(Format::Html, &sample("no-go"), PLAIN);
        assert!(html.contains("default-src 'none'"));
        for loading in [" src=", "url(", "@import", "<script", "<iframe"] {
            assert!(!html.contains(loading), "{loading}");
        }
    }

    /// The colours of each scheme: light, dark, print.
    fn schemes() -> Vec<BTreeMap<&'static str, [f64; 3]>> {
        let colour = |hex: &str| {
            let wide: String = if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex.to_owned() };
            let part = |at| u8::from_str_radix(&wide[at..at + 2], 16).map(|byte| f64::from(byte) / 255.0);
            [part(0).unwrap(), part(2).unwrap(), part(4).unwrap()]
        };
        let blocks = STYLE.split(":root{").skip(1).map(|rest| rest.split('}').next().unwrap());
        let pairs = |block: &'static str| block.split(';').filter_map(|one| one.strip_prefix("--")?.split_once(":#"));
        blocks.map(|block| pairs(block).map(|(name, hex)| (name, colour(hex))).collect()).collect()
    }

    /// As WCAG 2 defines it.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        let light = |[r, g, b]: [f64; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
        light(a).max(light(b)) / light(a).min(light(b))
    }

    #[test]
    fn every_text_can_be_read_in_light_dark_and_print() {
        let schemes = schemes();
        assert_eq!(schemes.len(), 3);
        for scheme in schemes {
            for (text, ground) in [
                ("ink", "card"),
                ("ink", "page"),
                ("ink", "code"),
                ("soft", "card"),
                ("soft", "page"),
                ("pass", "card"),
                ("fail", "card"),
                ("open", "card"),
                ("onpass", "pass"),
                ("onfail", "fail"),
                ("onopen", "open"),
            ] {
                let found = contrast(scheme[text], scheme[ground]);
                assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
            }
        }
    }

    #[test]
    fn each_verdict_says_what_to_do() {
        for (name, sentence) in [
            ("go", "Every required check passed. Act on it before 2026-11-24 09:34:00 UTC."),
            ("no-go", "3 required checks failed. Do not take this step."),
            ("inconclusive", "Nobody showed that this step is safe."),
            ("interrupted", "Nobody showed that this step is safe."),
        ] {
            let html = render(Format::Html, &sample(name), PLAIN);
            assert!(html.contains(sentence), "{name}");
        }
    }

    #[test]
    fn the_gravest_reason_comes_first_and_leads_to_its_result() {
        let html = render(Format::Html, &sample("no-go"), PLAIN);
        let because = html.split("<ul class=\"because\">").nth(1).unwrap().split("</ul>").next().unwrap();
        let links: Vec<&str> = because.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(links, ["r2", "r5", "r8", "r3", "r11", "r10"], "failed, open, advisory");
        assert!(html.find("id=\"r2\"").unwrap() < html.find("id=\"r3\"").unwrap());
    }
}
