//! Secrets that programs are told behind a space: `redis-cli -a X`, `requirepass X`, `machine H login U password X`.

use super::Written;
use super::names::{is_secret, names_secret};
use super::values::is_literal;
use std::ops::Range;

/// What may be around a word.
const AROUND: &[char] = &['"', '\'', '`', ';', ')', '(', ',', '[', ']', '\\', '&', '|', '$'];

const MYSQL: &[&str] = &["mysql", "mysqladmin", "mysqldump", "mysqlcheck", "mariadb", "mariadb-admin", "mariadb-dump"];
const REDIS: &[&str] = &["redis-cli", "redis-benchmark", "valkey-cli"];

/// Every secret in the lines of a text that is a word of its own.
pub(super) fn in_commands(text: &str) -> Vec<Written> {
    let mut found = vec![];
    let mut start = 0;
    let is_netrc = text.contains("machine ") || text.contains("default login ");
    for line in text.split_inclusive('\n') {
        let words = words(line, start);
        start += line.len();
        let all: Vec<&str> = words.iter().map(|range| text[range.clone()].trim_matches(AROUND)).collect();
        let runs =
            |programs: &[&str]| all.iter().any(|word| programs.contains(&word.rsplit('/').next().unwrap_or(word)));
        for (index, word) in all.iter().enumerate() {
            let next = words.get(index + 1).cloned();
            let range = match *word {
                "requirepass" | "masterauth" | "--requirepass" | "--masterauth" => next,
                "password" if is_netrc => next,
                "-a" | "--pass" if runs(REDIS) => next,
                "-p" if runs(&["sshpass"]) => next,
                "-u" | "--user" if runs(&["curl"]) => next.and_then(|range| behind_colon(text, range)),
                _ if word.len() > 2 && word.starts_with("-p") && !word.contains('=') && runs(MYSQL) => {
                    let range = &words[index];
                    text[range.clone()].find("-p").map(|at| range.start + at + 2..range.end)
                }
                _ if word.starts_with("--") && !word.contains('=') && names_secret(word) => {
                    next.filter(|range| is_secret(word, text[range.clone()].trim_matches(AROUND)))
                }
                _ => None,
            };
            let Some(range) = range.map(|range| trimmed(text, range)) else { continue };
            let value = &text[range.clone()];
            if !value.starts_with('-') && is_literal(value) {
                let flag = if word.starts_with("-p") { "-p" } else { word };
                found.push(Written { range, what: format!("`{flag}`") });
            }
        }
        found.extend(of_pgpass(text, start - line.len(), line));
    }
    found
}

/// `host:port:database:user:password`.
fn of_pgpass(text: &str, start: usize, line: &str) -> Option<Written> {
    let line = line.trim_end();
    let fields: Vec<&str> = line.split(':').collect();
    let [host, port, _, _, password] = fields.as_slice() else { return None };
    let is_port = *port == "*" || (port.len() >= 4 && port.bytes().all(|byte| byte.is_ascii_digit()));
    let is_host = *host == "*" || host.chars().any(|c| c.is_ascii_alphabetic());
    let end = start + line.len();
    let range = end - password.len()..end;
    let is_one = is_port && is_host && !line.contains(char::is_whitespace) && is_literal(&text[range.clone()]);
    is_one.then(|| Written { range, what: "a line of `.pgpass`".to_owned() })
}

fn words(line: &str, start: usize) -> Vec<Range<usize>> {
    let place = |word: &str| word.as_ptr() as usize - line.as_ptr() as usize + start;
    line.split_whitespace().map(|word| place(word)..place(word) + word.len()).collect()
}

fn behind_colon(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    text[range.clone()].find(':').map(|at| range.start + at + 1..range.end)
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let word = &text[range.clone()];
    // A dollar sign begins a variable.
    let inner = word.trim_end_matches(AROUND).trim_start_matches(|c| c != '$' && AROUND.contains(&c));
    if inner.starts_with('$') {
        return range;
    }
    let start = range.start + (word.len() - word.trim_start_matches(|c| AROUND.contains(&c)).len());
    start.min(range.end)..(start + inner.len()).min(range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_behind_a_flag_is_found_and_variables_are_none() {
        for text in [
            "redis-cli -h h -a hunter2 ping",
            "/usr/bin/redis-cli --pass hunter2",
            "mysql -uroot -phunter2",
            "sh -c \"mysqladmin ping -p'hunter2'\"",
            "curl -s -u app:hunter2 http://h",
            "requirepass hunter2",
            "a 1\nmasterauth \"hunter2\"\n",
            "app --db-password hunter2 -v",
            "machine h login a password hunter2",
            "machine h\n  login a\n  password hunter2\n",
            "db.internal:5432:*:app:hunter2",
        ] {
            let found = in_commands(text);
            assert_eq!(found.iter().map(|one| &text[one.range.clone()]).collect::<Vec<_>>(), ["hunter2"], "{text}");
        }
        for text in [
            "redis-cli -a $REDIS_PASSWORD ping",
            "redis-cli -a \"$REDIS_PASSWORD\" ping",
            "redis-cli -a \"${REDIS_PASSWORD}\" ping",
            "mysql -p$PASSWORD -u a",
            "mysql -p \"$PASSWORD\"",
            "mysql -p -h h",
            "curl -u \"$A:$B\" h",
            "app -p 8080 -a x",
            "--token-ttl 60",
            "--db-password ***",
            "requirepass ***",
            "# the password is secret",
            "arn:aws:sqs:eu-west-1:q",
        ] {
            assert_eq!(in_commands(text), [], "{text}");
        }
    }
}
