//! RabbitMQ's management API: what AMQP does not tell.
//!
//! A message in a consumer's hands is in no count of AMQP, and where an exchange routes to cannot be asked there. Counts
//! are taken from the queues' own totals, which are five seconds old at most unless the broker is set up otherwise; those
//! beside a queue's details may be twice as old. Bindings are current.

use super::BrokerError;
use crate::env::{Endpoint, Tls};
use preflight_core::Secret;
use reqwest::{Certificate, Client, StatusCode, Url};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// The longest one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// A client of one virtual host.
pub(super) struct Management {
    client: Client,
    url: Url,
    username: String,
    password: Option<Secret>,
    vhost: String,
    broker: String,
}

impl Management {
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, BrokerError> {
        let broker = endpoint.name.clone();
        let wrong = |detail: &str| BrokerError::Management { broker: endpoint.name.clone(), detail: detail.to_owned() };
        let Some(management) = &endpoint.management else {
            return Err(wrong(
                "no URL is configured, and without it nobody can tell whether a consumer still holds a copy",
            ));
        };
        // Without the URL itself: an account in it shall not be found in a report.
        let url = Url::parse(&management.url).map_err(|error| wrong(&format!("the URL is not one: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("the URL holds an account; it belongs under `observer`"));
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("the URL is neither http nor https"));
        }
        let mut builder = Client::builder().timeout(REQUEST_LIMIT).no_proxy();
        if let Tls::Authority(path) = &endpoint.tls {
            let unusable = |error: String| wrong(&format!("the authority `{}`: {error}", path.display()));
            let pem = tokio::fs::read(path).await.map_err(|error| unusable(error.to_string()))?;
            builder = builder
                .tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?);
        }
        let client = builder.build().map_err(|error| wrong(&in_full(&error)))?;
        Ok(Self {
            client,
            url,
            username: management.username.clone().unwrap_or_else(|| "guest".to_owned()),
            password: management.password.clone(),
            vhost: endpoint.vhost.clone().unwrap_or_else(|| "/".to_owned()),
            broker,
        })
    }

    /// Messages that wait in a queue or that a consumer of it holds; nothing while the broker does not tell.
    pub(super) async fn messages(&self, queue: &str) -> Result<Option<u64>, BrokerError> {
        // Totals without statistics are told in lists alone.
        let name = format!("^{}$", escaped(queue));
        let query = [
            ("disable_stats", "true"),
            ("enable_queue_totals", "true"),
            ("pagination", "true"),
            ("page", "1"),
            ("page_size", "10"),
            ("use_regex", "true"),
            ("name", &name),
        ];
        Ok(total(&self.ask(&["queues", &self.vhost], &query).await?, queue))
    }

    /// The connections over which a queue is read; none while the broker does not tell.
    pub(super) async fn readers(&self, queue: &str) -> Result<BTreeSet<String>, BrokerError> {
        Ok(connections(&self.get(&["queues", &self.vhost, queue]).await?))
    }

    /// The queues that get a message with this routing key.
    pub(super) async fn routed(&self, exchange: &str, key: &str) -> Result<BTreeSet<String>, BrokerError> {
        let kind = self.get(&["exchanges", &self.vhost, exchange]).await?;
        let bindings = self.get(&["exchanges", &self.vhost, exchange, "bindings", "source"]).await?;
        destinations(kind["type"].as_str().unwrap_or_default(), &bindings, key).map_err(|detail| {
            BrokerError::Management { broker: self.broker.clone(), detail: format!("exchange `{exchange}`: {detail}") }
        })
    }

    /// Where a queue puts what is rejected, by its arguments or by the policies in effect.
    pub(super) async fn dead_letters(&self, queue: &str) -> Result<Option<DeadLetters>, BrokerError> {
        Ok(dead_letters(&self.get(&["queues", &self.vhost, queue]).await?))
    }

    /// Refuses a queue that is not there.
    pub(super) async fn exists(&self, queue: &str) -> Result<(), BrokerError> {
        self.get(&["queues", &self.vhost, queue]).await.map(drop)
    }

    async fn get(&self, path: &[&str]) -> Result<Value, BrokerError> {
        self.ask(path, &[]).await
    }

    async fn ask(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, BrokerError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        let asked = format!("asking the management API for {}", url.path());
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let unreachable = |detail: String| BrokerError::Unreachable {
            broker: self.broker.clone(),
            detail: format!("{asked}: {detail}"),
        };
        let request = self.client.get(url).basic_auth(&self.username, self.password.as_ref().map(Secret::reveal));
        let answer = request.send().await.map_err(|error| unreachable(in_full(&error.without_url())))?;
        match answer.status() {
            StatusCode::OK => answer.json().await.map_err(|error| unreachable(in_full(&error.without_url()))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(BrokerError::Refused {
                broker: self.broker.clone(),
                detail: format!("{asked}: {} for `{}`", answer.status(), self.username),
            }),
            StatusCode::NOT_FOUND => Err(BrokerError::Queue {
                queue: path.get(2).copied().unwrap_or_default().to_owned(),
                detail: format!("{asked}: there is no such thing"),
            }),
            status => Err(unreachable(status.to_string())),
        }
    }
}

/// Where a queue puts what is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeadLetters {
    pub(super) exchange: String,
    /// Absent means the one that the message was published with.
    pub(super) routing_key: Option<String>,
}

/// An argument of the queue counts before the policies.
fn dead_letters(queue: &Value) -> Option<DeadLetters> {
    let text = |name: &str| {
        let argument = queue["arguments"][format!("x-{name}")].as_str();
        argument.or_else(|| queue["effective_policy_definition"][name].as_str()).map(str::to_owned)
    };
    let exchange = text("dead-letter-exchange")?;
    Some(DeadLetters { exchange, routing_key: text("dead-letter-routing-key") })
}

/// A name as a regular expression that it alone matches.
fn escaped(name: &str) -> String {
    name.chars()
        .flat_map(|character| (!character.is_alphanumeric()).then_some('\\').into_iter().chain([character]))
        .collect()
}

fn total(answer: &Value, queue: &str) -> Option<u64> {
    let own = answer["items"].as_array()?.iter().find(|item| item["name"] == queue)?;
    own["messages"].as_u64()
}

fn connections(answer: &Value) -> BTreeSet<String> {
    let consumers = answer["consumer_details"].as_array().into_iter().flatten();
    consumers.filter_map(|one| one["channel_details"]["connection_name"].as_str().map(str::to_owned)).collect()
}

/// The queues behind an exchange of a kind, given its bindings.
fn destinations(kind: &str, bindings: &Value, key: &str) -> Result<BTreeSet<String>, String> {
    let matches: fn(&str, &str) -> bool = match kind {
        "direct" => |pattern, key| pattern == key,
        "fanout" => |_, _| true,
        "topic" => |pattern, key| topic(&words(pattern), &words(key)),
        other => return Err(format!("where one of type `{other}` routes to cannot be told")),
    };
    let mut queues = BTreeSet::new();
    for binding in bindings.as_array().into_iter().flatten() {
        let text = |name: &str| binding[name].as_str().unwrap_or_default();
        if !matches(text("routing_key"), key) {
            continue;
        }
        if text("destination_type") != "queue" {
            return Err(format!("it routes on to exchange `{}`, which is not followed", text("destination")));
        }
        queues.insert(text("destination").to_owned());
    }
    Ok(queues)
}

fn words(text: &str) -> Vec<&str> {
    text.split('.').collect()
}

/// Whether words match a pattern in which `*` is one word and `#` any number.
fn topic(pattern: &[&str], words: &[&str]) -> bool {
    match (pattern, words) {
        ([], words) => words.is_empty(),
        (["#", rest @ ..], words) => (0..=words.len()).any(|skipped| topic(rest, &words[skipped..])),
        ([first, rest @ ..], [word, others @ ..]) => (*first == "*" || first == word) && topic(rest, others),
        (_, []) => false,
    }
}

/// An error with its causes: the client's own text is only its first half.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn binding(key: &str, destination: &str, kind: &str) -> Value {
        json!({ "routing_key": key, "destination": destination, "destination_type": kind })
    }

    fn queues(kind: &str, bindings: &Value, key: &str) -> Vec<String> {
        destinations(kind, bindings, key).unwrap().into_iter().collect()
    }

    #[test]
    fn an_exchange_is_followed_to_its_queues() {
        let bindings =
            json!([binding("orders.*", "a", "queue"), binding("#", "b", "queue"), binding("x", "c", "queue")]);
        assert_eq!(queues("topic", &bindings, "orders.new"), ["a", "b"]);
        assert_eq!(queues("topic", &bindings, "orders.new.big"), ["b"]);
        assert_eq!(queues("direct", &bindings, "x"), ["c"]);
        assert_eq!(queues("fanout", &bindings, "y"), ["a", "b", "c"]);
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        let on = json!([binding("x", "other", "exchange")]);
        assert!(destinations("direct", &on, "x").unwrap_err().contains("exchange `other`"));
        assert_eq!(queues("direct", &on, "y"), Vec::<String>::new());
        assert!(destinations("headers", &json!([]), "x").unwrap_err().contains("headers"));
    }

    #[test]
    fn dead_letters_are_read_from_arguments_and_from_policies() {
        let letters = |exchange: &str, key: Option<&str>| {
            Some(DeadLetters { exchange: exchange.to_owned(), routing_key: key.map(str::to_owned) })
        };
        let policy = json!({ "dead-letter-exchange": "dlx", "dead-letter-routing-key": "dead" });
        let by_policy = json!({ "arguments": {}, "effective_policy_definition": policy.clone() });
        assert_eq!(dead_letters(&by_policy), letters("dlx", Some("dead")));
        let both = json!({ "arguments": { "x-dead-letter-exchange": "" }, "effective_policy_definition": policy });
        assert_eq!(dead_letters(&both), letters("", Some("dead")));
        let argument = json!({ "arguments": { "x-dead-letter-exchange": "dlx" }, "effective_policy_definition": [] });
        assert_eq!(dead_letters(&argument), letters("dlx", None));
        assert_eq!(dead_letters(&json!({ "arguments": {} })), None);
    }

    #[test]
    fn topics_match_by_words() {
        let matches = |pattern, key| topic(&words(pattern), &words(key));
        assert!(matches("#", "") && matches("#", "a.b") && matches("a.#", "a") && matches("a.#.d", "a.b.c.d"));
        assert!(!matches("a.*", "a") && !matches("*", "a.b") && !matches("a.#.d", "a.b"));
    }

    #[test]
    fn a_queue_without_statistics_says_nothing() {
        assert_eq!((total(&json!({}), "q"), connections(&json!({}))), (None, BTreeSet::new()));
        let consumer = json!({ "channel_details": { "connection_name": "10.0.0.7:4711 -> 10.0.0.1:5672" } });
        assert_eq!(connections(&json!({ "consumer_details": [consumer.clone(), consumer] })).len(), 1);
        let totals =
            json!({ "items": [{ "name": "qq", "messages": 7 }, { "name": "q", "messages": 3 }, { "name": "new" }] });
        assert_eq!((total(&totals, "q"), total(&totals, "new"), total(&totals, "gone")), (Some(3), None, None));
    }

    #[test]
    fn a_name_matches_itself_alone() {
        assert_eq!(escaped("orders.ecs-1"), r"orders\.ecs\-1");
    }

    #[tokio::test]
    async fn a_wrong_url_is_said_without_what_is_in_it() {
        let open = |url: Option<&str>| {
            let management = url.map(|url| crate::env::Management {
                url: url.to_owned(),
                username: None,
                password: Some(Secret::new("hunter2")),
            });
            let endpoint = Endpoint {
                name: "rabbit".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: 1,
                username: None,
                password: None,
                database: None,
                vhost: None,
                tls: Tls::Off,
                management,
            };
            async move { Management::open(&endpoint).await.err().unwrap().to_string() }
        };
        assert!(open(None).await.contains("no URL"));
        assert!(open(Some("rabbit")).await.contains("is not one"));
        assert!(open(Some("ftp://rabbit")).await.contains("neither http nor https"));
        let account = open(Some("http://observer:hunter2@rabbit")).await;
        assert!(account.contains("observer") && !account.contains("hunter2"));
    }
}
