//! The section `irsa` of the configuration.

use schemars::JsonSchema;
use serde::Deserialize;

/// The audience of tokens that STS takes from EKS.
const STS_AUDIENCE: &str = "sts.amazonaws.com";

/// How pods get their IAM roles.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[schemars(rename = "IrsaSettings")]
pub struct Settings {
    /// The audience of the pods' tokens where the ServiceAccount is not annotated with another one.
    pub audience: String,
    /// The cluster's OIDC issuer as a URL. If left out, EKS is asked with `DescribeCluster`.
    pub issuer: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { audience: STS_AUDIENCE.to_owned(), issuer: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_default_and_an_unknown_key_is_an_error() {
        let read = serde_json::from_str::<Settings>;
        assert_eq!(read("{}").unwrap(), Settings::default());
        assert!(read(r#"{"audiense": "x"}"#).unwrap_err().to_string().contains("audiense"));
    }
}
