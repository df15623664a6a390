//! `irsa.service-account-annotated`: the ServiceAccount of the pods names the role.
//!
//! The pod identity webhook looks at one place only: the annotation `eks.amazonaws.com/role-arn` of the ServiceAccount
//! that the pod names. It injects whatever stands there, however malformed, and says nothing when it stands elsewhere; the
//! pod then runs as the node's role. This check tells the common mistakes apart: no such ServiceAccount, the annotation on
//! the pod, a wrong key, the ServiceAccount `default`, white space, another resource, another role or account,
//! `AWS_ROLE_ARN` or `AWS_ACCESS_KEY_ID` in a container, and pods that the webhook is told to leave out. It cannot tell
//! when the ServiceAccount is neither in the manifests nor can be read from the cluster. Correct the annotation and create the pods anew: the webhook acts on creation alone.

use crate::Env;
use crate::arn::RoleArn;
use crate::preset::{KEY_VARIABLE, Preset, ROLE_VARIABLE};
use crate::subject::{Account, ROLE_ANNOTATION, Subject, means_role};
use preflight_cluster::ServiceAccount;
use preflight_core::{CannotTell, Check, Disruption, Entry, Evidence, Finding, Levels, Meta, Permission, Run, Scope};

pub(crate) const META: Meta = Meta {
    id: "irsa.service-account-annotated",
    title: "The ServiceAccount names the pod's role",
    proves: "The ServiceAccount of the pods exists and is annotated with the well-formed ARN of a role, the expected one if \
             one is configured, the webhook is not told to leave the pods out, and no container has another role or keys.",
    fails_when: "The ServiceAccount is missing; the annotation is missing, stands on the pod or under another key; its \
                 value is not the ARN of a role, or of another role or account than expected; a container sets AWS_ROLE_ARN to \
                 another one, or AWS_ACCESS_KEY_ID; every container is skipped.",
    unknown_when: "The ServiceAccount is not in the manifests and cannot be read from the cluster; AWS_ROLE_ARN of a \
                   container cannot be read; the configuration names two clusters.",
    fix: "Annotate the ServiceAccount with eks.amazonaws.com/role-arn, let the pod name that ServiceAccount, and create the \
          pods anew.",
    permissions: &[Permission::Kubernetes { verb: "get", group: "", resource: "serviceaccounts" }],
    disruption: Disruption::Reads,
    levels: Levels::required(),
    limit_ms: 20_000,
    max_age_ms: 3_600_000,
};

pub(crate) const ENTRY: Entry<Env> =
    Entry { meta: &META, items: |env| env.items(targets, Subject::rights_on_account, |subject| Annotated { subject }) };

fn targets(subject: &Subject) -> Vec<String> {
    if subject.asks_cluster() { vec![subject.live.cluster_target()] } else { vec![] }
}

struct Annotated {
    subject: Subject,
}

impl Check for Annotated {
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            if self.subject.is_whole || self.subject.asks_cluster() {
                self.subject.live.agrees()?;
            }
            self.assess(self.subject.account(scope).await)
        })
    }
}

impl Annotated {
    fn assess(&self, account: Result<Account, CannotTell>) -> Result<Vec<Finding>, CannotTell> {
        let (subject, expected) = (&self.subject, self.expected());
        let reference = subject.reference();
        let account = match account? {
            Account::Present(account) => account,
            Account::Absent(at) => {
                let observed = format!("the ServiceAccount {reference} does not exist in {at}; no pod can be created");
                let fix =
                    format!("Create the ServiceAccount {reference}, or correct `serviceAccountName` of the pods.");
                return Ok(vec![Finding::unmet(observed, expected).fix(fix).with(self.pod())]);
            }
        };
        let Some(annotation) = account.annotations.get(ROLE_ANNOTATION) else {
            let (observed, fix) = self.why_missing(&account);
            let place = Evidence::new("manifest", account.at, format!("ServiceAccount {reference}"));
            return Ok(vec![Finding::unmet(observed, expected).fix(fix).with(place).with(self.pod())]);
        };
        let place =
            Evidence::new("manifest", annotation.at.as_str(), format!("{ROLE_ANNOTATION}: {}", annotation.value));
        let mut finding = match RoleArn::parse(&annotation.value) {
            Err(wrong) => {
                let observed = format!("{reference} is annotated with `{}`: {wrong}", annotation.value.escape_debug());
                let fix = "Correct the annotation; the webhook injects whatever stands there, and STS then refuses it.";
                Finding::unmet(observed, expected).fix(fix)
            }
            Ok(role) => match self.why_other(&role) {
                Some((wrong, fix)) => {
                    Finding::unmet(format!("{reference} is annotated with {}: {wrong}", role.text), expected).fix(fix)
                }
                None => Finding::met(format!("{reference} is annotated with {}", role.text), expected),
            },
        };
        if subject.account == "default" {
            let detail = "every pod of the namespace that names no ServiceAccount gets this role too";
            finding = finding.with(Evidence::new("note", &reference, detail));
        }
        let others = self.left_out().into_iter().chain(self.presets(&annotation.value));
        let findings: Vec<Finding> = [finding.with(place)].into_iter().chain(others).collect();
        let is_open = |preset: &&Preset| preset.name == ROLE_VARIABLE && preset.value.is_none();
        match subject.presets.iter().find(is_open) {
            Some(preset) if findings.iter().all(|finding| finding.met) => Err(CannotTell::insufficient(format!(
                "the container {} gets {ROLE_VARIABLE} from where it cannot be read ({}); where it is set, the webhook \
                 injects neither role nor token: remove it",
                preset.container, preset.at
            ))),
            _ => Ok(findings),
        }
    }

    fn expected(&self) -> String {
        let Subject { expected, .. } = &self.subject;
        let role = expected.as_ref().map_or("the role's ARN".to_owned(), |role| role.clone());
        format!("the ServiceAccount {} is annotated with {ROLE_ANNOTATION}: {role}", self.subject.reference())
    }

    fn pod(&self) -> Evidence {
        let Subject { pod_at, account, is_named, .. } = &self.subject;
        let name = if *is_named { account.as_str() } else { "absent" };
        Evidence::new("manifest", pod_at.as_str(), format!("serviceAccountName: {name}"))
    }

    /// Where the annotation may have gone, and what to do.
    fn why_missing(&self, account: &ServiceAccount) -> (String, String) {
        let reference = self.subject.reference();
        let on_pod = self.subject.pod_annotations.keys().find(|key| means_role(key));
        let near = account.annotations.keys().find(|key| means_role(key));
        if let Some(key) = near {
            let observed = format!("{reference} is annotated with `{key}`, which nobody reads");
            return (observed, format!("Rename the annotation `{key}` to {ROLE_ANNOTATION}."));
        }
        if let Some(key) = on_pod {
            let observed =
                format!("the annotation `{key}` stands on the pods and not on the ServiceAccount {reference}");
            return (observed, format!("Move it to the ServiceAccount {reference}, as {ROLE_ANNOTATION}."));
        }
        if !self.subject.is_named {
            let observed = format!("the pods name no ServiceAccount and get {reference}, which names no role");
            return (observed, "Set `serviceAccountName` of the pods to the ServiceAccount with the role.".to_owned());
        }
        let fix = format!("Annotate the ServiceAccount {reference} with {ROLE_ANNOTATION}.");
        (format!("the ServiceAccount {reference} names no role"), fix)
    }

    /// What is wrong with a well-formed ARN, and what to do.
    fn why_other(&self, role: &RoleArn) -> Option<(String, String)> {
        let right_partition = self.subject.live.region().map(partition);
        if let Some(right) = right_partition.filter(|right| *right != role.partition) {
            let wrong = format!("it is in the partition {}, the region is in {right}", role.partition);
            return Some((wrong, format!("Annotate the role's ARN in the partition {right}.")));
        }
        if let Some(configured) = self.subject.live.aws.account_id.as_deref().filter(|_| self.subject.is_foreign(role))
        {
            let wrong = format!("that is the account {}, and `aws.accountId` is {configured}", role.account);
            let fix = self.subject.expected.as_ref().map_or_else(
                || format!("Name a role of the account {configured}, or expect this one with `roleArn`."),
                |expected| format!("Annotate {} with {expected}, or correct `roleArn`.", self.subject.reference()),
            );
            return Some((wrong, fix));
        }
        let expected = self.subject.expected.as_deref().filter(|expected| *expected != role.text)?;
        let wrong = match RoleArn::parse(expected) {
            Ok(other) if other.account != role.account => format!("that is the account {}", role.account),
            Ok(other) if other.name == role.name => format!("the expected role has the path {}", other.path),
            _ => "that is another role than expected".to_owned(),
        };
        Some((wrong, format!("Annotate {} with {expected}, or correct `roleArn`.", self.subject.reference())))
    }

    /// What the webhook is told to leave as it is.
    fn left_out(&self) -> Option<Finding> {
        let Subject { skipped, containers, pod_at, .. } = &self.subject;
        if skipped.is_empty() {
            return None;
        }
        let place = Evidence::new("manifest", pod_at.as_str(), "eks.amazonaws.com/skip-…");
        let observed = format!("the webhook is told to leave out the containers {}", skipped.join(", "));
        let expected = "the webhook injects role and token into a container of the pod";
        if skipped.len() < *containers {
            return Some(Finding::met(format!("{observed}, and not the others"), expected).with(place));
        }
        let fix = "Remove the annotation eks.amazonaws.com/skip-containers, and the label \
                   eks.amazonaws.com/skip-pod-identity-webhook, from the pods.";
        Some(Finding::unmet(observed, expected).fix(fix).with(place))
    }

    /// Containers that have another identity written down.
    fn presets(&self, annotated: &str) -> Vec<Finding> {
        self.subject.presets.iter().filter_map(|preset| self.of_preset(preset, annotated)).collect()
    }

    fn of_preset(&self, preset: &Preset, annotated: &str) -> Option<Finding> {
        let Preset { container, name, value, at } = preset;
        let place = |text: String| Evidence::new("manifest", at.as_str(), text);
        match (name.as_str(), value.as_deref()) {
            (ROLE_VARIABLE, Some(value)) if value != annotated => {
                let observed = format!("the container {container} sets {ROLE_VARIABLE} to `{}`", value.escape_debug());
                let expected = format!("no container sets {ROLE_VARIABLE} to anything but {annotated}");
                let fix = format!(
                    "Remove {ROLE_VARIABLE} from the container {container}: where it is set, the webhook injects neither \
                     role nor token."
                );
                Some(Finding::unmet(observed, expected).fix(fix).with(place(format!("{ROLE_VARIABLE}: {value}"))))
            }
            // An empty one is none.
            (ROLE_VARIABLE, _) | (KEY_VARIABLE, Some("")) => None,
            (KEY_VARIABLE, _) => {
                let observed = format!("the container {container} has the keys of another identity ({KEY_VARIABLE})");
                let fix = format!(
                    "Remove {KEY_VARIABLE} and AWS_SECRET_ACCESS_KEY from the container {container}: SDKs take them before \
                     the role."
                );
                let expected = format!("no container has {KEY_VARIABLE}");
                Some(Finding::unmet(observed, expected).fix(fix).with(place(KEY_VARIABLE.to_owned())))
            }
            _ => {
                let seen = format!("what the container {container} takes from {at} cannot be read");
                let expected = format!("no container has {KEY_VARIABLE}");
                let doubt = format!("if {KEY_VARIABLE} is in it, SDKs take that before the role");
                Some(Finding::met(format!("{seen}; {doubt}"), expected).with(place(name.clone())))
            }
        }
    }
}

/// The partition that a region belongs to.
fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        region if region.starts_with("eusc-") => "aws-eusc",
        region if region.starts_with("us-iso-") => "aws-iso",
        region if region.starts_with("us-isob-") => "aws-iso-b",
        region if region.starts_with("eu-isoe-") => "aws-iso-e",
        region if region.starts_with("us-isof-") => "aws-iso-f",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::tests::{ROLE, account, env, sited, subject, workload};
    use preflight_cluster::{Container, EnvVar, Value, Workload};
    use preflight_core::Reason;

    fn judge_with(workload: Workload, annotations: &[(&str, &str)], role: Option<&str>) -> Vec<Finding> {
        let account = account(annotations);
        let subject = subject(&env(workload, vec![account.clone()], role)).unwrap();
        Annotated { subject }.assess(Ok(Account::Present(account))).unwrap()
    }

    fn judge(annotations: &[(&str, &str)]) -> Vec<Finding> {
        judge_with(workload(), annotations, Some(ROLE))
    }

    #[track_caller]
    fn fails(findings: &[Finding], observed: &str, fix: &str) {
        let failed: Vec<&Finding> = findings.iter().filter(|finding| !finding.met).collect();
        assert_eq!(failed.len(), 1, "{findings:?}");
        assert!(failed[0].observed.contains(observed), "{}", failed[0].observed);
        assert!(failed[0].remediation.as_ref().unwrap().text.contains(fix), "{:?}", failed[0].remediation);
    }

    #[test]
    fn the_expected_role_passes() {
        let findings = judge(&[(ROLE_ANNOTATION, ROLE)]);
        assert!(findings.len() == 1 && findings[0].met);
        assert_eq!(findings[0].evidence[0].reference, "orders.yaml:7");
        let own = judge_with(workload(), &[(ROLE_ANNOTATION, ROLE)], None);
        assert!(own[0].met);
    }

    #[test]
    fn each_way_to_miss_the_annotation_is_told_apart() {
        fails(&judge(&[]), "names no role", "Annotate the ServiceAccount shop/orders");
        fails(&judge(&[("eks.amazonaws.com/roleArn", ROLE)]), "which nobody reads", "Rename");
        fails(&judge(&[("iam.amazonaws.com/role", "orders")]), "which nobody reads", "Rename");
        let mut on_pod = workload();
        let pod = &mut on_pod.eks.as_mut().unwrap().pod;
        pod.annotations.insert(ROLE_ANNOTATION.to_owned(), ROLE.to_owned());
        fails(&judge_with(on_pod, &[], Some(ROLE)), "stands on the pods", "Move it");
        let mut unnamed = workload();
        unnamed.eks.as_mut().unwrap().pod.service_account = None;
        fails(&judge_with(unnamed, &[], Some(ROLE)), "name no ServiceAccount", "serviceAccountName");
    }

    #[test]
    fn each_way_to_name_a_wrong_role_is_told_apart() {
        let value = |value: &str| judge(&[(ROLE_ANNOTATION, value)]);
        fails(&value(&format!("{ROLE}\n")), "white space", "Correct the annotation");
        fails(&value("arn:aws:iam::111122223333:instance-profile/orders"), "instance-profile", "Correct");
        fails(&value("arn:aws:iam::444455556666:role/apps/orders"), "the account 444455556666", ROLE);
        fails(&value("arn:aws:iam::111122223333:role/orders"), "has the path /apps/", ROLE);
        fails(&value("arn:aws:iam::111122223333:role/apps/billing"), "another role", ROLE);
    }

    #[test]
    fn a_role_of_another_partition_than_the_regions_fails() {
        let account = account(&[(ROLE_ANNOTATION, ROLE)]);
        let mut env = env(workload(), vec![account.clone()], None);
        env.aws.region = Some("cn-north-1".to_owned());
        let check = Annotated { subject: subject(&env).unwrap() };
        fails(&check.assess(Ok(Account::Present(account))).unwrap(), "the region is in aws-cn", "partition aws-cn");
    }

    #[test]
    fn a_role_of_another_account_than_the_configured_one_fails_unless_it_is_expected_by_name() {
        let own = account(&[(ROLE_ANNOTATION, ROLE)]);
        let judge = |configured: &str, role: Option<&str>| {
            let mut env = env(workload(), vec![own.clone()], role);
            env.aws.account_id = Some(configured.to_owned());
            Annotated { subject: subject(&env).unwrap() }.assess(Ok(Account::Present(own.clone()))).unwrap()
        };
        assert!(judge("111122223333", None)[0].met);
        assert!(judge("999922223333", Some(ROLE))[0].met);
        fails(&judge("999922223333", None), "`aws.accountId` is 999922223333", "Name a role of the account");
    }

    fn assess(workload: Workload) -> Result<Vec<Finding>, CannotTell> {
        let account = account(&[(ROLE_ANNOTATION, ROLE)]);
        let subject = subject(&env(workload, vec![account.clone()], Some(ROLE))).unwrap();
        Annotated { subject }.assess(Ok(Account::Present(account)))
    }

    fn with_variable(name: &str, value: Value) -> Result<Vec<Finding>, CannotTell> {
        let mut workload = workload();
        let variable = EnvVar { name: name.to_owned(), value, at: sited(()).at };
        let container = Container { name: "app".to_owned(), env: vec![variable], ..Container::default() };
        workload.eks.as_mut().unwrap().pod.containers.push(container);
        assess(workload)
    }

    #[test]
    fn a_container_with_another_role_written_down_fails() {
        let with = |value: &str| with_variable("AWS_ROLE_ARN", Value::Plain(value.to_owned())).unwrap();
        let other = "arn:aws:iam::111122223333:role/ecs-orders";
        fails(&with(other), "the container app sets AWS_ROLE_ARN", "Remove AWS_ROLE_ARN");
        assert!(with(ROLE).iter().all(|finding| finding.met));
        let unread = with_variable("AWS_ROLE_ARN", Value::Secret("key role of Secret aws".to_owned()));
        assert!(unread.unwrap_err().detail.contains("cannot be read"));
    }

    #[test]
    fn a_container_with_keys_fails_wherever_they_come_from() {
        for value in [Value::Plain("AKIAPREFLIGHT0000000".to_owned()), Value::Secret("key id of Secret aws".to_owned())]
        {
            let findings = with_variable("AWS_ACCESS_KEY_ID", value).unwrap();
            fails(&findings, "the keys of another identity", "Remove AWS_ACCESS_KEY_ID");
            assert!(!format!("{findings:?}").contains("AKIAPREFLIGHT"), "the key is told");
        }
        assert!(with_variable("AWS_ACCESS_KEY_ID", Value::Plain(String::new())).unwrap().len() == 1);
        let all = with_variable("*", Value::Secret("every key of Secret aws".to_owned())).unwrap();
        assert!(all[1].met && all[1].observed.contains("if AWS_ACCESS_KEY_ID is in it"), "{all:?}");
        assert_eq!(with_variable("DB_*", Value::Secret("every key of Secret db".to_owned())).unwrap().len(), 1);
    }

    #[test]
    fn pods_that_the_webhook_is_told_to_leave_out_fail_unless_a_container_is_left() {
        let with = |names: &str, label: Option<&str>| {
            let mut workload = workload();
            let pod = &mut workload.eks.as_mut().unwrap().pod;
            pod.containers =
                ["app", "proxy"].map(|name| Container { name: name.to_owned(), ..Container::default() }).into();
            pod.annotations.insert("eks.amazonaws.com/skip-containers".to_owned(), names.to_owned());
            pod.labels.extend(label.map(|label| (label.to_owned(), "true".to_owned())));
            assess(workload).unwrap()
        };
        fails(&with("app, proxy", None), "leave out the containers app, proxy", "Remove the annotation");
        fails(&with("", Some("eks.amazonaws.com/skip-pod-identity-webhook")), "app, proxy", "Remove the annotation");
        let one = with("proxy", None);
        assert!(one.iter().all(|finding| finding.met) && one[1].observed.contains("proxy, and not the others"));
        assert_eq!(with("other", None).len(), 1);
    }

    #[test]
    fn an_account_that_is_not_there_fails_and_one_that_cannot_be_seen_cannot_tell() {
        let check = Annotated { subject: subject(&env(workload(), vec![], Some(ROLE))).unwrap() };
        let absent = check.assess(Ok(Account::Absent("the cluster's API".to_owned()))).unwrap();
        fails(&absent, "does not exist", "Create the ServiceAccount shop/orders");
        let unseen = check.assess(Err(CannotTell::insufficient("not here"))).unwrap_err();
        assert_eq!(unseen.reason, Reason::InsufficientData);
    }
}
