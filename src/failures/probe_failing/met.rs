//! The kubelet's words in, what the probe met with out.

use std::sync::LazyLock;

use regex::Regex;

static STATUS_CODE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"statuscode: (?<code>\d{3})").expect("a constant pattern"));
static PORT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"dial tcp \S+:(\d+): ").expect("a constant pattern"));

/// How a probe failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met<'s> {
    /// Nothing listens, at the port that was asked.
    Refused(Option<i64>),
    /// An HTTP status.
    Status(u16),
    /// No answer within the timeout.
    Nothing,
    /// HTTP where HTTPS was spoken.
    PlainHttp,
    /// gRPC's word for a service that is not well.
    NotServing,
    /// Anything else, word for word: what a command printed, what TLS complained of.
    Else(&'s str),
}

impl<'s> Met<'s> {
    /// Of `Readiness probe failed: HTTP probe failed with statuscode: 404`.
    pub(super) fn of(said: &'s str) -> Self {
        let late = ["context deadline exceeded", "Client.Timeout", "timed out", "i/o timeout"];
        let status = || STATUS_CODE.captures(said)?["code"].parse().ok();
        if said.contains("connection refused") {
            Self::Refused(PORT.captures(said).and_then(|found| found[1].parse().ok()))
        } else if let Some(code) = status() {
            Self::Status(code)
        } else if said.contains("server gave HTTP response to HTTPS client") {
            Self::PlainHttp
        } else if said.contains("NOT_SERVING") {
            Self::NotServing
        } else if late.iter().any(|words| said.contains(words)) {
            Self::Nothing
        } else {
            Self::Else(said.split_once(": ").map_or(said, |(_, rest)| rest))
        }
    }
}

impl Met<'_> {
    /// What fits under a caret.
    pub(super) fn short(self) -> String {
        match self {
            Self::Refused(Some(port)) => format!("refused at port {port}"),
            Self::Refused(None) => "refused".to_owned(),
            Self::Status(code) => format!("answered with {code}"),
            Self::Nothing => "no answer in time".to_owned(),
            Self::PlainHttp => "HTTPS is answered in plain HTTP".to_owned(),
            Self::NotServing => "answered with NOT_SERVING".to_owned(),
            Self::Else(said) => said.to_owned(),
        }
    }
}

/// What fits after "the readiness probe".
impl std::fmt::Display for Met<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(_) | Self::Status(_) | Self::NotServing => write!(f, "is {}", self.short()),
            Self::Nothing => f.write_str("gets no answer in time"),
            Self::PlainHttp => f.write_str("speaks HTTPS and is answered in plain HTTP"),
            Self::Else(said) => write!(f, "fails: {said}"),
        }
    }
}
