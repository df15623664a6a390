//! A line that a client library talks through, with an ear on it.
//!
//! The libraries do not tell whether a timeout came before or after the server accepted the connection, nor whether a
//! server that hung up had said anything; yet the one is the network and the other the server. So the line is dialled
//! here, and the library connects to a relay on the loopback interface. The line is dialled right before the library
//! speaks: there is never a connection on which nothing is said.

use crate::line::{Failure, Line};
use preflight_core::CannotTell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The longest that one line stays open.
const LINE_LIMIT: Duration = Duration::from_secs(20);

/// As much of what the server says first is kept.
const FIRST_WORDS_BYTES_MAX: usize = 512;

const BUFFER_BYTES: usize = 16 * 1024;

/// A door on the loopback interface. Opened before the line, so that nothing stands between dialling and speaking.
pub(crate) struct Door {
    listener: TcpListener,
    local: SocketAddr,
}

/// An open line behind a door.
pub(crate) struct Tap {
    received: Arc<AtomicU64>,
    first_words: Arc<Mutex<Vec<u8>>>,
    relay: JoinHandle<()>,
}

impl Door {
    pub(crate) async fn open() -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let opened = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (local, listener) = opened.map_err(|error| {
            Failure::Unclear(CannotTell::prerequisite(format!("no port on the loopback interface: {error}")))
        })?;
        Ok(Self { listener, local })
    }

    /// Where the library connects to, once.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Lets whoever comes through the door talk on the line.
    pub(crate) fn lead_to(self, line: Line) -> Tap {
        let received = line.counter();
        let first_words = Arc::new(Mutex::new(Vec::new()));
        let ear = first_words.clone();
        // The relay ends by itself, also when nobody waits for it any more: cutting it off would break a farewell.
        let relay = tokio::spawn(async move {
            let _ = tokio::time::timeout(LINE_LIMIT, relay(self.listener, line, &ear)).await;
        });
        Tap { received, first_words, relay }
    }
}

impl Tap {
    /// Bytes that the server has sent.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// What the server said first.
    pub(crate) fn first_words(&self) -> String {
        let words = self.first_words.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&words).into_owned()
    }

    /// Waits until both sides have closed, so that the farewell has reached the server.
    pub(crate) async fn finish(self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.relay).await;
    }
}

async fn relay(listener: TcpListener, line: Line, first_words: &Mutex<Vec<u8>>) {
    let Ok((client, _)) = listener.accept().await else { return };
    drop(listener);
    let _ = client.set_nodelay(true);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(line);
    let upward = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    let downward = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            let heard = &buffer[..count];
            {
                let mut words = first_words.lock().unwrap_or_else(PoisonError::into_inner);
                let wanted = FIRST_WORDS_BYTES_MAX.saturating_sub(words.len()).min(count);
                words.extend_from_slice(&heard[..wanted]);
            }
            if to_client.write_all(heard).await.is_err() {
                break;
            }
        }
        let _ = to_client.shutdown().await;
    };
    tokio::join!(upward, downward);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::line::Patience;
    use crate::settings::{Engine, Tls};
    use tokio::net::TcpStream;

    const LIMIT: Duration = Duration::from_secs(5);

    /// The server's and the client's end of one line, and the tap between them.
    async fn tapped() -> (TcpStream, TcpStream, Tap) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        let address = Address { host: local.ip().to_string(), port: local.port() };
        let door = Door::open().await.unwrap();
        let line = Line::open(Engine::Redis, &address, &Tls::Off, Patience::default()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let local = door.local();
        let tap = door.lead_to(line);
        (server, TcpStream::connect(local).await.unwrap(), tap)
    }

    #[tokio::test]
    async fn what_is_said_goes_both_ways_and_is_heard() {
        let (mut server, mut client, tap) = tapped().await;
        client.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        server.read_exact(&mut heard).await.unwrap();
        server.write_all(b"welcome").await.unwrap();
        let mut answer = [0; 7];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!((&heard, &answer, tap.received(), tap.first_words().as_str()), (b"hello", b"welcome", 7, "welcome"));
        client.write_all(b"bye").await.unwrap();
        drop(client);
        let mut farewell = vec![];
        server.read_to_end(&mut farewell).await.unwrap();
        assert_eq!(farewell, b"bye");
        drop(server);
        tap.finish(LIMIT).await;
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_without_a_word_has_said_nothing() {
        let (server, mut client, tap) = tapped().await;
        drop(server);
        let mut nothing = vec![];
        client.read_to_end(&mut nothing).await.unwrap();
        assert_eq!((tap.received(), nothing.len()), (0, 0));
    }
}
