//! Which workloads need a role, and what is known about the ServiceAccount of each.

use crate::Env;
use crate::arn::{RoleArn, partition_of};
use crate::live::Live;
use crate::preset::{Preset, presets, skipped};
use preflight_cluster::{ServiceAccount, Workload};
use preflight_core::{CannotTell, Check, Item, Right, Run, Scope};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The annotation that names the role.
pub(crate) const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";

/// The annotation that names another audience.
const AUDIENCE_ANNOTATION: &str = "eks.amazonaws.com/audience";

/// One workload that needs a role.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) workload: String,
    /// Where the pod's template stands.
    pub(crate) pod_at: String,
    pub(crate) namespace: String,
    /// The name of the ServiceAccount.
    pub(crate) account: String,
    /// Whether the pod names it, or gets `default` for want of a name.
    pub(crate) is_named: bool,
    pub(crate) pod_annotations: BTreeMap<String, String>,
    pub(crate) presets: Vec<Preset>,
    /// The containers that the webhook is told to leave as they are, ...
    pub(crate) skipped: Vec<String>,
    /// ... of so many.
    pub(crate) containers: usize,
    /// The role that the configuration expects.
    pub(crate) expected: Option<String>,
    /// The ServiceAccount, if the inventory has it.
    pub(crate) known: Option<ServiceAccount>,
    /// Whether a ServiceAccount that the inventory lacks does not exist.
    pub(crate) is_whole: bool,
    pub(crate) live: Arc<Live>,
}

/// The ServiceAccount of a subject.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    Present(ServiceAccount),
    /// The place that was looked at.
    Absent(String),
}

/// The role to look at, and the audience of the pod's token.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) role: String,
    pub(crate) audience: String,
    pub(crate) at: String,
}

/// A workload that runs in ECS alone, as far as anybody can see.
struct Missing(String);

impl Check for Missing {
    fn run<'a>(&'a self, _scope: &'a Scope) -> Run<'a> {
        Box::pin(async {
            Err(CannotTell::insufficient(format!(
                "{0} was found in ECS and not in EKS; add its manifests, pair it with `eks` if it has another name there, \
                 or say `eks: none` if it stays in ECS",
                self.0
            )))
        })
    }
}

impl Env {
    /// One item for each workload that needs a role, and the reason why each of the others does not.
    pub(crate) fn items<C: Check + 'static>(
        &self,
        targets: fn(&Subject) -> Vec<String>,
        rights: fn(&Subject) -> Vec<Right>,
        check: fn(Subject) -> C,
    ) -> Vec<Item> {
        let planned = |subject: Subject| {
            let (name, targets, rights) = (subject.workload.clone(), targets(&subject), rights(&subject));
            Item::planned(name, targets, check(subject)).needing(rights)
        };
        self.each(planned)
    }

    pub(crate) fn each(&self, planned: impl Fn(Subject) -> Item) -> Vec<Item> {
        let live = Arc::new(Live::new(self));
        let item = |workload: &Workload| match self.subject(workload, &live) {
            Ok(subject) => planned(subject),
            Err(_) if self.is_missing(workload) => {
                Item::planned(&workload.name, vec![], Missing(workload.name.clone()))
            }
            Err(reason) => Item::excluded(&workload.name, reason),
        };
        self.inventory.workloads.iter().map(item).collect()
    }

    /// Whether a workload needs a role in EKS, and nothing is there that could have it.
    fn is_missing(&self, workload: &Workload) -> bool {
        let is_expected = || self.workloads.iter().any(|one| one.workload == workload.name && one.role_arn.is_some());
        let has_task_role = || workload.ecs.as_ref().is_some_and(|task| task.task_role_arn.is_some());
        workload.eks.is_none()
            && !self.inventory.stays_in_ecs.contains(&workload.name)
            && (is_expected() || has_task_role())
    }

    pub(crate) fn subject(&self, workload: &Workload, live: &Arc<Live>) -> Result<Subject, &'static str> {
        let eks = workload.eks.as_ref().ok_or("it does not run in EKS")?;
        let expected = self.workloads.iter().find(|expected| expected.workload == workload.name);
        let expected = expected.and_then(|expected| expected.role_arn.clone());
        let named = eks.pod.service_account.as_ref().map(|account| account.value.as_str());
        let account = named.filter(|name| !name.is_empty()).unwrap_or("default");
        let known = self.inventory.service_account(&eks.namespace, account);
        let is_meant = known.is_some_and(|account| account.annotations.keys().any(|key| means_role(key)))
            || eks.pod.annotations.keys().any(|key| means_role(key));
        let has_task_role = workload.ecs.as_ref().is_some_and(|task| task.task_role_arn.is_some());
        if expected.is_none() && !is_meant && !has_task_role {
            return Err("no role is expected, its ServiceAccount names none and its ECS task has none");
        }
        Ok(Subject {
            workload: workload.name.clone(),
            pod_at: eks.pod.at.clone(),
            namespace: eks.namespace.clone(),
            account: account.to_owned(),
            is_named: named.is_some(),
            pod_annotations: eks.pod.annotations.clone(),
            presets: presets(eks),
            skipped: skipped(eks),
            containers: eks.pod.containers.len(),
            expected,
            known: known.cloned(),
            is_whole: self.inventory.is_whole,
            live: live.clone(),
        })
    }
}

/// Whether an annotation's key looks as if somebody meant to name a role.
pub(crate) fn means_role(key: &str) -> bool {
    let plain: String = key.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    plain.contains("rolearn") || plain.ends_with("amazonawscomrole")
}

impl Subject {
    /// `namespace/name` of the ServiceAccount.
    pub(crate) fn reference(&self) -> String {
        format!("{}/{}", self.namespace, self.account)
    }

    /// The `sub` of its tokens.
    pub(crate) fn sub(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }

    /// Whether finding out about the ServiceAccount means asking the cluster.
    pub(crate) fn asks_cluster(&self) -> bool {
        self.known.is_none() && !self.is_whole && self.live.reaches_cluster()
    }

    /// The right to read the ServiceAccount, if it is read from the cluster.
    pub(crate) fn rights_on_account(&self) -> Vec<Right> {
        let right = || Right::kubernetes("get", "", "serviceaccounts", &self.namespace, &self.account);
        if self.asks_cluster() { vec![right()] } else { vec![] }
    }

    /// The right to ask EKS for the issuer, if EKS is asked.
    pub(crate) fn rights_on_issuer(&self) -> Vec<Right> {
        if self.live.settings.issuer.is_some() {
            return vec![];
        }
        vec![Right::aws("eks:DescribeCluster", self.live.cluster_arn())]
    }

    /// The ARN of the role that is looked at, or a pattern where an annotation in the cluster decides which one it is.
    pub(crate) fn role_arn(&self) -> Option<String> {
        let partition = self.live.region().map_or("aws", partition_of);
        let any = || self.live.aws.account_id.as_ref().map(|account| format!("arn:{partition}:iam::{account}:role/*"));
        if self.asks_cluster() {
            return any();
        }
        let annotated = self.known.as_ref().and_then(|account| account.annotations.get(ROLE_ANNOTATION));
        let role = annotated.map(|role| role.value.as_str()).or(self.expected.as_deref())?;
        // The check stops at one that is no ARN, before it asks.
        RoleArn::parse(role).ok().map(|role| role.text).or_else(any)
    }

    /// Whether the role is another account's than the configured one, and the configuration does not name it itself.
    pub(crate) fn is_foreign(&self, role: &RoleArn) -> bool {
        let configured = self.live.aws.account_id.as_deref();
        configured.is_some_and(|account| account != role.account) && self.expected.as_ref() != Some(&role.text)
    }

    /// The ServiceAccount, read from the cluster if the manifests do not hold it.
    pub(crate) async fn account(&self, scope: &Scope) -> Result<Account, CannotTell> {
        if let Some(account) = &self.known {
            return Ok(Account::Present(account.clone()));
        }
        if self.is_whole {
            return Ok(Account::Absent("the cluster as it was read".to_owned()));
        }
        if !self.live.reaches_cluster() {
            let detail = format!(
                "the ServiceAccount {} is not in the manifests, and no access to the cluster is configured",
                self.reference()
            );
            return Err(CannotTell::insufficient(detail));
        }
        let found = self.live.service_account(scope, &self.namespace, &self.account).await?;
        Ok(found.map_or_else(|| Account::Absent("the cluster's API".to_owned()), Account::Present))
    }

    /// The role that a pod would ask for: the annotated one, or the expected one while there is no annotation.
    pub(crate) async fn chosen(&self, scope: &Scope) -> Result<Chosen, CannotTell> {
        let account = self.account(scope).await;
        self.choose(account)
    }

    fn choose(&self, account: Result<Account, CannotTell>) -> Result<Chosen, CannotTell> {
        let annotations = match &account {
            Ok(Account::Present(account)) => account.annotations.clone(),
            _ => BTreeMap::new(),
        };
        let annotation = |key| annotations.get(key);
        let audience = annotation(AUDIENCE_ANNOTATION).map(|value| value.value.clone());
        let audience = audience.unwrap_or_else(|| self.live.settings.audience.clone());
        let chosen = |role: &str, at: &str| Chosen { role: role.to_owned(), audience, at: at.to_owned() };
        match (annotation(ROLE_ANNOTATION), &self.expected, account) {
            (Some(role), _, _) => Ok(chosen(&role.value, &role.at)),
            (None, Some(role), _) => Ok(chosen(role, "`roleArn` of the workload in the configuration")),
            (None, None, Err(cannot_tell)) => Err(cannot_tell),
            (None, None, Ok(_)) => Err(CannotTell::prerequisite(format!(
                "no role is known: the ServiceAccount {} names none, and the configuration expects none",
                self.reference()
            ))),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Expected, Settings};
    use preflight_cluster::{AwsAccess, ClusterAccess, Controller, EcsTask, EksWorkload, Inventory, Pod, Sited};
    use preflight_core::ItemKind;

    pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/apps/orders";

    pub(crate) fn sited<T>(value: T) -> Sited<T> {
        Sited { value, at: "orders.yaml:7".to_owned() }
    }

    pub(crate) fn account(annotations: &[(&str, &str)]) -> ServiceAccount {
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), sited((*value).to_owned())));
        ServiceAccount {
            namespace: "shop".to_owned(),
            name: "orders".to_owned(),
            at: "orders.yaml:1".to_owned(),
            annotations: annotations.collect(),
            automount_token: None,
        }
    }

    pub(crate) fn workload() -> Workload {
        let eks = EksWorkload {
            namespace: "shop".to_owned(),
            kind: "Deployment".to_owned(),
            name: "orders".to_owned(),
            at: "orders.yaml:10".to_owned(),
            controller: Controller::Bare { replicas: sited(1) },
            autoscaler: None,
            selector: None,
            pod: Pod { service_account: Some(sited("orders".to_owned())), ..Pod::default() },
        };
        Workload { name: "orders".to_owned(), ecs: None, eks: Some(eks) }
    }

    pub(crate) fn env(workload: Workload, accounts: Vec<ServiceAccount>, role: Option<&str>) -> Env {
        let expected =
            Expected { workload: "orders".to_owned(), role_arn: role.map(str::to_owned), ..Expected::default() };
        let inventory = Inventory { workloads: vec![workload], service_accounts: accounts, ..Inventory::default() };
        Env {
            inventory: Arc::new(inventory),
            settings: Settings::default(),
            aws: AwsAccess::default(),
            cluster: ClusterAccess::default(),
            workloads: vec![expected],
        }
    }

    pub(crate) fn subject(env: &Env) -> Result<Subject, &'static str> {
        env.subject(&env.inventory.workloads[0], &Arc::new(Live::new(env)))
    }

    #[test]
    fn a_workload_is_a_subject_once_anything_says_that_it_needs_a_role() {
        assert!(subject(&env(workload(), vec![account(&[])], None)).is_err());
        assert!(subject(&env(workload(), vec![], Some(ROLE))).is_ok());
        assert!(subject(&env(workload(), vec![account(&[(ROLE_ANNOTATION, ROLE)])], None)).is_ok());
        assert!(subject(&env(workload(), vec![account(&[("eks.amazonaws.com/role_arn", ROLE)])], None)).is_ok());
        let mut annotated = workload();
        let pod = &mut annotated.eks.as_mut().unwrap().pod;
        pod.annotations.insert(ROLE_ANNOTATION.to_owned(), ROLE.to_owned());
        assert!(subject(&env(annotated, vec![], None)).is_ok());
        let task = EcsTask {
            service: "orders".to_owned(),
            at: "s.json:1".to_owned(),
            desired: None,
            autoscaled_max: None,
            maximum_percent: sited(200),
            task_definition: None,
            task_role_arn: Some(sited(ROLE.to_owned())),
            containers: vec![],
        };
        let migrating = Workload { ecs: Some(task.clone()), ..workload() };
        assert!(subject(&env(migrating, vec![], None)).is_ok());
        let left = Workload { ecs: Some(task), eks: None, ..workload() };
        assert_eq!(subject(&env(left, vec![], Some(ROLE))).err(), Some("it does not run in EKS"));
    }

    #[tokio::test]
    async fn a_workload_that_is_not_found_in_eks_is_open_unless_it_stays_in_ecs() {
        let mut found = env(Workload { eks: None, ..workload() }, vec![], Some(ROLE));
        let kind = |env: &Env| env.each(|_| unreachable!("nothing runs in EKS")).remove(0).kind;
        let ItemKind::Planned(check) = kind(&found) else { panic!("left out in silence") };
        let why = check.run(&Scope::for_tests()).await.unwrap_err();
        assert!(why.detail.contains("not in EKS") && why.detail.contains("`eks: none`"), "{why}");
        let name = found.inventory.workloads[0].name.clone();
        Arc::make_mut(&mut found.inventory).stays_in_ecs.insert(name);
        assert!(matches!(kind(&found), ItemKind::Excluded(_)));
    }

    #[test]
    fn the_annotated_role_comes_before_the_expected_one() {
        let own = account(&[(ROLE_ANNOTATION, "annotated"), (AUDIENCE_ANNOTATION, "vault")]);
        let subject = subject(&env(workload(), vec![own.clone()], Some("expected"))).unwrap();
        let chosen = subject.choose(Ok(Account::Present(own))).unwrap();
        assert_eq!((chosen.role.as_str(), chosen.audience.as_str()), ("annotated", "vault"));
        let chosen = subject.choose(Err(CannotTell::insufficient("not here"))).unwrap();
        assert_eq!((chosen.role.as_str(), chosen.audience.as_str()), ("expected", "sts.amazonaws.com"));
    }

    #[tokio::test]
    async fn an_account_outside_the_manifests_is_unknown_and_one_outside_the_cluster_absent() {
        let scope = Scope::for_tests();
        let mut subject = subject(&env(workload(), vec![], Some(ROLE))).unwrap();
        assert!(subject.account(&scope).await.unwrap_err().detail.contains("not in the manifests"));
        subject.is_whole = true;
        assert!(matches!(subject.account(&scope).await, Ok(Account::Absent(_))));
        subject.expected = None;
        assert!(subject.chosen(&scope).await.unwrap_err().detail.contains("no role is known"));
    }
}
