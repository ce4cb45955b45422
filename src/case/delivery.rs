//! What goes to the forge and comes back from it.

use std::fmt;

use super::{Declined, EditedFile, FailureId, ObjectRef, Timestamp};

/// What goes to the forge, word for word.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    PullRequest(PullRequest),
    Issue(Issue),
    /// Nothing is to be published, and why: policy says so.
    Nothing(Declined),
}

#[derive(Clone, Debug, PartialEq)]
pub struct PullRequest {
    /// `kubecure/<namespace>/<workload>/<failure>-<fp8>`
    pub branch: String,
    pub fingerprint: Fingerprint,
    pub title: String,
    pub body: String,
    /// Subject, body, trailers.
    pub commit_message: String,
    pub labels: Vec<String>,
    pub reviewers: Vec<String>,
    pub draft: bool,
    /// Path and new text of each file.
    pub files: Vec<EditedFile>,
    pub failure: FailureId,
    pub workloads: Vec<ObjectRef>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    pub fingerprint: Fingerprint,
    pub title: String,
    pub body: String,
    pub labels: Vec<String>,
    pub failure: FailureId,
    pub workloads: Vec<ObjectRef>,
}

/// Sixteen hexadecimal digits that stand for one problem with one current value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub String);

impl Fingerprint {
    /// The first eight digits, as they stand in branch names.
    pub fn short(&self) -> &str {
        &self.0[..8.min(self.0.len())]
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Our branches, pull requests and issues, as the forge has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub entries: Vec<HistoryEntry>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    pub kind: EntryKind,
    pub state: EntryState,
    pub number: u64,
    pub fingerprint: Fingerprint,
    pub failure: String,
    /// Each as [`ObjectRef`]'s `Display`: "Deployment shop/web".
    pub workloads: Vec<String>,
    pub branch: Option<String>,
    /// When it was opened, if the forge tells.
    pub opened: Option<Timestamp>,
    /// A commit on the branch that is not ours, if there is one: hands off.
    pub foreign_commit: Option<String>,
    /// A link or path that a person can follow.
    pub link: String,
}

/// A pull request of ours that was merged: what there is to verify it by, after a restart without any other memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    pub entry: HistoryEntry,
    /// The newest commit of the base branch that carries the fix, found by its trailer.
    pub commit: String,
    /// When that commit was made.
    pub at: Timestamp,
    /// The page of the pull request, with the hidden line that was written with it.
    pub body: String,
    /// What our comment says now, if there is one.
    pub said: Option<String>,
}

impl HistoryEntry {
    /// What a person calls it: `#3`, or its branch.
    pub fn called(&self) -> String {
        match (self.kind, &self.branch) {
            (EntryKind::Branch, Some(branch)) => branch.clone(),
            (EntryKind::Branch, None) => "a branch".to_owned(),
            _ => format!("#{}", self.number),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    PullRequest,
    Issue,
    /// A branch on a server that has no API for more: a person opens the pull request. It has no number.
    Branch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryState {
    Open,
    /// Closed without a merge: a person said no.
    Closed,
    Merged,
}

/// What the forge did with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    Opened {
        kind: EntryKind,
        number: u64,
        link: String,
    },
    /// It is there already; nothing was written.
    Exists {
        kind: EntryKind,
        number: u64,
        link: String,
        why: String,
    },
    /// An open one of ours was brought up to date.
    Updated {
        kind: EntryKind,
        number: u64,
        link: String,
    },
    /// Nothing to publish.
    Nothing {
        why: String,
    },
}
