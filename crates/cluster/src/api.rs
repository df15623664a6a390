//! The cluster's API: connecting to it, what it means when it refuses, and what this tool may do there.

use crate::ClusterAccess;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use preflight_core::{CannotTell, Permission, Reason, Right};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;

/// Connects as the configuration says. Where both are given, the pod's own ServiceAccount is taken in a pod, and the
/// kubeconfig outside of one.
///
/// # Errors
/// If nothing is configured or what is cannot be used. Nothing is asked yet.
pub async fn connect(access: &ClusterAccess) -> Result<Client, CannotTell> {
    let own = access.in_cluster.then(Config::incluster);
    let config = match (own, &access.kubeconfig) {
        (Some(Ok(config)), _) => config,
        (_, Some(path)) => {
            let unusable = |error: KubeconfigError| wrong(&format!("{}: {}", path.display(), harmless(&error)));
            let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
            let file = Kubeconfig::read_from(path).map_err(unusable)?;
            Config::from_custom_kubeconfig(file, &options).await.map_err(unusable)?
        }
        (Some(Err(error)), None) => return Err(wrong(&chain(&error))),
        (None, None) => return Err(wrong("give `cluster.kubeconfig`, or set `cluster.inCluster`")),
    };
    Client::try_from(config).map_err(|error| refused(&error, "reaching the cluster"))
}

/// Where no kubeconfig is given, the access that `kubectl` would take: by that of `KUBECONFIG` or of the home folder, or as
/// the pod that it runs in.
///
/// # Errors
/// If `KUBECONFIG` names no file that is there, or several: those `kubectl` merges, and a configuration names one.
#[expect(clippy::disallowed_methods, reason = "the environment decides for kubectl, too")]
pub fn as_kubectl(access: ClusterAccess) -> Result<ClusterAccess, CannotTell> {
    if access.kubeconfig.is_some() {
        return Ok(access);
    }
    let variable = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
    let kubeconfig = match variable {
        Some(paths) => Some(of_variable(&paths)?),
        None => std::env::home_dir().map(|home| home.join(".kube/config")).filter(|path| path.is_file()),
    };
    Ok(ClusterAccess { in_cluster: kubeconfig.is_none(), kubeconfig, ..access })
}

/// The file that `KUBECONFIG` means. As with `kubectl`, one of several may be missing, and the home folder's never stands in.
fn of_variable(paths: &OsStr) -> Result<PathBuf, CannotTell> {
    let text = paths.to_string_lossy();
    let named: BTreeSet<PathBuf> = std::env::split_paths(paths).filter(|path| path.exists()).collect();
    let mut named = named.into_iter();
    let fix = "name the one that is meant with --kubeconfig";
    match (named.next(), named.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(wrong(&format!("KUBECONFIG is `{text}`, which is not there; correct it, unset it, or {fix}"))),
        (Some(_), Some(_)) => Err(wrong(&format!(
            "KUBECONFIG is `{text}`, several files, and one is taken; {fix}, or merge them with `kubectl config view \
             --flatten`"
        ))),
    }
}

fn wrong(detail: &str) -> CannotTell {
    CannotTell::prerequisite(format!("reaching the cluster: {detail}"))
}

/// Other errors may quote the file, which holds credentials.
fn harmless(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        KubeconfigError::CurrentContextNotSet
        | KubeconfigError::LoadContext(_)
        | KubeconfigError::LoadClusterOfContext(_)
        | KubeconfigError::MissingClusterUrl => error.to_string(),
        _ => "it is not a kubeconfig that can be used".to_owned(),
    }
}

/// What it means that a call failed. Quotes no credential.
#[must_use]
pub fn refused(error: &kube::Error, attempted: &str) -> CannotTell {
    let (reason, detail) = match error {
        kube::Error::Api(status) => {
            let reason = match status.code {
                401 | 403 => Reason::Forbidden,
                429 | 500.. => Reason::Unreachable,
                _ => Reason::Unsupported,
            };
            (reason, format!("{}: {}", status.code, status.message))
        }
        // These two may quote a token: of an answer, and of what a credential plugin printed.
        kube::Error::SerdeError(_) => (Reason::Unsupported, "an answer that is not understood".to_owned()),
        kube::Error::Auth(_) => (Reason::Forbidden, "the kubeconfig's credentials could not be had".to_owned()),
        other => (Reason::Unreachable, chain(other)),
    };
    CannotTell::new(reason, format!("{attempted}: {detail}"))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

/// Asks the cluster whether this tool has a right; every caller may ask that. A right on AWS is none of its business.
///
/// # Errors
/// If the cluster does not answer the question.
pub async fn may(client: &Client, right: &Right) -> Result<bool, CannotTell> {
    let Permission::Kubernetes { verb, group, resource } = right.permission else { return Ok(true) };
    let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(one, sub)| (one, Some(sub)));
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        namespace: right.namespace.clone(),
        name: right.name.clone(),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| refused(&error, "asking the cluster what this tool may do"))?;
    answer.status.map(|status| status.allowed).ok_or_else(|| {
        CannotTell::new(Reason::Unsupported, "asking the cluster what this tool may do: the answer has no status")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let ask = async || {
            let access = ClusterAccess { kubeconfig: Some(path.clone()), ..ClusterAccess::default() };
            connect(&access).await.err().unwrap()
        };
        assert!(ask().await.detail.contains("No such file"));
        std::fs::write(&path, "apiVersion: v1\nusers: {token: hunter2\n").unwrap();
        let error = ask().await;
        assert_eq!(error.reason, Reason::PrerequisiteFailed);
        assert!(!error.detail.contains("hunter2") && error.detail.contains("kubeconfig"), "{error}");
    }

    #[test]
    fn a_kubeconfig_of_the_environment_that_is_not_there_is_an_error_and_no_other_file_stands_in() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other, gone) = (folder.path().join("one"), folder.path().join("other"), folder.path().join("gone"));
        for path in [&one, &other] {
            std::fs::write(path, "").unwrap();
        }
        let meant = |paths: &[&PathBuf]| {
            let found = of_variable(&std::env::join_paths(paths).unwrap());
            found.map_err(|why| why.detail)
        };
        assert_eq!(meant(&[&one]), Ok(one.clone()));
        assert_eq!(meant(&[&gone, &PathBuf::new(), &one, &one]), Ok(one.clone()), "kubectl leaves out what is missing");
        let error = meant(&[&gone]).unwrap_err();
        assert!(error.contains(&format!("KUBECONFIG is `{}`, which is not there", gone.display())), "{error}");
        assert!(error.contains("--kubeconfig"), "{error}");
        let error = meant(&[&one, &other]).unwrap_err();
        assert!(error.contains("several files") && error.contains("kubectl config view --flatten"), "{error}");
        assert!(meant(&[&PathBuf::new(), &PathBuf::new()]).is_err(), "it names something, and nothing is there");
    }

    #[tokio::test]
    async fn without_access_nothing_is_asked() {
        let error = connect(&ClusterAccess::default()).await.err().unwrap();
        assert!(error.detail.contains("cluster.kubeconfig"));
    }

    #[tokio::test]
    async fn outside_of_a_pod_the_kubeconfig_is_taken() {
        let both =
            |path: &str| ClusterAccess { in_cluster: true, kubeconfig: Some(path.into()), ..ClusterAccess::default() };
        assert!(connect(&both("/nowhere/kubeconfig")).await.err().unwrap().detail.contains("/nowhere/kubeconfig"));
    }
}
