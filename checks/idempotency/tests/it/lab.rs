//! The servers that all tests of this binary share.
//!
//! They are counted by reference: a static is never dropped, and what it started would be left. The first test starts
//! them and the last one ends them and removes their files.

use preflight_fixtures::servers::{MariaDb, MariaDbOptions, RabbitMq, RabbitMqOptions, Redis, RedisOptions};
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::Mutex;

const MOMENT: Duration = Duration::from_millis(500);

/// RabbitMQ, MariaDB and Redis, ready.
pub(crate) struct Lab {
    pub(crate) rabbitmq: RabbitMq,
    pub(crate) mariadb: MariaDb,
    pub(crate) redis: Redis,
    // The last field: the directory goes when the servers in it are gone.
    _folder: TempDir,
}

/// A test's hold on the servers. The last one lets go only when no other test has begun for a moment, so that they are not
/// started again between two tests.
pub(crate) struct Hold(Arc<Lab>);

impl Deref for Hold {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let alone = Instant::now();
        while Arc::strong_count(&self.0) == 1 && alone.elapsed() < MOMENT {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

static LAB: Mutex<Weak<Lab>> = Mutex::const_new(Weak::new());

impl Lab {
    /// The running servers, or new ones if no test holds any.
    pub(crate) async fn shared() -> Hold {
        let mut known = LAB.lock().await;
        if let Some(lab) = known.upgrade() {
            return Hold(lab);
        }
        let lab = Arc::new(Self::start().await);
        *known = Arc::downgrade(&lab);
        Hold(lab)
    }

    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        // Counts that are told every 100 ms instead of every five seconds.
        let mut often = vec!["collect_statistics_interval = 100".to_owned()];
        let kept = ["global", "basic", "detailed"];
        often.extend(kept.map(|kind| format!("management.sample_retention_policies.{kind}.minute = 1")));
        let (rabbitmq, mariadb, redis) = tokio::join!(
            RabbitMq::start(dir, RabbitMqOptions { settings: often, ..RabbitMqOptions::default() }),
            MariaDb::start(dir, MariaDbOptions::default()),
            Redis::start(dir, RedisOptions::default()),
        );
        Self { rabbitmq: rabbitmq.unwrap(), mariadb: mariadb.unwrap(), redis: redis.unwrap(), _folder: folder }
    }
}
