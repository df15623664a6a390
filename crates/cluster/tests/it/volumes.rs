//! What a pod is given as files.

use super::manifests;
use preflight_cluster::{EnvVar, Value};

/// The files of the only volume of the only workload, in a manifest with a ConfigMap and a Secret.
fn files(volume: &str) -> Vec<EnvVar> {
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: known, namespace: shop}}\ndata:\n  a.yml: 'url: db'\n  b.yml: \
         x\nbinaryData: {{d.bin: aGk=}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: known, namespace: shop}}\nstringData: {{c.yml: \
         canary}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: shop}}\nspec:\n  containers: [{{name: \
         c}}]\n  volumes: [{{name: v, {volume}}}]\n"
    );
    let inventory = manifests(&text).unwrap();
    assert!(!format!("{inventory:?}").contains("canary"));
    inventory.workloads[0].eks.as_ref().unwrap().pod.volumes[0].files.clone()
}

fn names(volume: &str) -> Vec<String> {
    files(volume).into_iter().map(|file| file.name).collect()
}

#[test]
fn a_config_map_in_the_manifests_gives_names_and_texts() {
    let found = files("configMap: {name: known}");
    assert_eq!(found[0].plain(), Some("url: db"));
    assert!(found[0].at.ends_with(":5"), "{}", found[0].at);
    assert_eq!(names("configMap: {name: known}"), ["a.yml", "b.yml", "d.bin"]);
    let binary = Value::Unresolved("binary key d.bin of ConfigMap known".to_owned());
    assert_eq!(found[2].value, binary);
    assert_eq!(names("configMap: {name: known, items: [{key: b.yml, path: x}]}"), ["b.yml"]);
    let gone = files("configMap: {name: gone}");
    assert!(gone[0].is_any() && matches!(&gone[0].value, Value::Unresolved(why) if why.contains("gone")));
}

#[test]
fn a_secret_gives_names_alone_and_items_name_even_those_of_one_that_is_not_here() {
    let known = files("secret: {secretName: known}");
    assert_eq!(
        (known[0].name.as_str(), &known[0].value),
        ("c.yml", &Value::Secret("key c.yml of Secret known".into()))
    );
    assert!(files("secret: {secretName: gone}")[0].is_any());
    assert_eq!(names("secret: {secretName: gone, items: [{key: tls.crt, path: tls.crt}]}"), ["tls.crt"]);
}

#[test]
fn projected_volumes_have_the_files_of_all_their_sources_and_the_store_of_secrets_any() {
    let sources = "{serviceAccountToken: {path: token}}, {configMap: {name: known}}, {secret: {name: known}}, \
                   {downwardAPI: {items: []}}";
    assert_eq!(names(&format!("projected: {{sources: [{sources}]}}")), ["a.yml", "b.yml", "d.bin", "c.yml"]);
    let csi = |driver: &str| names(&format!("csi: {{driver: {driver}, readOnly: true}}"));
    assert_eq!((csi("secrets-store.csi.k8s.io"), csi("efs.csi.aws.com")), (vec!["*".to_owned()], vec![]));
    assert_eq!((names("emptyDir: {}"), names("persistentVolumeClaim: {claimName: data}")), (vec![], vec![]));
}

#[test]
fn the_certificate_of_the_cluster_is_nobodys_configuration() {
    let of_every_pod = "projected: {defaultMode: 420, sources: [{serviceAccountToken: {expirationSeconds: 3607, path: token}}, \
                        {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}, {downwardAPI: {items: \
                        [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}]}";
    for volume in [of_every_pod, "configMap: {name: kube-root-ca.crt}"] {
        assert_eq!(names(volume), Vec::<String>::new(), "{volume}");
    }
    assert_eq!(names("configMap: {name: root-ca.crt}"), ["*"]);
}

#[test]
fn what_is_masked_as_a_whole_is_as_unknown_as_a_secret_and_a_url_with_a_masked_password_is_read() {
    let url = "redis://:***@cache:6379";
    let found = |env: &str| {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: known, namespace: shop}}\ndata: {{URL: '***', OF_URL: \
             '{url}'}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: shop}}\nspec:\n  containers: [{{name: c, \
             {env}}}]\n"
        );
        let inventory = manifests(&text).unwrap();
        inventory.workloads[0].eks.as_ref().unwrap().pod.containers[0].env.clone()
    };
    let is_masked = |one: &EnvVar| matches!(&one.value, Value::Secret(why) if why.contains("masked"));
    for env in [
        "env: [{name: URL, value: '***'}]",
        "env: [{name: URL, value: <redacted>}]",
        "env: [{name: URL, valueFrom: {configMapKeyRef: {name: known, key: URL}}}]",
        "envFrom: [{configMapRef: {name: known}}]",
    ] {
        assert!(is_masked(&found(env)[0]), "{env}");
    }
    let of_map = found("envFrom: [{configMapRef: {name: known}}]");
    assert_eq!(of_map[1].plain(), Some(url));
    assert_eq!(found(&format!("env: [{{name: TOKEN, value: '{url}'}}]"))[0].plain(), Some(url));
    assert_eq!(found("env: [{name: ORIGINS, value: '*'}]")[0].plain(), Some("*"));
}
