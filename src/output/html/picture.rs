//! The pictures of the HTML report, as SVG in the page. A measurement of an unknown shape gives no picture.

use super::super::view::View;
use super::text;
use preflight_report::Outcome;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The most bars in one picture.
const BARS_MAX: usize = 40;

/// The width of a picture in its own units; the page scales it.
const WIDTH: f64 = 960.0;

/// How many results ended in which way, as one bar.
pub(super) fn outcomes(view: &View<'_>) -> String {
    let outcomes = [Outcome::Fail, Outcome::Unknown, Outcome::Skipped, Outcome::Pass];
    let counts = outcomes.map(|outcome| (outcome, view.count(outcome)));
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let words = counts.map(|(outcome, count)| format!("{count} {outcome}")).join(", ");
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} 22\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{words}\">");
    let _ = write!(svg, "<rect class=\"fill-track\" width=\"{WIDTH}\" height=\"22\"/>");
    let mut x = 0.0;
    for (outcome, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let width = WIDTH * count as f64 / total as f64;
        let _ = write!(
            svg,
            "<rect class=\"fill-{outcome}\" x=\"{x:.1}\" width=\"{:.1}\" height=\"22\"/>",
            (width - 2.0).max(0.5)
        );
        x += width;
    }
    svg.push_str("</svg><div class=\"legend\">");
    for (outcome, count) in counts {
        let _ = write!(svg, "<span><i class=\"{outcome}\"></i>{count} {outcome}</span>");
    }
    svg + "</div>"
}

/// What each connection limit would have to carry, from `measurements.connections`.
pub(super) fn headroom(measurements: &Map<String, Value>) -> String {
    let mut groups = vec![];
    for (endpoint, limits) in members(measurements, "connections") {
        for limit in limits.as_array().into_iter().flatten() {
            let name = limit["limit"].as_str().unwrap_or_default();
            let scenarios = limit["scenarios"].as_object().into_iter().flatten();
            let bars = scenarios.filter_map(|(scenario, numbers)| {
                let (needed, most) = (number(&numbers["needed"])?, number(&numbers["limit"])?);
                let share = if most >= 1.0 { format!(" ({:.0} %)", needed / most * 100.0) } else { String::new() };
                let text = format!("{needed:.0} of {most:.0}{share}");
                Some(Bar { label: scenario, value: needed, most: Some(most), text })
            });
            groups.push(Group { name: format!("{endpoint} {name}"), bars: bars.collect() });
        }
    }
    section("Connections: what each limit would have to carry", "The line is the limit.", &groups)
}

/// The percentiles of the latency, from `measurements.load.NAME.latencyMs`.
pub(super) fn latency(measurements: &Map<String, Value>) -> String {
    let groups: Vec<_> = members(measurements, "load")
        .map(|(name, load)| {
            let bars = load["latencyMs"].as_object().into_iter().flatten().filter_map(|(percentile, value)| {
                let value = number(value)?;
                Some(Bar { label: percentile, value, most: None, text: format!("{value:.1} ms") })
            });
            Group { name: name.clone(), bars: bars.collect() }
        })
        .collect();
    section("Latency under load", "", &groups)
}

/// A number that makes sense in a picture.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| (0.0..1e15).contains(number))
}

fn members<'a>(measurements: &'a Map<String, Value>, area: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    measurements.get(area).and_then(Value::as_object).into_iter().flatten()
}

/// Bars that share a name and a scale.
struct Group<'a> {
    name: String,
    bars: Vec<Bar<'a>>,
}

impl Group<'_> {
    /// How much of a limit is needed at most; the groups that need the most come first.
    fn share(&self) -> f64 {
        self.bars.iter().filter_map(|bar| Some(bar.value / bar.most?)).fold(0.0, f64::max)
    }
}

struct Bar<'a> {
    label: &'a str,
    value: f64,
    /// Where a line is drawn that the value must not cross.
    most: Option<f64>,
    text: String,
}

fn section(heading: &str, note: &str, groups: &[Group<'_>]) -> String {
    let mut groups: Vec<_> = groups.iter().filter(|group| !group.bars.is_empty()).collect();
    if groups.is_empty() {
        return String::new();
    }
    groups.sort_by(|a, b| b.share().total_cmp(&a.share()));
    let mut out = format!("<section><h2>{heading}</h2><div class=\"card\">");
    let mut room = BARS_MAX;
    let mut left_out = 0;
    for group in groups {
        if room < group.bars.len() {
            left_out += group.bars.len();
            continue;
        }
        room -= group.bars.len();
        let numbers = group.bars.iter().flat_map(|bar| [bar.value, bar.most.unwrap_or_default()]);
        let scale = (numbers.fold(0.0, f64::max) * 1.05).max(f64::MIN_POSITIVE);
        let _ = write!(out, "<div class=\"bars\"><h3 class=\"value\">{}</h3>", text(&group.name));
        group.bars.iter().for_each(|bar| one(bar, scale, &mut out));
        out.push_str("</div>");
    }
    if left_out > 0 {
        let _ = write!(out, "<p>and {left_out} more in the JSON report</p>");
    }
    if !note.is_empty() {
        let _ = write!(out, "<p class=\"soft\">{note}</p>");
    }
    out + "</div></section>\n"
}

fn one(bar: &Bar<'_>, scale: f64, out: &mut String) {
    let x = |value: f64| (WIDTH * value / scale).clamp(0.0, WIDTH);
    let class = match bar.most {
        Some(most) if bar.value > most => "fail",
        Some(_) => "pass",
        None => "bar",
    };
    let _ = write!(
        out,
        "<div class=\"bar\"><span class=\"value\">{}</span>\
         <svg viewBox=\"0 0 {WIDTH} 14\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"fill-track\" width=\"{WIDTH}\" height=\"14\"/>\
         <rect class=\"fill-{class}\" width=\"{:.1}\" height=\"14\"/>",
        text(bar.label),
        x(bar.value)
    );
    if let Some(most) = bar.most {
        let at = x(most);
        let _ = write!(out, "<line class=\"stroke\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"14\"/>");
    }
    let _ = write!(out, "</svg><b>{}</b></div>", text(&bar.text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn connections(endpoints: Value) -> Map<String, Value> {
        Map::from_iter([("connections".to_owned(), endpoints)])
    }

    fn limit(needed: f64, most: f64) -> Value {
        json!([{ "limit": "max", "scenarios": { "worst": { "needed": needed, "limit": most } } }])
    }

    #[test]
    fn the_limit_that_is_nearest_comes_first_however_many_there_are() {
        let mut endpoints = Map::new();
        for n in 0..100 {
            endpoints.insert(format!("db-{n}"), limit(f64::from(n), 100.0));
        }
        endpoints.insert("over".to_owned(), limit(101.0, 100.0));
        let html = headroom(&connections(endpoints.into()));
        let (over, next) = (html.find("over max").unwrap(), html.find("db-99 max").unwrap());
        assert!(over < next && html.contains("fill-fail") && html.contains("101 of 100 (101 %)"), "{html}");
        assert!(html.contains("and 61 more in the JSON report") && !html.contains("db-0 max"));
    }

    #[test]
    fn numbers_and_shapes_that_nobody_expects_give_no_broken_picture() {
        for odd in [
            json!(null),
            json!("text"),
            json!({ "db": 1 }),
            json!({ "db": [{ "scenarios": [] }] }),
            json!({ "db": [{ "scenarios": { "worst": { "needed": "many", "limit": 1 } } }] }),
            json!({ "db": limit(0.0, 0.0) }),
            json!({ "db": limit(1e14, 1e-300) }),
            json!({ "db": limit(1e300, 1.0) }),
            json!({ "db": limit(-5.0, 100.0) }),
        ] {
            let html = headroom(&connections(odd.clone()));
            assert!(!html.contains("NaN") && !html.contains("inf") && !html.contains("\"-"), "{odd}: {html}");
        }
        assert_eq!(latency(&Map::from_iter([("load".to_owned(), json!([1, 2]))])), "");
    }
}
