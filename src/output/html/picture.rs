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
    let mut bars = vec![];
    for (endpoint, limits) in members(measurements, "connections") {
        for limit in limits.as_array().into_iter().flatten() {
            let name = limit["limit"].as_str().unwrap_or_default();
            for (scenario, numbers) in limit["scenarios"].as_object().into_iter().flatten() {
                let (Some(needed), Some(most)) = (numbers["needed"].as_f64(), numbers["limit"].as_f64()) else {
                    continue;
                };
                bars.push(Bar {
                    label: format!("{endpoint} {name}, {scenario}"),
                    value: needed,
                    most: Some(most),
                    text: format!("{needed:.0} of {most:.0}"),
                });
            }
        }
    }
    section("Connections: what each limit would have to carry", &bars)
}

/// The percentiles of the latency, from `measurements.load.NAME.latencyMs`.
pub(super) fn latency(measurements: &Map<String, Value>) -> String {
    let mut bars = vec![];
    for (name, load) in members(measurements, "load") {
        for (percentile, value) in load["latencyMs"].as_object().into_iter().flatten() {
            if let Some(value) = value.as_f64() {
                let label = format!("{name} {percentile}");
                bars.push(Bar { label, value, most: None, text: format!("{value:.1} ms") });
            }
        }
    }
    section("Latency under load", &bars)
}

fn members<'a>(measurements: &'a Map<String, Value>, area: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    measurements.get(area).and_then(Value::as_object).into_iter().flatten()
}

struct Bar {
    label: String,
    value: f64,
    /// Where a line is drawn that the value must not cross.
    most: Option<f64>,
    text: String,
}

/// Each bar has a scale of its own if it has a limit; the others share one.
fn section(heading: &str, bars: &[Bar]) -> String {
    if bars.is_empty() {
        return String::new();
    }
    let mut out = format!("<section><h2>{heading}</h2><div class=\"card bars\">");
    let shared = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    for bar in bars.iter().take(BARS_MAX) {
        one(bar, shared, &mut out);
    }
    if bars.len() > BARS_MAX {
        let _ = write!(out, "<p>and {} more in the JSON report</p>", bars.len() - BARS_MAX);
    }
    out + "</div></section>\n"
}

fn one(bar: &Bar, shared: f64, out: &mut String) {
    let scale = bar.most.map_or(shared, |most| most.max(bar.value) * 1.05).max(f64::MIN_POSITIVE);
    let x = |value: f64| (WIDTH * value / scale).clamp(0.0, WIDTH);
    let class = match bar.most {
        Some(most) if bar.value > most => "fail",
        Some(_) => "pass",
        None => "bar",
    };
    let _ = write!(
        out,
        "<div class=\"bar\"><span class=\"value\">{}</span><b>{}</b>\
         <svg viewBox=\"0 0 {WIDTH} 14\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"fill-track\" width=\"{WIDTH}\" height=\"14\"/>\
         <rect class=\"fill-{class}\" width=\"{:.1}\" height=\"14\"/>",
        text(&bar.label),
        text(&bar.text),
        x(bar.value)
    );
    if let Some(most) = bar.most {
        let at = x(most);
        let _ = write!(out, "<line class=\"stroke\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"14\"/>");
    }
    out.push_str("</svg></div>");
}
