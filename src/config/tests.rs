use super::error::ConfigError;
use super::*;
use std::collections::HashMap;

/// The text of every mistake in a configuration, with its place.
fn mistakes(text: &str) -> String {
    read(text, &[]).map(|_| "no mistake".to_owned()).unwrap_or_else(|error| error.to_string())
}

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "from-a-file\n").unwrap();
    let path = folder.path().join("preflight.yaml");
    std::fs::write(&path, text).unwrap();
    let variables: HashMap<_, _> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    load(&path, variables, "2026-11-25T00:00:00Z".parse().unwrap())
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
    assert!(found.contains(":4:13: unknown value `mysq`") && found.contains("did you mean `mysql`?"), "{found}");
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
        "environment: lab\nworkloads:\n  - {name: a, eks: shop/a, uses: [{endpoint: dbb}]}\n  - {name: a}\nendpoints:\n  - {name: db, engine: mysql, address: 'h:x'}\nrun: {concurrency: 0}\naws: {accountId: '12'}\n",
    );
    for text in [
        ":3:20: workloads[0].eks: `shop/a` is not `namespace/Kind/name`",
        "no endpoint is called `dbb`; did you mean `db`?",
        ":4:12: workloads[1].name: another one is called `a`",
        "endpoints[0].address: `h:x` is not `host` or `host:port`",
        "run.concurrency: expected 1 to 64, got 0",
        "aws.accountId: `12` is not twelve digits",
    ] {
        assert!(found.contains(text), "{text} is missing in:\n{found}");
    }
}

#[test]
fn a_target_names_workloads_that_are_listed() {
    let target = "{name: shop, url: 'https://eks.a.test', rate: 5, slo: {p50Ms: 5}, requests: [{path: /}], \
                  served: {header: h, eks: e, ecs: c}, workloads: [orders, card]}";
    let with =
        |names: &str| mistakes(&format!("environment: lab\nworkloads: [{names}]\nload: {{targets: [{target}]}}\n"));
    assert_eq!(with("{name: orders}, {name: card}"), "no mistake");
    let found = with("{name: orders}, {name: cart}");
    let text = "load.targets[0].workloads[1]: `workloads` lists none that is called `card`; did you mean `cart`?";
    assert!(found.contains(":3:") && found.contains(text), "{found}");
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
    assert_eq!(of("hunter2").warnings.len(), 1);
    assert!(of("hunter2").warnings[0].text.starts_with("password is written down here"));
    assert_eq!(of("hunter2").sha256, of("hunter3").sha256);
    assert!(of("${V}").warnings.is_empty());
    assert_ne!(of("${V}").sha256, of("hunter2").sha256);
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
fn phases_of_its_own_each_stand_for_a_built_in_one() {
    let loaded =
        read("environment: lab\nphases: [{name: canary, like: traffic-5}, {name: all, like: traffic-100}]\n", &[]);
    assert_eq!(loaded.unwrap().phases.find("all").unwrap().1, "canary");
    assert!(mistakes("environment: lab\nphases: [{name: a, like: traffic-6}]\n").contains("unknown phase `traffic-6`"));
}

#[test]
fn paths_are_relative_to_the_configuration() {
    let loaded = read("environment: lab\nmanifests: [m]\nworkloads: [{name: a, artifacts: [a.jar]}]\n", &[]).unwrap();
    assert!(loaded.config.manifests[0].is_absolute() && loaded.config.workloads[0].artifacts[0].is_absolute());
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
