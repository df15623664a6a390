//! `manifest rbac|iam|job|values`: what a run in the cluster needs, derived from its plan: exactly the rights that the planned
//! items name, and a Job that runs them. Prints, and touches nothing.

mod files;
mod iam;
mod job;
mod rbac;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use job::{
    CONFIG_ANNOTATION, CONTAINER, FILES_ANNOTATION, ITEMS_ANNOTATION, RESULT_ANNOTATION, TRANSITION_ANNOTATION,
    files_sha256, items_sha256, transition,
};

use crate::areas::Areas;
use crate::cli::{ManifestArgs, ManifestOf, Notation};
use crate::config::{Loaded, NAMESPACE_MAX, Without, is_label};
use crate::deployed::inventory;
use crate::output::{say, say_json};
use crate::plan::{Choice, Planned};
use crate::run::{configuration, sources};
use anyhow::{Result, bail};
use preflight_cluster::Inventory;
use preflight_report::{ConfigSource, ExitCode};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What every manifest is made of.
struct Basis<'a> {
    loaded: &'a Loaded,
    planned: &'a Planned,
    choice: &'a Choice,
    names: &'a Names,
    /// The files that the configuration names, in the order in which they were read.
    files: Vec<PathBuf>,
    /// The same and the configuration's own, as a report names them.
    sources: Vec<ConfigSource>,
}

/// How what is made is called, and where it belongs.
struct Names {
    namespace: String,
    name: String,
    image: String,
    /// The IAM role of the Job's own ServiceAccount.
    role: Option<String>,
}

/// Prints one kind of manifest.
pub(crate) async fn manifest(args: &ManifestArgs) -> Result<ExitCode> {
    let loaded = configuration(&args.config.config, Without::Secrets)?;
    let choice =
        Choice { to: args.choice.to.clone(), only: args.choice.only.clone(), consent: args.choice.consent.clone() };
    let names = Names {
        namespace: args.namespace.clone(),
        name: args.name.clone(),
        image: args.image.clone().unwrap_or_else(|| format!("eks-preflight:{}", env!("CARGO_PKG_VERSION"))),
        role: args.role.clone(),
    };
    names.check()?;
    let inventory = inventory(&loaded).await?;
    let documents = documents(args.of, (&loaded, inventory), &choice, &names)?;
    match (args.of, args.output) {
        // IAM takes nothing but JSON, and values are one document.
        (ManifestOf::Iam, _) | (ManifestOf::Values, Notation::Json) => say_json(&documents[0])?,
        (_, Notation::Yaml) => say(&yaml(&documents)?)?,
        (_, Notation::Json) => say_json(&json!({ "apiVersion": "v1", "kind": "List", "items": documents }))?,
    }
    Ok(ExitCode::Go)
}

fn documents(
    of: ManifestOf,
    (loaded, inventory): (&Loaded, Inventory),
    choice: &Choice,
    names: &Names,
) -> Result<Vec<Value>> {
    let files = inventory.sources.iter().map(|source| PathBuf::from(&source.path)).collect();
    let sources = sources(loaded, &inventory);
    let areas = Areas::new(&loaded.config, inventory);
    let planned = Planned::new(loaded, &areas, choice)?;
    let basis = Basis { loaded, planned: &planned, choice, names, files, sources };
    match of {
        ManifestOf::Rbac => Ok(rbac::documents(&basis)),
        ManifestOf::Job => job::documents(&basis),
        ManifestOf::Iam => Ok(vec![iam::policy(&basis)]),
        ManifestOf::Values => Ok(vec![values::values(&basis)?]),
    }
}

/// Documents as `kubectl apply` reads them.
fn yaml(documents: &[Value]) -> Result<String> {
    Ok(serde_saphyr::to_string_multiple(documents)?)
}

impl Names {
    fn check(&self) -> Result<()> {
        // Room for what is appended to it: the phase, and what Kubernetes appends to the names of pods.
        let max = NAMESPACE_MAX - 23;
        if !is_label(&self.name, max) {
            bail!(
                "--name {}: expected at most {max} of a-z, 0-9 and `-`, which stands neither first nor last",
                self.name
            );
        }
        if !is_label(&self.namespace, NAMESPACE_MAX) {
            bail!("--namespace {}: this is not the name of a namespace", self.namespace);
        }
        Ok(())
    }

    /// The name of the ConfigMap that the result is put into.
    fn result(&self) -> String {
        format!("{}-result", self.name)
    }

    /// The name of a Role. Where others may have an installation of the same name the namespace tells them apart; a dot is
    /// in no other name.
    fn role_in(&self, namespace: Option<&str>) -> String {
        if namespace == Some(&self.namespace) { self.name.clone() } else { format!("{}.{}", self.name, self.namespace) }
    }

    fn metadata(&self, name: &str, namespace: &str) -> Value {
        json!({ "name": name, "namespace": namespace, "labels": self.labels() })
    }

    fn labels(&self) -> Value {
        json!({
            "app.kubernetes.io/name": "eks-preflight",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/version": env!("CARGO_PKG_VERSION"),
        })
    }
}
