//! `irsa.exchange-succeeds`: STS gives the ServiceAccount its role.
//!
//! The real thing without a pod: the cluster's API makes a token of ten minutes for the ServiceAccount, its claims are
//! compared with what they must be, STS exchanges it, and the credentials must say that they are the expected role. It
//! covers what no reading of policies can: the issuer's registration, its keys, service control policies, the region.
//! It fails when STS refuses the token or gives another role than expected, and the finding names the cause. It cannot
//! tell when no token is to be had, or when STS throttles, errs or does not answer. It proves nothing about the pod's
//! own network, environment and SDK. Token and credentials stay in memory and are dropped with the check; the session
//! carries the id of the run, so that CloudTrail shows whose it was.

use crate::Env;
use crate::arn::RoleArn;
use crate::aws::Failure;
use crate::refusal::{self, Asked};
use crate::subject::{Chosen, Subject};
use crate::token::Claims;
use aws_credential_types::Credentials;
use preflight_core::{
    CannotTell, Check, Disruption, Entry, Evidence, Finding, Levels, Meta, Permission, Reason, Right, Run, Scope,
    Secret,
};

/// The shortest session that STS gives.
const SESSION_SECONDS: i32 = 900;

/// The longest name of a session.
const SESSION_NAME_MAX: usize = 64;

pub(crate) const META: Meta = Meta {
    id: "irsa.exchange-succeeds",
    title: "STS gives the ServiceAccount its role",
    proves: "A token that the cluster makes for the ServiceAccount has the right issuer, subject and audience, STS takes it, \
             and the credentials it returns are the expected role.",
    fails_when: "The ServiceAccount does not exist, the token has other claims, STS refuses it for a fault of issuer, \
                 provider, role or region, the credentials are another role, or the role is in another account \
                 than the configured one and is not expected by name.",
    unknown_when: "The cluster gives no token; STS throttles, errs or cannot be reached; STS refuses the request for a reason \
                   that pods would not meet; the cluster is not the configured one.",
    fix: "The finding names the link that is broken: provider, audience, keys, trust policy or region.",
    permissions: &[
        Permission::Kubernetes { verb: "get", group: "", resource: "serviceaccounts" },
        Permission::Kubernetes { verb: "create", group: "", resource: "serviceaccounts/token" },
        Permission::Aws { action: "eks:DescribeCluster" },
    ],
    // It does what every pod does at its start, once.
    disruption: Disruption::Connects,
    levels: Levels::required(),
    limit_ms: 90_000,
    max_age_ms: 3_600_000,
};

pub(crate) const ENTRY: Entry<Env> =
    Entry { meta: &META, items: |env| env.items(targets, rights, |subject| Exchange { subject }) };

fn targets(subject: &Subject) -> Vec<String> {
    let mut targets = vec![subject.live.cluster_target(), "sts".to_owned()];
    if subject.live.settings.issuer.is_none() {
        targets.push("eks".to_owned());
    }
    targets
}

fn rights(subject: &Subject) -> Vec<Right> {
    let token = Right::kubernetes("create", "", "serviceaccounts/token", &subject.namespace, &subject.account);
    [subject.rights_on_account(), vec![token], subject.rights_on_issuer()].concat()
}

struct Exchange {
    subject: Subject,
}

/// How the exchange went, without the token and the credentials.
enum Outcome {
    /// The cluster has no such ServiceAccount.
    NoAccount,
    /// STS was not asked, because the token is not what it must be.
    WrongClaims,
    Refused(Failure),
    /// The credentials were taken by STS and this is their ARN.
    Is(String),
}

/// What was seen on the way.
struct Seen {
    claims: Claims,
    /// What is worth knowing and decides nothing.
    notes: Vec<String>,
    outcome: Outcome,
}

impl Check for Exchange {
    fn run<'a>(&'a self, scope: &'a Scope) -> Run<'a> {
        Box::pin(async move {
            let chosen = self.subject.chosen(scope).await?;
            let role = RoleArn::parse(&chosen.role).map_err(|why| {
                let role = chosen.role.escape_debug();
                CannotTell::prerequisite(format!("`{role}` ({}) is not the ARN of a role: {why}", chosen.at))
            })?;
            if let Some(finding) = self.foreign(&role) {
                return Ok(vec![finding]);
            }
            let issuer = self.subject.live.issuer(scope).await;
            if let Err(elsewhere) = &issuer
                && elsewhere.reason == Reason::ControlFailed
            {
                return Err(elsewhere.clone());
            }
            let seen = self.exchange(scope, &chosen, issuer.as_ref().ok().copied()).await?;
            let issuer = issuer.unwrap_or(&seen.claims.iss).to_owned();
            let asked = Asked { role, issuer, sub: self.subject.sub(), audience: chosen.audience };
            self.assess(&asked, &seen)
        })
    }
}

impl Exchange {
    /// A role of another account than the configured one, unless the configuration names it. STS is then not asked.
    fn foreign(&self, role: &RoleArn) -> Option<Finding> {
        let configured = self.subject.live.aws.account_id.as_deref().filter(|_| self.subject.is_foreign(role))?;
        let reference = self.subject.reference();
        let observed = format!("{reference} gets the role {}, which is in the account {}", role.text, role.account);
        let expected = self.subject.expected.as_ref().map_or_else(
            || format!("{reference} gets a role of the account {configured}, `aws.accountId`"),
            |expected| format!("{reference} gets the role {expected}"),
        );
        let fix =
            format!("Annotate {reference} with a role of {configured}, or name this one as `roleArn` of the workload.");
        Some(Finding::unmet(observed, expected).fix(fix))
    }

    async fn exchange(&self, scope: &Scope, chosen: &Chosen, issuer: Option<&str>) -> Result<Seen, CannotTell> {
        let Subject { live, namespace, account, .. } = &self.subject;
        let mut seen = Seen { claims: Claims::default(), notes: vec![], outcome: Outcome::NoAccount };
        let Some(token) = live.token(scope, (namespace, account), &chosen.audience).await? else { return Ok(seen) };
        seen.claims = Claims::read(&token)
            .ok_or_else(|| CannotTell::new(Reason::Unsupported, "the token of the cluster's API is not a JWT"))?;
        seen.notes.extend(seen.claims.against_clock(scope.now()));
        if issuer.is_none() {
            seen.notes.push("the cluster's issuer could not be read, the token's was not compared with it".to_owned());
        }
        if !self.wrong_claims(&seen.claims, issuer, &chosen.audience).is_empty() {
            seen.outcome = Outcome::WrongClaims;
            return Ok(seen);
        }
        seen.outcome = self.assume(scope, &chosen.role, &token).await?;
        Ok(seen)
    }

    async fn assume(&self, scope: &Scope, role: &str, token: &Secret) -> Result<Outcome, CannotTell> {
        let live = &self.subject.live;
        let request = live.sts_as(None).await.assume_role_with_web_identity().role_arn(role);
        let request = request.role_session_name(session_name(scope.run_id())).duration_seconds(SESSION_SECONDS);
        let call = request.web_identity_token(token.reveal()).send();
        let answer = match scope.until_cancelled(call).await?.map_err(Failure::of) {
            Ok(answer) => answer,
            Err(failure) => return Ok(Outcome::Refused(without(failure, token))),
        };
        let given = answer.credentials().ok_or_else(|| {
            CannotTell::new(Reason::Unsupported, format!("assuming {role}: the answer has no credentials"))
        })?;
        let session = Some(given.session_token().to_owned());
        let credentials = Credentials::new(given.access_key_id(), given.secret_access_key(), session, None, "exchange");
        let call = live.sts_as(Some(credentials)).await.get_caller_identity().send();
        let attempted = format!("asking STS whom the credentials of {role} belong to");
        let caller = scope.until_cancelled(call).await?.map_err(|error| Failure::of(error).cannot_tell(&attempted))?;
        let none = || CannotTell::new(Reason::Unsupported, format!("{attempted}: the answer has no ARN"));
        caller.arn().map(|arn| Outcome::Is(arn.to_owned())).ok_or_else(none)
    }

    /// Each claim that is not what it must be, with what to do.
    fn wrong_claims(&self, claims: &Claims, issuer: Option<&str>, audience: &str) -> Vec<(String, String)> {
        let mut wrong = vec![];
        if let Some(issuer) = issuer.filter(|issuer| *issuer != claims.iss) {
            let observed = format!("the cluster's API makes tokens of the issuer {} and not of {issuer}", claims.iss);
            let fix = "Check that `cluster` and the kubeconfig's context name the same cluster, and `irsa.issuer` its issuer.";
            wrong.push((observed, fix.to_owned()));
        }
        let sub = self.subject.sub();
        if claims.sub != sub {
            let fix = "Find out what answers in place of the cluster's API.".to_owned();
            wrong.push((format!("the token's subject is {} and not {sub}", claims.sub), fix));
        }
        if !claims.aud.list().iter().any(|aud| aud == audience) {
            let observed = format!("the token's audiences are {} and not {audience}", claims.aud.list().join(", "));
            wrong.push((observed, "Let the API server make tokens for this audience.".to_owned()));
        }
        wrong
    }

    fn assess(&self, asked: &Asked, seen: &Seen) -> Result<Vec<Finding>, CannotTell> {
        let findings = match &seen.outcome {
            Outcome::NoAccount => {
                let reference = self.subject.reference();
                let observed = format!("the cluster has no ServiceAccount {reference}");
                let fix =
                    format!("Create the ServiceAccount {reference}, or correct `serviceAccountName` of the pods.");
                return Ok(vec![Finding::unmet(observed, asked.expected()).fix(fix)]);
            }
            Outcome::WrongClaims => {
                let wrong = self.wrong_claims(&seen.claims, Some(&asked.issuer), &asked.audience);
                let finding = |(observed, fix)| Finding::unmet(observed, asked.expected()).fix(fix);
                wrong.into_iter().map(finding).collect()
            }
            Outcome::Refused(failure) => vec![refusal::judge(failure, asked)?],
            Outcome::Is(arn) => vec![self.identity(asked, arn)],
        };
        let Claims { iss, sub, aud, .. } = &seen.claims;
        let claims = format!("iss {iss}, sub {sub}, aud {}", aud.list().join(", "));
        let mut evidence = vec![Evidence::new("token", self.subject.reference(), claims)];
        evidence.extend(self.subject.live.cluster_seen());
        evidence.extend(seen.notes.iter().map(|note| Evidence::new("note", "token", note.as_str())));
        let with = |finding: Finding| evidence.iter().cloned().fold(finding, Finding::with);
        Ok(findings.into_iter().map(with).collect())
    }

    /// Whether the credentials are the expected role: the configured one, or else the annotated one.
    fn identity(&self, asked: &Asked, arn: &str) -> Finding {
        let expected = self.subject.expected.as_deref().unwrap_or(&asked.role.text);
        let observed = format!("the credentials for {} are {arn}", asked.sub);
        let wanted = format!("the credentials for {} are the role {expected}", asked.sub);
        if RoleArn::parse(expected).is_ok_and(|role| role.is_assumed_by(arn)) {
            return Finding::met(observed, wanted);
        }
        let fix =
            format!("Annotate the ServiceAccount {} with {expected}, or correct `roleArn`.", self.subject.reference());
        Finding::unmet(observed, wanted).fix(fix)
    }
}

/// A session's name: letters, digits and a few signs, 64 at most.
fn session_name(run_id: &str) -> String {
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(*c);
    let mut name = format!("eks-preflight-{}", run_id.chars().filter(is_allowed).collect::<String>());
    name.truncate(SESSION_NAME_MAX);
    name
}

/// STS quotes parameters that it does not like.
fn without(failure: Failure, token: &Secret) -> Failure {
    Failure { message: failure.message.replace(token.reveal(), "***"), ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::ROLE_ANNOTATION;
    use crate::subject::tests::{ROLE, account, env, subject, workload};
    use crate::token::Audiences;

    const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/LAB";

    fn judge(role: &str, claims: Claims, outcome: Outcome) -> Result<Vec<Finding>, CannotTell> {
        let check = Exchange { subject: subject(&env(workload(), vec![], Some(ROLE))).unwrap() };
        let asked = Asked {
            role: RoleArn::parse(role).unwrap(),
            issuer: ISSUER.to_owned(),
            sub: check.subject.sub(),
            audience: "sts.amazonaws.com".to_owned(),
        };
        check.assess(&asked, &Seen { claims, notes: vec!["a note".to_owned()], outcome })
    }

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.to_owned(),
            sub: "system:serviceaccount:shop:orders".to_owned(),
            aud: Audiences::One("sts.amazonaws.com".to_owned()),
            exp: Some(2),
            nbf: Some(1),
        }
    }

    fn is(arn: &str) -> Outcome {
        Outcome::Is(arn.to_owned())
    }

    #[test]
    fn credentials_of_the_expected_role_pass() {
        let findings =
            judge(ROLE, claims(), is("arn:aws:sts::111122223333:assumed-role/orders/eks-preflight-1")).unwrap();
        assert!(findings.len() == 1 && findings[0].met);
        assert_eq!(findings[0].evidence.len(), 2);
    }

    #[test]
    fn credentials_of_another_role_fail() {
        let other = "arn:aws:iam::111122223333:role/node";
        let findings =
            judge(other, claims(), is("arn:aws:sts::111122223333:assumed-role/node/eks-preflight-1")).unwrap();
        assert!(!findings[0].met && findings[0].observed.contains("assumed-role/node"));
        assert!(findings[0].remediation.as_ref().unwrap().text.contains(ROLE));
    }

    #[test]
    fn a_role_of_another_account_than_the_configured_one_fails_unless_it_is_expected_by_name() {
        let role = RoleArn::parse(ROLE).unwrap();
        let judge = |configured: Option<&str>, expected: Option<&str>| {
            let annotated = account(&[(ROLE_ANNOTATION, ROLE)]);
            let mut env = env(workload(), vec![annotated], expected);
            env.aws.account_id = configured.map(str::to_owned);
            Exchange { subject: subject(&env).unwrap() }.foreign(&role)
        };
        assert_eq!(judge(None, None), None);
        assert_eq!(judge(Some("111122223333"), None), None);
        assert_eq!(judge(Some("999922223333"), Some(ROLE)), None);
        for expected in [None, Some("arn:aws:iam::111122223333:role/other")] {
            let finding = judge(Some("999922223333"), expected).unwrap();
            assert!(!finding.met && finding.observed.contains("the account 111122223333"));
            assert!(finding.remediation.unwrap().text.contains("999922223333"));
        }
    }

    #[test]
    fn a_token_with_other_claims_fails_before_sts_is_asked() {
        let wrong = Claims { iss: "https://other".to_owned(), aud: Audiences::default(), ..claims() };
        let findings = judge(ROLE, wrong, Outcome::WrongClaims).unwrap();
        assert!(findings[0].observed.contains("https://other") && findings[1].observed.contains("audiences are"));
    }

    #[test]
    fn an_account_that_is_not_there_fails_and_a_broken_sts_cannot_tell() {
        assert!(!judge(ROLE, Claims::default(), Outcome::NoAccount).unwrap()[0].met);
        let broken = Failure { code: "InternalFailure".to_owned(), status: 500, message: "…".to_owned() };
        assert_eq!(judge(ROLE, claims(), Outcome::Refused(broken)).unwrap_err().reason, Reason::Unreachable);
    }

    #[test]
    fn a_session_is_named_after_the_run_within_the_limits_of_sts() {
        assert_eq!(session_name("0192-ab"), "eks-preflight-0192-ab");
        assert_eq!(session_name("a b/c").as_str(), "eks-preflight-abc");
        assert_eq!(session_name(&"x".repeat(100)).len(), 64);
    }

    #[test]
    fn a_token_that_sts_quotes_is_struck_out() {
        let failure = Failure { message: "Value 'abc.def' at 'webIdentityToken'".to_owned(), ..Failure::default() };
        assert_eq!(without(failure, &Secret::new("abc.def")).message, "Value '***' at 'webIdentityToken'");
    }
}
