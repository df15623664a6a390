//! Fleets: manifests and task definitions in a directory, and what they come to.

use preflight_cluster::{Inventory, Pair, load};
use serde_json::{Value, json};

/// Manifests of EKS and task definitions, services and scalable targets of ECS.
#[derive(Clone, Default)]
pub(crate) struct Fleet {
    manifests: String,
    ecs: Vec<Value>,
    pairs: Vec<Pair>,
    secrets: Vec<String>,
}

/// One workload: `orders`, unless named otherwise, with one container that has these variables.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub name: &'static str,
    pub env: Vec<(String, String)>,
    /// Lines of the Deployment's `spec`, indented by two.
    pub spec: String,
    /// Lines of the container, indented by eight.
    pub container: String,
}

impl Deployment {
    pub(crate) fn new(env: &[(&str, &str)]) -> Self {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { name: "orders", env, spec: "  replicas: 2\n".to_owned(), container: String::new() }
    }

    pub(crate) fn spec(mut self, lines: &str) -> Self {
        self.spec = lines.to_owned();
        self
    }
}

impl Fleet {
    /// `orders` on both sides with the same variables. ECS: 3 tasks, up to 5. EKS: 2 pods, up to 6.
    ///
    /// A rollout holds 2 × 5 + 2 × 6 = 22 instances, since neither side waits for what it replaces; between deployments
    /// there are 5 + 6 = 11.
    pub(crate) fn orders(env: &[(&str, &str)]) -> Self {
        Self::default().service("orders", env, 3, Some(5)).deployment(&Deployment::new(env)).autoscaler("orders", 6)
    }

    /// With text that no result may show.
    pub(crate) fn secret(mut self, text: &str) -> Self {
        self.secrets.push(text.to_owned());
        self
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    pub(crate) fn deployment(mut self, one: &Deployment) -> Self {
        let Deployment { name, env, spec, container } = one;
        let env: String =
            env.iter().map(|(name, value)| format!("        - {{name: {name}, value: {}}}\n", json!(value))).collect();
        self.manifests.push_str(&format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n{spec}  \
             template:\n    spec:\n      containers:\n      - name: app\n        image: {name}:1\n{container}        \
             env:\n{}{env}",
            if env.is_empty() { "        []\n" } else { "" }
        ));
        self
    }

    pub(crate) fn manifest(mut self, text: &str) -> Self {
        self.manifests.push_str("---\n");
        self.manifests.push_str(text);
        self
    }

    pub(crate) fn autoscaler(self, name: &str, max: u64) -> Self {
        self.manifest(&format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec:\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}\n  minReplicas: 2\n  \
             maxReplicas: {max}\n"
        ))
    }

    pub(crate) fn service(mut self, name: &str, env: &[(&str, &str)], desired: u64, max: Option<u64>) -> Self {
        let env: Vec<Value> = env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let container = json!({ "name": "app", "image": format!("{name}:1"), "environment": env });
        self.ecs.push(json!({ "taskDefinition": {
            "family": name, "revision": 7, "containerDefinitions": [container] } }));
        self.ecs.push(json!({ "services": [{
            "serviceName": name, "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/shop", "status": "ACTIVE",
            "desiredCount": desired, "taskDefinition": format!("{name}:7"),
            "deploymentConfiguration": { "maximumPercent": 200, "minimumHealthyPercent": 100 } }] }));
        let target = |max: u64| {
            json!({
            "ResourceId": format!("service/shop/{name}"), "ScalableDimension": "ecs:service:DesiredCount",
            "MinCapacity": 1, "MaxCapacity": max })
        };
        self.ecs.push(json!({ "ScalableTargets": max.map(target).into_iter().collect::<Vec<Value>>() }));
        self
    }

    /// Without any list of scalable targets.
    pub(crate) fn without_targets(mut self) -> Self {
        self.ecs.retain(|document| document.get("ScalableTargets").is_none());
        self
    }

    /// With services that run another revision of their task definition.
    pub(crate) fn run_revision(&mut self, revision: u64) {
        for service in self.ecs.iter_mut().filter_map(|document| document.pointer_mut("/services/0/taskDefinition")) {
            *service = json!(service.as_str().unwrap().replace(":7", &format!(":{revision}")));
        }
    }

    /// With a workload that has no side of EKS and is meant to have none.
    pub(crate) fn staying(mut self, name: &str) -> Self {
        self.pairs.push(Pair { name: name.to_owned(), eks: Some(Pair::NONE.to_owned()), ecs: None });
        self
    }

    pub(crate) fn has_ecs(&self) -> bool {
        !self.ecs.is_empty()
    }

    /// With a file of ECS.
    pub(crate) fn ecs(mut self, document: Value) -> Self {
        self.ecs.push(document);
        self
    }

    /// As the tool reads it.
    pub(crate) fn inventory(&self) -> Inventory {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = [vec![], vec![]];
        if !self.manifests.is_empty() {
            let path = folder.path().join("shop.yaml");
            std::fs::write(&path, &self.manifests).unwrap();
            paths[0].push(path);
        }
        for (index, document) in self.ecs.iter().enumerate() {
            let path = folder.path().join(format!("{index}.json"));
            std::fs::write(&path, serde_json::to_string_pretty(document).unwrap()).unwrap();
            paths[1].push(path);
        }
        load(&paths[0], &paths[1], &self.pairs).unwrap()
    }
}

#[test]
fn a_fleet_is_read_as_it_was_meant() {
    let inventory = Fleet::orders(&[("DB_HOST", "db")]).inventory();
    assert_eq!(inventory.notes, Vec::<String>::new());
    let orders = inventory.workload("orders").unwrap();
    assert_eq!(orders.ecs.as_ref().unwrap().autoscaled_max.as_ref().unwrap().value, 5);
    assert_eq!(orders.eks.as_ref().unwrap().autoscaler.as_ref().unwrap().max.as_ref().unwrap().value, 6);
}
