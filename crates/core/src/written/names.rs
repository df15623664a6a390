//! Which names are those of secrets, and what stands under such a name without being one.

use super::values::{is_literal, is_place};

/// The ends of words that name a secret.
const SECRET: &str = "\
    password passwd passphrase passcode pwd secret token credential credentials signature sig authorization apikey \
    accesskey privatekey secretkey authkey requirepass masterauth userpass dbpass";

/// Words that make a secret of the next one, if that is `key`, `auth` or `secret`. Any other `secret` may be the name of
/// one: `DB_SECRET=prod/orders/db`.
const BEFORE_KEY: &str = "\
    api access private auth signing signature encryption encrypt master shared account license storage hmac jwt crypt \
    app fernet session cookie secret cipher aes deploy webhook";
const BEFORE_AUTH: &str = "redis rediscli basic proxy npm";
const BEFORE_SECRET: &str = "\
    client jwt session cookie signing hmac webhook shared oauth app api auth access token encryption master consumer hash \
    totp otp state nextauth";

/// Last words of the names of what is said about a secret.
const ABOUT: &str = "\
    arn name names id ids file files filename path paths dir directory folder ttl expiry expires expire expiration in \
    timeout seconds secs sec s ms millis minutes hours days duration interval period age length size min max count limit \
    rate rounds chars header headers cookie cookies type types algorithm alg enabled disabled enable required policy url \
    urls uri endpoint host hosts port addr address server servers domain issuer audience mode version stage region \
    namespace alias provider store repository class prefix suffix parameter parameters param ssm ref reference encoder \
    encoding format field location source scope scopes validity validation validator validators verification rotation \
    hasher hashers cache refresh manager service lifetime leeway skew strategy bucket table topic queue blacklist \
    whitelist allowlist denylist username user use hint reset grace attempts retries dummy optional properties yaml yml \
    json xml conf config ini txt sh crt pem template toml backend";

/// Words of names that say where a secret is.
const PLACES: &str = "ssm parameter parameters param secretsmanager vault";

/// How sure a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It ends with the word for one: `DB_PASSWORD`.
    Certain,
    /// It has such a word: `SECRET_KEY_BASE`, `TOKEN_BUCKET_FILL`.
    Likely,
}

/// Whether something of that name is a secret: a variable, a property, a parameter, an argument.
#[must_use]
pub fn names_secret(name: &str) -> bool {
    kind(&words(name)).is_some()
}

/// Whether a name says beyond doubt that its value is a secret, and not the name of one.
#[must_use]
pub fn names_secret_itself(name: &str) -> bool {
    kind(&words(name)) == Some(Kind::Certain)
}

/// Whether a value is a secret, under its name.
#[must_use]
pub fn is_secret(name: &str, value: &str) -> bool {
    let words = words(name);
    kind(&words).is_some_and(|kind| is_literal(value) && !is_harmless(kind, &words, value.trim()))
}

/// A setting, or the name of a secret, or the place of one.
fn is_harmless(kind: Kind, words: &[String], value: &str) -> bool {
    let is_likely = kind == Kind::Likely;
    let last = words.last().map_or("", String::as_str);
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let is_number = digits == value.len() && digits <= if is_likely { 4 } else { 2 };
    let is_duration = (1..=4).contains(&digits)
        && ["ms", "s", "m", "h", "d"].iter().any(|unit| value.len() == digits + unit.len() && value.ends_with(unit));
    let is_of_names = is_likely && matches!(last, "key" | "keys" | "secret" | "secrets" | "credential" | "credentials");
    let is_name_of_one = || names_secret(value) && value.chars().all(|c| c.is_ascii_alphabetic() || "-_./".contains(c));
    let says_where = words.iter().any(|word| has(PLACES, word));
    let is_variable = last == "env"
        && value.contains('_')
        && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_number
        || (is_likely && (is_duration || is_place(value)))
        || (is_of_names && (is_name_of_one() || is_name(value)))
        || (says_where && (is_name(value) || is_path(value)))
        || is_variable
}

/// Words with slashes or hyphens between them, as objects and secrets are called.
fn is_name(value: &str) -> bool {
    let is_word = |word: &str| {
        let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
        !stem.is_empty() && word.len() <= 24 && stem.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    let value = value.strip_prefix('/').unwrap_or(value);
    value.contains(['/', '-']) && value.split(['/', '-', '.', '_']).all(is_word)
}

/// The name of a parameter in a store: `/prod/orders/DB_PASSWORD`.
fn is_path(value: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    value.starts_with('/') && value.matches('/').count() > 1 && value.chars().all(is_plain)
}

fn has(list: &str, word: &str) -> bool {
    list.split(' ').any(|one| one == word)
}

fn kind(words: &[String]) -> Option<Kind> {
    let numbered = |word: &&String| word.bytes().all(|byte| byte.is_ascii_digit());
    let words = &words[..words.len() - words.iter().rev().take_while(numbered).count()];
    let last = words.last()?;
    if has(ABOUT, last) {
        return None;
    }
    let stem = |word: &String| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let is_one = |word: &String| SECRET.split(' ').any(|end| stem(word).ends_with(end));
    let makes_one = |pair: &[String]| match pair[1].as_str() {
        "key" | "keys" => has(BEFORE_KEY, &pair[0]),
        "auth" => has(BEFORE_AUTH, &pair[0]),
        "secret" => has(BEFORE_SECRET, &pair[0]),
        _ => false,
    };
    let may_be_a_name =
        |word: &String| ["secret", "secrets", "credential", "credentials"].iter().any(|end| stem(word).ends_with(end));
    let ends_with_one = (is_one(last) && !may_be_a_name(last)) || matches!(stem(last).as_str(), "pass" | "pw");
    if ends_with_one || words.windows(2).next_back().is_some_and(makes_one) {
        return Some(Kind::Certain);
    }
    (words.iter().any(is_one) || words.windows(2).any(makes_one)).then_some(Kind::Likely)
}

/// The words of a name, in small letters: `dbPassword`, `DB_PASSWORD` and `db.password` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let begins = before.is_ascii_lowercase() && c.is_ascii_uppercase();
        if !c.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("there is always one").extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_secret_unless_it_says_something_about_one() {
        for name in [
            "DB_PASSWORD",
            "dbPassword",
            "spring.datasource.password",
            "MYSQL_PWD",
            "PGPASSWORD",
            "JWT_SECRET",
            "X-Api-Key",
            "AWS_SECRET_ACCESS_KEY",
            "apikey",
            "GITHUB_TOKEN",
            "DB_PASS",
            "DB_PASSWORD_1",
            "PRIVATE_KEY",
            "REDISCLI_AUTH",
            "X-Amz-Signature",
            "SECRET_KEY_BASE",
            "CREDENTIAL",
            "PASSWORD2",
            "token",
            "DB_PW",
            "LDAP_BIND_PW",
            "APP_KEY",
            "FERNET_KEY",
            "SESSION_KEY",
        ] {
            assert!(names_secret(name), "{name}");
        }
        for name in [
            "DB_HOST",
            "TOKEN_TTL",
            "PASSWORD_FILE",
            "MAX_TOKENS",
            "DB_SECRET_ARN",
            "AWS_ACCESS_KEY_ID",
            "OAUTH_TOKEN_URL",
            "KEY",
            "PARTITION_KEY",
            "COMPASS",
            "BYPASS",
            "AUTH",
            "AUTHOR",
            "secretName",
            "tokenExpirationSeconds",
            "DB_POOL_SIZE",
            "",
        ] {
            assert!(!names_secret(name), "{name}");
        }
    }

    #[test]
    fn a_setting_and_the_name_or_place_of_a_secret_are_none() {
        for line in [
            "DB_SECRET=prod/orders/db",
            "DB_PASSWORD_SECRET=orders-db",
            "DB_CREDENTIALS_SECRET=orders-db",
            "LICENSE_KEY_SECRET=orders-license",
            "DB_PASSWORD_SSM=/prod/orders/db",
            "SSM_PARAMETER_DB_PASSWORD=/prod/orders/DB_PASSWORD",
            "PASSWORD_KEY=password",
            "KMS_SIGNING_KEY=alias/orders",
            "SECRET_VERSION_STAGE=AWSCURRENT",
            "TOKEN_EXPIRES_IN=15m",
            "REFRESH_TOKEN_EXPIRES_IN=604800",
            "PASSWORD_RESET_EXPIRES_IN=1h",
            "CSRF_TOKEN_COOKIE=XSRF",
            "PASSWORD_SALT_ROUNDS=10",
            "TOKEN_BUCKET_RATE=50",
            "TOKEN_BUCKET_FILL=1000",
            "TOKEN_BLACKLIST=redis",
            "VALIDATE_TOKEN=1",
            "ENABLE_TOKEN_AUTH=1",
            "AUTH_PASSWORD_VALIDATORS=a.b.C",
            "PASSWORD_HASHERS=a.b.C",
            "SECRET_KEY_BASE_DUMMY=1",
            "Password__RequiredUniqueChars=4",
            "COGNITO_TOKEN_USE=access",
            "SIGNATURE_VERIFICATION=required",
            "TOKEN_SERVICE_ADDR=auth:8080",
            "TOKEN_SERVER=https://auth.internal",
            "AUTHORIZATION_SERVER=auth",
            "TOKEN_TABLE=tokens",
            "TOKEN_TOPIC=tokens",
            "PASSWORD_RESET_QUEUE=resets",
            "DB_PASSWORD_ENV=DB_PASSWORD",
            "GOOGLE_APPLICATION_CREDENTIALS=/etc/gcp/key.json",
            "DB_PASSWORD=/run/secrets/db",
        ] {
            let (name, value) = line.split_once('=').unwrap();
            assert!(!is_secret(name, value), "{line}");
        }
        for line in [
            "DB_PASSWORD=hunter2",
            "DB_PASSWORD=orders-db-pw",
            "DB_PASSWORD=s3cret/Pass",
            "DB_PASSWORD=password",
            "DB_PASSWORD=1234",
            "DB_PASSWORD=/run/abc",
            "API_TOKEN=orders-api",
            "DB_SECRET=hunter2",
            "DB_SECRET=a8f3-b7c2",
            "JWT_SECRET=my-jwt-secret",
            "CLIENT_SECRET=orders-client",
            "SECRET_KEY=secret-key",
            "DB_PASSWORD_ENV=hunter2",
            "DB_PASSWORD_PROD=my-password",
            "PASSWORD=this.is",
        ] {
            let (name, value) = line.split_once('=').unwrap();
            assert!(is_secret(name, value), "{line}");
        }
    }
}
