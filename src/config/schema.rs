//! What the schema of the configuration expects at each place, for people and for [`super::shape`].

use super::CONFIG_SCHEMA;
use super::nearest;
use super::place::{Content, Node};
use preflight_core::written;
use serde_json::Value;

/// The longest text that a mistake shows.
const SHOWN_MAX: usize = 60;

/// Where the schema says what a secret is.
const SECRET: &str = "#/$defs/Secret";

/// What stands for text that a variable would hold which is not set. It can be no host of anybody (RFC 2606).
pub(super) const UNSET: &str = "unset.invalid";

/// The schema of the configuration.
pub(super) struct Schema(Value);

/// A place in the schema: what a value there must be.
#[derive(Clone, Copy)]
pub(super) struct Rule<'s> {
    /// As the schema has it at that place.
    of_place: &'s Value,
    /// Whether it is a secret or part of one.
    pub(super) is_secret: bool,
}

impl Schema {
    pub(super) fn of_config() -> Self {
        Self(serde_json::from_str(CONFIG_SCHEMA).expect("the committed schema is JSON"))
    }

    /// What is wrong with the value at a path that is not read: what was expected there, and what is there.
    pub(super) fn refused(&self, path: &str, node: &Node) -> Option<String> {
        self.at(path).map(|rule| self.unlike(rule, node))
    }

    /// `; for example …`, where the schema has one for the value at a path.
    pub(super) fn example(&self, path: &str) -> String {
        let example = self.at(path).and_then(|rule| self.first_example(rule));
        example.map(|example| format!("; for example `{example}`")).unwrap_or_default()
    }

    pub(super) fn root(&self) -> Rule<'_> {
        Rule { of_place: &self.0, is_secret: false }
    }

    /// The rule at a path such as `endpoints[0].limit`.
    fn at(&self, path: &str) -> Option<Rule<'_>> {
        let steps = path.split(['.', '[']).filter(|step| !step.is_empty());
        steps.into_iter().try_fold(self.root(), |rule, step| {
            let inner = self.alternatives(rule).into_iter().find_map(|one| {
                let named = one["properties"].get(step).or_else(|| one.get("additionalProperties"));
                if step.ends_with(']') { one.get("items") } else { named.filter(|rule| rule.is_object()) }
            });
            inner.map(|inner| inside(rule, inner))
        })
    }

    /// What a value may be, one by one, references followed.
    pub(super) fn alternatives<'s>(&'s self, rule: Rule<'s>) -> Vec<&'s Value> {
        let of_place = rule.of_place;
        if let Some(name) = of_place["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.alternatives(Rule { of_place: &self.0["$defs"][name], ..rule });
        }
        let several = of_place.get("anyOf").or_else(|| of_place.get("oneOf")).and_then(Value::as_array);
        match several {
            Some(all) => all.iter().flat_map(|of_place| self.alternatives(Rule { of_place, ..rule })).collect(),
            None => vec![of_place],
        }
    }

    /// What is wrong with a value of the wrong kind.
    pub(super) fn unlike(&self, rule: Rule<'_>, node: &Node) -> String {
        let words = words(&self.alternatives(rule));
        match node.text() {
            Some(text) if !words.is_empty() && !rule.is_secret => {
                let hint = hint(text, words.iter().copied());
                format!("unknown value `{}`, expected one of {}{hint}", shortened(text), listed(&words))
            }
            _ => format!("expected {}, got {}", self.expected(rule), got(node, rule.is_secret)),
        }
    }

    fn first_example(&self, rule: Rule<'_>) -> Option<String> {
        let rules = self.alternatives(rule);
        let example = std::iter::once(&rule.of_place).chain(&rules).find_map(|one| one["examples"].get(0))?;
        Some(example.as_str().map_or_else(|| example.to_string(), str::to_owned))
    }

    /// A value that fits where a variable stands alone.
    pub(super) fn stand_in(&self, rule: Rule<'_>) -> String {
        let rules = self.alternatives(rule);
        let number = rules.iter().find(|one| is(one, "integer") || is(one, "number"));
        let of_kind = || match (words(&rules).first(), number) {
            (Some(word), _) => (*word).to_owned(),
            _ if rule.of_place["format"] == "date-time" => "9999-12-31T00:00:00Z".to_owned(),
            (_, Some(rule)) => rule["minimum"].as_u64().unwrap_or(0).max(1).to_string(),
            _ if rules.iter().any(|one| is(one, "boolean")) => "false".to_owned(),
            _ => UNSET.to_owned(),
        };
        self.first_example(rule).unwrap_or_else(of_kind)
    }

    /// What a value must be, for people.
    pub(super) fn expected(&self, rule: Rule<'_>) -> String {
        let rules = self.alternatives(rule);
        let words = words(&rules);
        let mut all: Vec<String> = vec![];
        if !words.is_empty() {
            all.push(format!("one of {}", listed(&words)));
        }
        for rule in &rules {
            all.extend(kinds(rule).filter_map(|kind| match kind {
                "string" if words.is_empty() => Some("text".to_owned()),
                "integer" => Some(format!("a whole number{}", range(rule))),
                "number" => Some(format!("a number{}", range(rule))),
                "boolean" => Some("true or false".to_owned()),
                "array" => Some("a list".to_owned()),
                _ => None,
            }));
        }
        let objects: Vec<&Value> = rules.iter().copied().filter(|one| is(one, "object")).collect();
        let keys = keys(&objects);
        match (objects.len(), keys.len()) {
            (0, _) => {}
            (_, 0) => all.push("a mapping".to_owned()),
            (1, 1) => all.push(format!("a mapping with the key {}", listed(&keys))),
            (1, _) => all.push(format!("a mapping with the keys {}", listed(&keys))),
            _ => all.push(format!("a mapping with one of the keys {}", listed(&keys))),
        }
        all.join(" or ")
    }
}

/// The rule of something inside of a value.
pub(super) fn inside<'s>(outer: Rule<'s>, of_place: &'s Value) -> Rule<'s> {
    let refers = |rule: &Value| rule["$ref"] == SECRET;
    let several = of_place["anyOf"].as_array().is_some_and(|all| all.iter().any(refers));
    Rule { of_place, is_secret: outer.is_secret || several || refers(of_place) }
}

/// The kinds that a rule admits, in the words of JSON Schema.
fn kinds(rule: &Value) -> impl Iterator<Item = &str> {
    let kind = &rule["type"];
    kind.as_str().into_iter().chain(kind.as_array().into_iter().flatten().filter_map(Value::as_str))
}

pub(super) fn is(rule: &Value, kind: &str) -> bool {
    kinds(rule).any(|one| one == kind)
}

/// The words that a value must be one of; empty if it may be any.
fn words<'s>(rules: &[&'s Value]) -> Vec<&'s str> {
    let of = |rule: &'s Value| rule.get("const").into_iter().chain(rule["enum"].as_array().into_iter().flatten());
    rules.iter().flat_map(|rule| of(rule)).filter_map(Value::as_str).collect()
}

pub(super) fn keys<'s>(objects: &[&'s Value]) -> Vec<&'s str> {
    let of = |object: &'s Value| object["properties"].as_object().into_iter().flat_map(|all| all.keys());
    objects.iter().flat_map(|object| of(object)).map(String::as_str).collect()
}

/// Whether a rule admits a scalar. YAML's numbers and switches are text, too, where text is wanted; a secret is read as it
/// is written, so there they are not.
pub(super) fn admits(rule: &Value, value: &Value, is_secret: bool) -> bool {
    let in_range = |number: f64| {
        rule["minimum"].as_f64().is_none_or(|least| number >= least)
            && rule["maximum"].as_f64().is_none_or(|most| number <= most)
    };
    let is_text = is(rule, "string") && !is_secret && words(&[rule]).is_empty();
    match value {
        Value::Null => is(rule, "null"),
        Value::Bool(_) => is(rule, "boolean") || is_text,
        Value::Number(number) => {
            let is_whole = number.is_u64() || number.is_i64();
            let is_kind = is(rule, "number") || (is(rule, "integer") && is_whole);
            (is_kind && number.as_f64().is_some_and(in_range)) || is_text
        }
        Value::String(text) => {
            let words = words(&[rule]);
            is(rule, "string") && (words.is_empty() || words.contains(&text.as_str()))
        }
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn range(rule: &Value) -> String {
    match (rule["minimum"].as_u64(), rule["maximum"].as_u64()) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(", {least} or more"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}

/// What a value is, for people. A secret is not shown.
pub(super) fn got(node: &Node, is_secret: bool) -> String {
    match &node.content {
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a mapping".to_owned(),
        Content::Scalar(Value::Null) => "nothing".to_owned(),
        Content::Scalar(Value::Number(_)) if is_secret => "a number; put it in quotes".to_owned(),
        Content::Scalar(_) if is_secret => "something else".to_owned(),
        Content::Scalar(Value::String(_)) => format!("the text {}", shown(node)),
        Content::Scalar(value) => format!("`{value}`"),
    }
}

/// A text as it is written, secrets in it hidden.
pub(super) fn shown(node: &Node) -> String {
    format!("`{}`", shortened(node.text().unwrap_or_default()))
}

pub(super) fn shortened(text: &str) -> String {
    let text = written::masked(text);
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

pub(super) fn hint<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(word, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
