//! The double of the pod identity webhook, called by a real API server, does what AWS's own webhook did.

use crate::live::{Place, host, live, wait};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use preflight_fixtures::webhook::{Accounts, Flags, Knowledge, Recorded, Webhook, shape};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const ROLE: &str = "arn:aws:iam::111122223333:role/orders";

/// A webhook that the API server calls for the pods of one namespace.
struct Called {
    configurations: Api<MutatingWebhookConfiguration>,
    name: String,
    _webhook: Webhook,
}

/// The webhook looks ServiceAccounts up in the API.
fn accounts(place: &Place) -> Accounts {
    let client = place.client.clone();
    Arc::new(move |namespace, name| {
        let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
        Box::pin(async move { api.get_opt(&name).await.ok()??.metadata.annotations })
    })
}

/// The pod as it would come to be, without being made.
async fn dry_run(place: &Place, pod: &Value) -> Result<Value, kube::Error> {
    let made = place.api().create(&PostParams { dry_run: true, ..PostParams::default() }, &pod_of(pod)).await;
    made.map(|pod| serde_json::to_value(pod).unwrap())
}

fn pod_of(pod: &Value) -> Pod {
    serde_json::from_value(pod.clone()).unwrap()
}

impl Called {
    /// Registers a webhook and waits until it is called. It goes with the namespace, whatever becomes of the test.
    async fn new(place: &Place, host: &str, knowledge: Knowledge) -> Self {
        let webhook = Webhook::start(host.parse().unwrap(), knowledge).await.unwrap();
        let namespaces: Api<Namespace> = Api::all(place.client.clone());
        let uid = namespaces.get(&place.namespace).await.unwrap().metadata.uid;
        let owner = json!({"apiVersion": "v1", "kind": "Namespace", "name": place.namespace, "uid": uid});
        let configuration = json!({
            "metadata": {"generateName": "preflight-test-", "ownerReferences": [owner]},
            "webhooks": [{
                "name": "iam-for-pods.amazonaws.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Ignore", "timeoutSeconds": 10, "clientConfig": webhook.client_config(),
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            }],
        });
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(place.client.clone());
        let made = serde_json::from_value(configuration).unwrap();
        let made = configurations.create(&PostParams::default(), &made).await.unwrap();
        let called = Self { configurations, name: made.metadata.name.unwrap(), _webhook: webhook };
        called.wait(place, true).await;
        called
    }

    async fn wait(&self, place: &Place, is_called: bool) {
        let container = json!({"name": "app", "image": "app:1"});
        let pod =
            json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "probe", "containers": [container]}});
        wait("the API server's hearing of the webhook", || async {
            let seen = dry_run(place, &pod).await.unwrap().to_string().contains("aws-iam-token");
            (seen == is_called).then_some(())
        })
        .await;
    }

    /// Ends it, and waits until the API server knows.
    async fn end(self, place: &Place) {
        self.configurations.delete(&self.name, &DeleteParams::default()).await.unwrap();
        self.wait(place, false).await;
    }
}

#[test]
fn every_recorded_pod_comes_out_of_a_real_api_server_as_it_did_with_awss_webhook() {
    live(|place| async move {
        let Some(host) = host() else { return };
        place.account("probe", Some(ROLE)).await;
        let cases = Recorded::all();
        for (index, case) in cases.iter().enumerate() {
            let account = json!({"metadata": {"name": format!("sa-{index}"), "annotations": case.annotations()}});
            place.create::<ServiceAccount>(account).await;
        }
        let all = cases.iter().map(Recorded::flags);
        let associated = |index: usize| (place.namespace.clone(), format!("sa-{index}"));
        let associations: BTreeSet<_> =
            (0..cases.len()).filter(|index| cases[*index].is_associated()).map(associated).collect();
        for flags in [Flags { region: Some("eu-west-1".to_owned()), regional_sts: true }, Flags::default()] {
            let knowledge =
                Knowledge { flags: flags.clone(), associations: associations.clone(), accounts: accounts(&place) };
            let called = Called::new(&place, &host, knowledge).await;
            for (index, case) in cases.iter().enumerate().filter(|(_, case)| case.flags() == flags) {
                let mut pod = case.pod.clone();
                pod["spec"]["serviceAccountName"] = json!(format!("sa-{index}"));
                assert_eq!(shape(&dry_run(&place, &pod).await.unwrap()), case.mutated(), "{}", case.id);
            }
            called.end(&place).await;
        }
        assert_eq!(all.filter(|flags| flags.region.is_none()).count(), 2, "both groups had cases");
    });
}

#[test]
fn a_pod_that_mounts_something_where_the_token_goes_cannot_start_at_all() {
    live(|place| async move {
        let Some(host) = host() else { return };
        place.account("probe", Some(ROLE)).await;
        let knowledge =
            Knowledge { flags: Flags::default(), associations: BTreeSet::new(), accounts: accounts(&place) };
        let _called = Called::new(&place, &host, knowledge).await;
        let mount = json!({"name": "mine", "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount"});
        let container = json!({"name": "app", "image": "app:1", "volumeMounts": [mount]});
        let spec = json!({"serviceAccountName": "probe", "containers": [container], "volumes": [{"name": "mine", "emptyDir": {}}]});
        let refused = dry_run(&place, &json!({"metadata": {"name": "p"}, "spec": spec})).await.unwrap_err();
        assert!(refused.to_string().contains("must be unique"), "{refused}");
    });
}
