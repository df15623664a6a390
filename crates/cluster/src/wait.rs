//! How long an answer of a cluster's API is waited for.

use preflight_core::{CannotTell, Reason};
use std::time::Duration;

/// The longest that one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// An answer, if it comes in time.
pub(crate) async fn within<T>(attempted: &str, answer: impl Future<Output = T>) -> Result<T, CannotTell> {
    let late = |_| CannotTell::new(Reason::Timeout, format!("{attempted}: not within {} s", ANSWER_LIMIT.as_secs()));
    tokio::time::timeout(ANSWER_LIMIT, answer).await.map_err(late)
}
