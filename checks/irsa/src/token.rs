//! What a ServiceAccount's token says, read without trusting it: STS alone verifies the signature.

use base64::Engine as _;
use preflight_core::{Secret, Timestamp};
use serde::Deserialize;

/// The claims of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Claims {
    #[serde(default)]
    pub(crate) iss: String,
    #[serde(default)]
    pub(crate) sub: String,
    #[serde(default)]
    pub(crate) aud: Audiences,
    pub(crate) exp: Option<i64>,
    pub(crate) nbf: Option<i64>,
}

/// One audience or many.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Many(vec![])
    }
}

impl Audiences {
    pub(crate) fn list(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Claims {
    /// The claims of a token; none if it is not a JWT.
    pub(crate) fn read(token: &Secret) -> Option<Self> {
        let mut parts = token.reveal().split('.');
        let (_, body, _) = (parts.next()?, parts.next()?, parts.next()?);
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// What the clock of this machine says about the token, if it is not valid by it.
    pub(crate) fn against_clock(&self, now: Timestamp) -> Option<String> {
        let now_s = now.as_millis() / 1_000;
        match (self.exp, self.nbf) {
            (Some(exp), _) if exp <= now_s => Some(format!("by this machine's clock it ended {} s ago", now_s - exp)),
            (_, Some(nbf)) if nbf > now_s => Some(format!("by this machine's clock it begins in {} s", nbf - now_s)),
            (None, _) => Some("it says no end".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn token(claims: &serde_json::Value) -> Secret {
        let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
        Secret::new(format!("e30.{body}.c2ln"))
    }

    #[test]
    fn claims_are_read_with_one_audience_or_many() {
        let claims =
            |aud: serde_json::Value| Claims::read(&token(&serde_json::json!({ "iss": "i", "sub": "s", "aud": aud })));
        assert_eq!(claims(serde_json::json!("a")).unwrap().aud.list(), ["a"]);
        let many = claims(serde_json::json!(["a", "b"])).unwrap();
        assert_eq!((many.iss.as_str(), many.sub.as_str(), many.aud.list().len()), ("i", "s", 2));
        assert_eq!(Claims::read(&Secret::new("not-a-token")), None);
        assert_eq!(Claims::read(&Secret::new("a.b.c")), None);
    }

    #[test]
    fn a_token_outside_its_time_says_by_how_much() {
        let at = |exp, nbf| Claims { exp: Some(exp), nbf: Some(nbf), ..Claims::default() };
        let now = Timestamp::from_millis(1_000_000);
        assert_eq!(at(1_600, 900).against_clock(now), None);
        assert!(at(990, 100).against_clock(now).unwrap().contains("ended 10 s ago"));
        assert!(at(2_000, 1_030).against_clock(now).unwrap().contains("begins in 30 s"));
        assert!(Claims::default().against_clock(now).is_some());
    }
}
