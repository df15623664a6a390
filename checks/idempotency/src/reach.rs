//! Whether the broker and the stores of a consumer answer: what its checks do before they send anything. For `doctor`,
//! without a verdict.

use crate::env::Env;
use crate::schedule::Side;
use crate::session::refuse_busy;
use crate::settings::Consumer;
use preflight_core::CannotTell;

/// A business key that no message has.
const KEY: &str = "preflight-doctor";

/// Looks at the queues of both sides and at the effects of a key that no message has. Writes nothing.
///
/// # Errors
/// Why a check would not begin.
pub async fn reach(consumer: &Consumer, env: &Env) -> Result<String, CannotTell> {
    let mut lever = consumer.broker.open(env).await?;
    lever.prepare().await?;
    lever.follow_dead_letters().await?;
    let mut seen = vec![];
    for side in Side::BOTH {
        let depth = lever.depth(side).await?;
        refuse_busy(lever.as_ref(), side, depth)?;
        seen.push(format!("queue `{}` is empty", lever.queue(side)));
    }
    for effect in &consumer.effects {
        effect.open(env).await?.read(KEY).await?;
        seen.push(format!("the effects in {} can be read", effect.endpoint()));
    }
    Ok(seen.join("; "))
}
