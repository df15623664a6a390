use super::*;
use crate::config::{self, Mistake, Without};
use crate::generated::assert_current;
use preflight_core::Permission;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

const EXAMPLE: &str = "deploy/example/preflight.yaml";

const CONSENT: &[&str] = &["orders", "shop"];

fn example() -> Loaded {
    let now = "2026-11-25T00:00:00Z".parse().unwrap();
    config::load(Path::new(EXAMPLE), HashMap::new(), now, Without::Secrets).unwrap()
}

fn names() -> Names {
    Names {
        namespace: "eks-preflight".to_owned(),
        name: "eks-preflight".to_owned(),
        image: "registry.internal/eks-preflight:0.1.0".to_owned(),
        role: Some("arn:aws:iam::111122223333:role/eks-preflight".to_owned()),
    }
}

fn made(of: ManifestOf, only: &[&str], consent: &[&str]) -> Vec<Value> {
    let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
    let choice = Choice { to: "traffic-1".to_owned(), only: owned(only), consent: owned(consent) };
    let loaded = example();
    let inventory = deployed(&loaded);
    documents(of, (&loaded, inventory), &choice, &names()).unwrap()
}

fn deployed(loaded: &Loaded) -> Inventory {
    preflight_cluster::load(&loaded.config.manifests, &loaded.config.ecs, &[]).unwrap()
}

#[test]
fn generated_samples_of_manifests_are_current() {
    for (of, name) in [
        (ManifestOf::Rbac, "rbac.yaml"),
        (ManifestOf::Job, "job.yaml"),
        (ManifestOf::Iam, "iam.json"),
        (ManifestOf::Values, "values.yaml"),
    ] {
        let documents = made(of, &[], CONSENT);
        let text = if of == ManifestOf::Iam { format!("{:#}\n", documents[0]) } else { yaml(&documents).unwrap() };
        assert_current(&format!("deploy/manifests/{name}"), &text);
    }
}

#[test]
fn yaml_says_what_json_says() {
    for of in [ManifestOf::Rbac, ManifestOf::Job] {
        let documents = made(of, &[], CONSENT);
        let read: Vec<Value> = serde_saphyr::from_multiple(&yaml(&documents).unwrap()).unwrap();
        assert_eq!(read, documents);
    }
}

#[test]
fn every_right_of_the_plan_is_one_of_its_checks_and_is_granted() {
    let loaded = example();
    let areas = Areas::new(&loaded.config, deployed(&loaded));
    let choice = Choice { to: "traffic-1".to_owned(), consent: vec!["orders".to_owned()], ..Choice::default() };
    let planned = Planned::new(&loaded, &areas, &choice).unwrap();
    let mut asked = BTreeSet::new();
    for step in &planned.steps {
        for right in &step.rights {
            assert!(step.meta.permissions.contains(&right.permission), "{}: {right:?}", step.meta.id);
            asked.insert(right.permission);
        }
    }
    let declared = planned.steps.iter().flat_map(|step| step.meta.permissions);
    let declared: BTreeSet<Permission> =
        declared.copied().filter(|one| !matches!(one, Permission::Engine { .. })).collect();
    // The example names its dead-letter queue, so that it need not be found.
    let unneeded = BTreeSet::from([Permission::Aws { action: "sqs:GetQueueUrl" }]);
    let unasked: BTreeSet<Permission> = declared.difference(&asked).copied().collect();
    assert_eq!(unasked, unneeded, "a check declares a permission, and none of its items needs it");
}

#[test]
fn what_is_not_selected_needs_no_right() {
    let documents = made(ManifestOf::Rbac, &["connections.*"], &[]);
    let kinds: Vec<&str> = documents.iter().filter_map(|one| one["kind"].as_str()).collect();
    assert_eq!(kinds, ["ServiceAccount", "ConfigMap", "Role", "RoleBinding"]);
    assert_eq!(made(ManifestOf::Iam, &["connections.*"], &[])[0]["Statement"], json!([]));
}

#[test]
fn a_role_is_in_each_namespace_and_names_its_objects() {
    let documents = made(ManifestOf::Rbac, &[], &[]);
    let role = |namespace: &str| {
        let fits = |one: &&Value| one["kind"] == "Role" && one["metadata"]["namespace"] == namespace;
        documents.iter().find(fits).map(|one| one["rules"].clone()).unwrap_or_default()
    };
    let rule = |resource: &str, name: &str, verb: &str| json!({ "apiGroups": [""], "resources": [resource], "resourceNames": [name], "verbs": [verb] });
    assert_eq!(role("shop"), json!([rule("serviceaccounts/token", "orders", "create")]));
    let both = [rule("serviceaccounts", "payments", "get"), rule("serviceaccounts/token", "payments", "create")];
    assert_eq!(role("billing"), json!(both));
    assert_eq!(role("eks-preflight"), json!([rule("configmaps", "eks-preflight-result", "patch")]));
}

#[test]
fn two_installations_of_one_name_share_no_role_in_any_namespace() {
    let roles = |namespace: &str| {
        let names = Names { namespace: namespace.to_owned(), ..names() };
        let choice = Choice { to: "traffic-1".to_owned(), ..Choice::default() };
        let loaded = example();
        let documents = documents(ManifestOf::Rbac, (&loaded, deployed(&loaded)), &choice, &names).unwrap();
        let place =
            |one: &Value| json!([one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]]).to_string();
        documents.iter().map(place).collect::<BTreeSet<_>>()
    };
    let (one, two) = (roles("shop"), roles("billing"));
    assert_eq!(one.intersection(&two).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(one.contains(r#"["Role","billing","eks-preflight.shop"]"#), "{one:?}");
    assert!(one.contains(r#"["Role","shop","eks-preflight"]"#), "{one:?}");
}

#[test]
fn a_secret_that_is_written_down_is_not_put_into_a_config_map() {
    let mut loaded = example();
    loaded.written_secrets.push(Mistake::new((3, 1), "", "password is written down here"));
    let choice = Choice { to: "traffic-1".to_owned(), ..Choice::default() };
    let error = documents(ManifestOf::Job, (&loaded, Inventory::default()), &choice, &names()).unwrap_err().to_string();
    assert!(error.contains("preflight.yaml:3:1: password") && error.contains("ConfigMap"), "{error}");
}

#[test]
fn names_that_kubernetes_would_refuse_are_refused() {
    let named =
        |name: &str, namespace: &str| Names { name: name.to_owned(), namespace: namespace.to_owned(), ..names() };
    assert!(named("preflight-2", "a").check().is_ok());
    for wrong in ["", "A", "-a", "a-", "a.b", &"a".repeat(64)] {
        assert!(named(wrong, "a").check().is_err(), "{wrong}");
        assert!(named("a", wrong).check().is_err(), "{wrong}");
    }
}

#[test]
fn text_that_a_reader_could_take_for_something_else_is_quoted() {
    for text in
        ["on", "y", "no", "~", "null", "1e10", "0x1f", "0o7", "012", "1_000", "2026-01-01", "1.", "", "a: b", "- a"]
    {
        let yaml = yaml(&[json!({ "a": text })]).unwrap();
        assert!(yaml.starts_with("a: \"") || yaml.starts_with("a: '"), "{yaml}");
    }
}

/// What the chart makes of the sample's values. Where there is no helm it is skipped, unless nothing may be.
#[expect(clippy::disallowed_methods, reason = "it says what it skips, where it may")]
fn chart(more: &[&str]) -> Option<Vec<Value>> {
    let arguments = [
        ["template", "eks-preflight", "deploy/chart"].as_slice(),
        &["--namespace", "eks-preflight", "--values", "deploy/manifests/values.yaml", "--kube-version", "1.33.0"],
        &["--set", "image.repository=registry.internal/eks-preflight", "--no-hooks"],
        // As a hook it would be left out with the hooks.
        &["--set", "job.hook="],
        more,
    ];
    let made = match std::process::Command::new("helm").args(arguments.concat()).output() {
        Ok(made) => made,
        Err(error) => {
            assert!(std::env::var_os("EKS_PREFLIGHT_TEST_COMPLETE").is_none(), "running helm: {error}");
            eprintln!("skipped: the chart is compared with nothing, for running helm failed: {error}");
            return None;
        }
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(serde_saphyr::from_multiple(&String::from_utf8(made.stdout).unwrap()).unwrap())
}

#[test]
fn the_chart_makes_what_the_manifests_are() {
    let Some(chart) = chart(&[]) else { return };
    let manifests = [made(ManifestOf::Rbac, &[], CONSENT), made(ManifestOf::Job, &[], CONSENT)].concat();
    assert_eq!(chart.len(), manifests.len());
    for document in &manifests {
        let place = |one: &Value| (one["kind"].clone(), one["metadata"]["namespace"].clone());
        // A Job that is no hook is named after its values.
        let named = |one: &Value| one["kind"] == "Job" || one["metadata"]["name"] == document["metadata"]["name"];
        let fits = |one: &&Value| place(one) == place(document) && named(one);
        let twin = chart.iter().find(fits).unwrap_or_else(|| panic!("not in the chart: {:#}", document["metadata"]));
        let mut twin = twin.clone();
        if document["kind"] == "Job" {
            let labels = document["spec"]["template"]["metadata"]["labels"].clone();
            twin["spec"]["template"]["metadata"]["labels"] = labels;
            let container = &mut twin["spec"]["template"]["spec"]["containers"][0];
            assert_eq!(container.as_object_mut().unwrap().remove("imagePullPolicy"), Some(json!("IfNotPresent")));
        }
        for part in ["spec", "rules", "roleRef", "subjects", "data"] {
            assert_eq!(twin[part], document[part], "{part} of {:#}", document["metadata"]);
        }
        for (key, value) in document["metadata"]["annotations"].as_object().into_iter().flatten() {
            assert_eq!(&twin["metadata"]["annotations"][key], value, "{key}");
        }
    }
}

#[test]
fn the_chart_takes_volumes_and_every_text_as_it_is() {
    let odd = "a b: #\"'{{ x }}\\";
    let to = format!("plan.to={}", odd.replace('\\', "\\\\"));
    let set = [
        "--set-string=name=1e3",
        &format!("--set-string={to}"),
        "--set=job.work.persistentVolumeClaim.claimName=journal",
        "--set=job.volumes[0].name=out,job.volumes[0].persistentVolumeClaim.claimName=reports",
        "--set=job.volumeMounts[0].name=out,job.volumeMounts[0].mountPath=/out",
    ];
    let Some(chart) = chart(&set) else { return };
    assert!(chart.iter().all(|one| one["metadata"]["name"].is_string()), "{chart:#?}");
    let job = chart.iter().find(|one| one["kind"] == "Job").unwrap();
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "1e3");
    assert_eq!(pod["containers"][0]["args"][1], format!("--to={odd}"));
    let claim = |name: &str, claim: &str| json!({ "name": name, "persistentVolumeClaim": { "claimName": claim } });
    assert_eq!(pod["volumes"][1], claim("work", "journal"));
    assert_eq!(pod["volumes"][2], claim("out", "reports"));
    assert_eq!(pod["containers"][0]["volumeMounts"][2], json!({ "name": "out", "mountPath": "/out" }));
}
