//! What this tool is for AWS and may read there: the calls that the checks of this area make first. For `doctor`, without
//! a verdict.

use crate::arn::RoleArn;
use crate::aws::Failure;
use crate::live::Live;
use crate::{Env, place};
use preflight_core::{CannotTell, Scope};
use std::sync::Arc;
use std::time::Duration;

/// What was asked, and what AWS answered.
pub type Asked = (String, Result<String, CannotTell>);

/// Asks STS who this tool is, EKS for the cluster, and IAM for the first role of a workload, as far as the configuration
/// names them; each within a limit.
///
/// # Errors
/// Of each question, why a run would not get an answer.
pub async fn reach(env: &Env, limit: Duration, scope: &Scope) -> Vec<Asked> {
    let live = Arc::new(Live::new(env));
    let identity = async {
        let what = "AWS: who this tool is (sts:GetCallerIdentity)";
        Some((what.to_owned(), scope.within(limit, "asking STS", identity(&live)).await.and_then(|found| found)))
    };
    let cluster = async {
        let name = env.cluster.name.as_ref().filter(|_| env.settings.issuer.is_none())?;
        let described = scope.within(limit, "asking EKS", live.issuer(scope)).await.and_then(|issuer| issuer);
        let said = described.map(|issuer| format!("its issuer is {issuer}"));
        Some((format!("AWS: the cluster {name} (eks:DescribeCluster)"), said))
    };
    let role = async {
        let subjects = env.inventory.workloads.iter().filter_map(|workload| env.subject(workload, &live).ok());
        let mut roles = subjects.filter_map(|subject| RoleArn::parse(&subject.role_arn()?).ok());
        let role = roles.find(|role| !role.name.contains('*'))?;
        let found = scope.within(limit, "asking IAM", described(&live, &role)).await.and_then(|found| found);
        Some((format!("AWS: the role {} (iam:GetRole)", role.name), found))
    };
    let (identity, cluster, role) = tokio::join!(identity, cluster, role);
    [identity, cluster, role].into_iter().flatten().collect()
}

async fn identity(live: &Live) -> Result<String, CannotTell> {
    let call = live.sts().await.get_caller_identity().send();
    let found = call.await.map_err(|error| Failure::of(error).cannot_tell("asking STS who this tool is"))?;
    let arn = found.arn().unwrap_or("nobody");
    place::in_account(&live.aws, found.account().unwrap_or_default(), arn)?;
    Ok(format!("{arn} in the account {}", found.account().unwrap_or_default()))
}

async fn described(live: &Live, role: &RoleArn) -> Result<String, CannotTell> {
    match live.iam().await.get_role().role_name(&role.name).send().await.map_err(Failure::of) {
        Ok(_) => Ok("it can be read".to_owned()),
        Err(failure) if failure.code == "NoSuchEntity" => {
            Ok("roles can be read; there is none of this name in the account of these credentials".to_owned())
        }
        Err(failure) => Err(failure.cannot_tell(&format!("reading the role {}", role.text))),
    }
}
