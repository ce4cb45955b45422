//! What went wrong with a remote repository: a word for metrics, a sentence and the next step for people.
//!
//! Nothing in here holds a credential: text of a server is scrubbed before it comes here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why an operation on a remote repository came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server does not answer: DNS, connection, TLS.
    Unreachable { host: String, why: String },
    /// The certificate of the server is signed by nobody who is trusted.
    Untrusted { host: String, why: String },
    /// It answers, and says: later.
    Busy { status: u16, said: String, retry_after: Option<Duration> },
    /// Nothing came for so long.
    Stalled { after: Duration },
    /// The operation took longer than it may.
    TooSlow { limit: Duration },
    /// More came than may.
    TooLarge { limit: u64 },
    /// The credentials are wrong, missing, or not enough.
    Refused { with: Login, said: String },
    /// There is no such repository, or these credentials do not see it.
    NotFound { url: String },
    /// The server sends elsewhere, and credentials do not go there.
    Redirected { to: String },
    /// What answers there is no Git server.
    NoGit { said: String },
    /// The host key is not the one that is known.
    HostKey { said: String },
    /// A file that the process was given cannot be used: a token, a key, a CA.
    BadFile { what: &'static str, file: PathBuf, why: String },
    /// `ssh` is not installed.
    NoSsh,
    /// There is no branch to work on.
    NoBase { wanted: Option<String> },
    /// What came is broken.
    Damaged { why: String },
    /// No room in the folder of the clone.
    DiskFull { folder: PathBuf },
    /// Another process works in the folder of the clone.
    Locked { folder: PathBuf },
    /// The folder of the clone cannot be used.
    Folder { folder: PathBuf, why: String },
    /// The branch is not where it was seen.
    Moved { branch: String },
    /// The server refused to take the branch.
    Rejected { branch: String, said: String },
    /// Anything else, in Git's words.
    Other { why: String },
}

/// With what it was tried to get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    Token,
    Key,
    /// Nothing was given.
    Nothing,
    /// A file was named, and it is not there.
    NoFile,
}

impl Trouble {
    /// One word: the label of a metric. There are as many as there are variants.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Untrusted { .. } => "untrusted",
            Self::Busy { .. } => "busy",
            Self::Stalled { .. } => "stalled",
            Self::TooSlow { .. } => "too-slow",
            Self::TooLarge { .. } => "too-large",
            Self::Refused { .. } => "refused",
            Self::NotFound { .. } => "not-found",
            Self::Redirected { .. } => "redirected",
            Self::NoGit { .. } => "no-git",
            Self::HostKey { .. } => "host-key",
            Self::BadFile { .. } => "bad-file",
            Self::NoSsh => "no-ssh",
            Self::NoBase { .. } => "no-base",
            Self::Damaged { .. } => "damaged",
            Self::DiskFull { .. } => "disk-full",
            Self::Locked { .. } => "locked",
            Self::Folder { .. } => "folder",
            Self::Moved { .. } => "moved",
            Self::Rejected { .. } => "rejected",
            Self::Other { .. } => "other",
        }
    }

    /// Whether a person has to do something; everything else may pass by itself.
    pub fn is_mistake(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Untrusted { .. }
                | Self::NotFound { .. }
                | Self::Redirected { .. }
                | Self::NoGit { .. }
                | Self::HostKey { .. }
                | Self::BadFile { .. }
                | Self::NoSsh
                | Self::NoBase { .. }
                | Self::Locked { .. }
                | Self::Folder { .. }
        )
    }

    /// Whether a clone from the beginning may help: what lies there, or what was asked for because of it, is the cause.
    pub fn is_of_the_clone(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::TooLarge { .. } | Self::Folder { .. } | Self::Other { .. })
    }

    fn sentence(&self) -> String {
        match self {
            Self::Unreachable { host, why } => format!("{host} does not answer: {why}"),
            Self::Untrusted { host, why } => format!("the certificate of {host} is not trusted: {why}"),
            Self::Busy { status, said, .. } => format!("the Git server answers {status}{}", aside(said)),
            Self::Stalled { after } => format!("nothing came from the Git server for {} s", after.as_secs_f32()),
            Self::TooSlow { limit } => format!("the Git server took longer than {} s", limit.as_secs_f32()),
            Self::TooLarge { limit } => format!("more than {} MiB came, and no more are taken", limit >> 20),
            Self::Refused { with: Login::Token, said } => format!("the Git server refuses the token{}", aside(said)),
            Self::Refused { with: Login::Key, said } => format!("the Git server refuses the key{}", aside(said)),
            Self::Refused { with: Login::Nothing, said } => {
                format!("the Git server wants credentials, and none were given{}", aside(said))
            }
            Self::Refused { with: Login::NoFile, said } => {
                format!("the Git server wants credentials, and the file with the token is not there{}", aside(said))
            }
            Self::NotFound { url } => format!("{url} is not there, or these credentials do not see it"),
            Self::Redirected { to } => format!("the Git server sends to {to}, where no credentials are sent"),
            Self::NoGit { said } => format!("what answers is no Git server{}", aside(said)),
            Self::HostKey { said } => format!("the host key of the Git server is not a known one{}", aside(said)),
            Self::BadFile { what, file, why } => format!("the {what} {} cannot be used: {why}", file.display()),
            Self::NoSsh => "the program ssh is not installed, and ssh:// needs it".to_owned(),
            Self::NoBase { wanted: Some(name) } => format!("the repository has no branch {name}"),
            Self::NoBase { wanted: None } => {
                "the repository has no base branch; HEAD, main or master was expected".to_owned()
            }
            Self::Damaged { why } => format!("what the Git server sent is damaged: {why}"),
            Self::DiskFull { folder } => format!("no room is left in the clone folder {}", folder.display()),
            Self::Locked { folder } => {
                format!("another kubecure works in the clone folder {}", folder.display())
            }
            Self::Folder { folder, why } => format!("the clone folder {} cannot be used: {why}", folder.display()),
            Self::Moved { branch } => {
                format!("branch {branch} was moved by somebody else at the same time; nothing was written")
            }
            Self::Rejected { branch, said } => format!("the Git server does not take branch {branch}{}", aside(said)),
            Self::Other { why } => why.clone(),
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::Busy { .. } => {
                "what was read last stays in force, and it is tried again"
            }
            Self::Untrusted { .. } => "KUBECURE_GIT_CA_FILE names a file with the certificates of your own CA",
            Self::TooSlow { .. } => "--git-timeout allows more; --depth takes less history",
            Self::TooLarge { .. } => "--git-max-mib allows more; --depth takes less history",
            Self::Refused { with: Login::Key, .. } => {
                "KUBECURE_SSH_KEY_FILE names the private key; the server must know its public half, with the right to write"
            }
            Self::Refused { .. } => {
                "KUBECURE_GIT_TOKEN or --git-token-file FILE: a token that may read and write the contents of the repository"
            }
            Self::NotFound { .. } => {
                "compare the URL with what `git ls-remote` takes; a token may see less than you do"
            }
            Self::Redirected { .. } => "give the URL that it sends to, if you trust that host with the token",
            Self::NoGit { .. } => "give the URL that `git clone` takes, not that of a page",
            Self::HostKey { .. } => {
                "put the output of `ssh-keyscan HOST`, after comparing it, into the file that KUBECURE_SSH_KNOWN_HOSTS_FILE names"
            }
            Self::NoSsh => "install openssh-client, or use https:// with a token",
            Self::NoBase { wanted: Some(_) } => "--base names the branch that the cluster is deployed from",
            Self::NoBase { wanted: None } => "push a first commit to main, or name the branch by --base",
            Self::Damaged { .. } => "it is fetched anew; if it stays, run `git fsck` on the server",
            Self::DiskFull { .. } => "make room, or name another folder by --clone-dir; it goes on by itself then",
            Self::Locked { .. } => "one process, one folder: --clone-dir names another",
            Self::Folder { .. } => "--clone-dir names a folder that can be written",
            Self::Moved { .. } => "it is tried again",
            Self::Rejected { .. } => "the token or key needs the right to create branches kubecure/*",
            Self::BadFile { .. } | Self::Other { .. } => return None,
        })
    }
}

/// What a server said, behind a sentence.
fn aside(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" (it says: {said})") }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        self.hint().map_or(Ok(()), |hint| write!(f, "\nHint: {hint}"))
    }
}

impl std::error::Error for Trouble {}
