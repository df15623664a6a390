//! `irsa.sdk-capable`: the AWS SDK in the workload's archives can exchange a token.
//!
//! The failure that no test of roles and policies sees: everything is right, and the Java SDK in the image lacks the STS
//! module, which it loads by name at run time, or is older than web identity. Its chain of credentials then goes on to
//! the node's role without an error. This check reads the archives that the configuration names under `artifacts`; each
//! generation of the SDK that it finds needs an STS module of its own. It cannot tell when an archive cannot be read to
//! the end, holds no AWS SDK, or does not say enough. Add the module in the version of the SDK; the finding names it.

use crate::Env;
use crate::jar::{Generation, JarError, JarFindings, JarVerdict, SdkFinding, inspect_jar};
use preflight_core::{CannotTell, Check, Disruption, Entry, Evidence, Finding, Item, Levels, Meta, Reason, Run, Scope};
use std::path::PathBuf;

pub(crate) const META: Meta = Meta {
    id: "irsa.sdk-capable",
    title: "The AWS SDK in the archives can exchange a token",
    proves: "Every generation of the AWS SDK for Java in the workload's archives is new enough for web identity and finds its \
             STS module.",
    fails_when: "An SDK is older than web identity (1.11.704, 2.10.11), or its STS module is missing or out of its reach.",
    unknown_when: "No archive holds an AWS SDK for Java; an archive cannot be read to the end; versions are mixed or not named; \
                   the STS module is in another application only.",
    fix: "Add the STS module (software.amazon.awssdk:sts or com.amazonaws:aws-java-sdk-sts) in the version of the SDK.",
    permissions: &[],
    disruption: Disruption::None,
    levels: Levels::required(),
    limit_ms: 120_000,
    max_age_ms: 24 * 3_600_000,
};

pub(crate) const ENTRY: Entry<Env> = Entry { meta: &META, items };

fn items(env: &Env) -> Vec<Item> {
    env.each(|subject| {
        let configured = env.workloads.iter().find(|expected| expected.workload == subject.workload);
        let artifacts = configured.map(|expected| expected.artifacts.clone()).unwrap_or_default();
        if artifacts.is_empty() {
            return Item::excluded(subject.workload, "no artifact is configured; give `artifacts`");
        }
        Item::planned(subject.workload.clone(), vec![], SdkCapable { workload: subject.workload, artifacts })
    })
}

struct SdkCapable {
    workload: String,
    artifacts: Vec<PathBuf>,
}

impl Check for SdkCapable {
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            let mut all = vec![];
            for path in &self.artifacts {
                let path = path.clone();
                let work = tokio::task::spawn_blocking(move || inspect_jar(&path));
                let done = scope.until_cancelled(work).await?;
                all.push(done.map_err(|_| CannotTell::new(Reason::Panicked, "reading an archive broke"))?);
            }
            self.assess(all)
        })
    }
}

impl SdkCapable {
    fn assess(&self, all: Vec<Result<JarFindings, JarError>>) -> Result<Vec<Finding>, CannotTell> {
        let mut findings = vec![];
        let mut open = vec![];
        for seen in all {
            let seen = match seen {
                Ok(seen) => seen,
                Err(error) => {
                    open.push(error.to_string());
                    continue;
                }
            };
            open.extend(seen.incomplete.iter().cloned());
            for sdk in &seen.sdks {
                match sdk.verdict {
                    // With a part unread, what is missing may stand there.
                    JarVerdict::Incapable if seen.incomplete.is_empty() => findings.push(finding(&seen, sdk)),
                    JarVerdict::Capable => findings.push(finding(&seen, sdk)),
                    _ => open.push(format!("{}: {}", seen.path, sdk.because)),
                }
            }
        }
        if findings.iter().any(|finding| !finding.met) {
            return Ok(findings);
        }
        if !open.is_empty() {
            return Err(CannotTell::insufficient(open.join("; ")));
        }
        if findings.is_empty() {
            let paths: Vec<String> = self.artifacts.iter().map(|path| path.display().to_string()).collect();
            let detail = format!(
                "no AWS SDK for Java is in {}; give all archives of {}, or leave `artifacts` out if it uses none",
                paths.join(", "),
                self.workload
            );
            return Err(CannotTell::insufficient(detail));
        }
        Ok(findings)
    }
}

fn finding(seen: &JarFindings, sdk: &SdkFinding) -> Finding {
    let (group, module) = match sdk.generation {
        Generation::V1 => ("com.amazonaws", "aws-java-sdk-sts"),
        Generation::V2 => ("software.amazon.awssdk", "sts"),
    };
    let observed = format!("{}: {}", seen.path, sdk.because);
    let expected = format!("version {} or newer, with {group}:{module}", sdk.minimum);
    let finding = if sdk.verdict == JarVerdict::Capable {
        Finding::met(observed, expected)
    } else {
        let version =
            sdk.versions.last().map_or("the SDK's version".to_owned(), |seen| format!("version {}", seen.version));
        Finding::unmet(observed, expected).fix(format!(
            "Add {group}:{module} in {version} to {}, as a dependency at run time; update the SDK if it is older than {}.",
            seen.path, sdk.minimum
        ))
    };
    let places = sdk.found_at.iter().map(|at| Evidence::new("archive", at.as_str(), "classes of the SDK"));
    let versions = sdk
        .versions
        .iter()
        .map(|seen| Evidence::new("archive", seen.at.as_str(), format!("{group}:{} {}", seen.module, seen.version)));
    versions.chain(places).fold(finding, Finding::with)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jar::tests::{archive, auth, sts};
    use crate::subject::tests::{ROLE, env, workload};
    use preflight_core::ItemKind;

    fn judge(jars: &[Vec<u8>]) -> Result<Vec<Finding>, CannotTell> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..jars.len()).map(|index| folder.path().join(format!("{index}.jar"))).collect();
        for (path, bytes) in paths.iter().zip(jars) {
            std::fs::write(path, bytes).unwrap();
        }
        let all = paths.iter().map(|path| inspect_jar(path)).collect();
        SdkCapable { workload: "orders".to_owned(), artifacts: paths }.assess(all)
    }

    fn with(jars: &[(&str, Vec<u8>)]) -> Vec<u8> {
        archive(&jars.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>())
    }

    #[test]
    fn an_archive_with_the_sts_module_passes() {
        let findings = judge(&[with(&[("auth.jar", auth("2.29.6")), ("sts.jar", sts("2.29.6"))])]).unwrap();
        assert!(findings.len() == 1 && findings[0].met);
    }

    #[test]
    fn an_archive_without_it_fails_and_says_which_module_to_add() {
        let findings = judge(&[with(&[("auth.jar", auth("2.29.6"))])]).unwrap();
        assert!(!findings[0].met);
        assert!(
            findings[0].remediation.as_ref().unwrap().text.contains("software.amazon.awssdk:sts in version 2.29.6")
        );
    }

    #[test]
    fn an_sts_module_of_another_application_cannot_be_told() {
        let whole = with(&[("WEB-INF/lib/a.jar", auth("2.29.6")), ("WEB-INF/lib/s.jar", sts("2.29.6"))]);
        let half = with(&[("WEB-INF/lib/a.jar", auth("2.29.6"))]);
        let error = judge(&[with(&[("a.war", whole), ("b.war", half)])]).unwrap_err();
        assert!(error.detail.contains("another application"), "{}", error.detail);
    }

    #[test]
    fn no_sdk_an_unreadable_archive_and_a_missing_one_cannot_be_told() {
        assert!(judge(&[archive(&[("a.txt", b"")])]).unwrap_err().detail.contains("no AWS SDK"));
        let broken = with(&[("auth.jar", auth("2.29.6")), ("sts.jar", b"no zip".to_vec())]);
        assert_eq!(judge(&[broken]).unwrap_err().reason, Reason::InsufficientData);
        assert!(judge(&[b"text".to_vec()]).unwrap_err().detail.contains("neither an archive"));
    }

    #[test]
    fn a_workload_without_artifacts_is_left_out_and_says_why() {
        let mut env = env(workload(), vec![], Some(ROLE));
        assert!(matches!(&items(&env)[0].kind, ItemKind::Excluded(reason) if reason.contains("give `artifacts`")));
        env.workloads[0].artifacts.push("app.jar".into());
        assert!(matches!(items(&env)[0].kind, ItemKind::Planned(_)));
    }
}
