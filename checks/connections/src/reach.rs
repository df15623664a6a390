//! Whether an endpoint lets this tool in as a run would be let in: for `doctor`, without a verdict.

use crate::engines::{Reading, Target, adapter};
use crate::line::{Failure, Patience};
use crate::path_admits::advice;
use crate::refusal::{Kind, Refusal};
use crate::settings::Endpoint;
use preflight_core::CannotTell;
use std::collections::BTreeSet;
use std::time::Duration;

/// Shorter than that of a check: somebody waits in front of a terminal. Still long enough for a
/// busy server far away.
const PATIENCE: Patience = Patience { dial: Duration::from_millis(1_500), handshake: Duration::from_secs(2) };

/// As whom an endpoint is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// As an application, which is let in and leaves again.
    Application,
    /// As the observer, or without one as an application, to read limits and usage.
    Reader,
}

/// Logs in as a run would, and says what came of it.
///
/// # Errors
/// Why a run would not get an answer, and what to do about it.
pub async fn reach(endpoint: &Endpoint, login: Login) -> Result<String, CannotTell> {
    let accounts: BTreeSet<String> = endpoint.username.iter().cloned().collect();
    let target = Target { endpoint, run_id: "doctor", patience: PATIENCE, accounts: &accounts };
    let adapter = adapter(endpoint.engine);
    match login {
        Login::Application => adapter.admit(target).await.map(|admission| admission.server),
        Login::Reader => match adapter.read(target).await {
            Ok(reading) => return said(endpoint, reading),
            Err(failure) => Err(failure),
        },
    }
    .map_err(|failure| with_advice(endpoint, login, failure))
}

fn said(endpoint: &Endpoint, reading: Reading) -> Result<String, CannotTell> {
    let Reading { limits, notes, gap, .. } = reading;
    if let Some(gap) = gap {
        return Err(gap);
    }
    let known = limits.iter().map(|limit| format!("{} is {}", limit.name, limit.value));
    let declared = endpoint.limit.map(|limit| format!("the declared limit is {limit}"));
    let known: Vec<String> = known.chain(declared).collect();
    if known.is_empty() {
        let why = notes.join("; ");
        return Err(CannotTell::insufficient(format!("no limit is known ({why}); declare it with `limit`")));
    }
    Ok(known.into_iter().chain(notes).collect::<Vec<_>>().join("; "))
}

fn with_advice(endpoint: &Endpoint, login: Login, failure: Failure) -> CannotTell {
    let Endpoint { name, .. } = endpoint;
    let refusal = match failure {
        Failure::Unclear(reason) => return reason,
        Failure::Refused(refusal) => refusal,
    };
    let advice = match (refusal.kind, login) {
        (Kind::Unreachable, _) => {
            "Check the address, and what network policies and security groups admit from here.".to_owned()
        }
        (Kind::Authentication, Login::Reader) if endpoint.observer.is_some() => {
            format!("Correct `observer` of endpoint {name}: its name, its password or its grants.")
        }
        (kind, _) => advice(kind, name),
    };
    let detail = format!("{}. {advice}", refusal.detail);
    Refusal { detail, ..refusal }.cannot_tell(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use preflight_core::Reason;

    fn endpoint(extra: serde_json::Value) -> Endpoint {
        let mut value = serde_json::json!({ "name": "db", "engine": "mysql", "address": "db", "username": "app" });
        value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_reading_says_its_limits_and_without_any_what_to_declare() {
        let plain = endpoint(serde_json::json!({}));
        let found = said(&plain, Reading { notes: vec!["no `jolokia`".to_owned()], ..Reading::default() }).unwrap_err();
        assert_eq!(found.reason, Reason::InsufficientData);
        assert!(found.detail.contains("no `jolokia`") && found.detail.contains("`limit`"), "{found}");
        let declared = endpoint(serde_json::json!({ "limit": 50 }));
        assert_eq!(said(&declared, Reading::default()).unwrap(), "the declared limit is 50");
        let gap = Some(CannotTell::forbidden("grant it SELECT on mysql.user"));
        assert_eq!(said(&declared, Reading { gap, ..Reading::default() }).unwrap_err().reason, Reason::Forbidden);
    }

    #[test]
    fn a_refusal_says_whose_account_to_correct() {
        let refused = |endpoint: &Endpoint, login, kind| {
            with_advice(endpoint, login, Failure::Refused(Refusal { kind, detail: "refused: 1045".to_owned() }))
        };
        let plain = endpoint(serde_json::json!({}));
        let found = refused(&plain, Login::Application, Kind::Authentication);
        assert_eq!(found.reason, Reason::Forbidden);
        assert!(found.detail.starts_with("db: refused: 1045. Correct account, password"), "{found}");
        let observed = endpoint(serde_json::json!({ "observer": { "username": "watch" } }));
        let found = refused(&observed, Login::Reader, Kind::Authentication);
        assert!(found.detail.contains("Correct `observer` of endpoint db"), "{found}");
        let found = refused(&plain, Login::Reader, Kind::Unreachable);
        assert_eq!(found.reason, Reason::Unreachable);
        assert!(found.detail.contains("security groups"), "{found}");
    }
}
