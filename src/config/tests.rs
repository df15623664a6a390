use super::error::ConfigError;
use super::*;
use std::collections::HashMap;

/// The text of every mistake in a configuration, with its place.
pub(super) fn mistakes(text: &str) -> String {
    read(text, &[]).map(|_| "no mistake".to_owned()).unwrap_or_else(|error| error.to_string())
}

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    read_without(Without::Nothing, text, variables)
}

pub(super) fn read_without(without: Without, text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "from-a-file\n").unwrap();
    let path = folder.path().join("preflight.yaml");
    std::fs::write(&path, text).unwrap();
    let variables: HashMap<_, _> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    load(&path, variables, "2026-11-25T00:00:00Z".parse().unwrap(), without)
}

const DB: &str = "environment: lab\nendpoints:\n  - name: db\n    engine: mysql\n    address: db.internal\n";

#[test]
fn the_smallest_configuration_is_an_environment() {
    let loaded = read("environment: lab\n", &[]).unwrap();
    assert_eq!(loaded.config.environment, "lab");
    assert_eq!(loaded.config.run.concurrency, 8);
    assert_eq!(loaded.phases.names().count(), 13);
}

#[test]
fn an_unknown_key_has_its_place_and_the_nearest_valid_one() {
    let found = mistakes(&format!("{DB}    pasword: x\n"));
    assert!(found.contains("preflight.yaml:6:5: unknown key `pasword`"), "{found}");
    assert!(found.contains("did you mean `password`?"), "{found}");
}

#[test]
fn an_unknown_value_has_its_place_and_the_nearest_valid_one() {
    let found = mistakes(&DB.replace("engine: mysql", "engine: mysq"));
    assert!(
        found.contains(":4:13: endpoints[0].engine: unknown value `mysq`") && found.contains("did you mean `mysql`?"),
        "{found}"
    );
}

#[test]
fn a_missing_key_and_broken_yaml_have_a_place() {
    let found = mistakes("endpoints: []\n");
    assert!(found.contains("the key `environment` is missing"), "{found}");
    let found = mistakes("environment: lab\nworkloads: [\n");
    assert!(found.contains("preflight.yaml:"), "{found}");
    let found = mistakes("environment: lab\nenvironment: prod\n");
    assert!(found.contains(":2:1:") && found.contains("duplicate"), "{found}");
}

#[test]
fn what_types_do_not_catch_is_said_all_at_once_each_with_its_place() {
    let found = mistakes(
        "environment: lab\nworkloads:\n  - {name: a, eks: shop/a, uses: [{endpoint: dbb}]}\n  - {name: a}\nendpoints:\n  - {name: db, engine: mysql, address: 'h:x'}\nphases: [{name: a, like: traffic-6}]\naws: {accountId: '12'}\n",
    );
    for text in [
        ":3:20: workloads[0].eks: `shop/a` is not `namespace/Kind/name`",
        "no endpoint is called `dbb`; did you mean `db`?",
        ":4:12: workloads[1].name: another one is called `a`",
        "endpoints[0].address: expected `host` or `host:port` with a port from 1 to 65535, got `h:x`",
        ":7:26: phases[0].like: unknown phase `traffic-6`, expected one of",
        "aws.accountId: `12` is not twelve digits",
    ] {
        assert!(found.contains(text), "{text} is missing in:\n{found}");
    }
}

#[test]
fn the_eks_side_has_one_source_and_a_way_to_it() {
    let cluster = |inside: &str, more: &str| mistakes(&format!("environment: lab\ncluster: {{{inside}}}\n{more}"));
    assert_eq!(cluster("kubeconfig: k, namespaces: [shop, billing]", ""), "no mistake");
    assert_eq!(cluster("inCluster: true, namespaces: [shop]", "ecs: [e]\n"), "no mistake");
    let both = cluster("kubeconfig: k, namespaces: [shop]", "manifests: [m]\n");
    assert!(both.contains(":3:12: manifests: with `cluster.namespaces`") && both.contains("remove one"), "{both}");
    let unused = cluster("kubeconfig: k, uid: a", "");
    assert!(unused.contains("cluster.uid: it is compared where"), "{unused}");
    let nowhere = cluster("namespaces: [shop]", "");
    assert!(nowhere.contains(":2:23: cluster.namespaces: nothing says how to reach"), "{nowhere}");
    let odd = cluster("inCluster: true, namespaces: [Shop, a/b, shop, shop]", "");
    for text in ["[0]: `Shop` is not the name", "[1]: `a/b` is not the name", "[3]: `shop` stands here twice"] {
        assert!(odd.contains(text), "{text} is missing in {odd}");
    }
}

#[test]
fn to_use_nothing_is_said_and_to_say_nothing_is_not() {
    let uses = |line: &str| {
        let text = format!("{DB}workloads:\n  - {{name: a{line}}}\n");
        read(&text, &[]).unwrap().config.workloads[0].uses.clone()
    };
    assert_eq!((uses(""), uses(", uses: null"), uses(", uses: []")), (None, None, Some(vec![])));
    assert_eq!(uses(", uses: [{endpoint: db}]").unwrap()[0].endpoint, "db");
}

#[test]
fn secrets_come_from_variables_and_files_and_are_never_quoted() {
    let with = |line: &str| format!("{DB}    password: {line}\n");
    let password = |text: &str, variables: &[(&str, &str)]| {
        read(text, variables).unwrap().config.endpoints[0].password.as_ref().unwrap().reveal().to_owned()
    };
    assert_eq!(password(&with("${DB_PASSWORD}"), &[("DB_PASSWORD", "hunter2: [x")]), "hunter2: [x");
    assert_eq!(password(&with("\"${DB_PASSWORD}\""), &[("DB_PASSWORD", "hunter2: [x")]), "hunter2: [x");
    assert_eq!(password(&with("'a-${DB_PASSWORD}'"), &[("DB_PASSWORD", "${HOME} $1 'x'")]), "a-${HOME} $1 'x'");
    assert_eq!(password(&with("pa$$wo$rd$"), &[]), "pa$$wo$rd$");
    assert_eq!(password(&with("$${NOT_A_VARIABLE}"), &[]), "${NOT_A_VARIABLE}");
    assert_eq!(password(&with("{file: password}"), &[]), "from-a-file");
    let unset = mistakes(&with("${DB_PASSWORD}"));
    assert!(unset.contains(":6:") && unset.contains("DB_PASSWORD"), "{unset}");
    let missing = mistakes(&with("{file: nowhere}"));
    assert!(missing.contains("nowhere"), "{missing}");
    let wrong_place = read(&format!("{DB}    limit: ${{DB_PASSWORD}}\n"), &[("DB_PASSWORD", "hunter2")]).unwrap_err();
    assert!(!wrong_place.to_string().contains("hunter2"), "{wrong_place}");
}

#[test]
fn a_secret_that_is_written_down_is_a_warning_and_does_not_show_in_the_digest() {
    let of = |password: &str| read(&format!("{DB}    password: {password}\n"), &[("V", "x")]).unwrap();
    assert_eq!(of("hunter2").written_secrets.len(), 1);
    assert!(of("hunter2").written_secrets[0].text.starts_with("password is written down here"));
    assert_eq!(of("hunter2").sha256, of("hunter3").sha256);
    assert!(of("${V}").written_secrets.is_empty());
    assert_ne!(of("${V}").sha256, of("hunter2").sha256);
}

/// A configuration with one request.
fn with_request(request: &str) -> Loaded {
    let target = format!(
        "{{name: shop, url: 'https://eks.a.test', rate: 5, slo: {{p50Ms: 5}}, requests: [{request}], served: {{header: \
         x-by-key, eks: e, ecs: c}}}}"
    );
    read(&format!("environment: lab\nload: {{targets: [{target}]}}\n"), &[("TOKEN", "x")]).unwrap()
}

#[test]
fn a_credential_in_a_request_is_a_secret_like_a_password() {
    for (request, what) in [
        ("{path: /, headers: {authorization: 'Bearer SECRET'}}", "the header authorization"),
        ("{path: /, headers: {Cookie: session=SECRET}}", "the header Cookie"),
        ("{path: /, headers: {x-api-key: SECRET}}", "the header x-api-key"),
        ("{path: /, headers: {X-Auth-Token: SECRET}}", "the header X-Auth-Token"),
        ("{path: /, headers: {x-auth: SECRET}}", "the header x-auth"),
        ("{path: /, headers: {x-session-id: SECRET}}", "the header x-session-id"),
        ("{path: '/a?page=1&token=SECRET'}", "`token`"),
        ("{path: /, method: POST, body: '{\"password\":\"SECRET\"}'}", "`password`"),
    ] {
        let of = |secret: &str| with_request(&request.replace("SECRET", secret));
        let told: Vec<String> = of("hunter2").written_secrets.into_iter().map(|one| one.text).collect();
        assert!(told.len() == 1 && told[0].starts_with(&format!("{what} is written down")), "{request}: {told:?}");
        assert!(!told[0].contains("hunter2"), "{told:?}");
        assert_eq!(of("hunter2").sha256, of("hunter3").sha256, "{request}");
        assert_eq!(of("hunter2").source.sha256, of("hunter3").source.sha256, "{request}");
    }
}

#[test]
fn what_of_a_request_is_no_credential_counts_in_the_digest_and_is_not_warned_of() {
    let of = |request: &str| {
        let loaded = with_request(request);
        assert!(loaded.written_secrets.is_empty(), "{request}: {:?}", loaded.written_secrets);
        loaded.sha256
    };
    let all = [
        "{path: /, headers: {authorization: 'Bearer ${TOKEN}'}}",
        "{path: /, headers: {authorization: 'Basic ${TOKEN}'}}",
        "{path: /, headers: {authorization: {file: password}}}",
        "{path: /, headers: {accept: text/html}}",
        "{path: /, headers: {accept: text/plain}}",
        "{path: '/a?token=${TOKEN}'}",
        "{path: '/a?page=2'}",
    ];
    let digests: std::collections::BTreeSet<String> = all.iter().map(|request| of(request)).collect();
    assert_eq!(digests.len(), all.len());
}

#[test]
fn a_token_in_the_header_of_a_message_is_a_secret_and_one_in_a_query_is_a_column() {
    let text = |header: &str| {
        format!(
            "{DB}idempotency:\n  consumers:\n    - name: a\n      broker: {{sqs: {{queues: {{ecs: 'http://h/1/a', eks: \
             'http://h/1/b'}}}}}}\n      message: {{body: '{{\"token\":\"{{key}}\"}}', headers: {{{header}}}}}\n      effects:\n        \
             - mysql: {{endpoint: db, query: \"SELECT a FROM t WHERE token = :key\", cleanup: [\"DELETE FROM t WHERE \
             token = :key\"]}}\n"
        )
    };
    let told = |header: &str| read(&text(header), &[("T", "x")]).unwrap().written_secrets.len();
    assert_eq!((told("api-token: hunter2"), told("api-token: '${T}'"), told("source: preflight")), (1, 0, 0));
}

#[test]
fn one_item_is_waived_once() {
    let waiver = |subject: &str, reason: &str| {
        format!(
            "  - {{check: connections.path-admits, subject: {subject}, owner: ada, reason: {reason}, expires: \
             2026-12-01T00:00:00Z}}\n"
        )
    };
    let two =
        |subject: &str| mistakes(&format!("environment: lab\nwaivers:\n{}{}", waiver("db", "a"), waiver(subject, "b")));
    assert_eq!(two("cache"), "no mistake");
    let found = two("db");
    let text = "waivers[1].subject: connections.path-admits of `db` is waived at 3:5 already; keep one of the two";
    assert!(found.contains(":4:") && found.contains(text), "{found}");
}

#[test]
fn a_removal_that_reaches_further_than_the_key_is_refused_where_it_stands() {
    let with = |statement: &str| {
        mistakes(&format!(
            "environment: lab\nendpoints: [{{name: db, engine: mysql, address: h}}]\nidempotency:\n  consumers:\n    - name: a\n      \
             broker: {{sqs: {{queues: {{ecs: 'http://h/1/a', eks: 'http://h/1/b'}}}}}}\n      message: {{body: '{{key}}'}}\n      \
             effects:\n        - mysql:\n            endpoint: db\n            query: SELECT a FROM t WHERE id = :key\n            \
             cleanup:\n              - {statement}\n"
        ))
    };
    assert_eq!(with("DELETE FROM t WHERE id = :key"), "no mistake");
    for (statement, expected) in [
        ("DELETE FROM t WHERE id = :key OR 1=1", "`id = :key OR 1=1` may reach the rows of others"),
        ("DELETE FROM t WHERE id IN (:key, id)", "`id IN (:key, id)` may reach the rows of others"),
        ("DELETE t FROM t, u WHERE u.id = :key", "with one table"),
        ("DELETE FROM t WHERE id = 1 /* :key */", "must not contain a comment"),
        ("UPDATE t SET id = :key WHERE a = 1", "must compare a column with `:key`"),
    ] {
        let found = with(statement);
        assert!(found.contains("preflight.yaml:13:") && found.contains(expected), "{found}");
    }
}

#[test]
fn a_waiver_needs_a_check_an_owner_and_a_future() {
    let waiver = |check: &str, owner: &str, expires: &str| {
        mistakes(&format!(
            "environment: lab\nwaivers:\n  - {{check: {check}, subject: db, owner: '{owner}', reason: r, expires: '{expires}'}}\n"
        ))
    };
    assert_eq!(waiver("connections.path-admits", "ada", "2026-12-01T00:00:00Z"), "no mistake");
    assert!(waiver("connections.path-admit", "ada", "2026-12-01T00:00:00Z").contains("did you mean"));
    assert!(waiver("connections.path-admits", " ", "2026-12-01T00:00:00Z").contains("must not be empty"));
    assert!(waiver("connections.path-admits", "ada", "2026-11-24T00:00:00Z").contains("ended at"));
    assert!(waiver("connections.path-admits", "ada", "tomorrow").contains("RFC 3339"));
}

#[test]
fn phases_of_its_own_lower_no_level() {
    let with = |phases: &str| mistakes(&format!("environment: lab\nphases: {phases}\n"));
    for fine in [
        "[{name: a, like: deployed}, {name: b, like: deployed}, {name: c, like: traffic-100}]",
        "[{name: a, like: async}, {name: b, like: scaled-down}]",
    ] {
        assert_eq!(with(fine), "no mistake");
    }
    let last = with("[{name: step-a, like: deployed}, {name: everything, like: deployed}]");
    assert!(last.contains(":2:67: phases[1].like: the last phase must be like `traffic-100`"), "{last}");
    let back = with("[{name: a, like: traffic-50}, {name: b, like: async}, {name: c, like: traffic-100}]");
    assert!(
        back.contains(":2:55: phases[1].like: a phase after `a` must not be like one before `traffic-50`"),
        "{back}"
    );
}

#[test]
fn phases_of_its_own_each_stand_for_a_built_in_one() {
    let loaded =
        read("environment: lab\nphases: [{name: canary, like: traffic-5}, {name: all, like: traffic-100}]\n", &[]);
    assert_eq!(loaded.unwrap().phases.find("all").unwrap().1, "canary");
    assert!(mistakes("environment: lab\nphases: [{name: a, like: traffic-6}]\n").contains("unknown phase `traffic-6`"));
    let lowered =
        mistakes("environment: lab\nphases: [{name: async, like: async}, {name: traffic-1, like: deployed}]\n");
    assert!(lowered.contains("phases[1].like: `traffic-1` is a built-in phase"), "{lowered}");
}

#[test]
fn paths_are_relative_to_the_configuration() {
    let loaded = read("environment: lab\nmanifests: [m]\nworkloads: [{name: a, artifacts: [a.jar]}]\n", &[]).unwrap();
    assert!(loaded.config.manifests[0].is_absolute() && loaded.config.workloads[0].artifacts[0].is_absolute());
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_what_was_expected() {
    let run = |value: &str| mistakes(&format!("environment: lab\nrun: {{concurrency: {value}}}\n"));
    let whole = ":2:20: run.concurrency: expected a whole number from 1 to 64, got ";
    for (value, got) in [
        ("-1", "`-1`"),
        ("65", "`65`"),
        ("1.5", "`1.5`"),
        ("99999999999999999999", "`1e+20`"),
        ("many", "the text `many`"),
        ("'8'", "the text `8`"),
        ("[8]", "a list"),
        ("{a: 8}", "a mapping"),
        ("true", "`true`"),
    ] {
        let found = run(value);
        assert!(found.ends_with(&format!("{whole}{got}")), "{value}: {found}");
    }
    let endpoint = |line: &str| mistakes(&format!("{DB}    {line}\n"));
    assert!(endpoint("limit: -5").contains(":6:12: endpoints[0].limit: expected a whole number, 0 or more, got `-5`"));
    assert!(
        endpoint("tls: sometimes")
            .contains("expected true or false or a mapping with the key `ca`, got the text `sometimes`")
    );
    assert!(endpoint("aliases:").contains("endpoints[0].aliases: expected a list, got nothing"));
    assert!(mistakes("environment: lab\naws:\n").contains("aws: expected a mapping with the keys `accountId`,"));
    assert!(endpoint("aliases: x").contains("endpoints[0].aliases: expected a list, got the text `x`"));
    assert!(endpoint("username: {a: b}").contains("endpoints[0].username: expected text, got a mapping"));
    assert!(endpoint("observer: x").contains("expected a mapping with the keys `username`, `password`, `address`"));
}

#[test]
fn an_empty_document_or_another_one_says_what_is_wanted() {
    for (text, got) in [("", "nothing"), ("# a comment\n", "nothing"), ("- a\n", "a list"), ("lab\n", "the text `lab`")]
    {
        let found = mistakes(text);
        assert!(
            found.contains("preflight.yaml:1:1: expected a mapping with the keys `environment`, `aws`,"),
            "{found}"
        );
        assert!(found.ends_with(&format!("; got {got}; `eks-preflight init` writes one")), "{found}");
    }
}

#[test]
fn everything_of_the_wrong_kind_is_said_at_once() {
    let found = mistakes("enviroment: lab\nendpoints: [{name: db, engine: mysq, limit: x}]\nrun: {limitS: 0}\n");
    for text in [
        ":1:1: the key `environment` is missing",
        ":1:1: unknown key `enviroment`",
        ":2:13: endpoints[0]: the key `address` is missing",
        ":2:32: endpoints[0].engine: unknown value `mysq`",
        ":2:45: endpoints[0].limit: expected a whole number, 0 or more, got the text `x`",
        ":3:15: run.limitS: expected a whole number from 1 to 86400, got `0`",
    ] {
        assert!(found.contains(text), "{text} is missing in:\n{found}");
    }
}

const CONSUMER: &str = "environment: lab\nendpoints: [{name: db, engine: mysql, address: h}]\nidempotency:\n  consumers:\n    - name: orders\n      broker: {rabbitmq: {endpoint: rabbit, queues: {ecs: a, eks: b}}}\n      message: {body: '{key}'}\n      effects: [{mysql: {endpoint: dbb, query: 'SELECT a FROM t WHERE k = :key'}}]\n";

#[test]
fn what_is_chosen_among_several_shapes_is_checked_as_the_chosen_one() {
    let broker =
        |text: &str| mistakes(&CONSUMER.replace("{rabbitmq: {endpoint: rabbit, queues: {ecs: a, eks: b}}}", text));
    let found = broker("{sqs: {queues: {ecs: a}}}");
    assert!(found.contains(":6:30: idempotency.consumers[0].broker.sqs.queues: the key `eks` is missing"), "{found}");
    let found = broker("{rabbit: {}}");
    assert!(
        found.contains("unknown key `rabbit`, expected one of `rabbitmq`, `sqs`; did you mean `rabbitmq`?"),
        "{found}"
    );
    assert!(broker("{}").contains("broker: expected one of the keys `rabbitmq`, `sqs`"));
    assert!(
        broker("x").contains("broker: expected a mapping with one of the keys `rabbitmq`, `sqs`, got the text `x`")
    );
}

#[test]
fn a_name_that_nothing_has_is_shown_where_it_stands_with_the_nearest() {
    let found = mistakes(CONSUMER);
    for text in [
        ":6:37: idempotency.consumers[0].broker.rabbitmq.endpoint: no endpoint is called `rabbit`",
        ":8:36: idempotency.consumers[0].effects[0].mysql.endpoint: no endpoint is called `dbb`; did you mean `db`?",
    ] {
        assert!(found.contains(text), "{text} is missing in:\n{found}");
    }
}

#[test]
fn what_a_type_refuses_by_itself_has_its_place_and_an_example() {
    let body = mistakes(&CONSUMER.replace("'{key}'", "'{}'"));
    assert!(body.contains(":7:23: idempotency.consumers[0].message.body: ") && body.contains("{key}"), "{body}");
    let query = mistakes(&CONSUMER.replace("SELECT a", "DELETE"));
    assert!(query.contains(":8:48: idempotency.consumers[0].effects[0].mysql.query: "), "{query}");
    let target = |line: &str| {
        mistakes(&format!(
            "environment: lab\nload:\n  targets:\n    - name: shop\n      url: http://eks\n      served: {{header: a, eks: b, ecs: c}}\n      requests: [{{path: /}}]\n      rate: 1\n      slo: {{p50Ms: 1}}\n      {line}\n"
        ))
    };
    assert_eq!(target(""), "no mistake");
    let resolve = target("resolve: 10.0.12.34:99999");
    assert!(
        resolve.contains(":10:16: load.targets[0].resolve: ") && resolve.contains("for example `10.0.12.34:443`"),
        "{resolve}"
    );
    let production = target("production: ftp://shop");
    assert!(production.contains(":10:19: load.targets[0].production: expected `http://`"), "{production}");
    let waiver =
        mistakes("environment: lab\nwaivers: [{check: a, subject: b, owner: c, reason: d, expires: tomorrow}]\n");
    assert!(waiver.contains(":2:64: waivers[0].expires: `tomorrow` is not an RFC 3339 time in UTC"), "{waiver}");
}

#[test]
fn addresses_and_urls_are_checked_where_they_stand_and_accounts_in_them_not_shown() {
    let found = mistakes(
        "environment: lab\naws: {endpoints: {sts: sts.internal}}\nendpoints:\n  - {name: a, engine: rabbitmq, address: 'h:99999', management: 'http://app:hunter2@h', aliases: ['a b'], observer: {username: x, address: 'u:hunter2@h'}}\n",
    );
    for text in [
        ":2:24: aws.endpoints.sts: expected `http://` or `https://`, a host and perhaps a port, without an account; got `sts.internal`",
        ":4:42: endpoints[0].address: expected `host` or `host:port` with a port from 1 to 65535, got `h:99999`",
        "endpoints[0].management: expected `http://`",
        "endpoints[0].aliases[0]: expected `host`",
        "endpoints[0].observer.address: expected `host`",
    ] {
        assert!(found.contains(text), "{text} is missing in:\n{found}");
    }
    assert!(!found.contains("hunter2"), "{found}");
}

#[test]
fn a_variable_that_is_not_closed_or_no_name_is_a_mistake() {
    let password = |text: &str| mistakes(&format!("{DB}    password: {text}\n"));
    assert!(
        password("${NOPE")
            .contains(":6:15: endpoints[0].password: `${` without `}`; write `$${` for the two characters")
    );
    assert!(password("\"hunter2-${NOPE\"").contains("`${` without `}`"));
    assert!(!password("${hunter2").contains("hunter2"));
    assert!(password("${NOPE:-x}").contains("`${…}` names no variable"));
    let named = mistakes("environment: '${NOPE:-hunter2}'\n");
    assert!(named.contains("`${NOPE…}` names no variable"), "{named}");
    for text in
        ["${DB:-hunter2}", "${hunter2!}", "x-${DB:-hunter2}-${B}", "{file: '${A:-hunter2}'}", "[hunter2]", "{hunter2}"]
    {
        let found = password(text);
        assert!(!found.contains("hunter2") && found != "no mistake", "{text}: {found}");
    }
    assert_eq!(password("$${NOPE"), "no mistake");
    assert_eq!(mistakes(&format!("{DB}# in a comment: ${{NOPE\n")), "no mistake");
}

#[test]
fn what_is_refused_is_quoted_without_the_secrets_in_it() {
    for text in [
        "endpoints: ['redis://:hunter2@cache']",
        "endpoints: [{name: a, engine: redis, address: 'cache:6379?password=hunter2'}]",
        "endpoints: [{name: a, engine: rabbitmq, address: 'a:1', management: 'ftp://a/?token=hunter2'}]",
        "load: {targets: [{name: a, headers: {authorization: '${A:-hunter2}', 'x-a': [hunter2]}}]}",
        "load: {targets: [{name: a, requests: [{path: '/?token=${A:-hunter2}'}]}]}",
    ] {
        let found = mistakes(&format!("environment: lab\n{text}\n"));
        assert!(!found.contains("hunter2") && found != "no mistake", "{text}: {found}");
    }
}

#[test]
fn a_variable_in_a_key_and_bytes_that_are_no_text_are_mistakes() {
    let target = "environment: lab\nload: {targets: [{name: a, url: 'http://x', served: {header: h, eks: a, ecs: b}, requests: [{path: /, headers: {'${A}': b}}], rate: 1, slo: {p50Ms: 1}}]}\n";
    assert!(mistakes(target).contains("variables are replaced in values, not in keys"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("preflight.yaml");
    std::fs::write(&path, b"environment: lab\nrun: \xff\n").unwrap();
    let now = "2026-11-25T00:00:00Z".parse().unwrap();
    let found = load(&path, HashMap::new(), now, Without::Nothing).unwrap_err().to_string();
    assert!(found.ends_with("preflight.yaml:2:6: this is not UTF-8; expected YAML in UTF-8"), "{found}");
}

#[test]
fn every_variable_that_is_not_set_is_named_with_its_place() {
    let found = mistakes(&format!("{DB}    password: ${{A}}\n    username: x-${{B}}\n"));
    assert!(found.contains(":6:15: endpoints[0].password: the variable `A` is not set\n"), "{found}");
    assert!(found.contains(":7:15: endpoints[0].username: the variable `B` is not set"), "{found}");
}

#[test]
fn a_variable_holds_what_its_place_needs_and_its_value_is_not_shown() {
    let limit = |value: &str| {
        let read = read(&format!("{DB}    limit: ${{LIMIT}}\n"), &[("LIMIT", value)]);
        read.map(|loaded| loaded.config.endpoints[0].limit).map_err(|error| error.to_string())
    };
    assert_eq!(limit("5"), Ok(Some(5)));
    for wrong in ["-5", "hunter2", ""] {
        let found = limit(wrong).unwrap_err();
        assert!(
            found.ends_with(
                ":6:12: endpoints[0].limit: expected a whole number, 0 or more, got the value of `${LIMIT}`"
            ),
            "{found}"
        );
    }
}

#[test]
fn who_does_without_secrets_is_told_which_are_not_there() {
    let text = format!("{DB}    password: ${{A}}\n    observer: {{username: w, password: {{file: passwrd}}}}\n");
    let loaded = read_without(Without::Secrets, &text, &[]).unwrap();
    let found: Vec<String> = loaded.unset.iter().map(ToString::to_string).collect();
    assert_eq!(found[0], "6:15: endpoints[0].password: the variable `A` is not set");
    assert!(found[1].starts_with("7:46: endpoints[0].observer.password.file: `"), "{found:?}");
    assert!(
        found[1].ends_with("/passwrd` is not there; expected a file with the secret; did you mean `password`?"),
        "{found:?}"
    );
    let strict = read(&text, &[]).unwrap_err().to_string();
    assert!(strict.contains("the variable `A` is not set") && strict.contains("`password`?"), "{strict}");
    let address = text.replace("db.internal", "\"${HOST}:3306\"");
    let refused = read_without(Without::Secrets, &address, &[]).unwrap_err().to_string();
    assert!(refused.contains(":5:14: endpoints[0].address: the variable `HOST` is not set"), "{refused}");
    assert!(!refused.contains("`A`"), "{refused}");
}

#[test]
fn who_checks_what_is_written_does_without_any_variable() {
    let text = "environment: ${A}\nmanifests: ['${B}']\nrun: {concurrency: '${C}'}\nendpoints: [{name: '${D}', engine: '${E}', address: '${F}:${G}', management: '${H}'}]\ncluster:\n  inCluster: ${I}\nload: {targets: [{name: a, url: '${J}', resolve: '${K}', served: {header: h, eks: a, ecs: b}, requests: [{path: /, headers: {a: '${L}'}}], rate: 1, slo: {p50Ms: 1}}]}\nwaivers: [{check: connections.path-admits, subject: a, owner: b, reason: c, expires: '${M}'}]\n";
    let loaded = read_without(Without::Variables, text, &[]).unwrap();
    let names: Vec<&str> = loaded.unset.iter().filter_map(|one| one.text.split('`').nth(1)).collect();
    assert_eq!(names, ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M"]);
    assert!(loaded.missing.is_empty(), "{:?}", loaded.missing);
    let named = format!("{text}workloads: [{{name: a, uses: [{{endpoint: db}}]}}]\n");
    assert!(read_without(Without::Variables, &named, &[]).is_ok(), "an endpoint whose name is open may be called db");
    let found = read_without(Without::Variables, &text.replace("rate: 1", "rate: 0"), &[]).unwrap_err().to_string();
    assert!(found.contains("load.targets[0].rate: expected 0.1 to 10000, got 0"), "{found}");
}

#[test]
fn a_secret_that_is_no_text_is_not_shown() {
    let found = mistakes(&format!("{DB}    password: 4711471147\n"));
    assert!(found.contains(":6:15: endpoints[0].password: expected text or a mapping with the key `file`, got a number; put it in quotes"), "{found}");
    assert!(!found.contains("4711"), "{found}");
}

#[test]
fn files_that_are_not_there_are_named_with_the_nearest() {
    let text = "environment: lab\nmanifests: [passwort, .]\necs: [nope]\ncluster: {kubeconfig: kubeconfg}\nworkloads: [{name: a, artifacts: [a.jar]}]\nendpoints: [{name: db, engine: mysql, address: h, tls: {ca: ca.pem}}]\n";
    let missing =
        |text: &str| -> Vec<String> { read(text, &[]).unwrap().missing.iter().map(ToString::to_string).collect() };
    let found = missing(text);
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(
        found[0].starts_with("2:13: manifests[0]: `") && found[0].ends_with("did you mean `password`?"),
        "{found:?}"
    );
    for (index, place) in [
        "2:13: manifests[0]",
        "3:7: ecs[0]",
        "4:23: cluster.kubeconfig",
        "5:35: workloads[0].artifacts[0]",
        "6:61: endpoints[0].tls.ca",
    ]
    .iter()
    .enumerate()
    {
        assert!(found[index].starts_with(place), "{place}: {found:?}");
    }
    let in_a_pod = missing(&text.replace("kubeconfg}", "kubeconfg, inCluster: true}"));
    assert!(!in_a_pod.iter().any(|one| one.contains("kubeconfig")), "{in_a_pod:?}");
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Config>().to_value();
    schema.as_object_mut().unwrap().insert("$id".to_owned(), "urn:eks-preflight:config:v1".into());
    let text = format!("{schema:#}\n");
    crate::generated::assert_current("src/config/schema.json", &text);
    assert!(CONFIG_SCHEMA == text || crate::generated::is_wanted(), "the program holds an older one");
}

#[test]
fn no_text_makes_the_reader_panic() {
    for text in ["", "[]", "- a", "a: &a [*a]", "environment: {a: b}", "environment: lab\nendpoints: {}", "\u{0}", "%"]
    {
        drop(read(text, &[]));
    }
}
