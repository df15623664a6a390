//! Accounts of MariaDB that workloads use beside that of the endpoint.

use crate::fleet::{Deployment, Fleet};
use crate::lab::{Lab, mariadb_options};
use crate::mariadb::{case, fleet};
use crate::{WRONG, failed, passed, unknown};
use preflight_core::Reason;
use preflight_fixtures::servers::MariaDb;
use serde_json::json;

/// The fleet, with another account.
fn fleet_as(server: &MariaDb, account: &str) -> Fleet {
    let url = format!("jdbc:mysql://{}/shop?user={account}", server.address());
    Fleet::orders(&[("SPRING_DATASOURCE_URL", &url), ("SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE", "4")])
}

#[tokio::test]
async fn the_limit_of_an_account_counts_wherever_it_is_named_and_may_count_where_it_is_hidden() {
    let server = Lab::mariadb().await;
    let from_secret = "        envFrom: []\n        command: [sh, -c, 'SPRING_DATASOURCE_USERNAME=$WHO exec java']\n";
    let url = format!("jdbc:mysql://{}/shop", server.address());
    let hidden = Fleet::default().deployment(&Deployment {
        container: from_secret.to_owned(),
        ..Deployment::new(&[("SPRING_DATASOURCE_URL", &url), ("SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE", "4")])
    });
    let limited = "CREATE USER report@'%' WITH MAX_USER_CONNECTIONS 3";
    passed(&case(&server).covers(&hidden).await);
    server.execute(&[limited]).await.unwrap();
    let (named, unclear) =
        (case(&server).covers(&fleet_as(&server, "report")).await, case(&server).covers(&hidden).await);
    let unlimited = case(&server).covers(&fleet(&server)).await;
    server.execute(&["DROP USER report@'%'"]).await.unwrap();
    failed(&named, "MAX_USER_CONNECTIONS of `report` of db is 3");
    unknown(&unclear, Reason::InsufficientData, "`report` has limits of its own; give the `account` with `uses`");
    passed(&unlimited);
}

#[tokio::test]
async fn the_door_of_another_server_tells_nothing_of_this_one() {
    let server = Lab::mariadb().await;
    passed(&case(&server).covers(&fleet(&server)).await);
    let folder = tempfile::tempdir().unwrap();
    let other = MariaDb::start(folder.path(), mariadb_options()).await.unwrap();
    let observer = other.observer();
    let wrong = case(&server).with(json!({ "observer": {
        "username": observer.username, "password": observer.password, "address": other.door().to_string(),
    } }));
    unknown(&wrong.covers(&fleet(&server)).await, Reason::InsufficientData, "leads to another server than");
    // The observer sees both doors, and where the front does not let it in, the applications do.
    let only_observer = case(&server).with(json!({ "password": WRONG }));
    passed(&only_observer.covers(&fleet(&server)).await);
}

#[tokio::test]
async fn an_account_that_the_server_does_not_have_is_unclear() {
    let server = Lab::mariadb().await;
    let found = case(&server).covers(&fleet_as(&server, "nobody9")).await;
    unknown(&found, Reason::InsufficientData, "the server has no account `nobody9`");
}
