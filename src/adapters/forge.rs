//! A request in, a pull request or issue on a forge out.
//!
//! The seam: `local.rs` and `branch.rs` need no API. Forges with one share a life cycle, `hosted.rs`, and each has a file
//! with what it is asked.

pub mod address;
pub mod api;
pub mod branch;
mod gitea;
pub mod github;
mod gitlab;
pub mod hosted;
pub mod local;

use std::sync::Arc;

use anyhow::Result;

use self::address::{Address, Kind};
use self::api::Manner;
use self::gitea::Gitea;
use self::github::Github;
use self::gitlab::Gitlab;
use self::hosted::{Api, Hosted};
use crate::adapters::git::remote::Door;
use crate::case::{EntryState, History, HistoryEntry, ObjectRef, Receipt, Request};
use crate::submit::{BEGIN, END};

/// Asked right before each write: an error, which says why, where this process may not write any more.
pub type Fence = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// A fence that is always open: for a process that is the only one.
pub fn open() -> Fence {
    Arc::new(|| Ok(()))
}

/// Where pull requests and issues live. The forge itself is the only memory: nothing is kept beside it.
///
/// One is used by one thread at a time, and may wait for a network: it is never called where others wait for it. One on a
/// server with an API has a [`Fetched`](super::ground::Fetched) repository for its branches, as `branch.rs` has, and its
/// API for the rest.
pub trait Forge: Send {
    /// Our own pull requests and issues, as they are now.
    fn history(&self) -> Result<History>;

    /// Looks first, then writes: opens, brings up to date, or leaves alone and says why.
    ///
    /// Called twice with the same request it opens nothing twice and rewrites nothing.
    fn publish(&self, request: &Request) -> Result<Receipt>;

    /// What is asked right before each write from now on.
    fn fence(&mut self, fence: Fence);

    /// What to call it: a URL or path as the user gave it, without credentials.
    fn name(&self) -> &str;
}

/// A forge with an API. Nothing is asked yet.
pub fn connect(address: &Address, door: Door, manner: Manner) -> Hosted {
    let name = address.page();
    let api: Box<dyn Api> = match address.kind {
        Kind::Gitea => Box::new(Gitea::new(address, door, manner)),
        Kind::Github => {
            let is_app = door.is_minted();
            Box::new(Github::new(address, door, is_app, manner))
        }
        Kind::Gitlab => Box::new(Gitlab::new(address, door, manner)),
    };
    Hosted::new(api, name)
}

/// Where our part of a body stands, markers included.
fn between(body: &str) -> Option<std::ops::Range<usize>> {
    let start = body.find(BEGIN)?;
    let end = body.rfind(END)? + END.len();
    (start < end).then_some(start..end)
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
