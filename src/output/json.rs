//! JSON: the report itself, which is the contract. Every other format is a lossy projection of it.

use preflight_report::Report;

pub(super) fn render(report: &Report) -> String {
    preflight_report::to_json(report)
}
