//! MySQL and MariaDB: what a query shows for a business key, as a multiset of rows.
//!
//! The key is bound as a parameter. Reading happens in a session that the server keeps read-only; removing has one of its
//! own.

use super::probe::ROWS_MAX;
use super::{Removed, Store, StoreError};
use crate::effects::{Part, Row};
use crate::env::{Endpoint, Tls};
use crate::template::{Query, Removal};
use futures::StreamExt;
use futures::future::BoxFuture;
use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, OptsBuilder, Params, SslOpts, Value, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows of MySQL or MariaDB.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Mysql {
    /// The endpoint of engine `mysql`.
    pub endpoint: String,
    /// What a message leaves, as rows: `SELECT … WHERE order_id = :key`. Name every column that matters; values that
    /// differ from message to message (ids, times) may be among them and are masked.
    pub query: Query,
    /// How the effect is called in the report; absent means the first table of the query.
    #[serde(default)]
    pub name: Option<String>,
    /// Statements that remove what a message leaves, for this and for other tables: `DELETE FROM … WHERE … = :key`.
    /// Without them the rows stay, and the report says so.
    #[serde(default)]
    pub cleanup: Vec<Removal>,
}

struct MysqlStore {
    settings: Mysql,
    conn: Conn,
    read_only: bool,
}

impl Mysql {
    pub(crate) fn is_removed(&self) -> bool {
        !self.cleanup.is_empty()
    }

    /// How the effect is called in the report.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.clone().or_else(|| self.query.table()).unwrap_or_else(|| self.endpoint.clone())
    }

    pub(crate) async fn open(&self, endpoint: &Endpoint) -> Result<Box<dyn Store>, StoreError> {
        let mut options = OptsBuilder::default()
            .ip_or_hostname(endpoint.host.clone())
            .tcp_port(endpoint.port)
            .user(endpoint.username.clone())
            .pass(endpoint.password.as_ref().map(|secret| secret.reveal().to_owned()))
            .db_name(endpoint.database.clone())
            .prefer_socket(false);
        options = match &endpoint.tls {
            Tls::Off => options,
            Tls::System => options.ssl_opts(SslOpts::default()),
            Tls::Authority(path) => options.ssl_opts(SslOpts::default().with_root_certs(vec![path.clone().into()])),
        };
        let conn = Conn::new(options).await.map_err(|error| store_error(&self.endpoint, "connecting", error))?;
        Ok(Box::new(MysqlStore { settings: self.clone(), conn, read_only: false }))
    }
}

fn store_error(store: &str, statement: &str, error: mysql_async::Error) -> StoreError {
    let (store, statement) = (store.to_owned(), statement.to_owned());
    match error {
        mysql_async::Error::Server(answer) => {
            let detail = format!("{} (error {})", answer.message, answer.code);
            match answer.code {
                1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1698 | 3118 => {
                    StoreError::Refused { store, statement, detail }
                }
                1040 | 1203 | 1129 => StoreError::Unreachable { store, detail },
                _ => StoreError::Statement { store, statement, detail },
            }
        }
        // The driver refuses it before it is sent.
        mysql_async::Error::Driver(
            DriverError::Params(_) | DriverError::MixedParams | DriverError::StmtParamsMismatch { .. },
        ) => StoreError::Statement { store, statement, detail: error.to_string() },
        other => StoreError::Unreachable { store, detail: other.to_string() },
    }
}

/// A value as text, the same for the same value.
fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::NULL => return None,
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => format!("0x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        },
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Date(year, month, day, hour, minute, second, micros) => {
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}")
        }
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            let sign = if *negative { "-" } else { "" };
            format!("{sign}{days} {hours:02}:{minutes:02}:{seconds:02}.{micros:06}")
        }
    })
}

fn bound(key: &str) -> Params {
    params! { "key" => key }
}

impl MysqlStore {
    async fn rows(&mut self, key: &str) -> Result<Vec<Part>, StoreError> {
        let (store, query) = (self.settings.endpoint.clone(), self.settings.query.as_str().to_owned());
        let error = |error| store_error(&store, &query, error);
        if !self.read_only {
            self.conn.query_drop("SET SESSION TRANSACTION READ ONLY").await.map_err(error)?;
            self.read_only = true;
        }
        let mut stream =
            self.conn.exec_stream::<mysql_async::Row, _, _>(query.as_str(), bound(key)).await.map_err(error)?;
        let mut rows = Vec::new();
        while let Some(found) = stream.next().await {
            let found = found.map_err(error)?;
            if rows.len() == ROWS_MAX {
                return Err(StoreError::TooMuch { store: store.clone(), statement: query.clone() });
            }
            let mut row = Row::new();
            for (index, column) in found.columns_ref().iter().enumerate() {
                row.put(&column.name_str(), found.as_ref(index).and_then(text));
            }
            rows.push(row);
        }
        Ok(vec![Part::canonical(&self.settings.name(), rows, key)])
    }

    async fn delete(&mut self, key: &str) -> Removed {
        let mut removed = Removed::default();
        for statement in self.settings.cleanup.clone() {
            removed.add(self.delete_by(&statement, key).await);
        }
        removed
    }

    /// Runs a statement if it compares the key with texts alone: to a number, every key is zero.
    async fn delete_by(&mut self, statement: &Removal, key: &str) -> Result<u64, StoreError> {
        let error = |error| store_error(&self.settings.endpoint, statement.as_str(), error);
        let shown = self.conn.query_iter(statement.compared()).await.map_err(error)?;
        let columns = shown.columns();
        shown.drop_result().await.map_err(error)?;
        if let Some(column) = columns.iter().flat_map(|all| all.iter()).find(|column| !is_text(column.column_type())) {
            return Err(StoreError::Statement {
                store: self.settings.endpoint.clone(),
                statement: statement.to_string(),
                detail: format!(
                    "`{}` holds no text, and a key may equal values of others there; nothing was removed",
                    column.name_str()
                ),
            });
        }
        self.conn.exec_drop(statement.as_str(), bound(key)).await.map_err(error)?;
        Ok(self.conn.affected_rows())
    }
}

/// Whether values of a column are compared as texts.
fn is_text(kind: ColumnType) -> bool {
    use ColumnType::{
        MYSQL_TYPE_BLOB, MYSQL_TYPE_LONG_BLOB, MYSQL_TYPE_MEDIUM_BLOB, MYSQL_TYPE_STRING, MYSQL_TYPE_TINY_BLOB,
        MYSQL_TYPE_VAR_STRING, MYSQL_TYPE_VARCHAR,
    };
    matches!(
        kind,
        MYSQL_TYPE_BLOB
            | MYSQL_TYPE_LONG_BLOB
            | MYSQL_TYPE_MEDIUM_BLOB
            | MYSQL_TYPE_STRING
            | MYSQL_TYPE_TINY_BLOB
            | MYSQL_TYPE_VAR_STRING
            | MYSQL_TYPE_VARCHAR
    )
}

impl Store for MysqlStore {
    fn read<'a>(&'a mut self, key: &'a str) -> BoxFuture<'a, Result<Vec<Part>, StoreError>> {
        Box::pin(self.rows(key))
    }

    fn remove<'a>(&'a mut self, key: &'a str) -> BoxFuture<'a, Removed> {
        Box::pin(self.delete(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_text_and_null_stays_null() {
        assert_eq!(text(&Value::NULL), None);
        assert_eq!(text(&Value::Bytes(b"10.50".to_vec())).as_deref(), Some("10.50"));
        assert_eq!(text(&Value::Bytes(vec![0xff, 0x00])).as_deref(), Some("0xff00"));
        assert_eq!(text(&Value::Date(2026, 3, 4, 5, 6, 7, 8)).as_deref(), Some("2026-03-04 05:06:07.000008"));
        assert_eq!(text(&Value::Time(true, 1, 2, 3, 4, 5)).as_deref(), Some("-1 02:03:04.000005"));
    }

    #[test]
    fn servers_answers_are_told_apart() {
        let answer = |code| {
            let error = mysql_async::ServerError { code, message: "m".to_owned(), state: "s".to_owned() };
            store_error("db", "SELECT 1", mysql_async::Error::Server(error))
        };
        assert!(matches!(answer(1045), StoreError::Refused { .. }));
        assert!(matches!(answer(1146), StoreError::Statement { .. }));
        assert!(matches!(answer(1040), StoreError::Unreachable { .. }));
        let said = answer(1142).to_string();
        assert_eq!(said, "db refused `SELECT 1`: m (error 1142)");
        let mixed = store_error("db", "SELECT ?, :key", DriverError::MixedParams.into());
        assert!(matches!(mixed, StoreError::Statement { .. }), "{mixed}");
    }
}
