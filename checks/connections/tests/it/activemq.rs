//! ActiveMQ Classic. The connector of OpenWire lets in 60, that of STOMP 40.

use crate::fleet::Fleet;
use crate::lab::{Lab, activemq_options};
use crate::relay::Relay;
use crate::{Case, WRONG, data, failed, nobody, passed, sum, unknown, until};
use preflight_core::{Outcome, Reason};
use preflight_fixtures::servers::{Account, ActiveMq, ActiveMqOptions};
use serde_json::json;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// As the application and the observer know the connector of OpenWire.
fn case(server: &ActiveMq) -> Case {
    let (app, observer) = (server.app(), server.observer());
    Case::new(json!({
        "engine": "activemq", "address": server.address().to_string(), "jolokia": server.jolokia(),
        "username": app.username, "password": app.password,
        "observer": { "username": observer.username, "password": observer.password },
    }))
}

fn stomp(server: &ActiveMq) -> Case {
    case(server).with(json!({ "address": server.stomp().to_string(), "protocol": "stomp" }))
}

/// 22 instances in a rollout.
fn fleet(server: &ActiveMq, address: SocketAddr, connections: u64) -> Fleet {
    Fleet::orders(&[
        ("SPRING_ACTIVEMQ_BROKER_URL", &format!("failover:(tcp://{address}?keepAlive=true)")),
        ("SPRING_ACTIVEMQ_USER", "app"),
        ("SPRING_ACTIVEMQ_PASSWORD", &server.app().password),
        ("SPRING_ACTIVEMQ_POOL_MAX_CONNECTIONS", &connections.to_string()),
    ])
    .secret(&server.app().password)
}

/// Sockets that a connector has accepted and not closed, as the broker tells.
async fn open(server: &ActiveMq, connector: &str) -> u64 {
    let mbean =
        format!("org.apache.activemq:type=Broker,brokerName=lab,connector=clientConnectors,connectorName={connector}");
    let question = json!({ "type": "exec", "mbean": mbean, "operation": "connectionCount" });
    server.ask(question).await.unwrap()["value"].as_u64().unwrap()
}

/// Connections of the broker of all time.
async fn of_all_time(server: &ActiveMq) -> u64 {
    let mbean = "org.apache.activemq:type=Broker,brokerName=lab";
    let question = json!({ "type": "read", "mbean": mbean, "attribute": "TotalConnectionsCount" });
    server.ask(question).await.unwrap()["value"].as_u64().unwrap()
}

async fn alone(server: &ActiveMq) {
    for connector in ["openwire", "stomp"] {
        until(connector, 0, async || open(server, connector).await).await;
    }
}

/// Logs in on the connector of STOMP.
async fn hold(server: &ActiveMq, account: &Account, count: usize) -> Vec<TcpStream> {
    let mut held = vec![];
    for _ in 0..count {
        let mut stream = TcpStream::connect(server.stomp()).await.unwrap();
        let (login, passcode) = (&account.username, &account.password);
        let frame = format!("CONNECT\naccept-version:1.2\nhost:lab\nlogin:{login}\npasscode:{passcode}\n\n\0");
        stream.write_all(frame.as_bytes()).await.unwrap();
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"CONNECTED");
        held.push(stream);
    }
    held
}

#[tokio::test]
async fn a_connector_that_covers_a_rollout_on_both_sides_passes_and_one_too_small_fails() {
    let server = Lab::activemq().await;
    alone(&server).await;
    let result = case(&server).covers(&fleet(&server, server.address(), 2)).await;
    passed(&result);
    assert_eq!(sum(&result, "maximumConnections of connector `openwire`"), [44, 0, 10]);
    let result = case(&server).covers(&fleet(&server, server.address(), 3)).await;
    failed(&result, "maximumConnections of connector `openwire` of db is 60");
    assert!(result.observed.contains("16 too few. Largest: orders (eks) 36, orders (ecs) 30"), "{}", result.observed);
    let command = result.remediation.unwrap().command.unwrap();
    assert!(command.starts_with("maximumConnections=76 "), "{command}");
}

#[tokio::test]
async fn each_connector_has_a_limit_of_its_own() {
    let server = Lab::activemq().await;
    alone(&server).await;
    let result = stomp(&server).covers(&fleet(&server, server.stomp(), 1)).await;
    passed(&result);
    assert_eq!(sum(&result, "maximumConnections of connector `stomp`"), [22, 0, 10]);
    // What fits the connector of OpenWire does not fit this one.
    failed(&stomp(&server).covers(&fleet(&server, server.stomp(), 2)).await, "connector `stomp` of db is 40");
}

#[tokio::test]
async fn what_is_open_now_counts_as_far_as_it_is_somebody_elses() {
    let server = Lab::activemq().await;
    alone(&server).await;
    let apps = hold(&server, server.app(), 6).await;
    let admins = hold(&server, server.admin(), 4).await;
    // Says nothing, and takes a seat for half a minute.
    let silent = TcpStream::connect(server.stomp()).await.unwrap();
    until("sockets", 11, async || open(&server, "stomp").await).await;
    let result = stomp(&server).covers(&fleet(&server, server.stomp(), 1)).await;
    passed(&result);
    assert_eq!(sum(&result, "maximumConnections of connector `stomp`"), [22, 5, 10]);
    drop((apps, admins, silent));
    alone(&server).await;
}

#[tokio::test]
async fn each_check_takes_one_connection_at_most_and_gives_it_back() {
    let server = Lab::activemq().await;
    alone(&server).await;
    for (case, address) in [(case(&server), server.address()), (stomp(&server), server.stomp())] {
        let before = of_all_time(&server).await;
        passed(&case.covers(&fleet(&server, address, 1)).await);
        passed(&case.admits().await);
        alone(&server).await;
        assert_eq!(of_all_time(&server).await - before, 1);
    }
}

#[tokio::test]
async fn a_full_connector_admits_nobody_and_the_other_one_still_does() {
    let server = Lab::activemq().await;
    alone(&server).await;
    let held = hold(&server, server.app(), 40).await;
    until("sockets", 40, async || open(&server, "stomp").await).await;
    failed(&stomp(&server).admits().await, "this is how a full connector refuses");
    let full = stomp(&server).covers(&fleet(&server, server.stomp(), 1)).await;
    failed(&full, "maximumConnections of connector `stomp`");
    passed(&case(&server).admits().await);
    drop(held);
    alone(&server).await;
}

#[tokio::test]
async fn the_account_of_the_applications_is_the_one_that_is_let_in() {
    let server = Lab::activemq().await;
    for case in [case(&server), stomp(&server)] {
        let result = case.admits().await;
        passed(&result);
        assert!(result.observed.contains("as `app`"), "{}", result.observed);
        failed(&case.clone().with(json!({ "password": WRONG })).admits().await, "password is invalid");
        failed(&case.with(json!({ "username": "nobody" })).admits().await, "password is invalid");
    }
    // One protocol at the door of the other.
    let crossed = case(&server).with(json!({ "address": server.stomp().to_string() }));
    failed(&crossed.admits().await, "db did not let a client in");
    let crossed = stomp(&server).with(json!({ "address": server.address().to_string() }));
    failed(&crossed.admits().await, "db did not let a client in");
    alone(&server).await;
}

#[tokio::test]
async fn tls_is_spoken_with_a_trusted_authority_and_refused_otherwise() {
    let server = Lab::activemq().await;
    for (case, address) in [(case(&server), server.address()), (stomp(&server), server.stomp())] {
        let relay = Relay::to(address).await;
        let tls = |settings| case.clone().with(json!({ "address": relay.address.to_string(), "tls": settings }));
        passed(&tls(json!({ "ca": data("ca.pem") })).admits().await);
        failed(&tls(json!(true)).admits().await, "TLS was not agreed on");
        failed(&tls(json!(false)).admits().await, "db did not let a client in");
        failed(&case.with(json!({ "tls": { "ca": data("ca.pem") } })).admits().await, "");
    }
    alone(&server).await;
}

#[tokio::test]
async fn a_connector_that_is_not_there_is_not_one_without_a_limit() {
    let server = Lab::activemq().await;
    let gone = nobody();
    let elsewhere = case(&server).with(json!({ "address": gone.to_string(), "protocol": "openwire" }));
    // Behind a port mapping the name tells which connector is meant.
    let result = elsewhere.covers(&fleet(&server, gone, 3)).await;
    failed(&result, "connector `openwire` of db is 60");
    unknown(&elsewhere.admits().await, Reason::Unreachable, "could not be reached");
}

#[tokio::test]
async fn an_observer_with_a_wrong_password_and_a_broker_without_jolokia_cannot_tell() {
    let server = Lab::activemq().await;
    let fleet = fleet(&server, server.address(), 1);
    let wrong = json!({ "observer": { "username": "observer", "password": WRONG } });
    unknown(&case(&server).with(wrong).covers(&fleet).await, Reason::Forbidden, "`observer`");
    // The account of the applications may not log in to the web.
    unknown(&case(&server).with(json!({ "observer": null })).covers(&fleet).await, Reason::Forbidden, "`app`");
    let blind = case(&server).with(json!({ "jolokia": null }));
    unknown(&blind.covers(&fleet).await, Reason::InsufficientData, "no limit of db is known");
    unknown(&blind.with(json!({ "limit": 60 })).covers(&fleet).await, Reason::InsufficientData, "`others`");
    let silent = case(&server).with(json!({ "jolokia": format!("http://{}/api/jolokia", nobody()) }));
    unknown(&silent.covers(&fleet).await, Reason::Unreachable, "could not be reached");
    let elsewhere = case(&server).with(json!({ "jolokia": server.jolokia().unwrap().replace("jolokia", "other") }));
    assert_eq!(elsewhere.covers(&fleet).await.outcome, Outcome::Unknown);
}

#[tokio::test]
async fn a_broker_that_keeps_names_to_itself_counts_everybody_as_somebody_else_and_a_stopped_one_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let options = ActiveMqOptions { tells_user_names: false, ..activemq_options() };
    let mut server = ActiveMq::start(folder.path(), options).await.unwrap();
    alone(&server).await;
    let held = hold(&server, server.app(), 5).await;
    until("sockets", 5, async || open(&server, "stomp").await).await;
    let fleet = fleet(&server, server.stomp(), 1);
    let result = stomp(&server).covers(&fleet).await;
    passed(&result);
    assert_eq!(sum(&result, "maximumConnections of connector `stomp`")[..2], [22, 5]);
    let declared = stomp(&server).with(json!({ "others": 0 })).covers(&fleet).await;
    assert_eq!(sum(&declared, "maximumConnections of connector `stomp`")[..2], [22, 0]);
    drop(held);
    let (stomp, openwire) = (stomp(&server), case(&server));
    server.stop().await.unwrap();
    unknown(&stomp.covers(&fleet).await, Reason::Unreachable, "could not be reached");
    for case in [stomp, openwire] {
        unknown(&case.admits().await, Reason::Unreachable, "could not be reached");
    }
}
