//! What it means when STS refuses `AssumeRoleWithWebIdentity`: a fault of the set-up, or nothing that can be told.
//!
//! `InvalidIdentityToken` speaks of the token and of the issuer's registration, never of the trust policy; a mismatch
//! there is `AccessDenied`, and so is a role that does not exist.

use crate::arn::RoleArn;
use crate::aws::Failure;
use crate::trust::Caller;
use preflight_core::{CannotTell, Finding, Reason, Remediation};

/// What was asked of STS.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) role: RoleArn,
    pub(crate) issuer: String,
    pub(crate) sub: String,
    pub(crate) audience: String,
}

impl Asked {
    /// What a pass needs.
    pub(crate) fn expected(&self) -> String {
        format!("STS gives {} the role {}", self.sub, self.role.text)
    }

    fn provider_arn(&self) -> String {
        let caller = Caller {
            issuer: self.issuer.clone(),
            subject: self.sub.clone(),
            audience: self.audience.clone(),
            account_id: self.role.account.clone(),
            partition: self.role.partition.clone(),
        };
        caller.provider_arn()
    }
}

/// A refusal as a finding, or the reason why it says nothing about the set-up.
pub(crate) fn judge(failure: &Failure, asked: &Asked) -> Result<Finding, CannotTell> {
    let attempted = format!("exchanging a token of {} for {}", asked.sub, asked.role.text);
    if failure.is_transient() || failure.status == 0 {
        return Err(CannotTell::new(Reason::Unreachable, format!("{attempted}: {failure}")));
    }
    let Some(fix) = fix(failure, asked) else {
        return Err(CannotTell::new(Reason::Unsupported, format!("{attempted}: {failure}")));
    };
    let mut finding = Finding::unmet(format!("STS refused: {failure}"), asked.expected());
    finding.remediation = Some(fix);
    Ok(finding)
}

fn fix(failure: &Failure, asked: &Asked) -> Option<Remediation> {
    let text = |text: String| Some(Remediation { text, command: None, url: None });
    let Asked { role, issuer, sub, audience } = asked;
    match failure.code.as_str() {
        "AccessDenied" => text(format!(
            "Let the trust policy of {} admit {sub} with the audience {audience}; `irsa.trust-allows` names the statement \
             that does not. If it does admit it, look for a service control policy or an explicit Deny; if role or provider \
             changed within the last minutes, wait and run again.",
            role.text
        )),
        "InvalidIdentityToken" => identity_token(&failure.message, asked),
        "ExpiredTokenException" => text(format!(
            "The token was made for this request and is expired by AWS's clock: correct the clock of the API server of {issuer}."
        )),
        "IDPRejectedClaim" => {
            text(format!("Find out why the issuer {issuer} has this token's claims rejected or revoked."))
        }
        "RegionDisabledException" => text(format!(
            "Activate STS for this region in the account {} (IAM console, account settings), or let the pods use the STS \
             endpoint of another region.",
            role.account
        )),
        "ValidationError" if failure.message.contains("ARN is invalid") || failure.message.contains("roleArn") => {
            text(format!("Correct the role's ARN `{}`.", role.text))
        }
        _ => None,
    }
}

fn identity_token(message: &str, asked: &Asked) -> Option<Remediation> {
    let Asked { role, issuer, audience, .. } = asked;
    let with = |text: String, command: Option<String>| Some(Remediation { text, command, url: None });
    let provider = asked.provider_arn();
    if message.contains("No OpenIDConnect provider") {
        let command = format!("aws iam create-open-id-connect-provider --url {issuer} --client-id-list {audience}");
        return with(
            format!("Register the issuer {issuer} in the account {} of the role.", role.account),
            Some(command),
        );
    }
    if message.contains("Incorrect token audience") {
        let command = format!(
            "aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {provider} --client-id {audience}"
        );
        return with(format!("Add {audience} to the audiences (client ids) of {provider}."), Some(command));
    }
    let text = if message.contains("thumbprint") {
        format!("Update the thumbprint of {provider} to that of the certificate that {issuer} shows.")
    } else if message.contains("verification key") {
        format!(
            "Let AWS read the key set of {issuer}: its discovery document must be public and hold the key that the API \
             server signs with; after a rotation, publish the new key."
        )
    } else if message.contains("not valid yet") {
        format!("The token begins in the future by AWS's clock: correct the clock of the API server of {issuer}.")
    } else if message.contains("could not be validated") {
        format!(
            "The signature does not fit the key set of {issuer}: publish the key that the API server signs with, or \
             correct the issuer's URL."
        )
    } else {
        format!("Compare the token of the API server with what {provider} accepts.")
    };
    with(text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            role: RoleArn::parse("arn:aws:iam::111122223333:role/apps/orders").unwrap(),
            issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/LAB".to_owned(),
            sub: "system:serviceaccount:shop:orders".to_owned(),
            audience: "sts.amazonaws.com".to_owned(),
        }
    }

    fn judged(status: u16, code: &str, message: &str) -> Result<Finding, CannotTell> {
        judge(&Failure { code: code.to_owned(), status, message: message.to_owned() }, &asked())
    }

    #[test]
    fn a_fault_of_the_set_up_fails_with_its_remedy() {
        for (status, code, message, fix) in [
            (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", "trust policy"),
            (400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for x", "Register"),
            (400, "InvalidIdentityToken", "Incorrect token audience", "client ids"),
            (400, "InvalidIdentityToken", "certificate doesn't match configured thumbprint", "thumbprint"),
            (400, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider", "key set"),
            (400, "InvalidIdentityToken", "The web identity token provided could not be validated", "signature"),
            (400, "InvalidIdentityToken", "Token is not valid yet: current date/time 1", "future"),
            (400, "InvalidIdentityToken", "Missing a required claim: sub", "Compare the token"),
            (400, "ExpiredTokenException", "Token expired", "clock"),
            (403, "IDPRejectedClaim", "revoked", "rejected"),
            (403, "RegionDisabledException", "STS is not activated", "Activate STS"),
            (400, "ValidationError", "Request ARN is invalid", "Correct the role's ARN"),
        ] {
            let finding = judged(status, code, message).unwrap();
            assert!(!finding.met && finding.observed == format!("STS refused: {code}: {message}"));
            assert!(finding.remediation.as_ref().unwrap().text.contains(fix), "{code} {message}: {finding:?}");
        }
        let missing = judged(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for x");
        let command = missing.unwrap().remediation.unwrap().command.unwrap();
        assert!(
            command
                .ends_with("--url https://oidc.eks.eu-west-1.amazonaws.com/id/LAB --client-id-list sts.amazonaws.com")
        );
    }

    #[test]
    fn what_says_nothing_about_the_set_up_cannot_be_told() {
        for (status, code, reason) in [
            (400, "Throttling", Reason::Unreachable),
            (400, "IDPCommunicationError", Reason::Unreachable),
            (500, "InternalFailure", Reason::Unreachable),
            (503, "", Reason::Unreachable),
            (0, "", Reason::Unreachable),
            (400, "PackedPolicyTooLarge", Reason::Unsupported),
            (400, "MalformedPolicyDocument", Reason::Unsupported),
            (400, "ValidationError", Reason::Unsupported),
            (418, "Teapot", Reason::Unsupported),
        ] {
            assert_eq!(judged(status, code, "…").unwrap_err().reason, reason, "{code}");
        }
    }
}
