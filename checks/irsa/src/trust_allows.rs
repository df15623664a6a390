//! `irsa.trust-allows`: the role's trust policy admits the ServiceAccount.
//!
//! STS refuses a ServiceAccount that the trust policy does not admit with one sentence that names neither statement nor
//! condition. This check reads the policy and evaluates it for the subject, audience and issuer that the pod's token will
//! have, so that the condition which decides is named: another namespace or name, a wildcard under StringEquals, the keys
//! of an old cluster, a typing error in the provider's ARN, or the untouched role of the ECS side. It cannot tell when
//! the role or the issuer cannot be read, when the role is in an account that these credentials do not see, or when the
//! answer hangs on something that a request alone knows, such as its address. It says nothing about service control
//! policies and nothing about whether the issuer is registered; `irsa.exchange-succeeds` covers both.

use crate::Env;
use crate::arn::RoleArn;
use crate::aws::Failure;
use crate::place;
use crate::subject::{Chosen, Subject};
use crate::trust::{Caller, Decision, Judgement, judge};
use preflight_core::{
    CannotTell, Check, Disruption, Entry, Evidence, Finding, Levels, Meta, Permission, Reason, Right, Run, Scope,
};

pub(crate) const META: Meta = Meta {
    id: "irsa.trust-allows",
    title: "The role trusts the ServiceAccount",
    proves: "The trust policy of the pod's role admits the ServiceAccount of the pods, with the audience of their tokens, \
             under the cluster's issuer.",
    fails_when: "No statement admits it, a statement denies it, or the role does not exist.",
    unknown_when: "Role, ServiceAccount or issuer cannot be read; the role is in another account; the cluster or \
                   the account of these credentials is not the configured one; the decision hangs on a condition that \
                   only a real request can answer.",
    fix: "Correct the statement and the condition that the finding names.",
    permissions: &[
        Permission::Aws { action: "iam:GetRole" },
        Permission::Aws { action: "eks:DescribeCluster" },
        Permission::Aws { action: "sts:GetCallerIdentity" },
        Permission::Kubernetes { verb: "get", group: "", resource: "serviceaccounts" },
    ],
    disruption: Disruption::Reads,
    levels: Levels::required(),
    limit_ms: 60_000,
    max_age_ms: 3_600_000,
};

pub(crate) const ENTRY: Entry<Env> =
    Entry { meta: &META, items: |env| env.items(targets, rights, |subject| TrustAllows { subject }) };

fn targets(subject: &Subject) -> Vec<String> {
    let mut targets = vec!["iam".to_owned()];
    if subject.live.settings.issuer.is_none() {
        targets.push("eks".to_owned());
    }
    if subject.asks_cluster() {
        targets.push(subject.live.cluster_target());
    }
    targets
}

fn rights(subject: &Subject) -> Vec<Right> {
    let own = vec![Right::aws("iam:GetRole", subject.role_arn()), Right::aws("sts:GetCallerIdentity", None)];
    [own, subject.rights_on_issuer(), subject.rights_on_account()].concat()
}

struct TrustAllows {
    subject: Subject,
}

/// What IAM says about a role.
enum Found {
    Role { arn: String, policy: String },
    Nothing { account: String },
}

impl Check for TrustAllows {
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            let chosen = self.subject.chosen(scope).await?;
            let role = self.role(&chosen)?;
            let issuer = self.subject.live.issuer(scope).await?;
            let found = self.read(scope, &role).await?;
            self.assess(&chosen, &role, issuer, found)
        })
    }
}

impl TrustAllows {
    fn role(&self, chosen: &Chosen) -> Result<RoleArn, CannotTell> {
        let wrong = |why| {
            let role = chosen.role.escape_debug();
            CannotTell::prerequisite(format!("`{role}` ({}) is not the ARN of a role: {why}", chosen.at))
        };
        RoleArn::parse(&chosen.role).map_err(wrong)
    }

    async fn read(&self, scope: &Scope, role: &RoleArn) -> Result<Found, CannotTell> {
        let live = &self.subject.live;
        let attempted = format!("reading the role {}", role.text);
        let call = live.iam().await.get_role().role_name(&role.name).send();
        match scope.until_cancelled(call).await?.map_err(Failure::of) {
            Ok(answer) => {
                let found = answer.role().ok_or_else(|| CannotTell::insufficient(format!("{attempted}: no role")))?;
                let policy = percent_decoded(found.assume_role_policy_document().unwrap_or_default());
                Ok(Found::Role { arn: found.arn().to_owned(), policy })
            }
            Err(failure) if failure.code == "NoSuchEntity" => {
                // IAM looks in the account of the credentials alone.
                let call = live.sts().await.get_caller_identity().send();
                let asked = "asking STS for the account of these credentials";
                let own = scope.until_cancelled(call).await?.map_err(|error| Failure::of(error).cannot_tell(asked))?;
                Ok(Found::Nothing { account: own.account().unwrap_or_default().to_owned() })
            }
            Err(failure) => Err(failure.cannot_tell(&attempted)),
        }
    }

    fn assess(&self, chosen: &Chosen, role: &RoleArn, issuer: &str, found: Found) -> Result<Vec<Finding>, CannotTell> {
        let sub = self.subject.sub();
        let expected = format!("{} trusts {sub} of {issuer} with the audience {}", role.text, chosen.audience);
        let elsewhere = |account: &str| {
            let detail = format!(
                "{} is in another account than these credentials, which see the roles of {account} alone",
                role.text
            );
            Err(CannotTell::new(Reason::PrerequisiteFailed, detail))
        };
        let place = Evidence::new("manifest", chosen.at.as_str(), format!("role {}", role.text));
        // IAM answers for the account of these credentials alone.
        let own = match &found {
            Found::Nothing { account } => account.clone(),
            Found::Role { arn, .. } => RoleArn::parse(arn).map(|role| role.account).unwrap_or_default(),
        };
        place::in_account(&self.subject.live.aws, &own, "what these credentials see")?;
        let (arn, policy) = match found {
            Found::Nothing { account } if account != role.account => return elsewhere(&account),
            Found::Nothing { account } => {
                let observed = format!("the account {account} has no role {}", role.name);
                let fix = format!("Create the role {}, or name the right one.", role.text);
                return Ok(vec![Finding::unmet(observed, expected).fix(fix).with(place)]);
            }
            Found::Role { arn, policy } => (arn, policy),
        };
        match RoleArn::parse(&arn) {
            Ok(real) if real.account != role.account => return elsewhere(&real.account),
            Ok(real) if real.path != role.path => {
                let observed = format!("the role {} has the path {}: its ARN is {arn}", role.name, real.path);
                let fix = format!("Name the role as {arn}.");
                return Ok(vec![Finding::unmet(observed, expected).fix(fix).with(place)]);
            }
            _ => (),
        }
        let caller = Caller {
            issuer: issuer.to_owned(),
            subject: sub,
            audience: chosen.audience.clone(),
            account_id: role.account.clone(),
            partition: role.partition.clone(),
        };
        let judgement = judge(&policy, &caller)
            .map_err(|error| CannotTell::new(Reason::Unsupported, format!("{}: {error}", role.text)))?;
        let finding = finding(&judgement, &role.text, expected)?;
        let finding = finding.with(place).with(Evidence::new("trust-policy", arn, policy));
        Ok(vec![self.subject.live.cluster_seen().into_iter().fold(finding, Finding::with)])
    }
}

fn finding(judgement: &Judgement, role: &str, expected: String) -> Result<Finding, CannotTell> {
    let because = judgement.because.join("; ");
    let mut finding = match judgement.decision {
        Decision::CannotTell => {
            return Err(CannotTell::insufficient(format!("the trust policy of {role}: {because}")));
        }
        Decision::Allow => Finding::met(format!("the trust policy of {role}: {because}"), expected),
        Decision::Deny => {
            let hints: Vec<&str> = judgement
                .lint
                .iter()
                .filter(|lint| EXPLAINS.contains(&lint.id))
                .map(|lint| lint.text.as_str())
                .collect();
            let hint = if hints.is_empty() { String::new() } else { format!(" Note: {}.", hints.join("; ")) };
            Finding::unmet(format!("the trust policy of {role}: {because}"), &expected)
                .fix(format!("Change the trust policy so that {expected}.{hint}"))
        }
    };
    for lint in &judgement.lint {
        finding = finding.with(Evidence::new("lint", lint.statement.as_str(), format!("{}: {}", lint.id, lint.text)));
    }
    Ok(finding)
}

/// Lint that tells why a policy does not admit anybody; the other lint tells why it admits too many.
const EXPLAINS: &[&str] = &["wildcard-under-equals", "wrong-key", "ecs-only"];

/// IAM encodes policy documents as URLs are encoded.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => (decoded.push(byte), at += 3),
            None => (decoded.push(bytes[at]), at += 1),
        };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::tests::{ROLE, env, subject, workload};
    use serde_json::{Value, json};

    const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/LAB";

    fn judge(found: Found) -> Result<Vec<Finding>, CannotTell> {
        let check = TrustAllows { subject: subject(&env(workload(), vec![], Some(ROLE))).unwrap() };
        let chosen =
            Chosen { role: ROLE.to_owned(), audience: "sts.amazonaws.com".to_owned(), at: "a.yaml:1".to_owned() };
        check.assess(&chosen, &RoleArn::parse(ROLE).unwrap(), ISSUER, found)
    }

    fn trusting(condition: Value) -> Found {
        let provider = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/LAB";
        let statement = json!({ "Effect": "Allow", "Principal": { "Federated": provider },
            "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        Found::Role { arn: ROLE.to_owned(), policy }
    }

    fn on(operator: &str, value: &str) -> Found {
        trusting(json!({ operator: { "oidc.eks.eu-west-1.amazonaws.com/id/LAB:sub": value } }))
    }

    #[test]
    fn a_policy_that_admits_passes_and_says_what_is_too_wide() {
        let findings = judge(on("StringLike", "system:serviceaccount:*:*")).unwrap();
        assert!(findings[0].met && findings[0].observed.ends_with("statement 1 allows it"));
        assert!(findings[0].evidence.iter().any(|evidence| evidence.detail.starts_with("any-service-account")));
    }

    #[test]
    fn a_policy_that_does_not_admit_fails_with_the_condition_that_decides() {
        let findings = judge(on("StringEquals", "system:serviceaccount:shop:*")).unwrap();
        assert!(
            !findings[0].met && findings[0].observed.contains("the request has `system:serviceaccount:shop:orders`")
        );
        assert!(findings[0].remediation.as_ref().unwrap().text.contains("they need StringLike"));
    }

    #[test]
    fn a_role_that_is_not_there_or_has_another_path_fails() {
        let nothing = judge(Found::Nothing { account: "111122223333".to_owned() }).unwrap();
        assert!(!nothing[0].met && nothing[0].observed.contains("has no role orders"));
        let arn = "arn:aws:iam::111122223333:role/orders".to_owned();
        let moved = judge(Found::Role { arn, policy: "{}".to_owned() }).unwrap();
        assert!(!moved[0].met && moved[0].observed.contains("has the path /"));
    }

    #[test]
    fn a_role_of_another_account_and_a_condition_on_the_request_cannot_be_told() {
        let elsewhere = judge(Found::Nothing { account: "444455556666".to_owned() }).unwrap_err();
        assert!(elsewhere.detail.contains("another account"));
        let address = judge(trusting(json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }))).unwrap_err();
        assert_eq!(address.reason, Reason::InsufficientData);
        let broken = judge(Found::Role { arn: ROLE.to_owned(), policy: "{".to_owned() }).unwrap_err();
        assert_eq!(broken.reason, Reason::Unsupported);
        let policy = r#"{"Statement": [], "Statement": []}"#.to_owned();
        let twice = judge(Found::Role { arn: ROLE.to_owned(), policy }).unwrap_err();
        assert!(twice.reason == Reason::Unsupported && twice.detail.contains("stands twice"), "{}", twice.detail);
    }

    #[test]
    fn credentials_of_another_account_than_the_configured_one_prove_nothing() {
        let judge = |configured: &str, found: Found| {
            let mut env = env(workload(), vec![], Some(ROLE));
            env.aws.account_id = Some(configured.to_owned());
            let check = TrustAllows { subject: subject(&env).unwrap() };
            let chosen = Chosen { role: ROLE.to_owned(), audience: "a".to_owned(), at: "a.yaml:1".to_owned() };
            check.assess(&chosen, &RoleArn::parse(ROLE).unwrap(), ISSUER, found)
        };
        let nothing = || Found::Nothing { account: "111122223333".to_owned() };
        assert!(!judge("111122223333", nothing()).unwrap()[0].met);
        for found in [nothing(), on("StringLike", "system:serviceaccount:*:*")] {
            let error = judge("999922223333", found).unwrap_err();
            assert_eq!(error.reason, Reason::ControlFailed);
            assert!(error.detail.contains("111122223333") && error.detail.contains("999922223333"), "{}", error.detail);
        }
    }

    #[test]
    fn documents_are_decoded_as_iam_encodes_them() {
        assert_eq!(percent_decoded("%7B%22a%22%3A%20%22b+c%22%7D"), "{\"a\": \"b+c\"}");
        assert_eq!(percent_decoded("100%"), "100%");
    }
}
