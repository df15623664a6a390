//! Does an endpoint let an application in, all the way through its protocol?
//!
//! One whole handshake with the account of the applications, and a farewell in the engine's own way. A bare connection
//! of the transport would prove nothing (a full ActiveMQ accepts it, a RabbitMQ that hangs does too) and do harm: MySQL
//! counts it as a broken handshake and blocks the whole host after a few.
//!
//! A server that was reached and does not let the client in fails the check, whatever its reason, and that includes one
//! that accepts the connection and then says nothing: an application would hang there as well. A server that was not
//! reached (name unknown, connection refused, no route, no answer to the first packet) leaves the question open, because
//! this machine may stand elsewhere in the network than the applications.
//!
//! The handshake is not broken off when the run is interrupted: it has a limit of its own, which is short.

use crate::Env;
use crate::engines::{Admission, Target, adapter};
use crate::line::{Failure, Patience};
use crate::refusal::{Kind, LimitKind, Refusal};
use crate::settings::Endpoint;
use preflight_core::{
    CannotTell, Check, Disruption, Entry, Evidence, Finding, Item, Levels, Meta, Permission, Run, Scope,
};
use std::collections::BTreeSet;

pub(crate) const META: Meta = Meta {
    id: "connections.path-admits",
    title: "The endpoint lets an application in",
    proves: "From here, one client with the account of the applications gets through network, TLS, limits and login, and \
             leaves again without a trace in the server's error counters.",
    fails_when: "The server was reached and did not let the client in: limit, account, address, identity or TLS refused, \
                 closed without a word, or accepted and then silent for 4 seconds.",
    unknown_when: "The server was not reached (connection refused, no route, no answer to the first packet within 3 \
                   seconds); this machine has no port left; the observer saw that the probe might take one of the last \
                   two seats of a MySQL server.",
    fix: "The finding names what refused: raise the limit, correct account or grants, admit the address, or look at what \
          stands between here and the server.",
    permissions: &[
        Permission::Engine { engine: "mysql", grant: "USAGE" },
        Permission::Engine { engine: "redis", grant: "+ping +client|setname +quit" },
        Permission::Engine { engine: "rabbitmq", grant: "access to the virtual host" },
        Permission::Engine { engine: "activemq", grant: "connect" },
    ],
    disruption: Disruption::Connects,
    levels: Levels::required(),
    limit_ms: 25_000,
    max_age_ms: 1_800_000,
};

/// The facts of one endpoint.
pub(crate) struct PathAdmits {
    endpoint: Endpoint,
}

pub(crate) const ENTRY: Entry<Env> = Entry { meta: &META, items };

fn items(env: &Env) -> Vec<Item> {
    let item = |endpoint: &Endpoint| {
        Item::planned(&endpoint.name, vec![endpoint.name.clone()], PathAdmits { endpoint: endpoint.clone() })
    };
    env.endpoints.iter().map(item).collect()
}

impl Check for PathAdmits {
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            let (run_id, patience) = (scope.run_id(), Patience::default());
            let target = Target { endpoint: &self.endpoint, run_id, patience, accounts: &BTreeSet::new() };
            assess(&self.endpoint, adapter(self.endpoint.engine).admit(target).await)
        })
    }
}

fn assess(endpoint: &Endpoint, attempt: Result<Admission, Failure>) -> Result<Vec<Finding>, CannotTell> {
    let Endpoint { name, engine, address, .. } = endpoint;
    let account =
        endpoint.username.as_deref().map_or("without an account".to_owned(), |account| format!("as `{account}`"));
    let expected = format!("{name} lets a client in {account}");
    let finding = match attempt {
        Ok(Admission { server }) => Finding::met(format!("{name} let a client in {account}: {server}"), expected),
        Err(Failure::Unclear(reason)) => return Err(reason),
        Err(Failure::Refused(refusal)) if matches!(refusal.kind, Kind::Unreachable | Kind::Local) => {
            return Err(refusal.cannot_tell(&format!("connecting to {name}")));
        }
        Err(Failure::Refused(Refusal { kind, detail })) => {
            Finding::unmet(format!("{name} did not let a client in {account}: {detail}"), expected)
                .fix(advice(kind, name))
        }
    };
    Ok(vec![finding.with(Evidence::new("handshake", format!("{engine} at {address}"), "one, complete, then closed"))])
}

/// What to do about a refusal of an application.
pub(crate) fn advice(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Limit(LimitKind::Server) => {
            format!("Raise the connection limit of {name}, or close connections that nobody needs.")
        }
        Kind::Limit(LimitKind::Account) => format!("Raise the limit of the account on {name}: it is used up."),
        Kind::Limit(LimitKind::VirtualHost) => format!("Raise the limit of the virtual host on {name}: it is used up."),
        Kind::Authentication => {
            format!("Correct account, password or grants of the applications on {name}, or `tls` if it asks for TLS.")
        }
        Kind::HostBlocked => {
            format!("Find out who breaks off handshakes from this address, then unblock it on {name} (FLUSH HOSTS).")
        }
        Kind::HostDenied => {
            format!("Admit this address on {name}; the new cluster's addresses may be missing as well.")
        }
        Kind::Identity => format!("Find the other client with the same identity on {name}."),
        Kind::Tls => format!("Compare `tls` of endpoint {name} with what the server presents and accepts."),
        Kind::SilentClose => {
            format!(
                "Look at the connection limit and the log of {name}, and at proxies in between: none of them said why."
            )
        }
        Kind::Hang => format!("Look at the backlog and the node limit of {name}, and at proxies that wait for it."),
        Kind::Other | Kind::Unreachable | Kind::Local => format!("Look at the log of {name}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use preflight_core::Reason;

    fn endpoint() -> Endpoint {
        let value = serde_json::json!({ "name": "db", "engine": "mysql", "address": "db:3306", "username": "app" });
        serde_json::from_value(value).unwrap()
    }

    fn refused(kind: Kind) -> Result<Vec<Finding>, CannotTell> {
        assess(&endpoint(), Err(Failure::Refused(Refusal { kind, detail: "no".to_owned() })))
    }

    #[test]
    fn a_client_that_was_let_in_is_a_pass() {
        let findings = assess(&endpoint(), Ok(Admission { server: "10.11".to_owned() })).unwrap();
        assert!(findings[0].met && findings[0].observed.contains("as `app`"));
    }

    #[test]
    fn whatever_a_server_that_was_reached_says_instead_is_a_fail() {
        for kind in [
            Kind::Limit(LimitKind::Server),
            Kind::Limit(LimitKind::Account),
            Kind::Limit(LimitKind::VirtualHost),
            Kind::Authentication,
            Kind::HostBlocked,
            Kind::HostDenied,
            Kind::Identity,
            Kind::Tls,
            Kind::SilentClose,
            Kind::Hang,
            Kind::Other,
        ] {
            let findings = refused(kind).unwrap();
            assert!(!findings[0].met && findings[0].remediation.is_some(), "{kind:?}");
        }
    }

    #[test]
    fn a_server_that_was_not_reached_is_unknown() {
        assert_eq!(refused(Kind::Unreachable).unwrap_err().reason, Reason::Unreachable);
        assert_eq!(refused(Kind::Local).unwrap_err().reason, Reason::PrerequisiteFailed);
        let unclear = CannotTell::insufficient("the last seat");
        assert_eq!(assess(&endpoint(), Err(Failure::Unclear(unclear.clone()))), Err(unclear));
    }
}
