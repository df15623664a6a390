//! MariaDB.

use crate::fleet::{Deployment, Fleet};
use crate::lab::{Lab, mariadb_options};
use crate::{Case, WRONG, data, failed, nobody, passed, sum, unknown, until};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use preflight_connections::settings::Scenario;
use preflight_core::Reason;
use preflight_fixtures::servers::{Account, MariaDb};
use serde_json::json;

/// As the application and the observer know the server.
pub(crate) fn case(server: &MariaDb) -> Case {
    let (app, observer) = (server.app(), server.observer());
    Case::new(json!({
        "engine": "mysql", "address": server.address().to_string(), "database": server.database(),
        "username": app.username, "password": app.password,
        "observer": {
            "username": observer.username, "password": observer.password, "address": server.door().to_string(),
        },
    }))
}

/// With an observer who has no door of its own.
fn by_the_front(server: &MariaDb) -> Case {
    let observer = server.observer();
    case(server).with(json!({ "observer": { "username": observer.username, "password": observer.password } }))
}

/// Two sides with pools of 4: 22 instances in a rollout, 88 connections.
pub(crate) fn fleet(server: &MariaDb) -> Fleet {
    let url = format!("jdbc:mysql://{}/shop?useSSL=false", server.address());
    let password = &server.app().password;
    Fleet::orders(&[
        ("SPRING_DATASOURCE_URL", &url),
        ("SPRING_DATASOURCE_USERNAME", "app"),
        ("SPRING_DATASOURCE_PASSWORD", password),
        ("SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE", "4"),
    ])
    .secret(password)
}

const DEMAND: u64 = (5 + 5 + 6 + 6) * 4;

async fn connect(server: &MariaDb, account: &Account) -> Conn {
    let url = server.url(account).replace(&format!("/{}", server.database()), "/?prefer_socket=false");
    Conn::new(Opts::from_url(&url).unwrap()).await.unwrap()
}

async fn hold(server: &MariaDb, account: &Account, count: usize) -> Vec<Conn> {
    let mut held = vec![];
    for _ in 0..count {
        held.push(connect(server, account).await);
    }
    held
}

async fn leave(held: Vec<Conn>) {
    for conn in held {
        conn.disconnect().await.unwrap();
    }
}

async fn limit(server: &MariaDb, max_connections: u64) {
    server.execute(&[&format!("SET GLOBAL max_connections = {max_connections}")]).await.unwrap();
}

/// What the server counts, read through a connection that is there all the time.
struct Counters(Conn);

impl Counters {
    async fn of(server: &MariaDb) -> Self {
        Self(connect(server, server.admin()).await)
    }

    async fn one(&mut self, name: &str) -> u64 {
        let found: Option<(String, u64)> =
            self.0.query_first(format!("SHOW GLOBAL STATUS LIKE '{name}'")).await.unwrap();
        found.unwrap().1
    }

    async fn all(&mut self) -> [u64; 4] {
        [
            self.one("Threads_connected").await,
            self.one("Connections").await,
            self.one("Aborted_connects").await,
            self.one("Aborted_clients").await,
        ]
    }
}

/// Nobody but this connection is there any more.
async fn alone(counters: Counters) -> Counters {
    let counters = tokio::sync::Mutex::new(counters);
    until("connections", 1, async || counters.lock().await.one("Threads_connected").await).await;
    counters.into_inner()
}

#[tokio::test]
async fn max_connections_that_covers_a_rollout_on_both_sides_passes_and_one_less_fails() {
    let server = Lab::mariadb().await;
    let counters = alone(Counters::of(&server).await).await;
    limit(&server, DEMAND + 1 + 10).await;
    let (case, fleet) = (case(&server), fleet(&server));
    let counters = alone(counters).await;
    let result = case.covers(&fleet).await;
    passed(&result);
    assert_eq!(sum(&result, "max_connections"), [DEMAND, 1, 10]);
    limit(&server, DEMAND + 1 + 9).await;
    let counters = alone(counters).await;
    let result = case.covers(&fleet).await;
    failed(&result, &format!("max_connections of db is {}", DEMAND + 10));
    assert!(result.observed.contains("1 too few. Largest: orders (eks) 48, orders (ecs) 40"), "{}", result.observed);
    let command = result.remediation.unwrap().command.unwrap();
    assert_eq!(command, format!("SET GLOBAL max_connections = {};", DEMAND + 11));
    server.execute(&[command.trim_end_matches(';')]).await.unwrap();
    let counters = alone(counters).await;
    passed(&case.covers(&fleet).await);
    // The worst case: a second rollout begins before the first has drained. 15 tasks, 6 + 2 + 6 pods.
    let result = case.during(Scenario::Worst).covers(&fleet).await;
    failed(&result, "too few");
    assert_eq!(sum(&result, "max_connections")[0], (15 + 14) * 4);
    limit(&server, 151).await;
    leave(vec![counters.0]).await;
}

#[tokio::test]
async fn what_is_open_now_counts_as_far_as_it_is_somebody_elses() {
    let server = Lab::mariadb().await;
    let counters = alone(Counters::of(&server).await).await;
    let (apps, consumers) = (hold(&server, server.app(), 9).await, hold(&server, server.consumer(), 6).await);
    let through_the_door = case(&server);
    let observer = server.observer();
    let by_the_front =
        case(&server).with(json!({ "observer": { "username": observer.username, "password": observer.password } }));
    for case in [through_the_door, by_the_front] {
        let result = case.covers(&fleet(&server)).await;
        passed(&result);
        assert_eq!(sum(&result, "max_connections")[..2], [DEMAND, 7], "6 consumers and the administrator");
    }
    leave(apps.into_iter().chain(consumers).collect()).await;
    leave(vec![alone(counters).await.0]).await;
}

#[tokio::test]
async fn the_limit_of_the_account_binds_where_it_is_smaller() {
    let server = Lab::mariadb().await;
    let own = async |value: i64| {
        server.execute(&[&format!("ALTER USER app WITH MAX_USER_CONNECTIONS {value}")]).await.unwrap();
        case(&server).covers(&fleet(&server)).await
    };
    let result = own(i64::try_from(DEMAND).unwrap() + 10).await;
    passed(&result);
    assert_eq!(sum(&result, "MAX_USER_CONNECTIONS of `app`"), [DEMAND, 0, 10]);
    let result = own(i64::try_from(DEMAND).unwrap() + 9).await;
    failed(&result, "MAX_USER_CONNECTIONS of `app` of db is 97");
    // 0 leaves it to the global limit, which is far away; with a negative one the server lets nobody in.
    passed(&own(0).await);
    failed(&own(-1).await, "MAX_USER_CONNECTIONS of `app` of db is 0");
    failed(&case(&server).admits().await, "1226");
    server.execute(&["SET GLOBAL max_user_connections = 50"]).await.unwrap();
    failed(&own(0).await, "max_user_connections for `app` of db is 50");
    server.execute(&["SET GLOBAL max_user_connections = 5000"]).await.unwrap();
    own(0).await;
}

#[tokio::test]
async fn the_limit_of_an_account_that_only_a_workload_names_binds_too() {
    let server = Lab::mariadb().await;
    server.execute(&["ALTER USER consumer WITH MAX_USER_CONNECTIONS 20"]).await.unwrap();
    let billing = Deployment {
        name: "billing",
        ..Deployment::new(&[
            ("DATABASE_URL", &format!("mysql://consumer:{WRONG}@{}/shop", server.address())),
            ("DATABASE_POOL_SIZE", "8"),
        ])
    };
    let result = case(&server).covers(&fleet(&server).deployment(&billing)).await;
    server.execute(&["ALTER USER consumer WITH MAX_USER_CONNECTIONS 0"]).await.unwrap();
    failed(&result, "MAX_USER_CONNECTIONS of `consumer` of db is 20");
    assert_eq!(sum(&result, "MAX_USER_CONNECTIONS of `consumer`")[0], 4 * 8);
}

#[tokio::test]
async fn connections_that_an_account_may_open_in_an_hour_are_a_limit() {
    let server = Lab::mariadb().await;
    server.execute(&["ALTER USER app WITH MAX_CONNECTIONS_PER_HOUR 60"]).await.unwrap();
    let result = case(&server).covers(&fleet(&server)).await;
    server.execute(&["ALTER USER app WITH MAX_CONNECTIONS_PER_HOUR 0", "FLUSH USER_RESOURCES"]).await.unwrap();
    failed(&result, "MAX_CONNECTIONS_PER_HOUR of `app` of db is 60");
}

#[tokio::test]
async fn an_observer_who_may_not_read_limits_of_accounts_cannot_tell() {
    let server = Lab::mariadb().await;
    server.execute(&["REVOKE SELECT ON mysql.user FROM observer"]).await.unwrap();
    let result = case(&server).covers(&fleet(&server)).await;
    server.execute(&["GRANT SELECT ON mysql.user TO observer"]).await.unwrap();
    unknown(&result, Reason::Forbidden, "mysql.user");
    let wrong = json!({ "observer": { "username": "observer", "password": WRONG } });
    unknown(&case(&server).with(wrong).covers(&fleet(&server)).await, Reason::Forbidden, "1045");
}

#[tokio::test]
async fn the_account_of_the_applications_reads_its_own_limits() {
    let server = Lab::mariadb().await;
    let counters = alone(Counters::of(&server).await).await;
    let alone_here = case(&server).with(json!({ "observer": null }));
    let result = alone_here.covers(&fleet(&server)).await;
    passed(&result);
    // It sees its own sessions alone, so the administrator counts as somebody else.
    assert_eq!(sum(&result, "max_connections")[..2], [DEMAND, 1]);
    let counters = alone(counters).await;
    server.execute(&["ALTER USER app WITH MAX_USER_CONNECTIONS 70"]).await.unwrap();
    let result = alone_here.covers(&fleet(&server)).await;
    server.execute(&["ALTER USER app WITH MAX_USER_CONNECTIONS 0"]).await.unwrap();
    failed(&result, "MAX_USER_CONNECTIONS of `app` of db is 70");
    leave(vec![alone(counters).await.0]).await;
}

#[tokio::test]
async fn sessions_that_the_observer_may_not_see_may_be_anybodys() {
    let server = Lab::mariadb().await;
    let counters = alone(Counters::of(&server).await).await;
    server
        .execute(&["REVOKE PROCESS ON *.* FROM observer", "ALTER USER app WITH MAX_USER_CONNECTIONS 110"])
        .await
        .unwrap();
    let held = hold(&server, server.app(), 60).await;
    let result = case(&server).covers(&fleet(&server)).await;
    server.execute(&["GRANT PROCESS ON *.* TO observer", "ALTER USER app WITH MAX_USER_CONNECTIONS 0"]).await.unwrap();
    leave(held).await;
    // 60 are open, the administrator's among them, and the workloads explain 44 between deployments.
    failed(&result, "max_connections");
    assert_eq!(sum(&result, "MAX_USER_CONNECTIONS of `app`")[..2], [DEMAND, 61 - 44]);
    leave(vec![alone(counters).await.0]).await;
}

#[tokio::test]
async fn each_check_takes_a_seat_or_two_and_gives_them_back() {
    let server = Lab::mariadb().await;
    let counters = alone(Counters::of(&server).await).await;
    let mut counters = counters;
    let [_, before, connects, clients] = counters.all().await;
    passed(&case(&server).covers(&fleet(&server)).await);
    passed(&case(&server).admits().await);
    let mut counters = alone(counters).await;
    let [_, after, aborted_connects, aborted_clients] = counters.all().await;
    assert_eq!((after - before, aborted_connects - connects, aborted_clients - clients), (4, 0, 0));
    leave(vec![counters.0]).await;
}

#[tokio::test]
async fn a_full_server_fails_both_checks_and_keeps_the_administrators_seat() {
    let server = Lab::mariadb().await;
    let counters = alone(Counters::of(&server).await).await;
    limit(&server, 10).await;
    let counters = alone(counters).await;
    let held = hold(&server, server.app(), 9).await;
    failed(&case(&server).covers(&fleet(&server)).await, "max_connections of db is 10");
    failed(&case(&server).admits().await, "10 of 10 connections are taken");
    // Without a door of its own the observer cannot even ask.
    let front = case(&server).with(json!({ "observer": null }));
    failed(&front.covers(&fleet(&server)).await, "is full right now");
    failed(&front.admits().await, "1040");
    leave(held).await;
    let mut counters = alone(counters).await;
    counters.0.query_drop("SET GLOBAL max_connections = 151").await.unwrap();
    passed(&case(&server).admits().await);
    leave(vec![alone(counters).await.0]).await;
}

#[tokio::test]
async fn the_account_of_the_applications_is_the_one_that_is_let_in() {
    let server = Lab::mariadb().await;
    let base = case(&server);
    let result = base.admits().await;
    passed(&result);
    assert!(result.observed.contains("as `app`"), "{}", result.observed);
    failed(&base.clone().with(json!({ "password": WRONG })).admits().await, "1045");
    failed(&base.clone().with(json!({ "username": "nobody" })).admits().await, "1045");
    failed(&base.clone().with(json!({ "database": "nowhere" })).admits().await, "nowhere");
    failed(&base.with(json!({ "username": null, "password": null })).admits().await, "1045");
}

#[tokio::test]
async fn tls_is_spoken_with_a_trusted_authority_and_refused_otherwise() {
    let server = Lab::mariadb().await;
    let trusted = case(&server).with(json!({ "tls": { "ca": data("ca.pem") } }));
    passed(&trusted.admits().await);
    passed(&trusted.covers(&fleet(&server)).await);
    failed(&by_the_front(&server).with(json!({ "tls": true })).admits().await, "TLS was not agreed on");
    // At its own door there may be another certificate.
    unknown(&case(&server).with(json!({ "tls": true })).admits().await, Reason::Unreachable, "TLS was not agreed on");
    server.execute(&["SET GLOBAL require_secure_transport = ON"]).await.unwrap();
    let plain = case(&server).with(json!({ "observer": null })).admits().await;
    let limits = case(&server).covers(&fleet(&server)).await;
    let encrypted = trusted.admits().await;
    // The administrator of the lab speaks plainly.
    let url = server.url(server.admin()).replace("/shop", "/?prefer_socket=false");
    let opts = mysql_async::OptsBuilder::from_opts(Opts::from_url(&url).unwrap())
        .ssl_opts(mysql_async::SslOpts::default().with_root_certs(vec![data("ca.pem").into()]));
    let mut admin = Conn::new(opts).await.unwrap();
    admin.query_drop("SET GLOBAL require_secure_transport = OFF").await.unwrap();
    admin.disconnect().await.unwrap();
    // It says the same of a wrong password, so the advice has to name both.
    failed(&plain, "1045");
    assert!(plain.remediation.unwrap().text.contains("`tls`"));
    unknown(&limits, Reason::Forbidden, "1045");
    passed(&encrypted);
}

#[tokio::test]
async fn a_stopped_server_is_unreachable_and_one_without_tls_is_not_taken_for_one_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = mariadb_options();
    options.settings = vec!["skip_ssl".to_owned()];
    let mut server = MariaDb::start(folder.path(), options).await.unwrap();
    let (case, fleet) = (by_the_front(&server), fleet(&server));
    failed(&case.clone().with(json!({ "tls": { "ca": data("ca.pem") } })).admits().await, "TLS");
    passed(&case.admits().await);
    server.stop().await.unwrap();
    unknown(&case.covers(&fleet).await, Reason::Unreachable, "could not be reached");
    unknown(&case.admits().await, Reason::Unreachable, "could not be reached");
    let elsewhere = case.with(json!({ "address": nobody().to_string(), "observer": null }));
    unknown(&elsewhere.admits().await, Reason::Unreachable, "could not be reached");
}

#[tokio::test]
async fn an_address_with_a_password_in_it_is_refused_without_being_shown() {
    let server = Lab::mariadb().await;
    let address = format!("mysql://app:{WRONG}@{}", server.address());
    let case = case(&server).with(json!({ "address": address, "observer": null }));
    unknown(&case.admits().await, Reason::PrerequisiteFailed, "`host` or `host:port`");
    unknown(&case.covers(&fleet(&server)).await, Reason::PrerequisiteFailed, "`host` or `host:port`");
}

#[tokio::test]
async fn processes_multiply_pools_and_percentages_of_surge_round_up() {
    let server = Lab::mariadb().await;
    let url = format!("mysql://app@{}/shop", server.address());
    let env = [("DATABASE_URL", url.as_str()), ("DATABASE_POOL_SIZE", "2")];
    let web = Deployment {
        container: "        command: [gunicorn, -w, '3', app:app]\n".to_owned(),
        ..Deployment::new(&env).spec(
            "  replicas: 3\n  podReplacementPolicy: TerminationComplete\n  \
             strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 34%, maxUnavailable: 0}}\n",
        )
    };
    let result = case(&server).covers(&Fleet::default().deployment(&web)).await;
    passed(&result);
    // 34 % of 3 is 1.02, which Kubernetes rounds up: 3 + 2 pods of 3 processes with 2 connections.
    assert_eq!(sum(&result, "max_connections")[0], 5 * 3 * 2);
}

#[tokio::test]
async fn a_pool_without_a_bound_is_not_enough_of_anything() {
    let server = Lab::mariadb().await;
    let dsn = format!("app:{WRONG}@tcp({})/shop", server.address());
    let fleet = Fleet::default().deployment(&Deployment::new(&[("DB_DSN", &dsn)]));
    unknown(&case(&server).covers(&fleet).await, Reason::InsufficientData, "SetMaxOpenConns");
    passed(&case(&server).uses("orders", Some(3)).covers(&fleet).await);
    let none = Fleet::default().deployment(&Deployment::new(&[("OTHER", "1")]));
    unknown(&case(&server).covers(&none).await, Reason::InsufficientData, "no workload is seen to use db");
}
