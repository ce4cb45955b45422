//! What went wrong with a forge's API: a sentence and the next step. Holds no credential.

use std::fmt;
use std::time::Duration;

use crate::adapters::git::remote::{Login, Trouble};

/// Why a request to a forge came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiTrouble {
    /// No connection; nothing was sent.
    Unreachable { host: String, why: String },
    /// It answers, and fails.
    Busy { status: u16, said: String },
    /// It wants to be left alone for a while.
    Limited { wait: Duration },
    /// The credentials are wrong or missing.
    Refused { with: Login, said: String },
    /// The credentials are not enough, or a rule of the forge forbids it.
    Forbidden { said: String },
    /// It is not there, or these credentials do not see it.
    NotFound { what: String },
    /// There is one already.
    Exists { said: String },
    /// It does not take this request.
    Invalid { status: u16, said: String },
    /// It sends elsewhere.
    Redirected { to: String },
    /// A write may have been done or not.
    Unclear { why: String },
    /// The answer is not what the API promises.
    Odd { why: String },
    /// The credentials could not even be read.
    Credentials(Trouble),
}

impl ApiTrouble {
    /// Whether a read may go well a moment later.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. } | Self::Unclear { .. })
    }

    /// Whether a write may have been done all the same: look before the next.
    pub fn is_unclear(&self) -> bool {
        matches!(self, Self::Unclear { .. })
    }

    fn sentence(&self) -> String {
        match self {
            Self::Unreachable { host, why } => format!("the forge {host} does not answer: {why}"),
            Self::Busy { status, said } => format!("the forge answers {status}{}", aside(said)),
            Self::Limited { wait } => {
                format!("the forge limits how often it is asked, for {} s more", wait.as_secs().max(1))
            }
            Self::Refused { with: Login::Token | Login::Key, said } => {
                format!("the forge refuses the token{}", aside(said))
            }
            Self::Refused { with: Login::Nothing, said } => {
                format!("the forge wants a token, and none was given{}", aside(said))
            }
            Self::Refused { with: Login::NoFile, said } => {
                format!("the forge wants a token, and the file with it is not there{}", aside(said))
            }
            Self::Forbidden { said } => format!("the forge does not let this token do that{}", aside(said)),
            Self::NotFound { what } => format!("the forge has no {what}, or this token does not see it"),
            Self::Exists { said } => format!("the forge has one already{}", aside(said)),
            Self::Invalid { status, said } => format!("the forge does not take the request ({status}){}", aside(said)),
            Self::Redirected { to } => format!("the forge sends to {to}, where no token is sent"),
            Self::Unclear { why } => format!("whether the forge did it is not known: {why}"),
            Self::Odd { why } => format!("the forge answers something else than its API promises: {why}"),
            Self::Credentials(trouble) => {
                let text = trouble.to_string();
                text.split_once("\nHint: ").map_or(text.clone(), |(sentence, _)| sentence.to_owned())
            }
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Limited { .. } => "it is tried again",
            Self::Refused { .. } => {
                "KUBECURE_FORGE_TOKEN or --forge-token-file FILE; without them the token for Git is used"
            }
            Self::Forbidden { .. } => {
                "the token needs to read and write the repository, its pull requests and its issues; `kubecure doctor` says more"
            }
            Self::NotFound { .. } => "compare --forge and --repo with the address of the repository's page",
            Self::Redirected { .. } => "the repository may have been renamed: give its new URL",
            Self::Unclear { .. } => "it is looked at before it is tried again",
            Self::Odd { .. } => "is --forge the right kind, and its URL that of the forge itself?",
            Self::Exists { .. } | Self::Invalid { .. } | Self::Credentials(_) => return None,
        })
    }
}

/// What a server said, behind a sentence.
fn aside(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" (it says: {said})") }
}

impl fmt::Display for ApiTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        self.hint().map_or(Ok(()), |hint| write!(f, "\nHint: {hint}"))
    }
}

impl std::error::Error for ApiTrouble {}
