//! The values of the Helm chart in `deploy/chart`: what it cannot know is taken from the plan.

use super::{Basis, files, job, rbac};
use crate::run::config_sha256;
use anyhow::Result;
use serde_json::{Value, json};

/// One document: the plan, and what follows from it for the chart's other values.
pub(super) fn values(basis: &Basis<'_>) -> Result<Value> {
    let files = files::read(basis)?;
    job::warn(basis, &files);
    let transition = &basis.planned.transition;
    let roles = rbac::rules(&basis.planned.rights());
    let role = |(namespace, rules)| json!({ "namespace": namespace, "rules": rules });
    Ok(json!({
        "plan": {
            "to": transition.to,
            "suffix": job::dashed(&transition.to),
            "transition": job::transition(transition),
            "itemsSha256": job::items_sha256(&basis.planned.contract()),
            "configSha256": config_sha256(basis.loaded, basis.choice),
            "filesSha256": job::files_sha256(&basis.sources),
            "configMapSuffix": files.suffix(),
            "arguments": job::choice(basis),
            "podFailurePolicy": job::failure_policy(),
            "activeDeadlineSeconds": job::deadline_s(basis),
            "ttlSecondsAfterFinished": job::kept_s(basis),
            "roles": roles.into_iter().map(role).collect::<Vec<_>>(),
            "config": files.config,
            "items": files.items,
            "files": files.data,
        },
        "resources": job::resources(basis),
        "serviceAccount": { "role": basis.names.role.clone().unwrap_or_default() },
    }))
}
