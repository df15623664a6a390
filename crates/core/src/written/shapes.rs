//! Secrets that their shape gives away, whatever their name.

use super::Written;
use super::values::is_literal;
use std::ops::Range;

/// Beginnings of tokens, and how many characters follow at least.
const BEGINNINGS: &[(&str, usize)] = &[
    ("sk_live_", 10),
    ("sk_test_", 10),
    ("rk_live_", 10),
    ("whsec_", 10),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 15),
    ("npm_", 30),
    ("AIza", 30),
    ("SG.", 30),
    ("xoxa-", 8),
    ("xoxb-", 8),
    ("xoxp-", 8),
    ("xoxe-", 8),
    ("xoxs-", 8),
    ("xapp-", 8),
];

/// URLs that let in whoever knows them.
const WEBHOOKS: &[&str] = &[
    "hooks.slack.com/services/",
    "hooks.slack.com/workflows/",
    "hooks.slack.com/triggers/",
    "discord.com/api/webhooks/",
];

/// Parameters of URLs that are keys where their values look like one.
const PARAMETERS: &[&str] = &["key", "jwt", "code", "auth", "session", "sid"];

/// The shortest value of such a parameter.
const VALUE_MIN: usize = 12;

/// The length of a secret access key of AWS.
const AWS_SECRET: usize = 40;

/// The length of a key in a DSN of Sentry.
const SENTRY_KEY: usize = 32;

/// Every token, JWT, webhook, bearer token and key of AWS or Sentry.
pub(super) fn in_shapes(text: &str) -> Vec<Written> {
    let mut found = vec![];
    let mut see = |range: Range<usize>, what: &str| {
        if is_literal(&text[range.clone()]) {
            found.push(Written { range, what: what.to_owned() });
        }
    };
    let has_aws = ["AKIA", "ASIA"].iter().any(|id| text.contains(id));
    for range in words(text) {
        let word = &text[range.clone()];
        if BEGINNINGS.iter().any(|(begin, least)| word.strip_prefix(begin).is_some_and(|rest| rest.len() >= *least)) {
            see(range, "a token");
        } else if is_jwt(word) {
            see(range, "a JWT");
        } else if has_aws && word.len() == AWS_SECRET && !word.starts_with('/') && is_mixed(word) {
            see(range, "a secret access key of AWS");
        } else if word.len() == SENTRY_KEY
            && text[..range.start].ends_with("://")
            && text[range.end..].starts_with('@')
            && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            see(range, "the key in a URL");
        } else if text[..range.start].ends_with(['?', '&'])
            && let Some((name, value)) = word.split_once('=')
            && PARAMETERS.contains(&name.to_ascii_lowercase().as_str())
            && value.len() >= VALUE_MIN
            && value.bytes().any(|byte| byte.is_ascii_digit())
        {
            see(range.end - value.len()..range.end, &format!("the parameter `{name}`"));
        }
    }
    for (at, webhook) in WEBHOOKS.iter().flat_map(|webhook| text.match_indices(webhook)) {
        let start = at + webhook.len();
        see(start..end_of(text, start), "a webhook");
    }
    for (at, scheme) in ["Bearer ", "bearer "].iter().flat_map(|scheme| text.match_indices(scheme)) {
        let start = at + scheme.len();
        let end = end_of(text, start);
        // Of the words in prose none has a digit.
        if text[start..end].bytes().any(|byte| byte.is_ascii_digit()) && !text[start..end].contains(['$', '{', '(']) {
            see(start..end, "a bearer token");
        }
    }
    found
}

fn end_of(text: &str, start: usize) -> usize {
    let ends = |c: char| c.is_whitespace() || "\"'`<>\\,;".contains(c);
    text[start..].find(ends).map_or(text.len(), |at| start + at)
}

/// What tokens are made of, without what is around them.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "_-.+/=".contains(c);
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find(is_of_token)?;
        from = text[start..].find(|c| !is_of_token(c)).map_or(text.len(), |at| start + at);
        // `NAME=TOKEN` and `//TOKEN` are not of one piece, but a parameter of a URL is.
        let word = &text[start..from];
        let is_parameter = text[..start].ends_with(['?', '&']);
        let skipped = if is_parameter { 0 } else { word.trim_end_matches('=').rfind('=').map_or(0, |at| at + 1) };
        let skipped = skipped + (word[skipped..].len() - word[skipped..].trim_start_matches("//").len());
        Some(start + skipped..from)
    })
}

fn is_jwt(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    word.starts_with("eyJ") && parts.len() == 3 && parts.iter().all(|part| part.len() >= 5)
}

fn is_mixed(word: &str) -> bool {
    let has = |of: fn(&u8) -> bool| word.bytes().any(|byte| of(&byte));
    has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_found_under_any_name_and_what_is_like_one_is_none() {
        let jwt = "eyJhbGciOi.eyJzdWIiOiIx.SflKxwRJSM";
        let aws = "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI0K7MDENG0bPxRfiCYEXAMPLEKEY";
        for text in [
            "STRIPE=sk_live_4eC39HqLyjWDarjtT1",
            "a: 'ghp_16C7e42F292c6912E7710c838347Ae178B4a'",
            "xoxb-123456789012-abc",
            "https://hooks.slack.com/services/T0/B0/XX1",
            "Header Authorization Bearer hunter2",
            jwt,
            aws,
            "https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/2",
            "/orders?key=a1b2c3d4e5f6g7&x=1",
            "x?jwt=abcdefghijklm1",
        ] {
            assert_eq!(in_shapes(text).len(), 1, "{text}: {:?}", in_shapes(text));
        }
        for text in [
            "Bearer authentication",
            "Bearer $TOKEN1",
            "Bearer {{ .token1 }}",
            "AKIAIOSFODNN7EXAMPLE",
            "/orders?code=DE&key=orders",
            "eyJ.a.b",
            "SG.small",
            "https://hooks.slack.com/services/***",
            "https://a@h/",
        ] {
            assert_eq!(in_shapes(text), [], "{text}");
        }
    }
}
