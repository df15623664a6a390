//! How requests end, and how many of each kind.

use serde_json::{Value, json};

/// Which side answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The new one.
    Eks,
    /// The old one.
    Ecs,
    /// The answer does not tell.
    Unknown,
}

/// Why a request has no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Not within the time limit.
    Timeout,
    /// There was no connection.
    Connect,
    /// The connection ended in the middle.
    Broken,
    /// Something else.
    Other,
}

/// Whether an answer is the one that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is.
    Good,
    /// It has another status.
    Status,
    /// Its body has not the expected text.
    Body,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With a whole answer; `cut` if its body was longer than what is read.
    Answered { status: u16, side: Side, verdict: Verdict, cut: bool },
    /// Without.
    Failed(Failure),
}

impl Ended {
    pub(crate) fn is_error(self) -> bool {
        match self {
            Self::Answered { verdict, .. } => verdict != Verdict::Good,
            Self::Failed(_) => true,
        }
    }
}

/// Numbers of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// By the first digit of the status: 1xx to 5xx.
    pub(crate) status: [u64; 5],
    /// Those of them with another status than expected.
    pub(crate) bad_status: [u64; 5],
    /// With the expected status and without the expected text in the body.
    pub(crate) bad_body: u64,
    /// Without a whole answer in time.
    pub(crate) timeouts: u64,
    /// Without a connection.
    pub(crate) connect: u64,
    /// Whose connection ended in the middle.
    pub(crate) broken: u64,
    /// Failed otherwise.
    pub(crate) other: u64,
    /// Answers of the EKS side.
    pub(crate) eks: u64,
    /// Answers of the ECS side.
    pub(crate) ecs: u64,
    /// Answers without an error that do not tell their side.
    pub(crate) unknown: u64,
    /// Bodies that were not read to their end.
    pub(crate) cut: u64,
}

impl Counters {
    pub(crate) fn count(&mut self, ended: Ended) {
        match ended {
            Ended::Answered { status, side, verdict, cut } => {
                let class = usize::from((status / 100).clamp(1, 5)) - 1;
                self.status[class] += 1;
                self.bad_status[class] += u64::from(verdict == Verdict::Status);
                self.bad_body += u64::from(verdict == Verdict::Body);
                self.cut += u64::from(cut);
                match side {
                    Side::Eks => self.eks += 1,
                    Side::Ecs => self.ecs += 1,
                    // What a load balancer says in place of a server carries no header.
                    Side::Unknown => self.unknown += u64::from(!ended.is_error()),
                }
            }
            Ended::Failed(Failure::Timeout) => self.timeouts += 1,
            Ended::Failed(Failure::Connect) => self.connect += 1,
            Ended::Failed(Failure::Broken) => self.broken += 1,
            Ended::Failed(Failure::Other) => self.other += 1,
        }
    }

    /// Requests that ended.
    pub(crate) fn ended(&self) -> u64 {
        self.status.iter().sum::<u64>() + self.timeouts + self.connect + self.broken + self.other
    }

    /// Those that ended badly.
    pub(crate) fn errors(&self) -> u64 {
        self.refusals() + self.timeouts + self.connect + self.broken + self.other
    }

    /// Whole answers in time that are not as expected.
    pub(crate) fn refusals(&self) -> u64 {
        self.bad_status.iter().sum::<u64>() + self.bad_body
    }

    /// The errors by kind, in words.
    pub(crate) fn errors_in_words(&self) -> String {
        let [informational, success, redirection, client_error, server_error] = self.bad_status;
        let kinds = [
            (informational, "answered 1xx"),
            (success, "answered 2xx with another status than expected"),
            (redirection, "answered 3xx"),
            (client_error, "answered 4xx"),
            (server_error, "answered 5xx"),
            (self.bad_body, "answered without the expected text"),
            (self.timeouts, "timed out"),
            (self.connect, "got no connection"),
            (self.broken, "lost their connection"),
            (self.other, "failed otherwise"),
        ];
        let words: Vec<String> =
            kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
        words.join(", ")
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (own, more) in self.status.iter_mut().zip(other.status) {
            *own += more;
        }
        for (own, more) in self.bad_status.iter_mut().zip(other.bad_status) {
            *own += more;
        }
        self.bad_body += other.bad_body;
        self.timeouts += other.timeouts;
        self.connect += other.connect;
        self.broken += other.broken;
        self.other += other.other;
        self.eks += other.eks;
        self.ecs += other.ecs;
        self.unknown += other.unknown;
        self.cut += other.cut;
    }

    pub(crate) fn json(&self) -> Value {
        let [informational, success, redirection, client_error, server_error] = self.status;
        json!({
            "1xx": informational, "2xx": success, "3xx": redirection, "4xx": client_error, "5xx": server_error,
            "timeout": self.timeouts, "connect": self.connect, "broken": self.broken, "other": self.other,
            "badStatus": self.bad_status.iter().sum::<u64>(), "badBody": self.bad_body,
            "errors": self.errors(), "ended": self.ended(),
            "servedByEks": self.eks, "servedByEcs": self.ecs, "servedByUnknown": self.unknown, "bodiesCut": self.cut,
        })
    }
}
