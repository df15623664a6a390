//! A connection of the transport, with or without TLS, that counts what the server sends.

use crate::address::Address;
use crate::refusal::{End, Refusal, Trace, classify};
use crate::settings::{Engine, Tls};
use preflight_core::CannotTell;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Why there is no answer: the server's doing, or something that keeps this tool from asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server did not let the client in.
    Refused(Refusal),
    /// The question could not be put.
    Unclear(CannotTell),
}

impl Failure {
    /// As a reason why a check cannot tell.
    pub(crate) fn cannot_tell(self, what: &str) -> CannotTell {
        match self {
            Self::Refused(refusal) => refusal.cannot_tell(what),
            Self::Unclear(reason) => reason,
        }
    }
}

/// The times that one attempt may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until the connection of the transport is there.
    pub dial: Duration,
    /// From then on, until the server has let the client in.
    pub handshake: Duration,
}

impl Default for Patience {
    /// Long enough for a busy server far away, and together not much longer than what an interrupted run waits for a
    /// check: a handshake that is broken off counts against the client on some servers.
    fn default() -> Self {
        Self { dial: Duration::from_secs(3), handshake: Duration::from_secs(4) }
    }
}

trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// An open connection.
pub(crate) struct Line {
    transport: Box<dyn Transport>,
    heard: Arc<AtomicU64>,
}

impl Line {
    /// Opens one to an endpoint of this engine.
    pub(crate) async fn open(
        engine: Engine,
        address: &Address,
        tls: &Tls,
        patience: Patience,
    ) -> Result<Self, Failure> {
        // Before anything is dialled: a line on which nothing is said takes a seat.
        let connector = connector(tls)?;
        let heard = Arc::new(AtomicU64::new(0));
        let refused = |end| {
            let received = heard.load(Ordering::Acquire);
            Failure::Refused(classify(&Trace { engine, tls: tls.is_on(), received, end }))
        };
        let stream = dial(address, patience.dial).await.map_err(refused)?;
        let counted = Counted { inner: stream, heard: heard.clone() };
        let Some((connector, name)) = connector.map(|connector| (connector, server_name(address))) else {
            return Ok(Self { transport: Box::new(counted), heard });
        };
        match tokio::time::timeout(patience.handshake, connector.connect(name?, counted)).await {
            Ok(Ok(stream)) => Ok(Self { transport: Box::new(stream), heard }),
            Ok(Err(error)) => Err(refused(End::Tls { text: error.to_string() })),
            Err(_) => Err(refused(End::TimedOut { after_ms: millis(patience.handshake) })),
        }
    }

    /// Bytes that the server has sent, those of TLS included.
    pub(crate) fn received(&self) -> u64 {
        self.heard.load(Ordering::Acquire)
    }

    /// The counter behind [`Line::received`], for those who give the line away.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        self.heard.clone()
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn dial(address: &Address, limit: Duration) -> Result<TcpStream, End> {
    let connecting = TcpStream::connect((address.host.as_str(), address.port));
    match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(stream)) => {
            // Handshakes are small and go back and forth.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) => Err(End::NotReached {
            kind: error.kind(),
            raw: error.raw_os_error(),
            text: format!("{address} could not be reached: {error}"),
        }),
        Err(_) => Err(End::NotReached {
            kind: io::ErrorKind::TimedOut,
            raw: None,
            text: format!("{address} did not answer within {} ms", limit.as_millis()),
        }),
    }
}

fn server_name(address: &Address) -> Result<ServerName<'static>, Failure> {
    ServerName::try_from(address.host.clone())
        .map_err(|_| Failure::Unclear(CannotTell::prerequisite(format!("`{}` is no name for TLS", address.host))))
}

fn connector(tls: &Tls) -> Result<Option<TlsConnector>, Failure> {
    let roots = match tls {
        Tls::Off => return Ok(None),
        Tls::System => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
        Tls::Authority(path) => authority(path).map_err(|why| {
            let why = format!("the certificate of the authority in `{}` cannot be used: {why}", path.display());
            Failure::Unclear(CannotTell::prerequisite(why))
        })?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Unclear(CannotTell::prerequisite(format!("TLS cannot be set up: {error}"))))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

fn authority(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("there is none".to_owned()) } else { Ok(roots) }
}

struct Counted {
    inner: TcpStream,
    heard: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let count = buffer.filled().len() - before;
        self.heard.fetch_add(count as u64, Ordering::AcqRel);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Kind;
    use tokio::net::TcpListener;

    impl Failure {
        fn is_refusal_for(&self, kind: Kind) -> bool {
            matches!(self, Self::Refused(refusal) if refusal.kind == kind)
        }
    }

    async fn open(tls: &Tls, address: &Address) -> Failure {
        let patience = Patience { dial: Duration::from_secs(2), handshake: Duration::from_millis(200) };
        Line::open(Engine::Redis, address, tls, patience).await.err().unwrap()
    }

    async fn listener() -> (TcpListener, Address) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        (listener, Address { host: local.ip().to_string(), port: local.port() })
    }

    #[tokio::test]
    async fn nobody_there_is_unreachable() {
        let (listener, address) = listener().await;
        drop(listener);
        assert!(open(&Tls::Off, &address).await.is_refusal_for(Kind::Unreachable));
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_to_tls_hangs() {
        let (_listener, address) = listener().await;
        assert!(open(&Tls::System, &address).await.is_refusal_for(Kind::Hang));
    }

    #[tokio::test]
    async fn a_server_that_drops_tls_without_a_byte_is_silent() {
        let (listener, address) = listener().await;
        let serving = tokio::spawn(async move { drop(listener.accept().await) });
        assert!(open(&Tls::System, &address).await.is_refusal_for(Kind::SilentClose));
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn an_authority_that_cannot_be_read_is_found_before_anything_is_dialled() {
        let (listener, address) = listener().await;
        drop(listener);
        let Failure::Unclear(reason) = open(&Tls::Authority("/nowhere/ca.pem".into()), &address).await else {
            panic!("unclear")
        };
        assert!(reason.detail.contains("/nowhere/ca.pem"));
    }
}
