//! The commands that need no lab.

use crate::journey::signal;
use crate::tool::{Ran, World, command};
use std::io::Write;
use std::process::{Child, Command, Stdio};

/// A configuration whose only target is a port where nobody listens.
pub(crate) const NOWHERE: &str =
    "environment: test\nendpoints: [{name: cache, engine: redis, address: '127.0.0.1:1', password: hunter2}]\n";

#[test]
fn a_run_that_reaches_nothing_exits_20_and_leaves_a_complete_report() {
    let world = World::new(NOWHERE);
    let ran = world.tool(&["run", "--to", "deployed"]);
    assert_eq!(ran.code, 20, "{ran:?}");
    assert!(ran.out.trim_end().lines().any(|line| line.contains("INCONCLUSIVE") || line.contains("inconclusive")));
    let report = world.report();
    assert_eq!(report["summary"]["verdict"], "inconclusive");
    assert_eq!(report["summary"]["complete"], true);
    assert!(report["results"].as_array().unwrap().iter().all(|one| one["outcome"] == "unknown"));
    let verified =
        world.tool(&["report", "verify", "preflight-report.json", "--environment", "test", "--to", "deployed"]);
    assert_eq!((verified.code, verified.out.as_str()), (20, "inconclusive\n"), "{verified:?}");
}

#[test]
fn an_empty_plan_is_inconclusive() {
    let ran = World::new("environment: test\n").tool(&["run", "--to", "deployed"]);
    assert_eq!(ran.code, 11, "{ran:?}");
    assert!(ran.out.contains("the plan is empty"), "{ran:?}");
}

#[test]
fn what_was_left_out_does_not_count_as_passed() {
    let world = World::new(NOWHERE);
    let ran = world.tool(&["run", "--to", "deployed", "--only", "connections.path-admits"]);
    assert_ne!(ran.code, 0);
    let skipped =
        world.report()["results"].as_array().unwrap().iter().filter(|one| one["reason"] == "not-selected").count();
    assert_eq!(skipped, 1);
}

#[test]
fn usage_and_configuration_errors_exit_2_and_write_nothing() {
    let world = World::new("environment: test\nendpoint: []\n");
    let says = |ran: Ran, text: &str| {
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(text) && ran.out.is_empty(), "{text}: {ran:?}");
    };
    says(world.tool(&["run", "--to", "deployed"]), "preflight.yaml:2:1: unknown key `endpoint`");
    says(world.tool(&["lint"]), "did you mean `endpoints`?");
    says(world.tool(&["lint", "--config", "nowhere.yaml"]), "eks-preflight init");
    says(world.tool(&["run"]), "--to");
    says(world.tool(&["rum"]), "run");
    world.write("preflight.yaml", NOWHERE);
    says(world.tool(&["run", "--to", "trafic-1"]), "traffic-1");
    says(world.tool(&["run", "--to", "deployed", "--only", "irsa.*"]), "nothing in the plan fits");
    says(
        world.tool(&["run", "--to", "deployed", "--consent", "cash"]),
        "--consent cash: no check that is planned needs consent",
    );
    says(world.tool(&["run", "--to", "deployed", "--output", "pdf"]), "pdf");
    says(world.tool(&["explain", "irsa.trust"]), "irsa.trust-allows");
    assert!(!world.path("preflight-report.json").exists());
}

#[test]
fn a_report_that_cannot_be_written_exits_22() {
    let ran = World::new(NOWHERE).tool(&["run", "--to", "deployed", "--report", "no/such/folder/report.json"]);
    assert_eq!(ran.code, 22, "{ran:?}");
    assert!(ran.err.contains("no/such/folder/report.json") && ran.out.contains("INCONCLUSIVE"), "{ran:?}");
}

/// Commands that print, each with its own exit code.
const PRINTING: &[(&[&str], i32)] = &[
    (&["list"], 0),
    (&["list", "--output", "json"], 0),
    (&["explain", "irsa.trust-allows"], 0),
    (&["plan", "--to", "deployed"], 0),
    (&["plan", "--to", "deployed", "--output", "json"], 0),
    (&["report", "show", "preflight-report.json"], 0),
    (&["report", "show", "preflight-report.json", "--output", "html"], 0),
    (&["report", "verify", "preflight-report.json"], 20),
    (&["report", "diff", "preflight-report.json", "preflight-report.json"], 0),
    (&["inspect", "jar", "empty.jar"], 0),
    (&["doctor"], 10),
    (&["init", "--config", "-"], 0),
    (&["schema", "config"], 0),
    (&["completions", "bash"], 0),
    (&["man"], 0),
    (&["--help"], 0),
    (&["--version"], 0),
];

#[test]
fn output_for_which_there_is_no_room_is_an_error_of_the_tool_and_a_reader_that_left_is_none() {
    let world = World::new(NOWHERE);
    std::fs::write(world.path("empty.jar"), b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    world.tool(&["run", "--to", "deployed"]);
    let to = |arguments: &[&str], stdout: Stdio| {
        Ran::of(command(&world.path("")).args(arguments).stdout(stdout).output().unwrap())
    };
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap().into();
    for (arguments, code) in PRINTING {
        let ran = to(arguments, full());
        assert_eq!(ran.code, 1, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("writing to standard output: No space left on device"), "{arguments:?}: {ran:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = to(arguments, writer.into());
        assert_eq!(ran.code, *code, "{arguments:?}: {ran:?}");
        assert!(!ran.err.contains("standard output"), "{arguments:?}: {ran:?}");
    }
    for arguments in
        [&["run", "--to", "deployed"][..], &["report", "convert", "preflight-report.json", "--output", "text"]]
    {
        let ran = to(arguments, full());
        assert!(ran.code == 22 && ran.err.contains("writing to standard output"), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_selection_from_an_empty_inventory_says_that_it_is_empty() {
    let world = World::new("environment: test\nmanifests: [rendered]\n");
    world.write("rendered/service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n");
    let says = |text: &str| {
        let ran = world.tool(&["plan", "--to", "deployed", "--only", "irsa.*"]);
        assert!(ran.code == 2 && ran.err.contains(text), "{ran:?}");
    };
    says(
        "--only irsa.*: nothing in the plan fits; the inventory is empty: there are 0 workloads and 0 ServiceAccounts in \
         the 1 files under `manifests` and `ecs`; look at what these name",
    );
    world.write("preflight.yaml", "environment: test\n");
    says("the inventory is empty: nothing says what is deployed; give `manifests`, `ecs` or `cluster.namespaces`");
}

/// A world whose configuration nobody has written yet, and the end through which it is written. Once that is open, the
/// command is waiting for it.
fn unwritten(arguments: &[&str]) -> (World, Child, std::fs::File) {
    let world = World::new("");
    std::fs::remove_file(world.path("preflight.yaml")).unwrap();
    let made = Command::new("mkfifo").arg(world.path("preflight.yaml")).status().unwrap();
    assert!(made.success());
    let child = command(&world.path("")).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = std::fs::File::options().write(true).open(world.path("preflight.yaml")).unwrap();
    (world, child, end)
}

#[test]
fn a_signal_before_the_configuration_is_read_is_heard_and_the_report_is_written_if_it_can_be() {
    let (world, child, mut end) = unwritten(&["run", "--to", "deployed"]);
    signal(&child, "TERM");
    end.write_all(NOWHERE.as_bytes()).unwrap();
    drop(end);
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 21, "{ran:?}");
    let report = world.report();
    assert_eq!((&report["summary"]["verdict"], &report["summary"]["complete"]), (&"inconclusive".into(), &true.into()));
    assert_eq!(report["run"]["interruptedBy"], "SIGTERM");

    let (world, child, end) = unwritten(&["run", "--to", "deployed"]);
    signal(&child, "INT");
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert!(ran.code == 21 && ran.err.contains("interrupted by SIGINT, and there is no report"), "{ran:?}");
    assert!(!world.path("preflight-report.json").exists());
    drop(end);

    let (_world, child, end) = unwritten(&["lint"]);
    signal(&child, "TERM");
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert!(ran.code == 21 && ran.err.contains("interrupted by SIGTERM"), "{ran:?}");
    drop(end);
}

#[test]
fn a_plan_touches_nothing_and_names_targets_permissions_and_digest() {
    let world = World::new(NOWHERE);
    let ran = world.tool(&["plan", "--to", "traffic-1"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for text in ["async → traffic-1", "connections.path-admits", "cache", "permissions, at most", "redis: "] {
        assert!(ran.out.contains(text), "{text}: {ran:?}");
    }
    let plan = world.tool(&["plan", "--to", "deployed", "--output", "json"]).json();
    world.tool(&["run", "--to", "deployed"]);
    assert_eq!(plan["sha256"], world.report()["plan"]["sha256"], "the approved digest is that of the run");
    assert!(!world.path(".eks-preflight").exists());
}

/// A consumer and a domain that are written to, and a cache that is not.
const WRITTEN_TO: &str = "environment: test
endpoints: [{name: cache, engine: redis, address: '127.0.0.1:1'}, {name: rabbit, engine: rabbitmq, address: '127.0.0.1:1', management: 'http://127.0.0.1:1'}]
idempotency:
  consumers:
    - name: orders
      broker: {rabbitmq: {endpoint: rabbit, queues: {ecs: a, eks: b}}}
      message: {body: '{key}'}
      effects: [{redis: {endpoint: cache, keys: ['order:{key}']}}]
load:
  targets:
    - name: shop
      url: http://127.0.0.1:1
      served: {header: h, eks: a, ecs: b}
      requests: [{path: /}]
      rate: 1
      slo: {p50Ms: 1}
";

#[test]
fn what_can_be_consented_to_is_exactly_what_is_planned_and_needs_it() {
    let world = World::new(WRITTEN_TO);
    let plan = world.tool(&["plan", "--to", "traffic-1"]);
    assert!(plan.out.contains("\nwhat can be consented to:\n  --consent orders\n  --consent shop\n\n"), "{plan:?}");
    let consent = |arguments: &[&str]| {
        let ran = world.tool(&[&["plan", "--to", "traffic-1", "--output", "json"], arguments].concat());
        ran.json()["consent"].clone()
    };
    assert_eq!(consent(&[]), serde_json::json!(["orders", "shop"]));
    assert_eq!(consent(&["--only", "idempotency.*"]), serde_json::json!(["orders"]));
    assert_eq!(consent(&["--only", "connections.*"]), serde_json::json!([]));
    let unknown = world.tool(&["plan", "--to", "traffic-1", "--consent", "order"]);
    let text = "what can be consented to: orders, shop; did you mean `orders`?";
    assert!(unknown.code == 2 && unknown.err.contains(text), "{unknown:?}");
    let nothing = World::new(NOWHERE).tool(&["plan", "--to", "traffic-1"]);
    assert!(!nothing.out.contains("consent"), "{nothing:?}");
}

#[test]
fn every_flag_is_a_variable_too_and_the_flag_wins() {
    let world = World::new(NOWHERE);
    let folder = world.path("");
    let with = |arguments: &[&str]| {
        let run = command(&folder)
            .args(arguments)
            .env("EKS_PREFLIGHT_TO", "async")
            .env("EKS_PREFLIGHT_OUTPUT", "json")
            .output();
        Ran::of(run.unwrap())
    };
    assert_eq!(with(&["plan"]).json()["transition"]["to"], "async");
    assert_eq!(with(&["plan", "--to", "traffic-5"]).json()["transition"]["to"], "traffic-5");
}

#[test]
fn the_catalogue_is_listed_and_explained() {
    let world = World::new("");
    let list = world.tool(&["list", "--output", "json"]).json();
    assert!(list.as_array().unwrap().len() >= 10);
    for one in list.as_array().unwrap() {
        let id = one["id"].as_str().unwrap();
        let page = world.tool(&["explain", id]);
        assert!(page.code == 0 && page.out.starts_with(&format!("# {id}\n")), "{page:?}");
    }
}

#[test]
fn schemas_completions_and_the_manual_are_printed() {
    let world = World::new("");
    assert_eq!(world.tool(&["schema", "report"]).json()["$id"], "urn:eks-preflight:report:v1");
    assert_eq!(world.tool(&["schema", "config"]).json()["$id"], "urn:eks-preflight:config:v1");
    assert!(world.tool(&["completions", "bash"]).out.contains("eks-preflight"));
    assert!(world.tool(&["man"]).out.contains(".TH"));
    assert!(world.tool(&["--version"]).out.starts_with("eks-preflight "));
}

#[test]
fn cleanup_that_cannot_look_for_journals_says_so() {
    let world = World::new(NOWHERE);
    world.write("state", "a file");
    let ran = world.tool(&["cleanup", "--state", "state"]);
    assert!(ran.code != 0 && ran.err.contains("looking for journals in `state`"), "{ran:?}");
}

#[test]
fn cleanup_without_a_journal_has_nothing_to_do() {
    let ran = World::new(NOWHERE).tool(&["cleanup"]);
    assert!(ran.code == 0 && ran.err.contains("nothing to remove"), "{ran:?}");
}

#[test]
fn a_waiver_lowers_a_level_and_shortens_the_reports_life() {
    let waiver = |subject: &str| {
        format!(
            "{NOWHERE}waivers: [{{check: connections.path-admits, subject: {subject}, owner: ada, reason: old, expires: 2099-01-01T00:00:00Z}}]\n"
        )
    };
    let world = World::new(&waiver("cache"));
    world.tool(&["run", "--to", "deployed"]);
    let report = world.report();
    let item = report["plan"]["items"].as_array().unwrap().iter().find(|one| one["check"] == "connections.path-admits");
    assert_eq!(item.unwrap()["level"], "advisory");
    assert_eq!(report["config"]["waivers"][0]["owner"], "ada");
    let unfit = World::new(&waiver("cash")).tool(&["run", "--to", "deployed"]);
    assert!(unfit.code == 2 && unfit.err.contains("fits nothing"), "{unfit:?}");
}

#[test]
fn a_secret_from_the_configuration_is_in_no_output() {
    let world = World::new(NOWHERE);
    for format in ["text", "json", "junit", "ctrf", "markdown", "github", "html"] {
        let ran = world.tool(&["run", "--to", "deployed", "--output", format]);
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{format}: {ran:?}");
    }
}

#[test]
fn a_trust_policy_is_judged_without_a_configuration() {
    let world = World::new("");
    let policy = |subject: &str| {
        serde_json::json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
            "Principal": { "Federated": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC" },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": { "StringEquals": { "oidc.eks.eu-west-1.amazonaws.com/id/ABC:sub": subject,
                                             "oidc.eks.eu-west-1.amazonaws.com/id/ABC:aud": "sts.amazonaws.com" } } }] })
        .to_string()
    };
    let arguments = [
        "inspect",
        "trust",
        "policy.json",
        "--issuer",
        "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC",
        "--subject",
        "system:serviceaccount:shop:orders",
        "--account",
        "111122223333",
        "--output",
        "json",
    ];
    world.write("policy.json", &policy("system:serviceaccount:shop:orders"));
    let ran = world.tool(&arguments);
    assert_eq!((ran.code, ran.json()["decision"].as_str()), (0, Some("allow")), "{ran:?}");
    world.write("policy.json", &policy("system:serviceaccount:shop:billing"));
    let ran = world.tool(&arguments);
    assert_eq!((ran.code, ran.json()["decision"].as_str()), (10, Some("deny")), "{ran:?}");
    assert!(!ran.json()["because"].as_array().unwrap().is_empty());
    world.write("policy.json", "{");
    assert_eq!(world.tool(&arguments).code, 2);
}

#[test]
fn a_jar_without_an_sdk_is_no_finding_and_a_missing_file_is_an_error() {
    let world = World::new("");
    std::fs::write(world.path("empty.jar"), b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    let ran = world.tool(&["inspect", "jar", "empty.jar", "--output", "json"]);
    assert_eq!((ran.code, ran.json()["jars"][0]["verdict"].as_str()), (0, Some("no-sdk")), "{ran:?}");
    let missing = world.tool(&["inspect", "jar", "missing.jar"]);
    assert!(missing.code == 2 && missing.err.contains("missing.jar"), "{missing:?}");
}

#[test]
fn a_run_that_ends_before_its_report_leaves_no_earlier_verdict_in_its_place() {
    let world = World::new(NOWHERE);
    world.tool(&["run", "--to", "deployed"]);
    assert!(world.path("preflight-report.json").exists());
    let broken = world.tool(&["run", "--to", "deployed", "--config", "nowhere.yaml"]);
    assert_eq!(broken.code, 2, "{broken:?}");
    assert!(!world.path("preflight-report.json").exists() && world.path("preflight-report.json.previous").exists());
    assert_eq!(world.tool(&["report", "verify", "preflight-report.json"]).code, 30);
}

#[test]
fn a_check_without_any_subject_is_listed_and_never_vanishes() {
    let world = World::new(NOWHERE);
    world.tool(&["run", "--to", "deployed", "--output", "junit=report.xml"]);
    let report = world.report();
    let listed = |list: &serde_json::Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["check"].as_str().unwrap().to_owned()).collect()
    };
    let named = [listed(&report["plan"]["items"]), listed(&report["plan"]["excluded"])].concat();
    let catalogue = world.tool(&["list", "--output", "json"]).json();
    for check in catalogue.as_array().unwrap() {
        assert!(named.iter().any(|name| *name == check["id"].as_str().unwrap()), "{} vanished", check["id"]);
    }
    let junit = std::fs::read_to_string(world.path("report.xml")).unwrap();
    assert!(junit.contains("load.slo-holds") && junit.contains("not in the plan"), "{junit}");
}

#[test]
fn a_report_that_was_changed_is_not_shown() {
    let world = World::new(NOWHERE);
    world.tool(&["run", "--to", "deployed"]);
    let mut report = world.report();
    report["results"].as_array_mut().unwrap().pop();
    world.write("changed.json", &report.to_string());
    for arguments in
        [&["report", "show", "changed.json"][..], &["report", "convert", "changed.json", "--output", "json=x"]]
    {
        let ran = world.tool(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (30, ""), "{ran:?}");
        assert!(ran.err.contains("was changed after it was written"), "{ran:?}");
    }
    assert!(!world.path("x").exists());
}
