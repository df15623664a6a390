//! What can be asked of every store, and the list of stores.

use super::{mysql, redis};
use crate::effects::Part;
use crate::env::{Endpoint, Env};
use futures::future::BoxFuture;
use preflight_core::{CannotTell, Reason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest that connecting to a store may take.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The most rows that one probe may see for one key.
pub(crate) const ROWS_MAX: usize = 1_000;

/// A connection to a store, with one effect of the configuration to look at.
pub trait Store: Send + Sync {
    /// What is there for a key: always the same number of parts, in the same order.
    fn read<'a>(&'a mut self, key: &'a str) -> BoxFuture<'a, Result<Vec<Part>, StoreError>>;

    /// Removes what is there for a key: all that can be, whatever of it fails.
    fn remove<'a>(&'a mut self, key: &'a str) -> BoxFuture<'a, Removed>;
}

/// What became of a removal.
#[derive(Debug, Default)]
pub struct Removed {
    /// How many rows or keys are gone; zero without a problem means that nothing was left.
    pub count: u64,
    /// What failed.
    pub problems: Vec<StoreError>,
}

impl Removed {
    pub(super) fn add(&mut self, done: Result<u64, StoreError>) {
        match done {
            Ok(count) => self.count += count,
            Err(problem) => self.problems.push(problem),
        }
    }
}

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The configuration names an endpoint that is not there.
    #[error("no endpoint is called `{0}`")]
    EndpointMissing(String),
    /// It cannot be reached.
    #[error("{store} cannot be reached: {detail}")]
    Unreachable {
        /// The endpoint.
        store: String,
        /// What was seen.
        detail: String,
    },
    /// It refuses the account or the right.
    #[error("{store} refused `{statement}`: {detail}")]
    Refused {
        /// The endpoint.
        store: String,
        /// The statement or key as configured.
        statement: String,
        /// The server's answer.
        detail: String,
    },
    /// It does not understand what is configured.
    #[error("{store}: `{statement}` failed: {detail}")]
    Statement {
        /// The endpoint.
        store: String,
        /// The statement or key as configured.
        statement: String,
        /// The server's answer.
        detail: String,
    },
    /// There is more than can be compared.
    #[error("{store}: `{statement}` shows more than {ROWS_MAX} rows for one key")]
    TooMuch {
        /// The endpoint.
        store: String,
        /// The statement or key as configured.
        statement: String,
    },
}

impl From<StoreError> for CannotTell {
    fn from(error: StoreError) -> Self {
        let reason = match &error {
            StoreError::Unreachable { .. } => Reason::Unreachable,
            StoreError::Refused { .. } => Reason::Forbidden,
            StoreError::TooMuch { .. } => Reason::Unsupported,
            StoreError::EndpointMissing(_) | StoreError::Statement { .. } => Reason::PrerequisiteFailed,
        };
        Self::new(reason, error.to_string())
    }
}

macro_rules! stores {
    ($($(#[$doc:meta])* $variant:ident($settings:ty)),+ $(,)?) => {
        /// Where an effect of a message is seen.
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub enum Effect { $($(#[$doc])* $variant($settings)),+ }

        impl Effect {
            /// The endpoint of the store.
            #[must_use]
            pub fn endpoint(&self) -> &str {
                match self { $(Self::$variant(settings) => &settings.endpoint),+ }
            }

            /// Whether what a message leaves there is removed at the end.
            #[must_use]
            pub fn is_removed(&self) -> bool {
                match self { $(Self::$variant(settings) => settings.is_removed()),+ }
            }

            pub(crate) async fn open(&self, env: &Env) -> Result<Box<dyn Store>, StoreError> {
                let name = self.endpoint();
                let endpoint = env.endpoint(name).ok_or_else(|| StoreError::EndpointMissing(name.to_owned()))?;
                let opening = async {
                    match self { $(Self::$variant(settings) => settings.open(endpoint).await),+ }
                };
                match tokio::time::timeout(CONNECT_LIMIT, opening).await {
                    Ok(store) => store,
                    Err(_) => Err(unreachable(endpoint)),
                }
            }
        }
    };
}

stores! {
    /// Rows of MySQL or MariaDB.
    Mysql(mysql::Mysql),
    /// Keys of Redis.
    Redis(redis::Redis),
}

fn unreachable(endpoint: &Endpoint) -> StoreError {
    StoreError::Unreachable {
        store: endpoint.name.clone(),
        detail: format!("no connection within {} ms", CONNECT_LIMIT.as_millis()),
    }
}
