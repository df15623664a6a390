//! JSON: the report itself, which is the contract. Every other format is a lossy projection of it.

use super::clean::clean_json;
use preflight_report::Report;

pub(super) fn render(report: &Report) -> String {
    clean_json(&preflight_report::to_json(report))
}
