//! ActiveMQ Classic, over OpenWire or STOMP.
//!
//! Every connector has a limit of its own and counts sockets as soon as they are accepted. One socket too many is closed
//! without a word, so a close before the first byte is all that a client ever sees of a limit.

use super::jolokia::{self, Connector};
use super::{Adapter, Admission, Answer, Reading, Target, stomp};
use crate::account::Account;
use crate::headroom::{Counted, Limit, Usage};
use crate::http::Management;
use crate::line::{Failure, Line, millis};
use crate::refusal::{End, Trace, classify};
use crate::settings::{Engine, Protocol};
use preflight_core::{CannotTell, Secret};
use preflight_openwire::{Handshake, Login, Property, Step};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const FAREWELL: Duration = Duration::from_secs(1);

pub(crate) struct ActiveMq;

impl Adapter for ActiveMq {
    fn read<'a>(&'a self, target: Target<'a>) -> Answer<'a, Reading> {
        Box::pin(async move {
            let endpoint = target.endpoint;
            let Some(url) = &endpoint.jolokia else {
                let note = "no `jolokia` is configured, so the broker is not asked; what counts is `limit` and \
                            `others` of the endpoint";
                return Ok(Reading { notes: vec![note.to_owned()], ..Reading::default() });
            };
            let reader = Account::of_reader(endpoint)?;
            let api = Management {
                engine: Engine::ActiveMq,
                url,
                tls: &endpoint.tls,
                username: reader.name(),
                password: reader.password,
                patience: target.patience,
            };
            read(&api, target, Account::of_apps(endpoint)?.address.port).await
        })
    }

    fn admit<'a>(&'a self, target: Target<'a>) -> Answer<'a, Admission> {
        Box::pin(async move {
            let protocol = target.endpoint.protocol.unwrap_or_default();
            let mut client = Client::open(target).await?;
            let patience = target.patience.handshake;
            let login = async {
                match protocol {
                    Protocol::OpenWire => client.openwire().await,
                    Protocol::Stomp => client.stomp().await,
                }
            };
            match tokio::time::timeout(patience, login).await {
                Ok(Ok(server)) => Ok(Admission { server }),
                Ok(Err(end)) => Err(client.refused(end)),
                Err(_) => Err(client.refused(End::TimedOut { after_ms: millis(patience) })),
            }
        })
    }
}

async fn read(api: &Management<'_>, target: Target<'_>, port: u16) -> Result<Reading, Failure> {
    let connectors = jolokia::connectors(api).await?;
    let connector = connector(&connectors, target.endpoint.protocol.unwrap_or_default(), port)?;
    let (total, accounts) = futures::join!(jolokia::connections(api, connector), jolokia::accounts(api, connector));
    let mut notes = vec![];
    let by_account = match accounts {
        Ok(accounts) => accounts,
        Err(failure) => {
            notes.push(failure.cannot_tell("Jolokia").detail);
            None
        }
    };
    if by_account.is_none() {
        notes.push(
            "accounts cannot be told apart (`populateUserNameInMBeans` is off), so every current connection counts as \
             somebody else's unless `others` is declared"
                .to_owned(),
        );
    }
    let usage = Some(Usage { total: total?, by_account });
    let name = format!("maximumConnections of connector `{}`", connector.name);
    let limits = connector.limit.map(|value| Limit {
        value,
        after_loss: None,
        counted: Counted::Everybody,
        usage: usage.clone(),
        source: "the connector's URI and its number of connections, over Jolokia".to_owned(),
        raise: format!("maximumConnections={{}} in the URI of connector `{}` in activemq.xml", connector.name),
        name,
    });
    // A limit that is declared in the settings is compared with the same number.
    Ok(Reading { limits: limits.into_iter().collect(), usage, notes, limits_elsewhere: None, gap: None })
}

/// The connector behind a port. Behind a port mapping only the protocol is left, which tells it where it has one alone.
fn connector(connectors: &[Connector], protocol: Protocol, port: u16) -> Result<&Connector, Failure> {
    if let Some(found) = connectors.iter().find(|connector| connector.port == Some(port)) {
        return Ok(found);
    }
    let speaking: Vec<&Connector> = connectors.iter().filter(|connector| connector.speaks(protocol)).collect();
    if let [found] = speaking[..] {
        return Ok(found);
    }
    let all: Vec<String> =
        connectors.iter().map(|one| format!("{} ({}, port {})", one.name, one.scheme, one.port.unwrap_or(0))).collect();
    let detail = format!(
        "none of the connectors has port {port}, and not one alone speaks {}: {}",
        protocol.as_str(),
        all.join(", ")
    );
    Err(Failure::Unclear(CannotTell::prerequisite(detail)))
}

/// One connection.
struct Client<'a> {
    target: Target<'a>,
    account: Account<'a>,
    line: Line,
}

impl<'a> Client<'a> {
    async fn open(target: Target<'a>) -> Result<Self, Failure> {
        let account = Account::of_apps(target.endpoint)?;
        let line = Line::open(Engine::ActiveMq, &account.address, &target.endpoint.tls, target.patience).await?;
        Ok(Self { target, account, line })
    }

    fn refused(&self, end: End) -> Failure {
        let tls = self.target.endpoint.tls.is_on();
        Failure::Refused(classify(&Trace { engine: Engine::ActiveMq, tls, received: self.line.received(), end }))
    }

    /// Unique in the world: a broker ends the connection that had the same identity before.
    fn identity(&self) -> String {
        static ATTEMPTS: AtomicU64 = AtomicU64::new(0);
        let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
        format!("preflight {} {} {}-{attempt}", self.target.run_id, self.target.endpoint.name, std::process::id())
    }

    async fn openwire(&mut self) -> Result<String, End> {
        let identity = self.identity();
        let (mut handshake, greeting) = Handshake::start(Login {
            connection_id: format!("ID:{}", identity.replace(' ', "-")),
            client_id: identity,
            user_name: self.account.username.map(str::to_owned),
            password: self.account.password.map(|password| password.reveal().to_owned()),
        });
        self.send(&greeting).await?;
        let mut received = vec![];
        let admitted = loop {
            match handshake.feed(&received).map_err(|error| garbled(&error))? {
                Step::Wait => received = self.receive().await?,
                Step::Send(bytes) => {
                    self.send(&bytes).await?;
                    received.clear();
                }
                Step::Refused(refused) => {
                    let text = format!("{}: {}", refused.thrown.class, refused.thrown.message);
                    return Err(End::Said { code: 0, text });
                }
                Step::Admitted(admitted) => break admitted,
            }
        };
        let farewell = admitted.farewell().map_err(|error| garbled(&error))?;
        self.leave(&farewell, |_| false).await;
        let provider = admitted.broker.text("ProviderName").unwrap_or("OpenWire").to_owned();
        let version = match admitted.broker.property("ProviderVersion") {
            Some(Property::Text(version)) => version.as_str(),
            _ => "",
        };
        Ok(format!("{provider} {version}, version {} of the protocol", admitted.version))
    }

    async fn stomp(&mut self) -> Result<String, End> {
        let password = self.account.password.map(Secret::reveal);
        let frame = stomp::connect(&self.identity(), self.account.username, password)
            .map_err(|text| End::Garbled { text: text.to_owned() })?;
        self.send(&frame).await?;
        let mut received = vec![];
        let reply = loop {
            if let Some((reply, _)) = stomp::parse(&received) {
                break reply;
            }
            if received.len() > stomp::FRAME_BYTES_MAX {
                return Err(End::Garbled { text: "an answer without an end".to_owned() });
            }
            received.extend(self.receive().await?);
        };
        match reply {
            stomp::Reply::Connected { server } => {
                self.leave(&stomp::disconnect(), stomp::has_receipt).await;
                Ok(server)
            }
            stomp::Reply::Error { text } => Err(End::Said { code: 0, text }),
            other => Err(End::Garbled { text: format!("{other:?}") }),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        // A server that is full may hang up before it has read anything; what it said before, if it did, decides.
        match self.line.write_all(bytes).await {
            Ok(()) => Ok(()),
            Err(error) => Err(End::Closed { text: error.to_string() }),
        }
    }

    async fn receive(&mut self) -> Result<Vec<u8>, End> {
        let mut buffer = vec![0; 4_096];
        match self.line.read(&mut buffer).await {
            Ok(0) => Err(End::Closed { text: "end of stream".to_owned() }),
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer)
            }
            Err(error) => Err(End::Closed { text: error.to_string() }),
        }
    }

    /// Takes leave and waits until the broker has hung up, or has said what `heard` recognises.
    async fn leave(&mut self, farewell: &[u8], heard: impl Fn(&[u8]) -> bool) {
        let leaving = async {
            self.line.write_all(farewell).await?;
            self.line.flush().await?;
            let (mut said, mut buffer) = (vec![], vec![0; 1_024]);
            loop {
                match self.line.read(&mut buffer).await? {
                    0 => break,
                    count => said.extend_from_slice(&buffer[..count]),
                }
                if heard(&said) || said.len() > stomp::FRAME_BYTES_MAX {
                    break;
                }
            }
            self.line.shutdown().await
        };
        let _ = tokio::time::timeout(FAREWELL, leaving).await;
    }
}

fn garbled(error: &dyn std::error::Error) -> End {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    End::Garbled { text: format!("{error}{cause}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, scheme: &str, port: u16, limit: u64) -> Connector {
        let (name, scheme) = (name.to_owned(), scheme.to_owned());
        Connector { broker: "b".to_owned(), name, scheme, port: Some(port), limit: Some(limit) }
    }

    #[test]
    fn a_connector_is_told_by_its_port_or_by_a_protocol_that_no_other_one_speaks() {
        let mut all = vec![of("openwire", "tcp", 61_616, 1_000), of("stomp", "stomp", 61_613, 20)];
        let limit =
            |all: &[Connector], protocol, port| connector(all, protocol, port).map(|one| one.limit).ok().flatten();
        assert_eq!(limit(&all, Protocol::OpenWire, 61_613), Some(20));
        assert_eq!(limit(&all, Protocol::OpenWire, 443), Some(1_000));
        assert_eq!(limit(&all, Protocol::Stomp, 443), Some(20));
        // Whichever is meant, it must not be the larger one by chance.
        all.push(of("ssl", "ssl", 61_617, 50));
        assert_eq!(limit(&all, Protocol::OpenWire, 443), None);
        assert_eq!(limit(&all, Protocol::OpenWire, 61_617), Some(50));
    }
}
