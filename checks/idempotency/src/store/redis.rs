//! Redis: what stands under the keys that carry a business key, whatever their type.
//!
//! A key is one row: its content with one column for each field, element or member and how many elements there are, and in
//! parentheses what a second effect need not change: its name, its type, whether it expires, and how many fields there are
//! that have names of their own. A template with `*`, `?` or `[` is a pattern and is looked for with SCAN, which walks the
//! whole keyspace.

use super::probe::{CONNECT_LIMIT, ROWS_MAX};
use super::{Removed, Store, StoreError};
use crate::effects::{Part, Row};
use crate::env::{Endpoint, Tls};
use crate::template::KeyPattern;
use futures::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, ServerErrorKind};
use redis::{RedisConnectionInfo, RedisError, RedisResult, TlsCertificates};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest one command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);

/// The most steps of one SCAN.
const SCAN_STEPS_MAX: usize = 2_000;

/// Keys of Redis.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Redis {
    /// The endpoint of engine `redis`.
    pub endpoint: String,
    /// What a message leaves: keys such as `order:{key}`, or patterns such as `order:{key}:*`. Each must change when a
    /// message was handled. They are deleted at the end.
    #[schemars(length(min = 1))]
    pub keys: Vec<KeyPattern>,
    /// Further keys or patterns to delete at the end, for example those of deduplication records.
    #[serde(default)]
    pub cleanup: Vec<KeyPattern>,
}

struct RedisStore {
    settings: Redis,
    connection: MultiplexedConnection,
}

impl Redis {
    pub(crate) fn is_removed(&self) -> bool {
        true
    }

    pub(crate) async fn open(&self, endpoint: &Endpoint) -> Result<Box<dyn Store>, StoreError> {
        let error = |error| store_error(&self.endpoint, "connecting", &error);
        let client = client(endpoint).await.map_err(error)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(COMMAND_LIMIT));
        let connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(error)?;
        Ok(Box::new(RedisStore { settings: self.clone(), connection }))
    }
}

async fn client(endpoint: &Endpoint) -> RedisResult<Client> {
    let (host, port) = (endpoint.host.clone(), endpoint.port);
    let addr = match endpoint.tls {
        Tls::Off => ConnectionAddr::Tcp(host, port),
        _ => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
    };
    let mut redis = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(username) = &endpoint.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = &endpoint.password {
        redis = redis.set_password(password.reveal());
    }
    if let Some(database) = &endpoint.database {
        let not_a_number = |_| RedisError::from((ErrorKind::InvalidClientConfig, "the database is not a number"));
        redis = redis.set_db(database.parse().map_err(not_a_number)?);
    }
    let info = addr.into_connection_info()?.set_redis_settings(redis);
    if let Tls::Authority(path) = &endpoint.tls {
        let root_cert = Some(tokio::fs::read(path).await?);
        return Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert });
    }
    Client::open(info)
}

fn store_error(store: &str, statement: &str, error: &RedisError) -> StoreError {
    let (store, statement, detail) = (store.to_owned(), statement.to_owned(), error.to_string());
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            StoreError::Refused { store, statement, detail }
        }
        ErrorKind::Io => StoreError::Unreachable { store, detail },
        _ if matches!(error.code(), Some("NOPERM" | "NOAUTH" | "WRONGPASS")) => {
            StoreError::Refused { store, statement, detail }
        }
        _ => StoreError::Statement { store, statement, detail },
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a name carries the key, whatever the server took for a match.
fn is_of(name: &str, key: &str) -> bool {
    name.contains(key)
}

/// Bytes as text, the same for the same bytes.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        format!("0x{}", error.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    })
}

impl RedisStore {
    async fn keys(&mut self, template: &KeyPattern, key: &str) -> RedisResult<Vec<String>> {
        let wanted = template.with(key);
        if !is_pattern(&wanted) {
            return Ok(vec![wanted]);
        }
        let mut cursor = 0_u64;
        let mut found = Vec::new();
        for _ in 0..SCAN_STEPS_MAX {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&wanted).arg("COUNT").arg(1_000);
            let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut self.connection).await?;
            found.extend(keys.into_iter().map(text).filter(|name| is_of(name, key)));
            cursor = next;
            if cursor == 0 || found.len() > ROWS_MAX {
                break;
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// The row of one key; nothing if there is no such key.
    async fn row(&mut self, key: &str) -> RedisResult<Option<Row>> {
        let connection = &mut self.connection;
        let kind: String = redis::cmd("TYPE").arg(key).query_async(connection).await?;
        let mut row = Row::new();
        match kind.as_str() {
            "none" => return Ok(None),
            "string" => {
                let value: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(connection).await?;
                row.put("value", value.map(text));
            }
            "hash" => {
                let fields: Vec<(Vec<u8>, Vec<u8>)> = redis::cmd("HGETALL").arg(key).query_async(connection).await?;
                row.put("(#)", Some(fields.len().to_string()));
                fields.into_iter().for_each(|(field, value)| row.put(&text(field), Some(text(value))));
            }
            "list" => {
                let mut range = redis::cmd("LRANGE");
                range.arg(key).arg(0).arg(-1);
                let items: Vec<Vec<u8>> = range.query_async(connection).await?;
                row.put("#", Some(items.len().to_string()));
                items
                    .into_iter()
                    .enumerate()
                    .for_each(|(index, item)| row.put(&format!("[{index}]"), Some(text(item))));
            }
            "set" => {
                let mut members: Vec<Vec<u8>> = redis::cmd("SMEMBERS").arg(key).query_async(connection).await?;
                members.sort();
                row.put("#", Some(members.len().to_string()));
                members
                    .into_iter()
                    .enumerate()
                    .for_each(|(index, item)| row.put(&format!("{{{index}}}"), Some(text(item))));
            }
            "zset" => {
                let mut range = redis::cmd("ZRANGE");
                range.arg(key).arg(0).arg(-1).arg("WITHSCORES");
                let members: Vec<(Vec<u8>, f64)> = range.query_async(connection).await?;
                row.put("(#)", Some(members.len().to_string()));
                members.into_iter().for_each(|(member, score)| row.put(&text(member), Some(score.to_string())));
            }
            "stream" => {
                let length: u64 = redis::cmd("XLEN").arg(key).query_async(connection).await?;
                row.put("#", Some(length.to_string()));
            }
            _ => {}
        }
        let remaining_ms: i64 = redis::cmd("PTTL").arg(key).query_async(connection).await?;
        row.put("(type)", Some(kind));
        row.put("(expires)", Some(if remaining_ms >= 0 { "yes" } else { "no" }.to_owned()));
        row.put("(key)", Some(key.to_owned()));
        Ok(Some(row))
    }

    async fn parts(&mut self, key: &str) -> Result<Vec<Part>, StoreError> {
        let store = self.settings.endpoint.clone();
        let mut parts = Vec::new();
        for template in self.settings.keys.clone() {
            let error = |error| store_error(&store, template.as_str(), &error);
            let found = self.keys(&template, key).await.map_err(error)?;
            if found.len() > ROWS_MAX {
                return Err(StoreError::TooMuch { store, statement: template.to_string() });
            }
            let mut rows = Vec::new();
            for name in found {
                rows.extend(self.row(&name).await.map_err(error)?);
            }
            let part = Part::canonical(template.as_str(), rows, key);
            parts.push(if is_pattern(template.as_str()) { part } else { part.of_values() });
        }
        Ok(parts)
    }

    async fn delete(&mut self, key: &str) -> Removed {
        let store = self.settings.endpoint.clone();
        let mut removed = Removed::default();
        let templates = [self.settings.keys.clone(), self.settings.cleanup.clone()].concat();
        for template in templates {
            let error = |error| store_error(&store, &format!("DEL {template}"), &error);
            match self.keys(&template, key).await {
                Ok(names) => {
                    for name in names {
                        let done = redis::cmd("DEL").arg(name).query_async(&mut self.connection).await;
                        removed.add(done.map_err(error));
                    }
                }
                Err(failed) => removed.add(Err(error(failed))),
            }
        }
        removed
    }
}

impl Store for RedisStore {
    fn read<'a>(&'a mut self, key: &'a str) -> BoxFuture<'a, Result<Vec<Part>, StoreError>> {
        Box::pin(self.parts(key))
    }

    fn remove<'a>(&'a mut self, key: &'a str) -> BoxFuture<'a, Removed> {
        Box::pin(self.delete(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_the_key_is_of_others() {
        assert!(is_of("seen:pf-1-00d001:a", "pf-1-00d001"));
        assert!(!is_of("prod:session:1", "pf-1-00d001"));
    }
}
