//! Secrets that are written down in a text: which names are those of one, and where its value stands.
//!
//! By names alone nobody knows. What is taken for a secret and is none costs somebody three asterisks; the other mistake
//! shows a password. So whatever may be one counts, unless its name says otherwise (`TOKEN_TTL`), or its value refers to
//! something (`${NAME}`, an ARN, `process.env.A`), is masked already, an address without a password, or a switch. Some are
//! known by their shape under any name (`ghp_…`, a JWT), some by the program that is told them (`redis-cli -a`).

mod commands;
mod names;
mod shapes;
mod values;

use commands::in_commands;
pub use names::{is_secret, names_secret, names_secret_itself};
use shapes::in_shapes;
use std::ops::Range;
pub use values::{hides, hosts_from, is_literal, is_mask};

/// A secret in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where its value stands, in bytes.
    pub range: Range<usize>,
    /// What it is, for people: its name, or words for what has none. Nothing of the value.
    pub what: String,
}

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// Every secret in a text: `password=…`, `"password": "…"`, `<password>…`, passwords in URLs, private keys.
#[must_use]
pub fn written_in(text: &str) -> Vec<Written> {
    let mut found = [named(text), in_urls(text), keys(text), in_shapes(text), in_commands(text)].concat();
    found.sort_by_key(|one| (one.range.start, one.range.end));
    let mut end = 0;
    found.retain(|one| {
        let is_new = one.range.start >= end;
        end = end.max(one.range.end);
        is_new
    });
    found
}

/// Those of a statement or of prose, in which `token = key` tells nothing: what stands in quotes, or has no name.
#[must_use]
pub fn quoted_in(text: &str) -> Vec<Written> {
    let is_quoted = |one: &Written| !one.what.starts_with('`') || text[..one.range.start].ends_with(['"', '\'']);
    written_in(text).into_iter().filter(is_quoted).collect()
}

/// A text in which every secret is masked.
#[must_use]
pub fn masked(text: &str) -> String {
    without(text, written_in(text))
}

/// A statement or prose in which every secret is masked.
#[must_use]
pub fn masked_quoted(text: &str) -> String {
    without(text, quoted_in(text))
}

fn without(text: &str, secrets: Vec<Written>) -> String {
    let mut masked = String::new();
    let mut from = 0;
    for Written { range, .. } in secrets {
        masked.push_str(&text[from..range.start]);
        masked.push_str(MASK);
        from = range.end;
    }
    masked + &text[from..]
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// What stands behind the name of a secret and a separator, be it one or not: the name, and its place.
fn behind_names(text: &str) -> Vec<(&str, Range<usize>)> {
    let mut found = vec![];
    let mut from = 0;
    while let Some(start) = text[from..].find(is_of_name).map(|at| from + at) {
        let end = text[start..].find(|c| !is_of_name(c)).map_or(text.len(), |at| start + at);
        from = end;
        let Some(value) = value_behind(text, start, end) else { continue };
        let name = text[start..end].trim_matches(['-', '.']);
        let name = name.strip_prefix('D').filter(|_| text[start..].starts_with("-D")).unwrap_or(name);
        if names_secret(name) {
            if is_secret(name, &text[value.clone()]) {
                from = value.end;
            }
            found.push((name, value));
        }
    }
    found
}

/// The secrets among what stands behind a name and a separator.
fn named(text: &str) -> Vec<Written> {
    let found = behind_names(text).into_iter().filter(|(name, value)| is_secret(name, &text[value.clone()]));
    found.map(|(name, range)| Written { range, what: format!("`{name}`") }).collect()
}

/// The value that belongs to the name at a place, if one does.
fn value_behind(text: &str, start: usize, end: usize) -> Option<Range<usize>> {
    let before = text[..start].chars().next_back().unwrap_or(' ');
    let rest = &text[end..];
    let unquoted = rest.trim_start_matches(['"', '\'', '\\']);
    let is_quoted = unquoted.len() < rest.len();
    let spaced = unquoted.trim_start_matches([' ', '\t']);
    let behind = if before == '<' && rest.starts_with('>') {
        &rest[1..]
    } else if let Some(behind) = spaced.strip_prefix("value=").filter(|_| is_quoted) {
        behind
    } else if let Some(behind) = spaced.strip_prefix('=') {
        if behind.starts_with(['=', '~']) {
            return None;
        }
        behind.strip_prefix('>').unwrap_or(behind)
    } else {
        // `secret:` is a part of ARNs and of other names, too.
        let behind = spaced.strip_prefix(':').filter(|_| before != ':')?;
        if !is_quoted && before != '{' && !behind.starts_with([' ', '\t']) {
            return None;
        }
        // `${NAME:?it is not set}` has a text there, and no value.
        if before == '{' && behind.starts_with(['?', '+']) {
            return None;
        }
        behind
    };
    let value = behind.trim_start_matches([' ', '\t']);
    let at = text.len() - value.len();
    let within = extent(value)?;
    Some(at + within.start..at + within.end)
}

/// Where a value begins and ends without its quotes; nothing where none begins.
fn extent(value: &str) -> Option<Range<usize>> {
    let quote = ["\"", "'", "\\\""].into_iter().find(|quote| value.starts_with(quote));
    if let Some(quote) = quote {
        let start = quote.len();
        return Some(start..value[start..].find(quote).map_or(value.len(), |at| start + at));
    }
    let closed_by = |end: char| value.find(end).map_or(value.len(), |at| at + 1);
    match value.chars().next()? {
        '$' if value.starts_with("${") => return Some(0..closed_by('}')),
        '$' if value.starts_with("$(") => return Some(0..closed_by(')')),
        '{' | '[' | '(' | '|' | '>' | '!' | '\n' | '\r' => return None,
        _ => {}
    }
    // The scheme of an `Authorization` header belongs to it.
    let scheme = ["Bearer ", "Basic ", "Token "].into_iter().find(|scheme| value.starts_with(scheme));
    let skipped = scheme.map_or(0, str::len);
    let ends = |c: char| c.is_whitespace() || ",;&|<>)]}\"'`\\".contains(c);
    if value[skipped..].starts_with("{{") {
        return Some(0..value.find("}}").map_or(value.len(), |at| at + 2));
    }
    Some(0..value[skipped..].find(ends).map_or(value.len(), |at| skipped + at))
}

/// `scheme://account:password@host`, and `account:password@tcp(host)` of MySQL's driver for Go.
fn in_urls(text: &str) -> Vec<Written> {
    let mut found = vec![];
    let mut see = |account: Range<usize>| {
        let Some(colon) = text[account.clone()].find(':') else { return };
        let range = account.start + colon + 1..account.end;
        if is_literal(&text[range.clone()]) {
            found.push(Written { range, what: "the password in a URL".to_owned() });
        }
    };
    for (at, scheme) in text.match_indices("://") {
        let start = at + scheme.len();
        let ends = |c: char| c.is_whitespace() || "/?#\"'<>`\\".contains(c);
        let end = text[start..].find(ends).map_or(text.len(), |at| start + at);
        if let Some(at) = text[start..end].rfind('@') {
            see(start..start + at);
        }
    }
    for (at, _) in text.match_indices("@tcp(").chain(text.match_indices("@unix(")) {
        let begins = |c: char| c.is_whitespace() || "=\"'`".contains(c);
        let start = text[..at].rfind(begins).map_or(0, |before| before + 1);
        see(start..at);
    }
    found
}

/// Private keys in PEM.
fn keys(text: &str) -> Vec<Written> {
    const END: &str = "PRIVATE KEY-----";
    let mut found = vec![];
    let mut from = 0;
    while let Some(at) = text[from..].find(END).map(|at| from + at + END.len()) {
        let end = text[at..].find("-----END").map_or(text.len(), |end| at + end);
        if is_literal(&text[at..end]) {
            found.push(Written { range: at..end, what: "a private key".to_owned() });
        }
        from = text[end..].find(END).map_or(text.len(), |behind| end + behind + END.len());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_notation_and_masked_alone() {
        for (text, expected) in [
            ("--db.password=hunter2 -v", "--db.password=*** -v"),
            ("-Xmx1g -Dspring.datasource.password=hunter2", "-Xmx1g -Dspring.datasource.password=***"),
            ("jdbc:mysql://h/db?user=a&password=hunter2&b=c", "jdbc:mysql://h/db?user=a&password=***&b=c"),
            ("mysql://app:hunter2@h:3306/db", "mysql://app:***@h:3306/db"),
            ("redis://:hunter2@h/0", "redis://:***@h/0"),
            ("mongodb://a:hunter2@h1,h2/x", "mongodb://a:***@h1,h2/x"),
            ("app:hunter2@tcp(h:3306)/db", "app:***@tcp(h:3306)/db"),
            (r#"{"user":"a","password":"hunter2"}"#, r#"{"user":"a","password":"***"}"#),
            (r#"{\"password\": \"hunter2\", \"a\": 1}"#, r#"{\"password\": \"***\", \"a\": 1}"#),
            ("db:\n  password: hunter2\n  pool: 5\n", "db:\n  password: ***\n  pool: 5\n"),
            ("password = hunter2\npool = 5", "password = ***\npool = 5"),
            ("<password>hunter2</password>", "<password>***</password>"),
            (r#"<property name="password" value="hunter2"/>"#, r#"<property name="password" value="***"/>"#),
            ("/orders?page=1&token=hunter2", "/orders?page=1&token=***"),
            ("curl -H 'Authorization: Bearer hunter2' h", "curl -H 'Authorization: ***' h"),
            ("export DB_PASSWORD='hunter 2'; app", "export DB_PASSWORD='***'; app"),
            ("password: ${DB_PASSWORD:hunter2}", "password: ***"),
            ("requirepass hunter2\n", "requirepass ***\n"),
            ("a: sk_live_hunter2hunter2", "a: ***"),
            ("url: ${DB_PASSWORD:hunter2}/x", "url: ${DB_PASSWORD:***}/x"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
                "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
            ),
        ] {
            assert_eq!(masked(text), expected, "{text}");
            assert_eq!(masked(expected), expected, "masked once, it is masked: {text}");
        }
    }

    #[test]
    fn what_refers_to_a_secret_or_speaks_of_one_is_left_alone() {
        for text in [
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-abc",
            "mysql://app:${DB_PASSWORD}@h/db",
            "mysql://app@h/db",
            "https://h/a@b:c",
            "password=$DB_PASSWORD app",
            "password: ${DB_PASSWORD}",
            "[ \"$PASSWORD\" == \"x\" ]",
            r#"{"password":{"file":"/run/a"}}"#,
            "password:\n  file: a\n",
            r#"{"token":"{key}"}"#,
            "tokenExpirationSeconds: 3600",
            "PASSWORD=$(cat /run/a)",
            "-----BEGIN CERTIFICATE-----\nabc",
            "password=",
            "a:password",
            "ä password",
            "passwords are secret",
            "Authorization: Bearer $TOKEN",
            "Authorization: Bearer {{ .token }}",
            "export PGPASSWORD=\"${DB_PASSWORD:?it is not set}\"",
            "password: ${env:DB_PASSWORD}",
            "password: ${sm://prod/db}",
            "password: ENC(abc123=)",
            "token = get_token()",
            "password = os.environ[\"DB_PASSWORD\"]",
            "password = os.environ.get('A')",
            "const token = process.env.TOKEN;",
            "if (token === undefined) {",
            "resilience4j.ratelimiter.instances.token.limitForPeriod=50",
            "app.csrf.token.repository=cookie",
        ] {
            assert_eq!(written_in(text), [], "{text}");
        }
    }

    #[test]
    fn in_a_statement_what_is_quoted_is_a_secret() {
        let statement = "SELECT 1 FROM a WHERE token = :key AND password = b.c AND api_token = 'hunter2'";
        assert_eq!(masked_quoted(statement), statement.replace("hunter2", "***"));
        assert_eq!(masked_quoted(statement), masked_quoted(&masked_quoted(statement)));
    }

    #[test]
    fn what_is_found_is_told_without_its_value() {
        let found = written_in("spring.datasource.password=hunter2 amqp://a:hunter3@h");
        let told: Vec<&str> = found.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(told, ["`spring.datasource.password`", "the password in a URL"]);
    }
}
