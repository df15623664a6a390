//! The servers that all tests of this binary share, each started by the first test that asks for it.
//!
//! Statics are not dropped, and a server in one would outlive the tests. So the lab counts: every test holds it for as
//! long as it runs, and the last one ends the servers. A test has its server for itself, because tests set limits.

use crate::{data, nobody};
use preflight_fixtures::servers::{
    ActiveMq, ActiveMqOptions, MariaDb, MariaDbOptions, RabbitMq, RabbitMqOptions, Redis, RedisOptions, ServerError,
};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use tempfile::TempDir;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// A server with its directory, which goes after it.
struct Running<T> {
    server: T,
    _folder: TempDir,
    /// Where it speaks TLS from the first byte on.
    tls: SocketAddr,
}

type Shared<T> = Arc<Turn<Option<Running<T>>>>;

/// Every server, running or not yet.
#[derive(Default)]
pub(crate) struct Lab {
    mariadb: Shared<MariaDb>,
    redis: Shared<Redis>,
    rabbitmq: Shared<RabbitMq>,
    activemq: Shared<ActiveMq>,
}

/// A server, for one test alone.
pub(crate) struct Mine<T> {
    turn: OwnedMutexGuard<Option<Running<T>>>,
    // Given back after the turn: whoever is the last ends the servers.
    _lab: Arc<Lab>,
}

impl<T> Mine<T> {
    pub(crate) fn tls(&self) -> SocketAddr {
        self.turn.as_ref().unwrap().tls
    }
}

impl<T> Deref for Mine<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.turn.as_ref().unwrap().server
    }
}

impl Lab {
    /// The lab that other tests are in, or a new one.
    pub(crate) fn join() -> Arc<Self> {
        static LAB: Mutex<Weak<Lab>> = Mutex::new(Weak::new());
        let mut known = LAB.lock().unwrap();
        known.upgrade().unwrap_or_else(|| {
            let lab = Arc::new(Self::default());
            *known = Arc::downgrade(&lab);
            lab
        })
    }

    async fn mine<T>(
        self: Arc<Self>,
        shared: &Shared<T>,
        start: impl AsyncFnOnce(&Path, SocketAddr) -> Result<T, ServerError>,
    ) -> Mine<T> {
        let mut turn = shared.clone().lock_owned().await;
        if turn.is_none() {
            let (folder, tls) = (tempfile::tempdir().unwrap(), nobody());
            let server = start(folder.path(), tls).await.unwrap();
            *turn = Some(Running { server, _folder: folder, tls });
        }
        Mine { turn, _lab: self }
    }

    pub(crate) async fn mariadb() -> Mine<MariaDb> {
        let lab = Self::join();
        let shared = lab.mariadb.clone();
        lab.mine(&shared, async |folder, _| MariaDb::start(folder, mariadb_options()).await).await
    }

    pub(crate) async fn redis() -> Mine<Redis> {
        let lab = Self::join();
        let shared = lab.redis.clone();
        lab.mine(&shared, async |folder, tls| {
            let settings = vec![
                format!("tls-port {}", tls.port()),
                format!("tls-cert-file {}", data("server.pem").display()),
                format!("tls-key-file {}", data("server.key").display()),
                "tls-auth-clients no".to_owned(),
            ];
            Redis::start(folder, RedisOptions { settings, ..RedisOptions::default() }).await
        })
        .await
    }

    pub(crate) async fn rabbitmq() -> Mine<RabbitMq> {
        let lab = Self::join();
        let shared = lab.rabbitmq.clone();
        lab.mine(&shared, async |folder, tls| {
            let settings = vec![
                format!("listeners.ssl.1 = {tls}"),
                format!("ssl_options.certfile = {}", data("server.pem").display()),
                format!("ssl_options.keyfile = {}", data("server.key").display()),
                "ssl_options.verify = verify_none".to_owned(),
                // What the management API tells is as old as this many milliseconds.
                "collect_statistics_interval = 1000".to_owned(),
            ];
            RabbitMq::start(folder, RabbitMqOptions { settings, ..RabbitMqOptions::default() }).await
        })
        .await
    }

    pub(crate) async fn activemq() -> Mine<ActiveMq> {
        let lab = Self::join();
        let shared = lab.activemq.clone();
        lab.mine(&shared, async |folder, _| ActiveMq::start(folder, activemq_options()).await).await
    }
}

pub(crate) fn mariadb_options() -> MariaDbOptions {
    let files = [("ssl_cert", data("server.pem")), ("ssl_key", data("server.key"))];
    let settings = files.map(|(name, path)| format!("{name} = {}", path.display())).to_vec();
    // A server that was started without a limit for accounts does not take one later.
    MariaDbOptions { max_user_connections: 5_000, settings, ..MariaDbOptions::default() }
}

/// Limits of connectors cannot be changed while the broker runs: 60 for OpenWire, 40 for STOMP.
pub(crate) fn activemq_options() -> ActiveMqOptions {
    ActiveMqOptions { openwire_max_connections: 60, stomp_max_connections: 40, jolokia: true, tells_user_names: true }
}
