//! What it means when a server does not let a client in: a pure function of what was seen on the wire.

use crate::settings::Engine;
use preflight_core::CannotTell;
use std::fmt;
use std::io;

/// What was seen of one attempt that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub engine: Engine,
    /// Whether the attempt used TLS.
    pub tls: bool,
    /// Bytes that the server sent.
    pub received: u64,
    /// How the attempt ended.
    pub end: End,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// No connection of the transport came about.
    NotReached { kind: io::ErrorKind, raw: Option<i32>, text: String },
    /// The server said no: a code of its protocol, 0 where it has none, and its words.
    Said { code: u16, text: String },
    /// The encryption could not be agreed on.
    Tls { text: String },
    /// The server closed or reset the connection.
    Closed { text: String },
    /// Time was up.
    TimedOut { after_ms: u64 },
    /// What arrived is not the protocol.
    Garbled { text: String },
}

/// Why a server does not let a client in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub kind: Kind,
    /// What was seen, in a sentence without secrets.
    pub detail: String,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A limit is reached.
    Limit(LimitKind),
    /// The account, its password or its rights.
    Authentication,
    /// The server has blocked the client's address after too many broken handshakes.
    HostBlocked,
    /// The server does not accept the client's address.
    HostDenied,
    /// Another client has the same identity.
    Identity,
    /// The encryption.
    Tls,
    /// The server accepted the connection and closed it without a word.
    SilentClose,
    /// The server accepted the connection and said nothing.
    Hang,
    /// The server said no for another reason, or does not speak the protocol.
    Other,
    /// The network between here and there.
    Unreachable,
    /// This machine: no port or no file handle left. Never blames the server.
    Local,
}

impl Kind {
    /// Whether a refusal of one account is one of all of them, at the same door or at another one of the server.
    pub(crate) fn is_for_everybody(self, same_door: bool) -> bool {
        match self {
            Self::Limit(LimitKind::Server) => true,
            Self::HostBlocked | Self::HostDenied | Self::Tls | Self::SilentClose | Self::Hang => same_door,
            _ => false,
        }
    }
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitKind {
    Server,
    Account,
    VirtualHost,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Server => "server",
            Self::Account => "account",
            Self::VirtualHost => "virtual host",
        })
    }
}

impl Refusal {
    /// As a reason why a check cannot tell: for attempts with an account of this tool's own.
    pub(crate) fn cannot_tell(&self, what: &str) -> CannotTell {
        let detail = format!("{what}: {}", self.detail);
        match self.kind {
            Kind::Authentication | Kind::HostBlocked | Kind::HostDenied | Kind::Limit(LimitKind::Account) => {
                CannotTell::forbidden(detail)
            }
            Kind::Local => CannotTell::prerequisite(detail),
            _ => CannotTell::unreachable(detail),
        }
    }
}

const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// Says what an attempt came to.
pub(crate) fn classify(trace: &Trace) -> Refusal {
    let (kind, detail) = match &trace.end {
        End::NotReached { kind, raw, text } => {
            let is_local = *kind == io::ErrorKind::AddrNotAvailable || matches!(raw, Some(EMFILE | ENFILE));
            (if is_local { Kind::Local } else { Kind::Unreachable }, text.clone())
        }
        End::Said { code, text } => (said(trace.engine, *code, text), format!("refused: {}", quoted(*code, text))),
        End::Tls { text } if trace.received == 0 => (Kind::SilentClose, silent(trace, text)),
        End::Tls { text } => (Kind::Tls, format!("TLS was not agreed on: {text}")),
        End::Closed { text } if trace.received == 0 => (Kind::SilentClose, silent(trace, text)),
        End::Closed { text } => (Kind::Other, format!("closed in the middle of the handshake: {text}")),
        End::TimedOut { after_ms } => {
            let seen = if trace.received == 0 { "not a byte" } else { "no end of the handshake" };
            (Kind::Hang, format!("the connection was accepted, but {seen} came within {after_ms} ms"))
        }
        End::Garbled { text } => (Kind::Other, format!("does not speak {}: {text}", protocol(trace.engine))),
    };
    Refusal { kind, detail }
}

fn quoted(code: u16, text: &str) -> String {
    if code == 0 { text.to_owned() } else { format!("{code} {text}") }
}

fn silent(trace: &Trace, text: &str) -> String {
    let likely = match (trace.engine, trace.tls) {
        (Engine::ActiveMq, _) => "; this is how a full connector refuses (`maximumConnections`)",
        (Engine::Redis, true) => "; this is how a full server refuses with TLS (`maxclients`)",
        _ => "",
    };
    format!("accepted and closed without a byte ({text}){likely}")
}

fn protocol(engine: Engine) -> &'static str {
    match engine {
        Engine::MySql => "the protocol of MySQL",
        Engine::Redis => "the protocol of Redis",
        Engine::RabbitMq => "AMQP 0-9-1",
        Engine::ActiveMq => "the protocol of this connector",
    }
}

fn said(engine: Engine, code: u16, text: &str) -> Kind {
    let lower = text.to_ascii_lowercase();
    let has = |part: &str| lower.contains(part);
    match engine {
        Engine::MySql => match code {
            1040 => Kind::Limit(LimitKind::Server),
            1203 | 1226 => Kind::Limit(LimitKind::Account),
            1129 => Kind::HostBlocked,
            1130 => Kind::HostDenied,
            1044 | 1045 | 1698 | 1820 | 1862 | 3118 | 3159 | 4151 => Kind::Authentication,
            _ => Kind::Other,
        },
        Engine::Redis if has("max number of clients") => Kind::Limit(LimitKind::Server),
        Engine::Redis if has("denied redis is running in protected mode") || has("-denied") => Kind::HostDenied,
        Engine::Redis if ["wrongpass", "noauth", "noperm", "invalid password", "err auth"].into_iter().any(has) => {
            Kind::Authentication
        }
        Engine::RabbitMq if has("node connection limit") => Kind::Limit(LimitKind::Server),
        Engine::RabbitMq if has("user connection limit") => Kind::Limit(LimitKind::Account),
        Engine::RabbitMq if has("connection limit") => Kind::Limit(LimitKind::VirtualHost),
        Engine::RabbitMq if code == 403 || has("access to vhost") || has("not found") => Kind::Authentication,
        Engine::ActiveMq if has("securityexception") || has("password is invalid") || has("not authorized") => {
            Kind::Authentication
        }
        Engine::ActiveMq if has("invalidclientid") || has("already connected") => Kind::Identity,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(engine: Engine, tls: bool, received: u64, end: End) -> Kind {
        classify(&Trace { engine, tls, received, end }).kind
    }

    fn words(engine: Engine, code: u16, text: &str) -> Kind {
        kind(engine, false, 80, End::Said { code, text: text.to_owned() })
    }

    fn not_reached(kind: io::ErrorKind, raw: i32) -> End {
        End::NotReached { kind, raw: Some(raw), text: "no".to_owned() }
    }

    fn closed() -> End {
        End::Closed { text: "end of stream".to_owned() }
    }

    #[test]
    fn the_words_of_mysql() {
        for (code, expected) in [
            (1040, Kind::Limit(LimitKind::Server)),
            (1203, Kind::Limit(LimitKind::Account)),
            (1226, Kind::Limit(LimitKind::Account)),
            (1129, Kind::HostBlocked),
            (1130, Kind::HostDenied),
            (1045, Kind::Authentication),
            (1044, Kind::Authentication),
            (1049, Kind::Other),
            (1135, Kind::Other),
            (1041, Kind::Other),
        ] {
            assert_eq!(words(Engine::MySql, code, "text"), expected, "{code}");
        }
    }

    #[test]
    fn the_words_of_redis() {
        for (text, expected) in [
            ("ERR max number of clients reached", Kind::Limit(LimitKind::Server)),
            ("ERR max number of clients + cluster connections reached", Kind::Limit(LimitKind::Server)),
            ("WRONGPASS invalid username-password pair or user is disabled.", Kind::Authentication),
            ("NOAUTH Authentication required.", Kind::Authentication),
            ("NOPERM User app has no permissions to run the 'ping' command", Kind::Authentication),
            ("ERR AUTH <password> called without any password configured", Kind::Authentication),
            ("DENIED Redis is running in protected mode because", Kind::HostDenied),
            ("LOADING Redis is loading the dataset in memory", Kind::Other),
        ] {
            assert_eq!(words(Engine::Redis, 0, text), expected, "{text}");
        }
    }

    #[test]
    fn the_words_of_rabbitmq() {
        for (code, text, expected) in [
            (
                530,
                "NOT_ALLOWED - connection refused: node connection limit (10) is reached",
                Kind::Limit(LimitKind::Server),
            ),
            (
                530,
                "NOT_ALLOWED - access to vhost '/' refused for user 'app': connection limit (1) is reached",
                Kind::Limit(LimitKind::VirtualHost),
            ),
            (
                530,
                "NOT_ALLOWED - connection refused for user 'app': user connection limit (1) is reached",
                Kind::Limit(LimitKind::Account),
            ),
            (530, "NOT_ALLOWED - access to vhost 'x' refused for user 'app'", Kind::Authentication),
            (530, "NOT_ALLOWED - vhost x not found", Kind::Authentication),
            (403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.", Kind::Authentication),
            (541, "INTERNAL_ERROR", Kind::Other),
        ] {
            assert_eq!(words(Engine::RabbitMq, code, text), expected, "{text}");
        }
    }

    #[test]
    fn the_words_of_activemq() {
        for (text, expected) in [
            ("java.lang.SecurityException: User name [app] or password is invalid.", Kind::Authentication),
            ("User name [app] or password is invalid.", Kind::Authentication),
            (
                "javax.jms.InvalidClientIDException: Broker: b - Client: c already connected from tcp://h:1",
                Kind::Identity,
            ),
            ("java.io.IOException: Wire format negotiation timeout", Kind::Other),
        ] {
            assert_eq!(words(Engine::ActiveMq, 0, text), expected, "{text}");
        }
    }

    #[test]
    fn a_close_without_a_byte_is_a_refusal_and_says_what_is_likely() {
        let silent = |engine, tls| classify(&Trace { engine, tls, received: 0, end: closed() });
        assert_eq!(silent(Engine::ActiveMq, false).kind, Kind::SilentClose);
        assert!(silent(Engine::ActiveMq, false).detail.contains("maximumConnections"));
        assert!(silent(Engine::Redis, true).detail.contains("maxclients"));
        assert!(!silent(Engine::MySql, false).detail.contains("full"));
        assert_eq!(kind(Engine::Redis, true, 0, End::Tls { text: "eof".to_owned() }), Kind::SilentClose);
        assert_eq!(kind(Engine::Redis, true, 90, End::Tls { text: "unknown issuer".to_owned() }), Kind::Tls);
        assert_eq!(kind(Engine::MySql, false, 5, closed()), Kind::Other);
    }

    #[test]
    fn a_hang_after_the_connection_is_of_the_server_and_one_before_it_of_the_network() {
        assert_eq!(kind(Engine::RabbitMq, false, 0, End::TimedOut { after_ms: 3_000 }), Kind::Hang);
        assert_eq!(kind(Engine::RabbitMq, false, 0, not_reached(io::ErrorKind::TimedOut, 110)), Kind::Unreachable);
        assert_eq!(
            kind(Engine::RabbitMq, false, 0, not_reached(io::ErrorKind::ConnectionRefused, 111)),
            Kind::Unreachable
        );
    }

    #[test]
    fn what_this_machine_lacks_is_not_blamed_on_the_server() {
        assert_eq!(kind(Engine::MySql, false, 0, not_reached(io::ErrorKind::AddrNotAvailable, 99)), Kind::Local);
        assert_eq!(kind(Engine::MySql, false, 0, not_reached(io::ErrorKind::Other, EMFILE)), Kind::Local);
    }

    #[test]
    fn another_protocol_is_named() {
        let garbled = End::Garbled { text: "a frame of 1213486160 bytes".to_owned() };
        assert_eq!(kind(Engine::ActiveMq, false, 40, garbled), Kind::Other);
    }
}
