//! What may not be read of a cluster: named right by right, and never absent.

use super::live::{Api, object, template};
use preflight_cluster::named;
use preflight_core::{Permission, Right};
use preflight_fixtures::aws::AccessRule;
use serde_json::{Value, json};

#[tokio::test]
async fn every_right_that_is_missing_is_named_and_nothing_is_absent_for_want_of_it() {
    let mut deployment = object("Deployment", "orders", json!({"template": template()}));
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "common"}}]);
    let objects = [
        deployment,
        object("DaemonSet", "agent", json!({"template": template()})),
        object("Rollout", "web", json!({"template": template()})),
        object("CronWorkflow", "nightly", json!({})),
        object("ScaledObject", "web", json!({"scaleTargetRef": {"kind": "Rollout", "name": "web"}})),
        object("ConfigMap", "common", Value::Null),
    ];
    let rights = Api::with(&objects).await.read(&["shop"], &[]).await.unwrap().rights;
    let list = |group: &'static str, resource: &'static str| {
        let permission = Permission::Kubernetes { verb: "list", group, resource };
        Right { permission, namespace: Some("shop".to_owned()), name: None }
    };
    let expected = [
        Right { namespace: None, ..Right::kubernetes("get", "", "namespaces", "", "kube-system") },
        Right::kubernetes("get", "", "namespaces", "shop", "shop"),
        list("apps", "deployments"),
        list("apps", "statefulsets"),
        list("apps", "daemonsets"),
        list("apps", "replicasets"),
        list("", "replicationcontrollers"),
        list("batch", "jobs"),
        list("batch", "cronjobs"),
        list("", "pods"),
        list("", "services"),
        list("", "serviceaccounts"),
        list("autoscaling", "horizontalpodautoscalers"),
        list("argoproj.io", "rollouts"),
        list("argoproj.io", "cronworkflows"),
        list("keda.sh", "scaledobjects"),
        Right { namespace: None, ..list("", "nodes") },
        Right::kubernetes("get", "", "configmaps", "shop", "common"),
    ];
    assert_eq!(rights, expected);
    for right in rights {
        let api = Api::that_denies(&objects, vec![denial(&right)]).await;
        let (text, is_reached) = api.forbidden().await;
        let said = format!("the cluster does not allow this tool to {}; grant what is missing", named(&right));
        assert!(text.starts_with(&said) && is_reached, "{text}");
    }
}

fn denial(right: &Right) -> AccessRule {
    let Permission::Kubernetes { verb, group, resource } = right.permission else { unreachable!() };
    let mut rule = AccessRule::new(verb, group, resource);
    rule.namespace = right.namespace.clone().or(right.name.clone());
    rule
}

#[tokio::test]
async fn all_rights_that_are_missing_are_named_at_once() {
    let mut deployment = object("Deployment", "orders", json!({"template": template()}));
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "common"}}]);
    let objects = [deployment, object("DaemonSet", "agent", json!({"template": template()}))];
    let denied = vec![
        AccessRule::new("get", "", "namespaces").namespace("kube-system"),
        AccessRule::new("list", "apps", "statefulsets"),
        AccessRule::new("list", "", "nodes"),
        AccessRule::new("list", "", "pods"),
        AccessRule::new("get", "", "configmaps"),
    ];
    let (text, is_reached) = Api::that_denies(&objects, denied).await.forbidden().await;
    let expected = "the cluster does not allow this tool to get namespaces kube-system in the whole cluster, nor to list \
                    statefulsets.apps, pods in the namespace shop, nor to list nodes in the whole cluster, nor to get \
                    configmaps common in the namespace shop; grant what is missing: `eks-preflight manifest rbac`";
    assert!(text.starts_with(expected) && is_reached, "{text}");
    let (text, is_reached) = Api::that_denies(&objects, vec![AccessRule::new("*", "*", "*")]).await.forbidden().await;
    assert!(text.contains("list deployments.apps, statefulsets.apps, daemonsets.apps") && !is_reached, "{text}");
}
