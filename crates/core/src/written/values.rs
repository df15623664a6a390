//! Which values are secrets, given that their names are those of secrets, and which only stand for one.

use super::{behind_names, names_secret, written_in};

/// Values that switch something on or off, or are none.
const SWITCHES: &[&str] =
    &["true", "false", "yes", "no", "on", "off", "null", "none", "nil", "~", "undefined", "enabled", "disabled"];

/// Beginnings of values that say where the secret is.
const REFERENCES: &[&str] = &[
    "arn:",
    "vault:",
    "ssm:",
    "file:",
    "classpath:",
    "alias/",
    "/run/secrets/",
    "/var/run/secrets/",
    "/etc/secrets/",
    "/mnt/secrets",
    "/secrets/",
];

/// Beginnings of paths. A password may begin like one.
const PATHS: &[&str] = &["/run/", "/var/", "/etc/", "/opt/", "/mnt/", "/home/", "/tmp/", "/usr/", "/app/", "/config/"];

/// Beginnings of values that are encrypted.
const ENCRYPTED: &[&str] = &["ENC(", "ENC[", "{cipher}"];

/// Beginnings of expressions that read a value from elsewhere.
const EXPRESSIONS: &[&str] = &["process.env.", "os.environ", "os.getenv", "System.getenv", "ENV["];

/// Beginnings of expressions that take a field of an object, if the field is called like a secret.
const OBJECTS: &[&str] = &["self.", "this.", "config.", "settings.", "props."];

/// What stands before the colon in `${env:NAME}`.
const SOURCES: &[&str] = &["env", "sys", "file", "ssm", "vault", "secret", "secrets", "secretsmanager", "aws-ssm"];

/// Whether a value is a path.
pub(super) fn is_place(value: &str) -> bool {
    PATHS.iter().any(|begin| value.starts_with(begin))
}

/// Whether a value is written in a language that makes another value of it: `get_token(`, `os.environ[`.
fn is_expression(value: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
    };
    let call = value.split_once(['(', '[']).filter(|(_, rest)| rest.trim_end_matches([')', ']']).is_empty());
    let is_field = || is_name(value) && OBJECTS.iter().any(|begin| value.starts_with(begin)) && names_secret(value);
    call.is_some_and(|(name, _)| is_name(name))
        || is_field()
        || EXPRESSIONS.iter().any(|begin| value.starts_with(begin))
}

/// Words in the place of a value.
const MASKED: &[&str] = &["redacted", "masked", "censored"];

/// Quotes that may be left around a value.
const QUOTES: [char; 3] = ['"', '\'', '\\'];

/// Whether a value is a secret itself, given that its name is that of one.
#[must_use]
pub fn is_literal(value: &str) -> bool {
    let value = value.trim().trim_matches(QUOTES);
    let schemes = ["Bearer ", "Basic ", "Token "];
    let value = schemes.iter().find_map(|scheme| value.strip_prefix(scheme)).unwrap_or(value).trim();
    let lower = value.to_ascii_lowercase();
    let wrapped = |begin: &str, end: &str| value.starts_with(begin) && value.ends_with(end);
    let is_placeholder = wrapped("<", ">") || wrapped("{", "}") || wrapped("%", "%") || wrapped("$(", ")");
    !(value.chars().all(|c| c == '*')
        || is_mask(value)
        || is_placeholder
        || is_variable(value)
        || is_expression(value)
        || ENCRYPTED.iter().any(|begin| value.starts_with(begin))
        || SWITCHES.contains(&lower.as_str())
        || REFERENCES.iter().any(|begin| lower.starts_with(begin))
        || is_address(value))
}

/// Whether a value says nothing but that there is one: `***`, `REDACTED`, `<password>`. Whoever reads it does not know what
/// stands there in truth, an address perhaps.
#[must_use]
pub fn is_mask(value: &str) -> bool {
    let value = value.trim().trim_matches(QUOTES);
    let of = |marks: &str, least: usize| value.chars().count() >= least && value.chars().all(|c| marks.contains(c));
    let inside = |begin: &str, end: &str| value.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let word = value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase();
    of("*", 3)
        || of("xX", 3)
        || of("•…", 1)
        || of(".", 3)
        || MASKED.contains(&word.as_str())
        || inside("{{", "}}").is_some()
        || inside("%", "%").is_some_and(is_name)
        || inside("<", ">").is_some_and(|inside| !inside.is_empty() && !inside.contains(['<', '>', '\n']))
}

/// Whether something in a text may be an address and is masked. A masked password hides none: in `redis://:***@cache` and
/// in `password=***`.
#[must_use]
pub fn hides(text: &str) -> bool {
    if is_mask(text) {
        return true;
    }
    let secrets = behind_names(text);
    let lower = text.to_ascii_lowercase();
    let marks = lower.match_indices("***").chain(MASKED.iter().flat_map(|word| lower.match_indices(word)));
    marks.map(|(at, mark)| (at, at + mark.len(), mark)).any(|(start, end, mark)| {
        let is_of_secret = secrets.iter().any(|(_, value)| value.start <= start && end <= value.end);
        // An account in a URL is one up to the `@`.
        let ends = |c: char| c.is_whitespace() || "/?#\"'`\\,;".contains(c);
        let rest = &text[end..];
        let is_account = rest[..rest.find(ends).unwrap_or(rest.len())].contains('@');
        let begin = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[begin..].lines().next().unwrap_or_default().trim_start();
        let is_comment = ["#", "//", "/*", "* ", "*/", ";", "!", "-- "].iter().any(|mark| line.starts_with(mark));
        let before = text[begin..start].trim_start();
        let before = before.trim_end_matches([' ', '\t', '"', '\'', '\\', '`', '<', '[', '(']);
        // Of a name, or behind a flag.
        let is_end = mark == "***" && text[..start].ends_with(|c: char| c == '.' || c.is_ascii_alphanumeric());
        let is_of_flag = before.rsplit(char::is_whitespace).next().is_some_and(|word| word.starts_with('-'));
        // On a line of its own it is an ornament.
        let is_value = match before.is_empty() {
            true => begin == 0,
            false => is_end || is_of_flag || before.ends_with(['=', ':', '/', '@', ',', '-', '>']),
        };
        is_value && !is_of_secret && !is_account && !is_comment
    })
}

/// The variables that stand for a whole value or for a host in it, `${NAME}` or `$(NAME)`: what they hold may be an address.
#[must_use]
pub fn hosts_from(text: &str) -> Vec<&str> {
    let marks = text.match_indices("${").chain(text.match_indices("$("));
    let named = marks.filter_map(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let (name, after) = rest.split_once(if mark == "${" { '}' } else { ')' })?;
        let is_whole = at == 0 && after.is_empty();
        // The account of a URL is one up to the `@`.
        let is_account = after.split(['/', '?', '#', ',']).next().is_some_and(|rest| rest.contains('@'));
        let is_host =
            ["://", "@", ","].iter().any(|end| text[..at].ends_with(end)) && !is_account && text.contains("://");
        (is_whole || is_host).then_some(name)
    });
    named.collect()
}

/// The address of something, with nothing in it that lets anybody in.
fn is_address(value: &str) -> bool {
    let is_one = |c: char| c.is_ascii_graphic() && !"\"'`<>".contains(c);
    if let Some((scheme, rest)) = value.split_once("://") {
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+.-:".contains(c);
        return scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(is_scheme)
            && !rest.is_empty()
            && rest.chars().all(is_one)
            && written_in(value).is_empty();
    }
    let Some((host, port)) = value.rsplit_once(':') else { return false };
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        label.starts_with(|c: char| c.is_ascii_alphanumeric()) && label.bytes().all(known)
    };
    host.contains('.') && host.split('.').all(is_label) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `$NAME`, or `${NAME}` without a value for where it is not set.
fn is_variable(value: &str) -> bool {
    let Some(rest) = value.strip_prefix('$') else { return false };
    let braced = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    match braced {
        Some(inside) => {
            let (name, rest) = inside.split_at(inside.find([':', '?']).unwrap_or(inside.len()));
            let default = rest.trim_start_matches([':', '-']);
            let is_reference = rest.starts_with("://") || SOURCES.contains(&name);
            is_name(name) && (is_reference || default.is_empty() || default.starts_with('?') || !is_literal(default))
        }
        None => {
            let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            rest.bytes().next().is_some_and(|first| first.is_ascii_uppercase() || first == b'_')
                && rest.bytes().all(is_plain)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_secret_unless_it_refers_to_one_or_hides_it() {
        for value in ["hunter2", "$2a$10$abc", "${DB_PASSWORD:hunter2}", "${A:-hunter2}", "/a+b/c=", "$ecret", "123456"]
        {
            assert!(is_literal(value), "{value}");
        }
        for value in [
            "",
            "  ",
            "***",
            "<password>",
            "{{ .password }}",
            "${A}",
            "${A:}",
            "${A:?not set}",
            "${a.b:${C}}",
            "$A",
            "$(A)",
            "arn:aws:secretsmanager:eu-west-1:1:secret:a",
            "/run/secrets/a",
            "true",
            "REDACTED",
            "%PASSWORD%",
        ] {
            assert!(!is_literal(value), "{value}");
        }
    }

    #[test]
    fn a_mask_is_a_value_that_says_nothing() {
        for value in
            ["***", "*****", "REDACTED", "<redacted>", "[REDACTED]", "***REDACTED***", "<redis url>", "xxxxx", "'***'"]
        {
            assert!(is_mask(value) && hides(value), "{value}");
        }
        for value in [
            "",
            "*",
            "/",
            "a",
            "* * * * *",
            "**/*.java",
            "**/actuator/**",
            "**",
            "<a>b</a>",
            "%d %m",
            "redis://:***@cache:6379",
            "..",
            "hidden",
        ] {
            assert!(!is_mask(value) && !hides(value), "{value}");
        }
    }

    #[test]
    fn what_is_masked_may_be_an_address_unless_it_is_a_password() {
        for text in [
            "redis://***",
            "redis://:***@***:6379",
            "--spring.redis.url=***",
            "-Xmx1g -Dredis.host=*** -Dpassword=***",
            r#"{"redis":{"url":"***"},"password":"***"}"#,
            "redis:\n  url: ***\n  password: ***\n",
            "hosts:\n- ***\n",
            "redis.url=<redacted>\n",
            "cache.***",
            "rediss://app:***@master.***.cache.amazonaws.com:6379",
            "exec app --redis-url ***",
        ] {
            assert!(hides(text), "{text}");
        }
        for text in [
            "redis://***:***@cache:6379",
            "mysql://app:***@h/db?token=***",
            "jdbc:mysql://h/db?user=a&password=***",
            "db:\n  url: mysql://h/db\n  password: ***\n",
            "# ***** all the rest *****\na: 1\n",
            "/*********\n * a\n *********/\n",
            "<password>***</password>",
            "Authorization: Bearer ***",
            "0/5 * * * *",
            "log.redacted.fields=a",
        ] {
            assert!(!hides(text), "{text}");
        }
    }

    #[test]
    fn a_variable_may_stand_for_a_value_or_for_a_host() {
        assert_eq!(hosts_from("${REDIS_URL}"), ["REDIS_URL"]);
        assert_eq!(hosts_from("$(REDIS_URL)"), ["REDIS_URL"]);
        assert_eq!(hosts_from("redis://:${PW}@${HOST}:6379"), ["HOST"]);
        assert_eq!(hosts_from("amqp://a:${PW}@h1,${HOST}/x"), ["HOST"]);
        for text in ["redis://:${PW}@cache:6379", "redis://${ACCOUNT}@cache", "-Xmx${HEAP}", "a=${B}", "", "$A", "${A"]
        {
            assert_eq!(hosts_from(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn an_address_without_an_account_is_no_secret_whatever_its_name() {
        for value in [
            "redis://:***@cache.internal:6379",
            "https://auth.internal",
            "cache.internal:6379",
            "jdbc:mysql://h:3306/db?user=a&password=***",
        ] {
            assert!(!is_literal(value), "{value}");
        }
        for value in
            ["redis://:hunter2@cache:6379", "https://h/?token=hunter2", "hunter:1234", "a.b:hunter2", "://", "x://"]
        {
            assert!(is_literal(value), "{value}");
        }
    }
}
