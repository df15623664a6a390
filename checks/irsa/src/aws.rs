//! What it means when a call to AWS fails.

use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use preflight_core::{CannotTell, Reason};
use std::error::Error;

/// A call that did not succeed, without the request and the answer: both may hold credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The service's code; empty if the service gave none or was not reached.
    pub(crate) code: String,
    /// The HTTP status; 0 if there was no answer.
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Failure {
    /// What an SDK reports. The debug view of its errors holds whole answers and is never used.
    pub(crate) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
        match &error {
            SdkError::ServiceError(refused) => {
                let refused = refused.err();
                let code = refused.code().unwrap_or_default().to_owned();
                Self { code, status, message: refused.message().unwrap_or("no message").to_owned() }
            }
            SdkError::ResponseError(_) => {
                Self { code: String::new(), status, message: "an answer that is not understood".to_owned() }
            }
            _ => Self { code: String::new(), status, message: chain(&error) },
        }
    }

    /// Whether the same call may succeed in a moment.
    pub(crate) fn is_transient(&self) -> bool {
        self.status >= 500
            || matches!(
                self.code.as_str(),
                "Throttling"
                    | "ThrottlingException"
                    | "TooManyRequestsException"
                    | "RequestLimitExceeded"
                    | "RequestThrottled"
                    | "IDPCommunicationError"
                    | "RequestTimeout"
            )
    }

    /// What follows if this tool's own call failed in this way. `attempted` says what was tried, on what.
    pub(crate) fn cannot_tell(&self, attempted: &str) -> CannotTell {
        let reason = match self.code.as_str() {
            _ if self.is_transient() => Reason::Unreachable,
            "" if self.status == 0 && self.message.contains("redential") => Reason::PrerequisiteFailed,
            "" if self.status == 0 => Reason::Unreachable,
            "AccessDenied"
            | "AccessDeniedException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException" => Reason::Forbidden,
            _ => Reason::Unsupported,
        };
        CannotTell::new(reason, format!("{attempted}: {self}"))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.status, self.code.as_str()) {
            (0, _) => f.write_str(&self.message),
            (status, "") => write!(f, "status {status}, {}", self.message),
            (_, code) => write!(f, "{code}: {}", self.message),
        }
    }
}

/// An error and its causes, each once, in the words that are meant for people.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_is_nobodys_finding() {
        let reason = |code: &str, status, message: &str| {
            let failure = Failure { code: code.to_owned(), status, message: message.to_owned() };
            failure.cannot_tell("reading the role").reason
        };
        assert_eq!(reason("AccessDenied", 403, "no"), Reason::Forbidden);
        assert_eq!(reason("Throttling", 400, "Rate exceeded"), Reason::Unreachable);
        assert_eq!(reason("InternalFailure", 500, ""), Reason::Unreachable);
        assert_eq!(reason("", 0, "connection refused"), Reason::Unreachable);
        assert_eq!(reason("", 0, "the credential provider was not enabled"), Reason::PrerequisiteFailed);
        assert_eq!(reason("Teapot", 418, "short and stout"), Reason::Unsupported);
    }
}
