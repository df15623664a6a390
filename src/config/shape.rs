//! Compares a document with the schema of the configuration: which values are of the wrong kind, which keys are not known
//! or missing, and where variables and secrets stand.

use super::error::{At, Mistake};
use super::place::{Content, Field, Node, below};
use super::schema::{Rule, Schema, UNSET, admits, got, hint, inside, is, keys, listed, shortened, shown};
use super::variables::{Part, expanded, parts};
use serde_json::Value;
use std::collections::HashMap;

/// What was found in a document.
#[derive(Default)]
pub(super) struct Shape {
    pub mistakes: Vec<Mistake>,
    /// The variables that values name, in order.
    pub uses: Vec<Use>,
    /// The files that hold secrets: where each stands, and its path.
    pub files: Vec<(At, String, String)>,
}

/// One `${NAME}` in a value.
pub(super) struct Use {
    pub name: String,
    pub at: At,
    /// The path of the value.
    pub path: String,
    pub is_secret: bool,
    /// What can stand there while the variable is not set.
    pub stand_in: String,
}

/// Compares a document with the schema, as it is when its variables are replaced.
pub(super) fn compare(schema: &Schema, document: &Node, variables: &HashMap<String, String>) -> Shape {
    let mut walk = Walk { schema, variables, found: Shape::default() };
    if matches!(document.content, Content::Map(_)) {
        walk.value(schema.root(), document, "");
    } else {
        let (expected, got) = (schema.expected(schema.root()), got(document, false));
        let text = format!("expected {expected}; got {got}; `eks-preflight init` writes one");
        let is_empty = matches!(document.content, Content::Scalar(Value::Null));
        let at = if is_empty { (1, 1) } else { document.at };
        walk.found.mistakes.push(Mistake::new(at, "", text));
    }
    walk.found
}

/// What is no variable, with its name alone: behind that may stand a default, a password perhaps. In a secret it may be
/// the secret itself.
fn begun(text: &str, is_secret: bool) -> String {
    let inside = text.trim_start_matches("${");
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let name = if is_secret { "" } else { &inside[..end] };
    format!("${{{}…}}", shortened(name))
}

/// A comparison on its way.
struct Walk<'s> {
    schema: &'s Schema,
    variables: &'s HashMap<String, String>,
    found: Shape,
}

impl<'s> Walk<'s> {
    fn value(&mut self, rule: Rule<'s>, node: &Node, path: &str) {
        if let Some(text) = node.text().filter(|text| text.contains("${")) {
            return self.text(rule, node, text, path);
        }
        let rules = self.schema.alternatives(rule);
        let is_object = rules.iter().any(|one| is(one, "object"));
        match &node.content {
            Content::Scalar(value) if rules.iter().any(|one| admits(one, value, rule.is_secret)) => {}
            Content::List(items) if rules.iter().any(|one| is(one, "array")) => {
                let item = rules.iter().find_map(|one| one.get("items"));
                for (index, node) in items.iter().enumerate() {
                    let inner = item.map_or(rule, |item| inside(rule, item));
                    self.value(inner, node, &format!("{path}[{index}]"));
                }
            }
            Content::Map(fields) if is_object => {
                self.fields(rule, node.at, fields, path);
                if let [Field { key, value, .. }] = fields.as_slice()
                    && rule.is_secret
                    && key == "file"
                {
                    self.found.files.extend(value.text().map(|text| (value.at, below(path, key), text.to_owned())));
                }
            }
            _ => self.mistake(node.at, path, self.schema.unlike(rule, node)),
        }
    }

    fn mistake(&mut self, at: At, path: &str, text: String) {
        self.found.mistakes.push(Mistake::new(at, path, text));
    }

    fn fields(&mut self, rule: Rule<'s>, at: At, fields: &[Field], path: &str) {
        let mut objects = self.schema.alternatives(rule);
        objects.retain(|one| is(one, "object"));
        // Where there are several, the first key that one of them has tells which is meant.
        let has = |object: &Value, key: &str| object["properties"].get(key).is_some();
        let meant = objects.iter().copied().find(|object| fields.iter().any(|field| has(object, &field.key)));
        let object = meant.or(objects.first().copied()).unwrap_or(&Value::Null);
        for field in fields {
            if field.key.contains("${") {
                self.mistake(field.at, path, "variables are replaced in values, not in keys".to_owned());
            }
            let of_any = object.get("additionalProperties").filter(|rule| rule.is_object());
            match object["properties"].get(&field.key).or(of_any) {
                Some(inner) => self.value(inside(rule, inner), &field.value, &below(path, &field.key)),
                None => {
                    let known = keys(&objects);
                    // `{hunter2}` is a key, too.
                    let text = match rule.is_secret {
                        true => format!("unknown key, expected one of {}", listed(&known)),
                        false => {
                            let hint = hint(&field.key, known.iter().copied());
                            format!("unknown key `{}`, expected one of {}{hint}", field.key, listed(&known))
                        }
                    };
                    self.mistake(field.at, "", text);
                }
            }
        }
        if objects.len() > 1 && meant.is_none() {
            return self.mistake(at, path, format!("expected one of the keys {}", listed(&keys(&objects))));
        }
        let needed = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for key in needed.filter(|key| !fields.iter().any(|field| field.key == **key)) {
            self.mistake(at, path, format!("the key `{key}` is missing"));
        }
    }

    /// A text with variables: which they are, and what it comes to where all of them are set.
    fn text(&mut self, rule: Rule<'s>, node: &Node, text: &str, path: &str) {
        let parts = parts(text);
        let is_whole = parts.iter().filter(|part| **part != Part::Plain("")).count() == 1;
        for part in &parts {
            match part {
                Part::Variable(name) => self.found.uses.push(Use {
                    name: (*name).to_owned(),
                    at: node.at,
                    path: path.to_owned(),
                    is_secret: rule.is_secret,
                    stand_in: if is_whole { self.schema.stand_in(rule) } else { UNSET.to_owned() },
                }),
                Part::Broken(found) if found.ends_with('}') => {
                    let text = format!(
                        "`{}` names no variable: expected letters, digits and `_` between the braces; write `$${{` for \
                         the two characters `${{`",
                        begun(found, rule.is_secret)
                    );
                    self.mistake(node.at, path, text);
                }
                // What follows may be anything, a secret among it.
                Part::Broken(_) => {
                    let text = "`${` without `}`; write `$${` for the two characters";
                    self.mistake(node.at, path, text.to_owned());
                }
                Part::Plain(_) | Part::Dollar | Part::Escaped => {}
            }
        }
        let is_set = |part: &Part<'_>| match part {
            Part::Variable(name) => self.variables.contains_key(*name),
            part => !matches!(part, Part::Broken(_)),
        };
        if parts.iter().all(is_set) {
            let meant = expanded(text, self.variables);
            let number = serde_json::from_str(&meant).unwrap_or(Value::Null);
            let rules = self.schema.alternatives(rule);
            let fits = |value: &Value| rules.iter().any(|one| admits(one, value, rule.is_secret));
            if !fits(&Value::String(meant)) && (number.is_null() || !fits(&number)) {
                let expected = self.schema.expected(rule);
                let got = if rule.is_secret { "what stands here".to_owned() } else { shown(node) };
                self.mistake(node.at, path, format!("expected {expected}, got the value of {got}"));
            }
        }
    }
}
