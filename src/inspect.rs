//! `inspect jar|trust`: findings for build artifacts and policies, without any configuration. A finding that would fail
//! exits with 10, everything else with 0, as the contract says; that something could not be told is in the answer.

use crate::cli::{Answer, InspectCommand};
use crate::output::{say, say_json};
use anyhow::{Context, Result};
use preflight_irsa::trust::{self, Caller, Decision, Judgement};
use preflight_irsa::{JarFindings, JarVerdict, inspect_jar};
use preflight_report::ExitCode;
use serde_json::json;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest policy that is read; IAM's own limit is far below.
const POLICY_BYTES_MAX: u64 = 262_144;

pub(crate) fn inspect(command: &InspectCommand) -> Result<ExitCode> {
    match command {
        InspectCommand::Jar { files, answer } => jars(files, answer.output),
        InspectCommand::Trust { policy, issuer, subject, audience, account, answer } => {
            let caller = Caller {
                issuer: issuer.clone(),
                subject: subject.clone(),
                audience: audience.clone(),
                account_id: account.clone(),
                partition: partition(issuer),
            };
            admitted(policy, &caller, answer.output)
        }
    }
}

fn jars(files: &[PathBuf], answer: Answer) -> Result<ExitCode> {
    let found = files.iter().map(|file| inspect_jar(file).map_err(anyhow::Error::new)).collect::<Result<Vec<_>>>()?;
    match answer {
        Answer::Json => say_json(&json!({ "jars": found }))?,
        Answer::Text => say(&found.iter().map(jar_text).collect::<String>())?,
    }
    let fails = found.iter().any(|one| one.verdict == JarVerdict::Incapable);
    Ok(if fails { ExitCode::NoGo } else { ExitCode::Go })
}

fn jar_text(found: &JarFindings) -> String {
    let word = |verdict: JarVerdict| match verdict {
        JarVerdict::Capable => "can take part in IRSA",
        JarVerdict::Incapable => "CANNOT take part in IRSA",
        JarVerdict::CannotTell => "cannot be told",
        JarVerdict::NoSdk => "holds no AWS SDK for Java",
    };
    let mut text = format!("{}: {} ({} archives looked at)\n", found.path, word(found.verdict), found.archives);
    for sdk in &found.sdks {
        let _ = writeln!(text, "  SDK {:?}: {}: {}", sdk.generation, word(sdk.verdict), sdk.because);
    }
    for one in &found.incomplete {
        let _ = writeln!(text, "  not looked at: {one}");
    }
    text
}

fn admitted(path: &Path, caller: &Caller, answer: Answer) -> Result<ExitCode> {
    let attempt = || -> std::io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(POLICY_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > POLICY_BYTES_MAX {
            return Err(std::io::Error::other(format!("larger than {POLICY_BYTES_MAX} bytes")));
        }
        Ok(text)
    };
    let text = attempt().with_context(|| format!("reading the trust policy `{}`", path.display()))?;
    let judgement = trust::judge(&text, caller)
        .map_err(anyhow::Error::new)
        .with_context(|| format!("the trust policy `{}` is not one", path.display()))?;
    match answer {
        Answer::Json => say_json(&serde_json::to_value(&judgement)?)?,
        Answer::Text => say(&trust_text(&judgement))?,
    }
    Ok(if judgement.decision == Decision::Deny { ExitCode::NoGo } else { ExitCode::Go })
}

fn trust_text(judgement: &Judgement) -> String {
    let mut text = match judgement.decision {
        Decision::Allow => "allow\n",
        Decision::Deny => "DENY\n",
        Decision::CannotTell => "cannot tell\n",
    }
    .to_owned();
    for because in &judgement.because {
        let _ = writeln!(text, "  {because}");
    }
    for lint in &judgement.lint {
        let _ = writeln!(text, "  {} ({}): {}", lint.id, lint.statement, lint.text);
    }
    text
}

/// The partition of a cluster's issuer: `oidc.eks.REGION.amazonaws.com.cn` is in China, regions say the rest.
fn partition(issuer: &str) -> String {
    let partition = match issuer {
        issuer if issuer.contains(".amazonaws.com.cn/") => "aws-cn",
        issuer if issuer.contains(".us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    partition.to_owned()
}
