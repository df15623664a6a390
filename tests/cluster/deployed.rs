//! What a user puts into a cluster: README's lines as they are written, the chart, and the ways out of a pod and to it.

use crate::live::{Place, alone, host, live, program, wait};
use crate::shop::{KEYS, Shop};
use crate::store::Store;
use crate::tool::{Ran, command};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::Permissions;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The namespace of README.
const README_NAMESPACE: &str = "eks-preflight";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of README's section about clusters.
fn readme_lines() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let section = text.split("## In your cluster").nth(1).unwrap();
    let block = section.split("```").nth(1).unwrap();
    block.lines().skip(1).map(str::to_owned).collect()
}

/// Runs a program while AWS's double goes on in this thread.
async fn ran(mut command: Command) -> Ran {
    tokio::task::spawn_blocking(move || Ran::of(command.output().unwrap())).await.unwrap()
}

/// A shell in the folder of a configuration, with the program and kubectl on its path.
fn shell(shop: &Shop, folder: &Path, line: &str) -> Command {
    let mut shell = Command::new("sh");
    let tool = PathBuf::from(command(folder).get_program());
    let mut path = OsString::from(tool.parent().unwrap());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    shell.current_dir(folder).args(["-euc", line]).env("PATH", path).envs(KEYS);
    shell.env("KUBECONFIG", &shop.place.kubeconfig).env("EKS_PREFLIGHT_IMAGE", &shop.image);
    shell
}

#[test]
fn the_lines_of_readme_work_as_they_are_written() {
    live(|place| async move {
        if !alone() {
            return;
        }
        let (Some(shop), Some(_)) = (Shop::new(&place).await, program("kubectl")) else { return };
        let namespaces: Api<Namespace> = Api::all(place.client.clone());
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": README_NAMESPACE}})).unwrap();
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        let secrets: Api<Secret> = Api::namespaced(place.client.clone(), README_NAMESPACE);
        let keys = json!({"metadata": {"name": "eks-preflight-secrets"}, "stringData": shop.secrets});
        secrets.create(&PostParams::default(), &serde_json::from_value(keys).unwrap()).await.unwrap();
        let world = shop.world();
        let lines = readme_lines();
        let mut done = vec![];
        for line in &lines {
            done.push(ran(shell(&shop, &world.path(""), line)).await);
        }
        let report = std::fs::read_to_string(world.path("preflight-report.json"));
        namespaces.delete(README_NAMESPACE, &DeleteParams::default()).await.unwrap();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        for (line, done) in lines.iter().zip(&done) {
            assert_eq!(done.code, 0, "{line}: {done:?}");
        }
        let report: Value = serde_json::from_str(&report.unwrap()).unwrap();
        assert_eq!(report["summary"]["verdict"], "go", "{report:#}");
        let arguments = ["report", "verify", "preflight-report.json", "--environment", "test", "--to", "traffic-1"];
        let verified = world.tool(&arguments);
        assert_eq!(verified.code, 0, "{verified:?}");
    });
}

/// A helm that works on the test's namespace, in a folder with the plan's values in `plan.yaml`.
fn helm(shop: &Shop, helm: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(helm);
    command.args(arguments).args(["--namespace", &shop.place.namespace]);
    command.env("KUBECONFIG", &shop.place.kubeconfig).env("HELM_DRIVER", "configmap");
    command
}

/// The values of the plan, and those that say where the image is.
fn values(shop: &Shop, folder: &Path) -> Vec<String> {
    let world = shop.world();
    let mut arguments = vec!["manifest", "values", "--name=preflight"];
    arguments.extend(shop.choice.iter().map(String::as_str));
    let made = world.tool(&arguments);
    assert_eq!(made.code, 0, "{made:?}");
    let file = folder.join("plan.yaml");
    std::fs::write(&file, made.out).unwrap();
    let (repository, tag) = shop.image.rsplit_once(':').unwrap();
    vec![
        "preflight".to_owned(),
        root().join("deploy/chart").display().to_string(),
        format!("--values={}", file.display()),
        format!("--set=image.repository={repository},image.tag={tag}"),
    ]
}

#[test]
fn the_chart_installs_and_its_test_runs_the_job() {
    live(|place| async move {
        let (Some(shop), Some(program)) = (Shop::new(&place).await, program("helm")) else { return };
        let folder = tempfile::tempdir().unwrap();
        shop.keep_secrets().await;
        let values = values(&shop, folder.path());
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let installed = ran(helm(&shop, &program, &[&["upgrade", "--install"], values.as_slice()].concat())).await;
        assert_eq!(installed.code, 0, "{installed:?}");
        let tested = ran(helm(&shop, &program, &["test", "preflight", "--timeout=3m"])).await;
        assert_eq!(tested.code, 0, "{tested:?}");
        assert_eq!(shop.fetched("preflight-deployed")["summary"]["verdict"], "go");
        let removed = ran(helm(&shop, &program, &["uninstall", "preflight", "--wait"])).await;
        assert_eq!(removed.code, 0, "{removed:?}");
        let kept = place.api::<ConfigMap>().get_opt("preflight-result").await.unwrap();
        assert!(kept.is_some(), "the result went with the release");
    });
}

#[test]
fn what_helm_renders_is_what_the_api_server_takes() {
    live(|place| async move {
        let (Some(shop), Some(program)) = (Shop::new(&place).await, program("helm")) else { return };
        let folder = tempfile::tempdir().unwrap();
        let values = values(&shop, folder.path());
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        // It does not ask the cluster, not even for its version.
        let version = format!("--kube-version={}", place.client.apiserver_version().await.unwrap().git_version);
        for hook in ["--set=job.hook=test", "--set=job.hook="] {
            let rendered =
                ran(helm(&shop, &program, &[&["template", &version, hook], values.as_slice()].concat())).await;
            assert_eq!(rendered.code, 0, "{rendered:?}");
            let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered.out).unwrap();
            let kinds: Vec<&str> = documents.iter().filter_map(|one| one["kind"].as_str()).collect();
            assert!(kinds.contains(&"Job") && kinds.contains(&"Role") && kinds.len() >= 6, "{kinds:?}");
            for document in &documents {
                dry_run(&place.client, document).await.unwrap();
            }
            let mut odd = documents.into_iter().find(|one| one["kind"] == "Job").unwrap();
            odd["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
            assert!(dry_run(&place.client, &odd).await.is_err(), "or nothing was looked at");
        }
    });
}

/// Sends an object to the API server, which says what it would make of it, strictly.
async fn dry_run(client: &Client, document: &Value) -> kube::Result<DynamicObject> {
    let object = DynamicObject::deserialize(document).unwrap();
    let (api_version, kind) = (document["apiVersion"].as_str().unwrap(), document["kind"].as_str().unwrap());
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let strictly = PatchParams { dry_run: true, ..PatchParams::apply("test") }.validation_strict();
    api.patch(&object.name_any(), &strictly, &Patch::Apply(document)).await
}

#[test]
fn a_report_leaves_the_pod_by_file_and_by_http_and_names_are_looked_up_in_the_image() {
    live(|place| async move {
        let (Some(mut shop), Some(host)) = (Shop::new(&place).await, host()) else { return };
        if !alone() {
            return;
        }
        let volume = volume(&place).await;
        let bucket = Store::at(&host);
        answer_names(host.parse().unwrap());
        let url = shop.aws.urls().sts.clone();
        let named = |name: &str| url.replace(&host, name);
        shop.config = shop.config.replacen(&url, &named("sts.preflight.test"), 1);
        shop.config = shop.config.replacen(&url, &named("iam.preflight.test"), 1);
        let target = format!("{}/bucket/report.json?signature=canary-of-the-url", bucket.url);
        shop.secrets.insert("REPORT_URL".to_owned(), target);
        shop.grant().await;
        let job = shop.start(|job| {
            let pod = &mut job["spec"]["template"]["spec"];
            // One name is known to the resolver alone, the other to the pod's own file.
            pod["dnsPolicy"] = json!("None");
            pod["dnsConfig"] = json!({"nameservers": [host]});
            pod["hostAliases"] = json!([{"ip": host, "hostnames": ["iam.preflight.test"]}]);
            pod["volumes"]
                .as_array_mut()
                .unwrap()
                .push(json!({"name": "out", "persistentVolumeClaim": {"claimName": "out"}}));
            let container = &mut pod["containers"][0];
            container["volumeMounts"].as_array_mut().unwrap().push(json!({"name": "out", "mountPath": "/out"}));
            let ways = [json!("--deliver=file=/out/report.json"), json!("--deliver=put=${REPORT_URL}")];
            container["args"].as_array_mut().unwrap().extend(ways);
        });
        let job = job.await;
        let (end, _) = wait("the Job's end", || shop.ended(&job)).await;
        let report = shop.fetched(&job);
        assert_eq!((end.as_str(), &report["summary"]["verdict"]), ("Complete", &json!("go")), "{report:#}");
        let by_file = std::fs::read_to_string(volume.path().join("report.json")).unwrap();
        let by_put = bucket.get("/bucket/report.json").unwrap();
        assert_eq!(by_put, by_file);
        assert_eq!(serde_json::from_str::<Value>(&by_put).unwrap(), report);
        let job = place.api::<Job>().get(&job).await.unwrap();
        let said = [serde_json::to_string(&job).unwrap(), by_put].concat();
        assert!(!said.contains("canary-of-the-url"), "the signature is in the Job or in the report");
    });
}

/// A folder of this host as the volume that is claimed as `out`; the claim's end is the volume's.
async fn volume(place: &Place) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let volumes: Api<PersistentVolume> = Api::all(place.client.clone());
    let shape = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": ""});
    let mut claim = json!({"metadata": {"name": "out"}, "spec": shape});
    claim["spec"]["volumeName"] = json!(place.namespace);
    claim["spec"]["resources"] = json!({"requests": {"storage": "1Mi"}});
    let mut volume = json!({"metadata": {"name": place.namespace}, "spec": shape});
    volume["spec"]["capacity"] = json!({"storage": "1Mi"});
    volume["spec"]["hostPath"] = json!({"path": folder.path()});
    volumes.create(&PostParams::default(), &serde_json::from_value(volume).unwrap()).await.unwrap();
    place.create::<PersistentVolumeClaim>(claim).await;
    let claims = place.api::<PersistentVolumeClaim>();
    wait("the claim's volume", || async {
        claims.get("out").await.unwrap().status.filter(|status| status.phase.as_deref() == Some("Bound"))
    })
    .await;
    // It goes as soon as nobody claims it any more.
    volumes.delete(&place.namespace, &DeleteParams::default()).await.unwrap();
    folder
}

/// A resolver that knows one name, `sts.preflight.test`, which is here. Its thread ends with the test's process.
fn answer_names(address: Ipv4Addr) {
    const NAME: &[u8] = b"\x03sts\x09preflight\x04test\0";
    const QUESTION: usize = 12;
    let socket = UdpSocket::bind((address, 53)).unwrap();
    std::thread::spawn(move || {
        let mut asked = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut asked) {
            let name_end = QUESTION + NAME.len();
            let is_known = asked[..length].get(QUESTION..name_end) == Some(NAME);
            let is_ipv4 = asked[name_end..].starts_with(&[0, 1]);
            let end =
                asked[QUESTION..length].iter().position(|byte| *byte == 0).map_or(length, |zero| QUESTION + zero + 5);
            // RFC 1035, 4.1: an answer, recursion available; NXDOMAIN for every other name; the question again.
            let code = if is_known { 0x80 } else { 0x83 };
            let mut answer = [&asked[..2], &[0x81, code, 0, 1, 0, u8::from(is_known && is_ipv4), 0, 0, 0, 0]].concat();
            answer.extend(&asked[QUESTION..end.min(length)]);
            if is_known && is_ipv4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(address.octets());
            }
            // Who asked may be gone.
            drop(socket.send_to(&answer, from));
        }
    });
}
