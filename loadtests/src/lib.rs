//! Claim 4.
#![allow(missing_docs)]
use preflight_core::Entry;
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[schemars(rename = "LoadSettings")]
pub struct Settings {}
impl Settings {
    pub fn problems(&self) -> Vec<(String, String)> {
        vec![]
    }
}
pub struct Env {
    pub inventory: std::sync::Arc<preflight_cluster::Inventory>,
    pub settings: Settings,
}
pub static CATALOGUE: &[Entry<Env>] = &[];
