//! The kinds of objects that this tool knows, and those of which it knows that they make pods.

/// The kinds that are kept, each with the API groups in which it means what this tool takes it for.
pub(crate) const KINDS: &[(&str, &[&str])] = &[
    ("Deployment", &["apps", "extensions"]),
    ("StatefulSet", &["apps"]),
    ("DaemonSet", &["apps", "extensions"]),
    ("ReplicaSet", &["apps", "extensions"]),
    ("Job", &["batch"]),
    ("CronJob", &["batch"]),
    ("Pod", &[""]),
    ("Rollout", &["argoproj.io"]),
    ("ServiceAccount", &[""]),
    ("ConfigMap", &[""]),
    ("HorizontalPodAutoscaler", &["autoscaling"]),
    ("ScaledObject", &["keda.sh"]),
];

/// The kinds among them that make pods.
pub(crate) const WORKLOADS: &[&str] =
    &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod", "Rollout"];

/// Kinds of the core group of which only a part is kept.
const IN_PART: &[&str] = &["Secret", "Node", "Service"];

/// Further kinds whose objects may make pods without any other object of a kind above, and with none at the moment: kind,
/// group and resource. Where the template of their pods is in a usual place it is read.
pub(crate) const MAKERS: &[(&str, &str, &str)] = &[
    ("ReplicationController", "", "replicationcontrollers"),
    ("DeploymentConfig", "apps.openshift.io", "deploymentconfigs"),
    ("ScaledJob", "keda.sh", "scaledjobs"),
    ("Workflow", "argoproj.io", "workflows"),
    ("CronWorkflow", "argoproj.io", "cronworkflows"),
    ("PipelineRun", "tekton.dev", "pipelineruns"),
    ("TaskRun", "tekton.dev", "taskruns"),
    ("Service", "serving.knative.dev", "services"),
    ("KafkaConnect", "kafka.strimzi.io", "kafkaconnects"),
    ("FlinkDeployment", "flink.apache.org", "flinkdeployments"),
    ("SparkApplication", "sparkoperator.k8s.io", "sparkapplications"),
    ("ScheduledSparkApplication", "sparkoperator.k8s.io", "scheduledsparkapplications"),
    ("SparkApplication", "spark.apache.org", "sparkapplications"),
    ("SparkCluster", "spark.apache.org", "sparkclusters"),
    ("RayCluster", "ray.io", "rayclusters"),
    ("RayJob", "ray.io", "rayjobs"),
    ("RayService", "ray.io", "rayservices"),
    ("Job", "batch.volcano.sh", "jobs"),
    ("CronJob", "batch.volcano.sh", "cronjobs"),
    ("MPIJob", "kubeflow.org", "mpijobs"),
    ("PyTorchJob", "kubeflow.org", "pytorchjobs"),
    ("TFJob", "kubeflow.org", "tfjobs"),
    ("XGBoostJob", "kubeflow.org", "xgboostjobs"),
    ("CloneSet", "apps.kruise.io", "clonesets"),
    ("StatefulSet", "apps.kruise.io", "statefulsets"),
    ("DaemonSet", "apps.kruise.io", "daemonsets"),
    ("BroadcastJob", "apps.kruise.io", "broadcastjobs"),
    ("AdvancedCronJob", "apps.kruise.io", "advancedcronjobs"),
];

/// What the kinds make whose controllers are known, each called as among all. One of them may be named as the controller of
/// something else by whoever made that, and then it is no part of the one's own description.
const MADE: &[(&str, &str)] = &[
    ("Deployment", "ReplicaSet"),
    ("Rollout", "ReplicaSet"),
    ("ReplicaSet", "Pod"),
    ("StatefulSet", "Pod"),
    ("DaemonSet", "Pod"),
    ("Job", "Pod"),
    ("CronJob", "Job"),
    ("ReplicationController", "Pod"),
    ("DeploymentConfig", "ReplicationController"),
    ("ScaledJob", "Job"),
    ("CloneSet", "Pod"),
    ("StatefulSet.apps.kruise.io", "Pod"),
    ("DaemonSet.apps.kruise.io", "Pod"),
    ("BroadcastJob", "Pod"),
];

/// Whether a kind makes objects of another one; none where its controller is not known.
pub(crate) fn makes(kind: &str, made: &str) -> Option<bool> {
    let mut of_it = MADE.iter().filter(|(maker, _)| *maker == kind).peekable();
    of_it.peek()?;
    Some(of_it.any(|(_, one)| *one == made))
}

/// Where kinds that this tool does not know may have the template of their pods.
pub(crate) const TEMPLATES: &[&[&str]] = &[&["spec", "template"], &["spec", "jobTargetRef", "template"]];

/// The group in an `apiVersion`.
pub(crate) fn group_of(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether a kind is one that is kept.
pub(crate) fn is_kept(kind: &str, group: &str) -> bool {
    KINDS.iter().any(|(known, groups)| *known == kind && groups.contains(&group))
}

/// Whether a kind is one that is kept, whole or in part.
pub(crate) fn is_known(kind: &str, group: &str) -> bool {
    is_kept(kind, group) || group.is_empty() && IN_PART.contains(&kind)
}

/// Whether a kind is one of [`MAKERS`].
pub(crate) fn is_maker(kind: &str, group: &str) -> bool {
    MAKERS.iter().any(|(known, of, _)| *known == kind && *of == group)
}

/// What a kind is called among all: with its group, where a kind of the same name is known from another one.
pub(crate) fn called(kind: &str, group: &str) -> String {
    let is_taken = KINDS.iter().any(|(known, _)| *known == kind) || IN_PART.contains(&kind);
    if is_taken && !is_known(kind, group) { format!("{kind}.{group}") } else { kind.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_kind_is_known_twice() {
        let kept = KINDS.iter().flat_map(|(kind, groups)| groups.iter().map(move |group| (*kind, *group)));
        let all: Vec<_> = kept.chain(MAKERS.iter().map(|(kind, group, _)| (*kind, *group))).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn whatever_is_kept_and_makes_pods_is_known_by_what_it_makes() {
        for kind in WORKLOADS.iter().filter(|kind| **kind != "Pod") {
            assert_eq!(makes(kind, "Service"), Some(false), "{kind}");
        }
        for (kind, _) in MADE {
            let is_in_table = |(known, group, _): &(&str, &str, &str)| called(known, group) == *kind;
            assert!(WORKLOADS.contains(kind) || MAKERS.iter().any(is_in_table), "{kind}");
        }
        assert_eq!((makes("CronJob", "Job"), makes("Deployment", "Job")), (Some(true), Some(false)));
        assert_eq!(makes("CronJob.batch.volcano.sh", "Job"), None);
    }

    #[test]
    fn every_maker_of_pods_is_in_the_documentation() {
        let text = include_str!("../../../../docs/configuration.md");
        for (kind, group, _) in MAKERS {
            let group = if group.is_empty() { "Kubernetes" } else { group };
            let line = text.lines().find(|line| line.starts_with(&format!("| {group} |")));
            assert!(line.is_some_and(|line| line.contains(&format!("`{kind}`"))), "{kind} of {group}");
        }
    }

    #[test]
    fn a_kind_that_has_the_name_of_a_known_one_is_called_with_its_group() {
        assert_eq!(called("Job", "batch"), "Job");
        assert_eq!(called("Job", "batch.volcano.sh"), "Job.batch.volcano.sh");
        assert_eq!((called("Service", "").as_str(), called("Thing", "a.b").as_str()), ("Service", "Thing"));
        assert_eq!(called("Service", "serving.knative.dev"), "Service.serving.knative.dev");
    }
}
