//! `doctor` tries what a run would do first.

use crate::commands::NOWHERE;
use crate::lab::Ground;
use crate::tool::{Ran, World};
use std::collections::BTreeMap;

/// What was looked at, each with the problem or nothing.
pub(crate) fn problems(ran: &Ran) -> BTreeMap<String, Option<String>> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let found = ran.json();
    let found = found.as_array().unwrap().iter();
    found.map(|one| (text(&one["what"]).unwrap(), text(&one["problem"]))).collect()
}

/// Those that are gaps.
pub(crate) fn gaps(ran: &Ran) -> BTreeMap<String, String> {
    problems(ran).into_iter().filter_map(|(what, problem)| Some((what, problem?))).collect()
}

const JSON: &[&str] = &["doctor", "--output", "json"];

#[test]
fn a_server_that_nobody_listens_for_is_a_gap_of_both_accounts() {
    let ran = World::new(NOWHERE).tool(JSON);
    assert_eq!(ran.code, 10, "{ran:?}");
    let gaps = gaps(&ran);
    for what in ["logging in without an account", "reading limits without an account"] {
        let problem = &gaps[&format!("endpoint cache (redis at 127.0.0.1:1), {what}")];
        assert!(problem.contains("refused") && problem.contains("security groups"), "{problem}");
    }
}

#[test]
fn servers_that_accept_and_say_nothing_are_gaps_and_nobody_waits_for_them_one_by_one() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let endpoints: String = ["mysql", "redis", "rabbitmq", "activemq"]
        .map(|engine| format!("  - {{name: {engine}, engine: {engine}, address: '{address}', limit: 5}}\n"))
        .concat();
    let world = World::new(&format!("environment: test\nendpoints:\n{endpoints}"));
    let began = std::time::Instant::now();
    let ran = world.tool(JSON);
    // Eight looks of up to five seconds each.
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{} ms", began.elapsed().as_millis());
    let gaps = gaps(&ran);
    for engine in ["mysql", "redis", "rabbitmq", "activemq"] {
        let what = format!("endpoint {engine} ({engine} at {address}), logging in without an account");
        assert!(gaps[&what].contains("within 2000 ms") || gaps[&what].contains("within 5 s"), "{engine}: {gaps:#?}");
    }
}

#[test]
fn a_secret_that_is_not_there_and_a_file_that_is_not_there_are_gaps_and_nobody_logs_in_without_them() {
    let world = World::new(
        "environment: test\nmanifests: [nope]\ncluster: {kubeconfig: nowhere}\n\
         endpoints: [{name: cache, engine: redis, address: '127.0.0.1:1', password: '${DOCTOR_PASSWORD}'}]\n",
    );
    let ran = world.tool(JSON);
    assert_eq!(ran.code, 10, "{ran:?}");
    for text in [
        "preflight.yaml:4:76: endpoints[0].password: the variable `DOCTOR_PASSWORD` is not set",
        "preflight.yaml:3:23: cluster.kubeconfig: `./nowhere` is not there",
        "preflight.yaml:2:13: manifests[0]: `./nope` is not there",
        "not tried: endpoints[0].password: the variable `DOCTOR_PASSWORD` is not set",
    ] {
        assert!(ran.out.contains(text), "{text} is missing in:\n{}", ran.out);
    }
    assert!(!ran.out.contains("refused"), "somebody tried without the password: {ran:?}");
}

#[test]
fn in_a_healthy_lab_everything_is_tried_and_nothing_is_a_gap() {
    let ground = Ground::shared();
    let turn = ground.with(&[]);
    let mut ran = turn.tool(JSON);
    // A look may take five seconds, which a busy machine takes for itself: three times at most.
    for _ in 0..2 {
        if ran.code != 0 {
            ran = turn.tool(JSON);
        }
    }
    assert_eq!((ran.code, gaps(&ran)), (0, BTreeMap::new()), "{ran:?}");
    let looked = problems(&ran).into_keys().collect::<Vec<_>>().join("\n");
    for what in [
        "endpoint orders-db (mysql at ",
        "endpoint mq (activemq at ",
        "logging in as `app`",
        "reading limits as `observer`",
        "consumer orders-rabbitmq",
        "consumer orders-sqs",
        "AWS: who this tool is (sts:GetCallerIdentity)",
        "AWS: the cluster shop (eks:DescribeCluster)",
        "(iam:GetRole)",
        "cluster shop",
        "load target shop (http://eks.shop.test:",
    ] {
        assert!(looked.contains(what), "{what} is missing in:\n{looked}");
    }
    let text = turn.tool(&["doctor"]);
    assert!(text.out.contains("max_connections is ") && text.out.contains("in the account 111122223333"), "{text:?}");
    assert!(text.out.contains("grants 6 of 6 rights") && text.out.ends_with(", 0 gaps\n"), "{text:?}");
    turn.leaves_nothing(&[&ran, &text]);
}

#[test]
fn a_wrong_password_is_a_gap_of_its_account_alone_and_is_not_shown() {
    let ground = Ground::shared();
    let turn = ground.with(&[]);
    for (variable, endpoint, account) in [
        ("LAB_MYSQL_PASSWORD", "orders-db", "logging in as `app`"),
        ("LAB_REDIS_PASSWORD", "cache", "logging in as `app`"),
        ("LAB_RABBITMQ_PASSWORD", "rabbit", "logging in as `app`"),
        ("LAB_ACTIVEMQ_PASSWORD", "mq", "logging in as `app`"),
        ("LAB_REDIS_OBSERVER_PASSWORD", "cache", "reading limits as `observer`"),
    ] {
        let ran = turn.tool_with(JSON, &[(variable, Some("wrong-canary"))]);
        assert_eq!(ran.code, 10, "{variable}: {ran:?}");
        let gaps = gaps(&ran);
        let of_endpoints: Vec<&String> = gaps.keys().filter(|what| what.starts_with("endpoint ")).collect();
        assert_eq!(of_endpoints.len(), 1, "{variable}: {gaps:#?}");
        let what = of_endpoints[0];
        assert!(what.starts_with(&format!("endpoint {endpoint} ")) && what.ends_with(account), "{variable}: {what}");
        assert!(gaps[what].contains("Correct "), "{variable}: {}", gaps[what]);
        assert!(!ran.out.contains("wrong-canary") && !ran.err.contains("wrong-canary"), "{ran:?}");
    }
    let aws = turn.tool_with(JSON, &[("LAB_AWS_SECRET_ACCESS_KEY", Some("wrong-canary"))]);
    let of_aws = gaps(&aws);
    let identity = &of_aws["AWS: who this tool is (sts:GetCallerIdentity)"];
    assert!(identity.contains("SignatureDoesNotMatch") && identity.contains("manifest iam"), "{identity}");
    assert!(of_aws.keys().all(|what| !what.starts_with("endpoint ")), "{of_aws:#?}");
    let unset = turn.tool_with(JSON, &[("LAB_RABBITMQ_PASSWORD", None)]);
    let of_unset = gaps(&unset);
    assert!(of_unset["consumer orders-rabbitmq"].starts_with("not tried: "), "{of_unset:#?}");
    assert!(!of_unset.contains_key("consumer orders-sqs"), "{of_unset:#?}");
    turn.leaves_nothing(&[&aws, &unset]);
}
