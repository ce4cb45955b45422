//! A request in, a pull request or issue on a forge out.
//!
//! The seam: GitHub, GitLab and the others are each one file beside `local.rs` and `branch.rs`.

pub mod branch;
pub mod local;

use anyhow::Result;

use crate::case::{EntryState, History, HistoryEntry, ObjectRef, Receipt, Request};

/// Where pull requests and issues live. The forge itself is the only memory: nothing is kept beside it.
///
/// A call may wait for a network, so [`Live`](super::live::Live) makes it where waiting stops nobody else. One on a server
/// with an API has a [`Fetched`](super::ground::Fetched) repository for its branches, as `branch.rs` does, and its API
/// for the rest.
pub trait Forge: Send {
    /// Our own pull requests and issues, as they are now.
    fn history(&self) -> Result<History>;

    /// Looks first, then writes: opens, brings up to date, or leaves alone and says why.
    ///
    /// Called twice with the same request it opens nothing twice and rewrites nothing.
    fn publish(&self, request: &Request) -> Result<Receipt>;

    /// What to call it: a URL or path as the user gave it, without credentials.
    fn name(&self) -> &str;
}

/// Why an entry is left alone, if it is.
fn hands_off(entry: &HistoryEntry) -> Option<String> {
    let name = entry.called();
    match (entry.state, &entry.foreign_commit) {
        (EntryState::Closed, _) => Some(format!("{name} was closed by a person; not offered again")),
        (EntryState::Merged, _) => {
            Some(format!("{name} with this change was merged; if the failure is back, a person should look"))
        }
        (EntryState::Open, Some(commit)) => Some(format!("the branch has a commit, {commit}: hands off")),
        (EntryState::Open, None) => None,
    }
}

/// Whether an entry is about one of these workloads.
fn shares(entry: &HistoryEntry, workloads: &[ObjectRef]) -> bool {
    names(workloads).iter().any(|name| entry.workloads.contains(name))
}

fn names(workloads: &[ObjectRef]) -> Vec<String> {
    workloads.iter().map(ToString::to_string).collect()
}
