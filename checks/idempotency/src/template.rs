//! Texts of the configuration into which a business key is put. They are checked where they are read, so that a mistake
//! is reported with its place in the file, before anything runs.

use crate::shape;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A text with `{key}` in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Template(String);

/// The name of a Redis key, or a pattern of such names, with `{key}` in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct KeyPattern(Template);

/// A statement that reads rows and binds `:key`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Query(String);

/// A statement that takes rows away and binds `:key`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Removal(String);

/// Why a text of the configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Without the key all messages would look alike.
    #[error("the text must contain `{{key}}`, which is replaced by a key of the run's own")]
    KeyMissing,
    /// Each of its characters alone would fit.
    #[error(
        "`{{key}}` must not stand inside `[…]`, where names with any one of its characters fit; write `\\[` for a bracket in a name"
    )]
    KeyInBrackets,
    /// Without the parameter the statement would touch rows of others.
    #[error("the statement must contain the parameter `:key`, which is bound to the run's own key")]
    ParameterMissing,
    /// Only reading is expected here.
    #[error("the query must begin with SELECT, not with `{0}`")]
    NotAQuery(String),
    /// Only taking away is expected here.
    #[error("the statement must begin with DELETE or UPDATE, not with `{0}`")]
    NotARemoval(String),
    /// What stands in it may look like a part of the statement and is none.
    #[error("a statement must not contain a comment (`--`, `#`, `/*`)")]
    Comment,
    /// It may touch more than one table.
    #[error("the statement must be `DELETE FROM t WHERE …` or `UPDATE t SET … WHERE …`, with one table")]
    NotOneTable,
    /// It may touch more than the key's rows.
    #[error(
        "`{0}` may reach the rows of others: what a statement that removes compares with the key is `column = :key`, `column IN (:key)` or `column LIKE CONCAT('text', :key, 'text')`; AND may join `column = constant` and the like, and nothing else"
    )]
    Reaches(String),
    /// Without it the statement touches rows of others.
    #[error("the statement must compare a column with `:key`, alone or joined by AND: `WHERE order_id = :key`")]
    NotCompared,
    /// The query would show one row where there are two.
    #[error("the query must not contain {0}: it hides a second effect behind the first")]
    HidesDuplicates(&'static str),
    /// The query would show the same for one effect and for two.
    #[error("a query with {0} must show COUNT(…) or SUM(…), too: it hides a second effect behind the first")]
    NotCounted(&'static str),
    /// What is shown may be the same for one effect and for two.
    #[error(
        "the query must not show `{0}`: only columns, `*`, COUNT(…) and SUM(…) as they are, with an alias or without, show a second effect for certain"
    )]
    NotPlain(String),
    /// Nothing is read.
    #[error("every SELECT of the query must read FROM a table")]
    NoTable,
    /// What is inside may be seen no more than whether it is there.
    #[error(
        "the query must not contain a SELECT inside another, which may hide a second effect behind the first: use a JOIN"
    )]
    Subquery,
}

impl Template {
    /// The text with the key in it.
    #[must_use]
    pub fn with(&self, key: &str) -> String {
        self.0.replace("{key}", key)
    }

    /// The text as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyPattern {
    /// The text with the key in it.
    #[must_use]
    pub fn with(&self, key: &str) -> String {
        self.0.with(key)
    }

    /// The text as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Query {
    /// The statement as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first table or view it reads, for messages to people.
    #[must_use]
    pub fn table(&self) -> Option<String> {
        let mut words = words(&self.0).into_iter();
        words.find(|word| word.eq_ignore_ascii_case("from"))?;
        words.next()
    }
}

impl Removal {
    /// The statement as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A query of no rows that shows the columns which are compared with the key.
    #[must_use]
    pub fn compared(&self) -> String {
        shape::compared(&self.0)
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        if text.contains("{key}") { Ok(Self(text)) } else { Err(TemplateError::KeyMissing) }
    }
}

impl TryFrom<String> for KeyPattern {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        let mut is_inside = false;
        let mut characters = text.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => drop(characters.next()),
                '[' => is_inside = true,
                ']' => is_inside = false,
                '{' if is_inside && text[at..].starts_with("{key}") => return Err(TemplateError::KeyInBrackets),
                _ => {}
            }
        }
        Template::try_from(text).map(Self)
    }
}

impl TryFrom<String> for Query {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        let words = words(&text);
        let first = words.first().map_or("", String::as_str);
        if !first.eq_ignore_ascii_case("select") {
            return Err(TemplateError::NotAQuery(first.to_owned()));
        }
        for hides in ["DISTINCT", "DISTINCTROW", "LIMIT", "FETCH", "UNION", "INTERSECT", "EXCEPT"] {
            let all = words
                .windows(2)
                .any(|pair| pair[0].eq_ignore_ascii_case("union") && pair[1].eq_ignore_ascii_case("all"));
            if words.iter().any(|word| word.eq_ignore_ascii_case(hides)) && !(hides == "UNION" && all) {
                return Err(TemplateError::HidesDuplicates(hides));
            }
        }
        shape::check(&text)?;
        if binds_key(&text) { Ok(Self(text)) } else { Err(TemplateError::ParameterMissing) }
    }
}

impl TryFrom<String> for Removal {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        let words = words(&text);
        let first = words.first().map_or("", String::as_str);
        if !["delete", "update"].iter().any(|known| first.eq_ignore_ascii_case(known)) {
            return Err(TemplateError::NotARemoval(first.to_owned()));
        }
        if !binds_key(&text) {
            return Err(TemplateError::ParameterMissing);
        }
        shape::check_removal(&text)?;
        Ok(Self(text))
    }
}

/// The statement without what stands in quotes.
fn unquoted(statement: &str) -> String {
    let mut quote = None;
    let keep = |character: char| match quote {
        Some(open) => {
            if character == open {
                quote = None;
            }
            ' '
        }
        None if matches!(character, '\'' | '"') => {
            quote = Some(character);
            ' '
        }
        None => character,
    };
    statement.chars().map(keep).collect()
}

/// The words of a statement outside of quotes; a name in backticks is one word, with its backticks taken off only where
/// it stands alone, so that a column called `limit` is not the keyword.
fn words(statement: &str) -> Vec<String> {
    let separators = |character: char| character.is_whitespace() || matches!(character, '(' | ')' | ',' | ';' | '=');
    unquoted(statement).split(separators).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn binds_key(statement: &str) -> bool {
    let text = unquoted(statement);
    let mut rest = text.as_str();
    while let Some(at) = rest.find(":key") {
        let after = rest[at + 4..].chars().next();
        if !after.is_some_and(|next| next.is_alphanumeric() || next == '_') {
            return true;
        }
        rest = &rest[at + 4..];
    }
    false
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! schema {
    ($type:ty, $name:literal, $pattern:literal, $example:literal, $description:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "description": $description,
                    "examples": [$example]
                })
            }
        }
    };
}

schema!(
    Template,
    "Template",
    r"\{key\}",
    "order:{key}",
    "A text in which `{key}` is replaced by a business key of the run's own."
);
schema!(
    KeyPattern,
    "KeyPattern",
    r"\{key\}",
    "order:{key}:*",
    "The name of a Redis key in which `{key}` is replaced by a business key of the run's own, or a pattern with `*`, `?` and `[…]`. `{key}` must not stand inside `[…]`; `\\[` is a bracket."
);
schema!(
    Query,
    "Query",
    r"^[\s(]*[Ss][Ee][Ll][Ee][Cc][Tt]\b[\s\S]*:key\b",
    "SELECT amount FROM payments WHERE order_id = :key",
    "A SELECT in which `:key` is bound to the business key. It shows columns, `*`, COUNT(…) or SUM(…) as they are. What may hide a second effect is refused: DISTINCT, LIMIT, a plain UNION, a SELECT inside another, anything around COUNT or SUM, GROUP BY without them."
);
schema!(
    Removal,
    "Removal",
    r"^\s*([Dd][Ee][Ll][Ee][Tt][Ee]|[Uu][Pp][Dd][Aa][Tt][Ee])\b[\s\S]*:key\b",
    "DELETE FROM payments WHERE order_id = :key",
    "A DELETE or UPDATE in which `:key` is bound to the business key. It removes from one table. Its WHERE says `column = :key`, `column IN (:key)` or `column LIKE CONCAT('text', :key, 'text')`, alone or joined by AND with conditions that compare a column with a constant. Everything else is refused, comments, too: write one statement for each condition."
);

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, TemplateError> {
        Query::try_from(text.to_owned())
    }

    #[test]
    fn a_template_needs_the_key() {
        let template = Template::try_from("{\"id\":\"{key}\",\"again\":\"{key}\"}".to_owned()).unwrap();
        assert_eq!(template.with("k1"), "{\"id\":\"k1\",\"again\":\"k1\"}");
        assert_eq!(Template::try_from("{}".to_owned()), Err(TemplateError::KeyMissing));
    }

    #[test]
    fn a_query_reads_by_key_and_shows_every_row() {
        assert!(query("select a, `limit` from t where k = :key").is_ok());
        assert!(query("SELECT a AS 'LIMIT' FROM t WHERE k = :key AND x = 'DISTINCT'").is_ok());
        assert!(query("SELECT a FROM t WHERE k = :key UNION ALL SELECT a FROM u WHERE k = :key").is_ok());
        assert_eq!(query("SELECT a FROM t WHERE k = :key LIMIT 1"), Err(TemplateError::HidesDuplicates("LIMIT")));
        assert_eq!(
            query("SELECT COUNT(DISTINCT a) FROM t WHERE k=:key"),
            Err(TemplateError::HidesDuplicates("DISTINCT"))
        );
        let error = query("SELECT LEAST(COUNT(*), 1) FROM t WHERE k = :key").unwrap_err();
        assert_eq!(error, TemplateError::NotPlain("LEAST(COUNT(*), 1)".to_owned()));
        assert!(error.to_string().contains("`LEAST(COUNT(*), 1)`"));
        assert_eq!(query("SELECT a FROM t WHERE k = ':key'"), Err(TemplateError::ParameterMissing));
        assert_eq!(query("SELECT a FROM t WHERE k = :keys"), Err(TemplateError::ParameterMissing));
        assert_eq!(query("DELETE FROM t WHERE k = :key"), Err(TemplateError::NotAQuery("DELETE".to_owned())));
    }

    #[test]
    fn the_key_stands_in_a_pattern_as_it_is() {
        let pattern = |text: &str| KeyPattern::try_from(text.to_owned());
        for text in ["order:{key}", "[a-z]*:{key}:?", r"order\[{key}\]*", r"[\]]{key}"] {
            assert_eq!(pattern(text).unwrap().as_str(), text);
        }
        for text in ["[{key}]*", "[!{key}]*", "[^{key}", "{key}[{key}]*", r"[\]{key}]*", r"\\[{key}]*"] {
            assert_eq!(pattern(text), Err(TemplateError::KeyInBrackets), "{text}");
        }
        assert_eq!(pattern("order:*"), Err(TemplateError::KeyMissing));
    }

    #[test]
    fn a_removal_touches_the_runs_own_rows_alone() {
        let removal = |text: &str| Removal::try_from(text.to_owned());
        assert!(removal("DELETE FROM t WHERE k = :key").is_ok());
        assert_eq!(removal("DELETE FROM t"), Err(TemplateError::ParameterMissing));
        assert_eq!(removal("TRUNCATE t"), Err(TemplateError::NotARemoval("TRUNCATE".to_owned())));
        for comment in ["-- :key", "# :key", "/* :key */"] {
            assert_eq!(removal(&format!("DELETE FROM t WHERE k = 1 {comment}")), Err(TemplateError::Comment));
        }
        for hides in ["UPDATE `t'` SET a = 1 # ' WHERE k = :key", "UPDATE `t'` SET a = 1 -- ' WHERE k = :key"] {
            assert_eq!(removal(hides), Err(TemplateError::Comment));
        }
    }

    #[test]
    fn the_table_of_a_query_is_known() {
        assert_eq!(query("SELECT a FROM payments WHERE k = :key").unwrap().table().as_deref(), Some("payments"));
    }
}
