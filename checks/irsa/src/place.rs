//! Whether what is looked at is what the configuration names: a report for one cluster must not be made from another.

use crate::live::Described;
use preflight_cluster::{AwsAccess, ClusterAccess};
use preflight_core::{CannotTell, Reason};

fn elsewhere(detail: String) -> CannotTell {
    CannotTell::new(Reason::ControlFailed, detail)
}

/// Region, account and name in `arn:PARTITION:eks:REGION:ACCOUNT:cluster/NAME`.
fn parts(arn: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", _, "eks", region, account, resource] = parts[..] else { return None };
    Some((region, account, resource.strip_prefix("cluster/")?))
}

/// Whether the configuration speaks of one cluster: its ARN against its name, the account and the region. Asks nobody.
pub(crate) fn agrees(aws: &AwsAccess, cluster: &ClusterAccess) -> Result<(), CannotTell> {
    let Some(arn) = &cluster.arn else { return Ok(()) };
    let Some((region, account, name)) = parts(arn) else {
        let shown = arn.escape_debug();
        return Err(CannotTell::prerequisite(format!("`cluster.arn` is `{shown}`, which is not the ARN of a cluster")));
    };
    for (key, configured, of_arn) in [
        ("cluster.name", &cluster.name, name),
        ("aws.accountId", &aws.account_id, account),
        ("aws.region", &aws.region, region),
    ] {
        if let Some(configured) = configured.as_ref().filter(|configured| *configured != of_arn) {
            return Err(elsewhere(format!(
                "`cluster.arn` is {arn}, and `{key}` is {configured}: these are two clusters"
            )));
        }
    }
    Ok(())
}

/// Whether the cluster that EKS describes is the configured one, in the configured account.
pub(crate) fn is_cluster(aws: &AwsAccess, cluster: &ClusterAccess, seen: &Described) -> Result<(), CannotTell> {
    if cluster.arn.is_none() && aws.account_id.is_none() {
        return Ok(());
    }
    let arn = seen.arn.as_deref().ok_or_else(|| {
        CannotTell::insufficient("EKS tells no ARN of the cluster, it was not compared with the configuration")
    })?;
    if let Some(configured) = cluster.arn.as_deref().filter(|configured| *configured != arn) {
        return Err(elsewhere(format!("the cluster that EKS describes is {arn}, and `cluster.arn` is {configured}")));
    }
    let account = parts(arn).map(|(_, account, _)| account).unwrap_or_default();
    in_account(aws, account, &format!("the cluster {arn}"))
}

/// Whether something that these credentials see is in the configured account.
pub(crate) fn in_account(aws: &AwsAccess, account: &str, what: &str) -> Result<(), CannotTell> {
    match aws.account_id.as_deref() {
        Some(configured) if configured != account => {
            Err(elsewhere(format!("{what} is in the account {account}, and `aws.accountId` is {configured}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/shop";
    const PRODUCTION: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/production";

    fn aws(account: &str) -> AwsAccess {
        let (account_id, region) = (Some(account.to_owned()), Some("eu-west-1".to_owned()));
        AwsAccess { account_id, region, ..AwsAccess::default() }
    }

    fn cluster(arn: Option<&str>) -> ClusterAccess {
        ClusterAccess { name: Some("shop".to_owned()), arn: arn.map(str::to_owned), ..ClusterAccess::default() }
    }

    fn described(arn: Option<&str>) -> Described {
        Described { arn: arn.map(str::to_owned), ..Described::default() }
    }

    #[track_caller]
    fn names_both(answer: Result<(), CannotTell>, one: &str, other: &str) {
        let error = answer.unwrap_err();
        assert_eq!(error.reason, Reason::ControlFailed);
        assert!(error.detail.contains(one) && error.detail.contains(other), "{}", error.detail);
    }

    #[test]
    fn a_configuration_of_two_clusters_is_found_out_without_asking() {
        assert_eq!(agrees(&aws("111122223333"), &cluster(Some(SHOP))), Ok(()));
        assert_eq!(agrees(&AwsAccess::default(), &cluster(None)), Ok(()));
        names_both(agrees(&aws("111122223333"), &cluster(Some(PRODUCTION))), PRODUCTION, "`cluster.name` is shop");
        names_both(agrees(&aws("999922223333"), &cluster(Some(SHOP))), SHOP, "999922223333");
        let elsewhere = SHOP.replace("eu-west-1", "us-east-1");
        names_both(agrees(&aws("111122223333"), &cluster(Some(&elsewhere))), "us-east-1", "`aws.region` is eu-west-1");
        let odd = agrees(&aws("111122223333"), &cluster(Some("shop"))).unwrap_err();
        assert_eq!(odd.reason, Reason::PrerequisiteFailed);
    }

    #[test]
    fn the_described_cluster_is_the_configured_one_or_nothing_is_told() {
        let judge = |account: &str, arn: Option<&str>, seen: Option<&str>| {
            is_cluster(&aws(account), &cluster(arn), &described(seen))
        };
        assert_eq!(judge("111122223333", Some(SHOP), Some(SHOP)), Ok(()));
        assert_eq!(judge("111122223333", None, Some(SHOP)), Ok(()));
        assert_eq!(is_cluster(&AwsAccess::default(), &cluster(None), &described(None)), Ok(()));
        names_both(judge("111122223333", Some(PRODUCTION), Some(SHOP)), SHOP, PRODUCTION);
        names_both(judge("999922223333", None, Some(SHOP)), SHOP, "`aws.accountId` is 999922223333");
        assert_eq!(judge("111122223333", None, None).unwrap_err().reason, Reason::InsufficientData);
    }
}
