//! The section `idempotency` of the configuration.

use crate::broker::Broker;
use crate::store::Effect;
use crate::template::Template;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::{BTreeMap, BTreeSet};

/// The shortest and the longest time that one wait may be allowed.
const LIMIT_MS: (u64, u64) = (1_000, 60_000);

/// The longest floor of the quiet time.
const FLOOR_MS_MAX: u64 = 60_000;

/// Which consumers must survive duplicates, and how to see what they did.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[schemars(rename = "IdempotencySettings")]
pub struct Settings {
    /// The message consumers that run on both sides.
    pub consumers: Vec<Consumer>,
}

/// A message consumer that runs in ECS and in EKS and writes to the same stores from both.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Consumer {
    /// The name. Consent is given to it, and it is the subject in the report.
    pub name: String,
    /// The broker and the test queue of each side. The queues must be empty and belong to nobody else.
    pub broker: Broker,
    /// The message that is sent.
    pub message: Message,
    /// Where the effects of a message are seen. Every one must change when a message was handled.
    #[schemars(length(min = 1))]
    #[serde(deserialize_with = "at_least_one")]
    pub effects: Vec<Effect>,
    /// When the consumer counts as quiet.
    #[serde(default)]
    pub settle: Settle,
}

/// The message that is sent.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Message {
    /// The body. `{key}` becomes a business key that is new for every schedule, such as `pf-0c9f2d71ab34-00d007`.
    pub body: Template,
    /// Headers (RabbitMQ) or string attributes (SQS). `{key}` is replaced as in the body.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The content type; RabbitMQ alone carries it.
    #[serde(default = "json")]
    pub content_type: String,
}

/// When a consumer counts as quiet: its queues are empty and the effects did not change for three times the handling time
/// that was seen, and not less than a floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Settle {
    /// The shortest quiet time, up to 60000. Absent: 300 for RabbitMQ and 5000 for SQS, whose counts lag.
    #[serde(deserialize_with = "floor")]
    pub floor_ms: Option<u64>,
    /// The shortest quiet time after the last copy, up to 60000. Absent: 6000 for RabbitMQ, whose statistics are five
    /// seconds old at most; not less than `collect_statistics_interval` where that is set. For SQS as `floorMs`.
    #[serde(deserialize_with = "floor")]
    pub last_ms: Option<u64>,
    /// How long one wait may take, from 1000 to 60000, before the answer is "cannot tell".
    #[serde(deserialize_with = "limit")]
    pub limit_ms: u64,
}

impl Default for Settle {
    fn default() -> Self {
        Self { floor_ms: None, last_ms: None, limit_ms: 10_000 }
    }
}

impl Message {
    /// The headers with a business key in them.
    pub(crate) fn headers_with(&self, key: &str) -> BTreeMap<String, String> {
        self.headers.iter().map(|(name, value)| (name.clone(), value.replace("{key}", key))).collect()
    }
}

impl Consumer {
    /// The names of the endpoints that it needs, each once.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<&str> = self.effects.iter().map(Effect::endpoint).chain(self.broker.endpoint()).collect();
        names.into_iter()
    }
}

impl Settings {
    /// What is wrong with the section as a whole: each entry is the path of a value and what was expected there.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, consumer) in self.consumers.iter().enumerate() {
            if !seen.insert(&consumer.name) {
                let text = format!("another consumer is called `{}`, too; names must differ", consumer.name);
                problems.push((format!("idempotency.consumers[{index}].name"), text));
            }
            let queues = consumer.broker.queues();
            if queues.ecs == queues.eks {
                let text = format!("both sides have the queue `{}`; each side needs its own", queues.ecs);
                problems.push((format!("idempotency.consumers[{index}].broker"), text));
            }
        }
        problems
    }
}

fn json() -> String {
    "application/json".to_owned()
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Effect>, D::Error> {
    let effects = Vec::deserialize(deserializer)?;
    if effects.is_empty() { Err(de::Error::custom("at least one effect is needed")) } else { Ok(effects) }
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let limit = u64::deserialize(deserializer)?;
    if (LIMIT_MS.0..=LIMIT_MS.1).contains(&limit) {
        return Ok(limit);
    }
    Err(de::Error::custom(format!("expected {} to {} milliseconds, got {limit}", LIMIT_MS.0, LIMIT_MS.1)))
}

fn floor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Option::<u64>::deserialize(deserializer)? {
        Some(floor) if floor > FLOOR_MS_MAX => {
            Err(de::Error::custom(format!("expected at most {FLOOR_MS_MAX} milliseconds, got {floor}")))
        }
        floor => Ok(floor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn consumer(name: &str) -> serde_json::Value {
        json!({
            "name": name,
            "broker": { "rabbitmq": { "endpoint": "rabbit", "queues": { "ecs": "orders.ecs", "eks": "orders.eks" } } },
            "message": { "body": "{\"orderId\":\"{key}\"}", "headers": { "source": "preflight" } },
            "effects": [
                { "mysql": { "endpoint": "orders-db", "query": "SELECT id FROM payments WHERE order_id = :key",
                             "cleanup": ["DELETE FROM payments WHERE order_id = :key"] } },
                { "redis": { "endpoint": "cache", "keys": ["order:{key}"] } },
            ],
        })
    }

    fn read(consumers: serde_json::Value) -> Result<Settings, serde_json::Error> {
        serde_json::from_value(json!({ "consumers": consumers }))
    }

    #[test]
    fn a_section_is_read_and_names_its_endpoints() {
        let settings = read(json!([consumer("orders")])).unwrap();
        assert_eq!(settings.consumers[0].endpoints().collect::<Vec<_>>(), ["cache", "orders-db", "rabbit"]);
        assert_eq!(settings.consumers[0].settle, Settle::default());
        assert!(settings.problems().is_empty());
    }

    #[test]
    fn equal_names_are_a_problem() {
        let problems = read(json!([consumer("orders"), consumer("orders")])).unwrap().problems();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].0.ends_with("[1].name") && problems[0].1.contains("orders"));
    }

    #[test]
    fn one_queue_for_both_sides_is_a_problem() {
        let mut one = consumer("orders");
        one["broker"]["rabbitmq"]["queues"]["eks"] = json!("orders.ecs");
        let problems = read(json!([one])).unwrap().problems();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].0.ends_with("[0].broker") && problems[0].1.contains("each side needs its own"));
    }

    #[test]
    fn mistakes_are_refused_with_what_was_expected() {
        let broken = |change: fn(&mut serde_json::Value)| {
            let mut one = consumer("orders");
            change(&mut one);
            read(json!([one])).unwrap_err().to_string()
        };
        assert!(broken(|one| one["mesage"] = json!({})).contains("unknown field"));
        assert!(broken(|one| one["message"]["body"] = json!("{}")).contains("{key}"));
        assert!(broken(|one| one["effects"] = json!([])).contains("at least one effect"));
        assert!(broken(|one| one["effects"][1]["redis"]["cleanup"] = json!(["[{key}]*"])).contains("inside `[…]`"));
        assert!(broken(|one| one["settle"] = json!({ "limitMs": 5 })).contains("1000 to 60000"));
        assert!(broken(|one| one["effects"][0]["mysql"]["cleanup"] = json!(["DELETE FROM payments"])).contains(":key"));
    }

    #[test]
    fn the_section_without_consumers_is_empty() {
        assert_eq!(serde_json::from_value::<Settings>(json!({})).unwrap(), Settings::default());
    }
}
