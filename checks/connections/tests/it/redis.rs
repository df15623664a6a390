//! Redis.

use crate::fleet::{Deployment, Fleet};
use crate::lab::{Lab, Mine};
use crate::{Case, WRONG, data, failed, nobody, passed, sum, unknown, until};
use preflight_connections::settings::Scenario;
use preflight_core::Reason;
use preflight_fixtures::servers::{Account, Redis, RedisOptions};
use redis::aio::MultiplexedConnection;
use serde_json::json;
use std::process::Command;

/// As the application and the observer know the server.
fn case(server: &Redis) -> Case {
    let (app, observer) = (server.app(), server.observer());
    Case::new(json!({
        "engine": "redis", "address": server.address().to_string(),
        "username": app.username, "password": app.password,
        "observer": { "username": observer.username, "password": observer.password },
    }))
}

/// Two sides with pools of 5: 22 instances in a rollout, 110 connections.
fn fleet(server: &Redis) -> Fleet {
    let address = server.address();
    let url = format!("redis://app:{}@{address}/0", server.app().password);
    Fleet::orders(&[("REDIS_URL", &url), ("REDIS_POOL_SIZE", "5")]).secret(&server.app().password)
}

const DEMAND: u64 = (5 + 5 + 6 + 6) * 5;

/// Ask as the administrator.
struct Admin(MultiplexedConnection);

impl Admin {
    async fn of(server: &Redis) -> Self {
        Self(connect(server, server.admin()).await)
    }

    async fn ask(&mut self, words: &[&str]) -> String {
        let mut command = redis::cmd(words[0]);
        command
            .arg(&words[1..])
            .query_async::<redis::Value>(&mut self.0)
            .await
            .map(|value| format!("{value:?}"))
            .unwrap()
    }

    async fn limit(&mut self, maxclients: u64) {
        self.ask(&["CONFIG", "SET", "maxclients", &maxclients.to_string()]).await;
    }

    /// A number that the server counts.
    async fn counter(&mut self, section: &str, name: &str) -> u64 {
        let info: String = redis::cmd("INFO").arg(section).query_async(&mut self.0).await.unwrap();
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok()).unwrap()
    }

    /// Connected, refused, and connections of all time.
    async fn counters(&mut self) -> [u64; 3] {
        [
            self.counter("clients", "connected_clients").await,
            self.counter("stats", "rejected_connections").await,
            self.counter("stats", "total_connections_received").await,
        ]
    }
}

async fn connect(server: &Redis, account: &Account) -> MultiplexedConnection {
    redis::Client::open(server.url(account)).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn hold(server: &Redis, account: &Account, count: usize) -> Vec<MultiplexedConnection> {
    let mut held = vec![];
    for _ in 0..count {
        held.push(connect(server, account).await);
    }
    held
}

#[tokio::test]
async fn maxclients_that_covers_a_rollout_on_both_sides_passes_and_one_less_fails() {
    let server = Lab::redis().await;
    let mut admin = Admin::of(&server).await;
    // The administrator of this test is the only other client.
    admin.limit(DEMAND + 1 + 10).await;
    let (case, fleet) = (case(&server), fleet(&server));
    let result = case.covers(&fleet).await;
    passed(&result);
    assert_eq!(sum(&result, "maxclients"), [DEMAND, 1, 10]);
    admin.limit(DEMAND + 1 + 9).await;
    let result = case.covers(&fleet).await;
    failed(&result, &format!("maxclients of db is {}", DEMAND + 10));
    assert!(result.observed.contains("1 too few"), "{}", result.observed);
    assert_eq!(
        result.remediation.unwrap().command.unwrap(),
        format!("CONFIG SET maxclients {}", DEMAND + 11),
        "the command makes it fit"
    );
    // Between deployments there are 11 instances.
    let result = case.during(Scenario::Steady).covers(&fleet).await;
    passed(&result);
    assert_eq!(sum(&result, "maxclients"), [55, 1, 10]);
    admin.limit(10_000).await;
}

#[tokio::test]
async fn what_is_open_now_counts_as_far_as_it_is_somebody_elses() {
    let server = Lab::redis().await;
    let mut admin = Admin::of(&server).await;
    let _apps = hold(&server, server.app(), 20).await;
    let _consumers = hold(&server, server.consumer(), 7).await;
    let result = case(&server).covers(&fleet(&server)).await;
    passed(&result);
    assert_eq!(sum(&result, "maxclients")[..2], [DEMAND, 8], "7 consumers and the administrator");
    admin.limit(DEMAND + 7 + 10).await;
    failed(&case(&server).covers(&fleet(&server)).await, "1 too few");
    admin.limit(10_000).await;
}

#[tokio::test]
async fn a_replica_takes_a_seat_of_others_even_if_it_logs_in_as_the_applications_do() {
    let server = Lab::redis().await;
    let mut admin = Admin::of(&server).await;
    admin.ask(&["ACL", "SETUSER", "app", "+psync", "+replconf", "+sync"]).await;
    let folder = tempfile::tempdir().unwrap();
    let app = server.app();
    let settings = vec![
        format!("replicaof {} {}", server.address().ip(), server.address().port()),
        format!("masteruser {}", app.username),
        format!("masterauth {}", app.password),
    ];
    let mut replica = Redis::start(folder.path(), RedisOptions { settings, ..RedisOptions::default() }).await.unwrap();
    let admin = tokio::sync::Mutex::new(admin);
    until("replicas", 1, async || admin.lock().await.counter("replication", "connected_slaves").await).await;
    let result = case(&server).covers(&fleet(&server)).await;
    passed(&result);
    assert_eq!(sum(&result, "maxclients")[..2], [DEMAND, 2], "the replica and the administrator");
    replica.stop().await.unwrap();
    until("replicas", 0, async || admin.lock().await.counter("replication", "connected_slaves").await).await;
    admin.lock().await.ask(&["ACL", "SETUSER", "app", "-psync", "-replconf", "-sync"]).await;
}

#[tokio::test]
async fn each_check_takes_a_seat_or_two_and_gives_them_back() {
    let server = Lab::redis().await;
    let mut admin = Admin::of(&server).await;
    let [connected, rejected, before] = admin.counters().await;
    passed(&case(&server).covers(&fleet(&server)).await);
    passed(&case(&server).admits().await);
    let admin = tokio::sync::Mutex::new(admin);
    until("connections", connected, async || admin.lock().await.counters().await[0]).await;
    let [_, refused, after] = admin.lock().await.counters().await;
    assert_eq!((refused - rejected, after - before), (0, 2));
}

#[tokio::test]
async fn an_observer_who_may_not_see_clients_takes_everybody_for_somebody_else() {
    let server = Lab::redis().await;
    let mut admin = Admin::of(&server).await;
    let _apps = hold(&server, server.app(), 20).await;
    admin.ask(&["ACL", "SETUSER", "observer", "-client|list"]).await;
    let result = case(&server).covers(&fleet(&server)).await;
    admin.ask(&["ACL", "SETUSER", "observer", "+client|list"]).await;
    passed(&result);
    assert_eq!(sum(&result, "maxclients")[..2], [DEMAND, 21]);
}

#[tokio::test]
async fn an_observer_who_may_not_read_the_limit_cannot_tell() {
    let server = Lab::redis().await;
    let mut admin = Admin::of(&server).await;
    admin.ask(&["ACL", "SETUSER", "observer", "-info"]).await;
    let result = case(&server).covers(&fleet(&server)).await;
    admin.ask(&["ACL", "SETUSER", "observer", "+info"]).await;
    unknown(&result, Reason::Forbidden, "INFO");
    let wrong = json!({ "observer": { "username": "observer", "password": WRONG } });
    unknown(&case(&server).with(wrong).covers(&fleet(&server)).await, Reason::Forbidden, "WRONGPASS");
}

#[tokio::test]
async fn a_full_server_fails_both_checks_and_is_left_alone() {
    let server = Lab::redis().await;
    let mut admin = Admin::of(&server).await;
    let _apps = hold(&server, server.app(), 4).await;
    admin.limit(5).await;
    failed(&case(&server).covers(&fleet(&server)).await, "is full right now");
    failed(&case(&server).admits().await, "max number of clients reached");
    let tls = json!({ "address": server.tls().to_string(), "tls": { "ca": data("ca.pem") } });
    failed(&case(&server).with(tls).admits().await, "this is how a full server refuses with TLS");
    admin.limit(10_000).await;
    passed(&case(&server).admits().await);
}

#[tokio::test]
async fn the_account_of_the_applications_is_the_one_that_is_let_in() {
    let server = Lab::redis().await;
    let base = case(&server);
    let result = base.admits().await;
    passed(&result);
    assert!(result.observed.contains("as `app`"), "{}", result.observed);
    failed(&base.clone().with(json!({ "password": WRONG })).admits().await, "WRONGPASS");
    failed(&base.clone().with(json!({ "username": "nobody" })).admits().await, "WRONGPASS");
    failed(&base.clone().with(json!({ "database": "99" })).admits().await, "out of range");
    let nobody = base.with(json!({ "username": null, "password": null }));
    failed(&nobody.admits().await, "NOAUTH");
}

#[tokio::test]
async fn an_account_without_a_password_is_not_replaced_by_the_default_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Redis::start(folder.path(), RedisOptions::default()).await.unwrap();
    let mut admin = Admin::of(&server).await;
    // Whoever says nothing is let in, as on a server without accounts.
    admin.ask(&["ACL", "SETUSER", "default", "on", "nopass", "+@all"]).await;
    let named = case(&server).with(json!({ "password": null }));
    failed(&named.admits().await, "WRONGPASS");
    admin.ask(&["ACL", "SETUSER", "app", "nopass"]).await;
    passed(&named.admits().await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn tls_is_spoken_with_a_trusted_authority_and_refused_otherwise() {
    let server = Lab::redis().await;
    let tls = |settings| case(&server).with(json!({ "address": server.tls().to_string(), "tls": settings }));
    let trusted = tls(json!({ "ca": data("ca.pem") }));
    passed(&trusted.admits().await);
    passed(&trusted.covers(&fleet_at(&server, server.tls())).await);
    failed(&tls(json!(true)).admits().await, "TLS was not agreed on");
    failed(&tls(json!(false)).admits().await, "db did not let a client in");
    // The plain port does not understand TLS.
    let plain = case(&server).with(json!({ "tls": { "ca": data("ca.pem") } }));
    assert_ne!(plain.admits().await.outcome, preflight_core::Outcome::Pass);
}

fn fleet_at(server: &Mine<Redis>, address: std::net::SocketAddr) -> Fleet {
    let url = format!("rediss://app:{}@{address}/0", server.app().password);
    Fleet::orders(&[("REDIS_URL", &url), ("REDIS_POOL_SIZE", "5")]).secret(&server.app().password)
}

#[tokio::test]
async fn a_stopped_server_and_an_address_without_one_are_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Redis::start(folder.path(), RedisOptions::default()).await.unwrap();
    let (case, fleet) = (case(&server), fleet(&server));
    passed(&case.admits().await);
    server.stop().await.unwrap();
    unknown(&case.covers(&fleet).await, Reason::Unreachable, "could not be reached");
    unknown(&case.admits().await, Reason::Unreachable, "could not be reached");
    let elsewhere = case.clone().with(json!({ "address": nobody().to_string() }));
    unknown(&elsewhere.admits().await, Reason::Unreachable, "could not be reached");
    let unnamed = case.with(json!({ "address": "no-such-host.invalid:6379" }));
    unknown(&unnamed.admits().await, Reason::Unreachable, "no-such-host.invalid");
}

#[tokio::test]
async fn a_server_that_accepts_and_is_silent_fails() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Redis::start(folder.path(), RedisOptions::default()).await.unwrap();
    let pid = server.pid().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    signal("-STOP");
    let result = case(&server).admits().await;
    let limits = case(&server).covers(&fleet(&server)).await;
    signal("-CONT");
    failed(&result, "not a byte came within 4000 ms");
    unknown(&limits, Reason::Unreachable, "not a byte");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_pool_that_nobody_tells_is_enough_only_where_a_larger_one_would_be() {
    let server = Lab::redis().await;
    let mut admin = Admin::of(&server).await;
    let silent = Fleet::orders(&[("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &server.address().port().to_string())]);
    // 22 instances with Jedis' own 8.
    passed(&case(&server).covers(&silent).await);
    admin.limit(400).await;
    unknown(&case(&server).covers(&silent).await, Reason::InsufficientData, "the size of the pool");
    let told = case(&server).uses("orders", Some(8));
    let result = told.covers(&silent).await;
    passed(&result);
    assert_eq!(sum(&result, "maxclients")[0], 22 * 8);
    admin.limit(10_000).await;
}

#[tokio::test]
async fn an_alias_on_one_side_alone_is_not_overlooked() {
    let server = Lab::redis().await;
    let port = server.address().port();
    let url = |host: &str| format!("redis://{host}:{port}/0");
    let (ecs, eks) = (url("127.0.0.1"), url("cache.shop.svc"));
    let fleet = Fleet::default()
        .service("orders", &[("REDIS_URL", &ecs), ("REDIS_POOL_SIZE", "5")], 3, None)
        .deployment(&Deployment::new(&[("REDIS_URL", &eks), ("REDIS_POOL_SIZE", "5")]));
    unknown(&case(&server).covers(&fleet).await, Reason::InsufficientData, "orders (eks)");
    let aliased = case(&server).with(json!({ "aliases": ["cache.shop.svc"] }));
    let result = aliased.covers(&fleet).await;
    passed(&result);
    assert_eq!(sum(&result, "maxclients")[0], (3 + 3 + 2 + 2) * 5);
}
