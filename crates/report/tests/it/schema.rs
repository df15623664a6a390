//! What is written fits the committed JSON Schema. The validator here knows the keywords that this schema uses and stops
//! at any other: the crates that know all of them bring fifty more.

use crate::any::any_report;
use crate::golden::{ALL, text};
use preflight_report::*;
use proptest::prelude::*;
use serde_json::{Value, json};

struct Validator {
    root: Value,
}

impl Validator {
    fn new() -> Self {
        Self { root: serde_json::from_str(REPORT_SCHEMA).unwrap() }
    }

    /// Where and why a document does not fit; nothing if it does.
    fn misfit(&self, document: &Value) -> Option<String> {
        self.check(&self.root, document, "").err()
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let Some(keywords) = schema.as_object() else {
            assert_eq!(schema, &json!(true), "a schema is an object or true");
            return Ok(());
        };
        keywords.iter().try_for_each(|(keyword, wants)| {
            let fits = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" | "default" => true,
                "$ref" => {
                    let pointer = wants.as_str().unwrap().strip_prefix('#').unwrap();
                    return self.check(self.root.pointer(pointer).unwrap(), value, at);
                }
                "type" => match wants {
                    Value::Array(types) => types.iter().any(|one| is_of(value, one)),
                    one => is_of(value, one),
                },
                "const" => value == wants,
                "minimum" => value.as_u64().is_some_and(|number| number >= wants.as_u64().unwrap()),
                "format" => has_format(value, wants.as_str().unwrap()),
                "required" => wants.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
                "oneOf" => self.how_many(wants, value, at) == 1,
                "anyOf" => self.how_many(wants, value, at) > 0,
                "items" => return self.each(value.as_array().into_iter().flatten().map(|item| (wants, item)), at),
                "properties" | "additionalProperties" => return self.members(keywords, keyword, value, at),
                other => panic!("this validator does not know `{other}`"),
            };
            if fits { Ok(()) } else { Err(format!("{at}: {keyword} {wants}: {value:.200}")) }
        })
    }

    fn how_many(&self, schemas: &Value, value: &Value, at: &str) -> usize {
        schemas.as_array().unwrap().iter().filter(|schema| self.check(schema, value, at).is_ok()).count()
    }

    fn each<'a>(&self, pairs: impl Iterator<Item = (&'a Value, &'a Value)>, at: &str) -> Result<(), String> {
        pairs.enumerate().try_for_each(|(i, (schema, value))| self.check(schema, value, &format!("{at}/{i}")))
    }

    fn members(
        &self,
        keywords: &serde_json::Map<String, Value>,
        keyword: &str,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let known = |name: &String| keywords.get("properties").and_then(|all| all.get(name));
        value.as_object().into_iter().flatten().try_for_each(|(name, value)| {
            let schema = if keyword == "properties" {
                known(name)
            } else {
                keywords.get(keyword).filter(|_| known(name).is_none())
            };
            schema.map_or(Ok(()), |schema| self.check(schema, value, &format!("{at}/{name}")))
        })
    }
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("this validator does not know the type `{other}`"),
    }
}

fn has_format(value: &Value, format: &str) -> bool {
    match format {
        "date-time" => value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok()),
        "uint32" => value.as_u64().is_some_and(|number| u32::try_from(number).is_ok()),
        "uint64" => value.is_u64(),
        other => panic!("this validator does not know the format `{other}`"),
    }
}

#[test]
fn every_golden_report_fits_the_schema() {
    let validator = Validator::new();
    assert_eq!(validator.root["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for (name, text) in ALL.into_iter().filter(|(name, _)| *name != "from-the-future") {
        assert_eq!(validator.misfit(&serde_json::from_str(text).unwrap()), None, "{name}");
        let written_now = serde_json::to_value(seal(read(text).unwrap())).unwrap();
        assert_eq!(validator.misfit(&written_now), None, "{name}, written now");
    }
}

#[test]
fn what_this_version_would_not_write_does_not_fit() {
    let validator = Validator::new();
    let mut document: Value = serde_json::from_str(text("from-the-future")).unwrap();
    assert!(validator.misfit(&document).is_some(), "words of a later version");
    for (pointer, wrong) in [
        ("/schema", json!("eks-preflight/report/v2")),
        ("/run/notAfter", json!("tomorrow")),
        ("/run/attempt", json!(-1)),
        ("/run/attempt", json!("1")),
        ("/results/0/outcome", json!("passed")),
        ("/results/0/durationMs", json!(1.5)),
        ("/results/0/evidence", json!(null)),
        ("/plan/items/0/level", json!("blocking")),
        ("/summary/verdict", json!("go-ahead")),
        ("/summary/counts/outcomes/pass", json!("12")),
        ("/pins/0/kind", json!("hash")),
    ] {
        document = serde_json::from_str(text("go")).unwrap();
        *document.pointer_mut(pointer).unwrap() = wrong.clone();
        assert!(validator.misfit(&document).is_some(), "{pointer}: {wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_written_fits_the_schema(report in any_report()) {
        let written = serde_json::from_str(&to_json(&report)).unwrap();
        prop_assert_eq!(Validator::new().misfit(&written), None);
    }
}
