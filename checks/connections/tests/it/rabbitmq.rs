//! RabbitMQ.

use crate::fleet::Fleet;
use crate::lab::Lab;
use crate::{Case, WRONG, data, failed, nobody, passed, sum, unknown, until};
use hyper::Method;
use lapin::{Connection, ConnectionProperties};
use preflight_core::{Outcome, Reason};
use preflight_fixtures::servers::{Account, RabbitMq};
use serde_json::{Value, json};

/// As the application and the observer know the server.
fn case(server: &RabbitMq) -> Case {
    let (app, observer) = (server.app(), server.observer());
    Case::new(json!({
        "engine": "rabbitmq", "address": server.address().to_string(), "management": server.management(),
        "username": app.username, "password": app.password,
        "observer": { "username": observer.username, "password": observer.password },
    }))
}

/// Two sides with two connections each: 22 instances in a rollout.
fn fleet(server: &RabbitMq) -> Fleet {
    fleet_with(server, 2)
}

fn fleet_with(server: &RabbitMq, connections: u64) -> Fleet {
    Fleet::orders(&[
        ("SPRING_RABBITMQ_HOST", "127.0.0.1"),
        ("SPRING_RABBITMQ_PORT", &server.address().port().to_string()),
        ("SPRING_RABBITMQ_USERNAME", "app"),
        ("SPRING_RABBITMQ_PASSWORD", &server.app().password),
        ("SPRING_RABBITMQ_CACHE_CONNECTION_SIZE", &connections.to_string()),
    ])
    .secret(&server.app().password)
}

const DEMAND: u64 = (5 + 5 + 6 + 6) * 2;

async fn hold(server: &RabbitMq, account: &Account, count: usize) -> Vec<Connection> {
    let mut held = vec![];
    for _ in 0..count {
        let url = format!("{}?frame_max=4096", server.url(account));
        held.push(Connection::connect(&url, ConnectionProperties::default()).await.unwrap());
    }
    held
}

/// The connections of each user, as soon as the server tells so many in all.
async fn told(server: &RabbitMq, count: usize) {
    until("connections", count, async || {
        let all = server.api(Method::GET, "/api/connections?columns=user,vhost", None).await.unwrap();
        all.as_array().unwrap().iter().filter(|one| one["user"].is_string()).count()
    })
    .await;
}

async fn leave(server: &RabbitMq, held: Vec<Connection>) {
    for connection in held {
        connection.close(200, "OK".into()).await.unwrap();
    }
    told(server, 0).await;
}

/// How many sockets the node may have, as soon as it tells: a node that has just started counts nothing yet.
async fn sockets(server: &RabbitMq) -> u64 {
    let look = async || {
        let nodes = server.api(Method::GET, "/api/nodes", None).await.unwrap();
        nodes[0]["sockets_total"].as_u64().unwrap_or(0)
    };
    until("whether the node counts", true, async || look().await > 0).await;
    look().await
}

/// Connections of AMQP that were opened and closed, of all time.
async fn churn(server: &RabbitMq) -> (Value, Value) {
    let overview = server.api(Method::GET, "/api/overview", None).await.unwrap();
    let rates = &overview["churn_rates"];
    (rates["connection_created"].clone(), rates["connection_closed"].clone())
}

#[tokio::test]
async fn a_virtual_host_that_covers_a_rollout_on_both_sides_passes_and_one_less_fails() {
    let server = Lab::rabbitmq().await;
    told(&server, 0).await;
    let at = async |limit: u64| {
        server.set_vhost_limit(Some(u32::try_from(limit).unwrap())).await.unwrap();
        case(&server).covers(&fleet(&server)).await
    };
    let enough = at(DEMAND + 10).await;
    let short = at(DEMAND + 9).await;
    let none = at(0).await;
    server.set_vhost_limit(None).await.unwrap();
    passed(&enough);
    assert_eq!(sum(&enough, "max-connections of virtual host `/`"), [DEMAND, 0, 10]);
    failed(&short, &format!("max-connections of virtual host `/` of db is {}", DEMAND + 9));
    assert!(short.observed.contains("1 too few. Largest: orders (eks) 24, orders (ecs) 20"), "{}", short.observed);
    // 0 stands for none at all, not for no limit.
    failed(&none, "max-connections of virtual host `/` of db is 0");
}

#[tokio::test]
async fn the_limit_of_the_user_binds_where_it_is_smaller() {
    let server = Lab::rabbitmq().await;
    told(&server, 0).await;
    let at = async |limit: u64| {
        server.set_user_limit("app", Some(u32::try_from(limit).unwrap())).await.unwrap();
        case(&server).covers(&fleet(&server)).await
    };
    let (enough, short) = (at(DEMAND + 10).await, at(DEMAND + 9).await);
    server.set_user_limit("app", None).await.unwrap();
    passed(&enough);
    failed(&short, "max-connections of user `app`");
}

#[tokio::test]
async fn the_limit_of_a_user_that_only_a_workload_names_binds_too() {
    let server = Lab::rabbitmq().await;
    server.set_user_limit("consumer", Some(12)).await.unwrap();
    let other = case(&server).with(json!({ "username": "admin" }));
    let url = format!("amqp://consumer:{WRONG}@{}/%2f", server.address());
    let fleet = Fleet::orders(&[("AMQP_URL", &url), ("AMQP_POOL_SIZE", "1")]);
    let result = other.covers(&fleet).await;
    server.set_user_limit("consumer", None).await.unwrap();
    failed(&result, "max-connections of user `consumer`");
    assert_eq!(sum(&result, "max-connections of user `consumer`")[0], 22);
}

#[tokio::test]
async fn file_handles_of_the_node_are_a_limit() {
    let server = Lab::rabbitmq().await;
    let sockets = sockets(&server).await;
    let result = case(&server).covers(&fleet(&server)).await;
    passed(&result);
    assert!(result.observed.contains(&format!("sockets of the nodes of db is {sockets}")), "{}", result.observed);
    let result = case(&server).covers(&fleet_with(&server, sockets / 22 + 1)).await;
    failed(&result, "sockets of the nodes");
}

#[tokio::test]
async fn what_is_open_now_counts_as_far_as_it_is_somebody_elses() {
    let server = Lab::rabbitmq().await;
    told(&server, 0).await;
    let held = [hold(&server, server.app(), 5).await, hold(&server, server.consumer(), 3).await].into_iter().flatten();
    let held: Vec<Connection> = held.collect();
    told(&server, 8).await;
    server.set_vhost_limit(Some(200)).await.unwrap();
    let result = case(&server).covers(&fleet(&server)).await;
    server.set_vhost_limit(None).await.unwrap();
    leave(&server, held).await;
    passed(&result);
    assert_eq!(sum(&result, "max-connections of virtual host `/`")[..2], [DEMAND, 3]);
}

#[tokio::test]
async fn each_check_takes_one_connection_at_most_and_gives_it_back() {
    let server = Lab::rabbitmq().await;
    told(&server, 0).await;
    sockets(&server).await;
    let (opened, closed) = churn(&server).await;
    passed(&case(&server).covers(&fleet(&server)).await);
    passed(&case(&server).admits().await);
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let expected = (number(&opened) + 1, number(&closed) + 1);
    until("connections of all time", expected, async || {
        let (opened, closed) = churn(&server).await;
        (number(&opened), number(&closed))
    })
    .await;
    told(&server, 0).await;
}

#[tokio::test]
async fn a_full_virtual_host_and_a_full_user_do_not_admit() {
    let server = Lab::rabbitmq().await;
    server.set_vhost_limit(Some(0)).await.unwrap();
    let vhost = case(&server).admits().await;
    server.set_vhost_limit(None).await.unwrap();
    server.set_user_limit("app", Some(0)).await.unwrap();
    let user = case(&server).admits().await;
    server.set_user_limit("app", None).await.unwrap();
    failed(&vhost, "connection limit (0) is reached");
    assert!(vhost.remediation.unwrap().text.contains("virtual host"));
    failed(&user, "user connection limit (0) is reached");
    assert!(user.remediation.unwrap().text.contains("account"));
}

#[tokio::test]
async fn an_observer_without_the_right_or_with_a_wrong_password_cannot_tell() {
    let server = Lab::rabbitmq().await;
    let as_app = case(&server).with(json!({ "observer": null }));
    unknown(&as_app.covers(&fleet(&server)).await, Reason::Forbidden, "`app`");
    let wrong = json!({ "observer": { "username": "observer", "password": WRONG } });
    unknown(&case(&server).with(wrong).covers(&fleet(&server)).await, Reason::Forbidden, "`observer`");
    // A user who manages and does not monitor sees a part of the connections.
    let body = json!({ "password": "manager-canary", "tags": "management" });
    server.api(Method::PUT, "/api/users/manager", Some(body)).await.unwrap();
    let mut manager =
        case(&server).with(json!({ "observer": { "username": "manager", "password": "manager-canary" } }));
    manager.secrets.push("manager-canary".to_owned());
    let result = manager.covers(&fleet(&server)).await;
    server.api(Method::DELETE, "/api/users/manager", None).await.unwrap();
    unknown(&result, Reason::Forbidden, "`manager`");
}

#[tokio::test]
async fn a_virtual_host_that_is_not_there_is_not_one_without_limits() {
    let server = Lab::rabbitmq().await;
    let elsewhere = case(&server).with(json!({ "vhost": "nowhere" }));
    let result = elsewhere.covers(&fleet(&server)).await;
    assert_ne!(result.outcome, Outcome::Pass, "{result:#?}");
    assert!(result.observed.contains("nowhere"), "{}", result.observed);
    failed(&elsewhere.admits().await, "nowhere");
}

#[tokio::test]
async fn without_a_management_api_nothing_is_known_but_what_is_declared() {
    let server = Lab::rabbitmq().await;
    let blind = case(&server).with(json!({ "management": null }));
    unknown(&blind.covers(&fleet(&server)).await, Reason::InsufficientData, "no limit of db is known");
    let declared = blind.with(json!({ "limit": 60 }));
    unknown(&declared.covers(&fleet(&server)).await, Reason::InsufficientData, "declare it with `others`");
    let result = declared.with(json!({ "others": 6 })).covers(&fleet(&server)).await;
    passed(&result);
    assert_eq!(sum(&result, "the declared limit"), [DEMAND, 6, 10]);
}

#[tokio::test]
async fn the_account_of_the_applications_is_the_one_that_is_let_in() {
    let server = Lab::rabbitmq().await;
    let base = case(&server);
    let result = base.admits().await;
    passed(&result);
    assert!(result.observed.contains("as `app`"), "{}", result.observed);
    failed(&base.clone().with(json!({ "password": WRONG })).admits().await, "ACCESS_REFUSED");
    failed(&base.clone().with(json!({ "username": "nobody" })).admits().await, "ACCESS_REFUSED");
    // Somebody who may log in and enter no virtual host.
    let body = json!({ "password": WRONG, "tags": "" });
    server.api(Method::PUT, "/api/users/stranger", Some(body)).await.unwrap();
    let stranger = base.with(json!({ "username": "stranger", "password": WRONG })).admits().await;
    server.api(Method::DELETE, "/api/users/stranger", None).await.unwrap();
    failed(&stranger, "access to vhost");
}

#[tokio::test]
async fn tls_is_spoken_with_a_trusted_authority_and_refused_otherwise() {
    let server = Lab::rabbitmq().await;
    let tls = |settings| case(&server).with(json!({ "address": server.tls().to_string(), "tls": settings }));
    passed(&tls(json!({ "ca": data("ca.pem") })).admits().await);
    failed(&tls(json!(true)).admits().await, "TLS was not agreed on");
    failed(&tls(json!(false)).admits().await, "db did not let a client in");
    let plain = case(&server).with(json!({ "tls": { "ca": data("ca.pem") } }));
    failed(&plain.admits().await, "TLS");
}

#[tokio::test]
async fn an_address_without_a_server_is_unreachable() {
    let server = Lab::rabbitmq().await;
    let gone = nobody().to_string();
    let elsewhere = case(&server).with(json!({ "address": gone }));
    unknown(&elsewhere.admits().await, Reason::Unreachable, "could not be reached");
    let silent = case(&server).with(json!({ "management": format!("http://{gone}") }));
    unknown(&silent.covers(&fleet(&server)).await, Reason::Unreachable, "could not be reached");
}
