//! Tokens of the cluster's ServiceAccounts are what STS is to take.

use crate::live::live;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The claims of a token, unverified.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn a_token_has_the_clusters_issuer_its_accounts_subject_and_the_asked_audience() {
    live(|place| async move {
        place.account("orders", None).await;
        let claims = claims(&place.token("orders", Some("sts.amazonaws.com")).await);
        assert_eq!(claims["aud"], json!(["sts.amazonaws.com"]));
        assert_eq!(claims["sub"], json!(format!("system:serviceaccount:{}:orders", place.namespace)));
        let request = http::Request::get("/.well-known/openid-configuration").body(vec![]).unwrap();
        let discovery: Value = place.client.request(request).await.unwrap();
        assert_eq!(claims["iss"], discovery["issuer"]);
        assert!(claims["iss"].as_str().unwrap().starts_with("https://"), "{claims:#}");
        let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(lifetime, 600);
    });
}
