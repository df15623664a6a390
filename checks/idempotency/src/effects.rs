//! What a consumer did, as far as it can be seen from outside, in a form in which two messages can be compared.

use std::collections::BTreeMap;
use std::fmt;

/// How a business key reads after it was replaced.
pub const KEY: &str = "{key}";

/// How a masked value reads.
pub const MASKED: &str = "*";

/// The longest value that is shown to people.
const SHOWN_CHARS_MAX: usize = 60;

/// One row: its columns with their values, `None` where the value is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row(pub BTreeMap<String, Option<String>>);

/// How a second effect shows in what a probe sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// As one more row.
    Rows,
    /// As another value at most: there is never more than one row.
    Values,
}

/// What one probe sees: a multiset of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the probe looks at, for people: a table, or a template of keys.
    pub name: String,
    /// How a second effect shows.
    pub shows: Shows,
    /// The rows, sorted.
    pub rows: Vec<Row>,
}

/// What all probes of a consumer see for one business key, always in the same order of probes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects(pub Vec<Part>);

impl Row {
    /// A row without columns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value. A JSON object or array becomes one column for each of its leaves, so that one changing field does
    /// not hide the others.
    pub fn put(&mut self, column: &str, value: Option<String>) {
        let Some(text) = value else {
            self.0.insert(column.to_owned(), None);
            return;
        };
        if text.starts_with(['{', '['])
            && let Ok(json) = serde_json::from_str::<serde_json::Value>(&text)
        {
            return self.put_json(column, &json);
        }
        self.0.insert(column.to_owned(), Some(text));
    }

    fn put_json(&mut self, column: &str, json: &serde_json::Value) {
        use serde_json::Value;
        match json {
            Value::Object(fields) if !fields.is_empty() => {
                fields.iter().for_each(|(name, value)| self.put_json(&format!("{column}.{name}"), value));
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(index, value)| self.put_json(&format!("{column}[{index}]"), value));
            }
            Value::Null => drop(self.0.insert(column.to_owned(), None)),
            Value::String(text) => drop(self.0.insert(column.to_owned(), Some(text.clone()))),
            other => drop(self.0.insert(column.to_owned(), Some(other.to_string()))),
        }
    }

    fn canonical(self, key: &str) -> Self {
        let replace = |text: String| text.replace(key, KEY);
        Self(self.0.into_iter().map(|(column, value)| (replace(column), value.map(replace))).collect())
    }
}

impl Part {
    /// Rows in any order, with the business key replaced wherever it occurs.
    #[must_use]
    pub fn canonical(name: &str, rows: Vec<Row>, key: &str) -> Self {
        let mut rows: Vec<Row> = rows.into_iter().map(|row| row.canonical(key)).collect();
        rows.sort();
        Self { name: name.to_owned(), shows: Shows::Rows, rows }
    }

    /// The same where there is never more than one row.
    #[must_use]
    pub fn of_values(self) -> Self {
        Self { shows: Shows::Values, ..self }
    }
}

impl Effects {
    /// The names of the probes that see the same here as there.
    #[must_use]
    pub fn unchanged_since(&self, before: &Self) -> Vec<String> {
        let pairs = self.0.iter().zip(&before.0);
        pairs.filter(|(now, then)| now.rows == then.rows).map(|(now, _)| now.name.clone()).collect()
    }

    /// Whether every probe sees something else than before.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> bool {
        self.unchanged_since(before).is_empty()
    }
}

/// A value as people see it, cut where it is long.
#[must_use]
pub fn shown(value: Option<&Option<String>>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(None) => "NULL".to_owned(),
        Some(Some(text)) if text.chars().count() > SHOWN_CHARS_MAX => {
            format!("{}…", text.chars().take(SHOWN_CHARS_MAX).collect::<String>())
        }
        Some(Some(text)) => text.clone(),
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, (column, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{column}={}", shown(Some(value)))?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            let semicolon = if index == 0 { "" } else { "; " };
            write!(f, "{semicolon}{}: ", part.name)?;
            if part.rows.is_empty() {
                f.write_str("nothing")?;
            }
            for row in &part.rows {
                write!(f, "{row}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[(&str, &str)]) -> Row {
        let mut row = Row::new();
        values.iter().for_each(|(column, value)| row.put(column, Some((*value).to_owned())));
        row
    }

    #[test]
    fn the_key_is_replaced_and_the_order_of_rows_does_not_matter() {
        let one =
            Part::canonical("t", vec![row(&[("k", "pf-1"), ("n", "2")]), row(&[("k", "pf-1"), ("n", "1")])], "pf-1");
        let two =
            Part::canonical("t", vec![row(&[("k", "pf-2"), ("n", "1")]), row(&[("k", "pf-2"), ("n", "2")])], "pf-2");
        assert_eq!(one, two);
        assert_eq!(one.rows[0].to_string(), "(k={key}, n=1)");
    }

    #[test]
    fn equal_rows_are_counted_and_not_merged() {
        let twice = Part::canonical("t", vec![row(&[("n", "1")]), row(&[("n", "1")])], "pf-1");
        assert_eq!(twice.rows.len(), 2);
    }

    #[test]
    fn a_json_value_becomes_one_column_for_each_leaf() {
        let json = row(&[("value", r#"{"count":2,"at":{"ms":[7,8]},"gone":null}"#)]);
        assert_eq!(json.to_string(), "(value.at.ms[0]=7, value.at.ms[1]=8, value.count=2, value.gone=NULL)");
        assert_eq!(row(&[("value", "{broken")]).to_string(), "(value={broken)");
        assert_eq!(row(&[("value", "{}")]).to_string(), "(value={})");
    }

    #[test]
    fn a_probe_that_saw_no_change_is_named() {
        let part = |name: &str, n: &str| Part::canonical(name, vec![row(&[("n", n)])], "k");
        let before = Effects(vec![part("a", "0"), part("b", "0")]);
        let after = Effects(vec![part("a", "1"), part("b", "0")]);
        assert_eq!(after.unchanged_since(&before), ["b"]);
        assert!(!after.changed_since(&before));
    }

    #[test]
    fn long_values_are_cut_for_people() {
        assert!(shown(Some(&Some("x".repeat(500)))).chars().count() <= SHOWN_CHARS_MAX + 1);
    }
}
