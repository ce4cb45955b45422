//! A request in, a pull request or issue on a forge out.
//!
//! The seam: GitHub, GitLab and the others are each one file beside `local.rs`.

pub mod local;

use std::sync::Arc;

use anyhow::Result;

use crate::case::{History, Receipt, Request};

/// Asked right before each write: an error, which says why, where this process may not write any more.
pub type Fence = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// A fence that is always open: for a process that is the only one.
pub fn open() -> Fence {
    Arc::new(|| Ok(()))
}

/// Where pull requests and issues live. The forge itself is the only memory: nothing is kept beside it.
///
/// One is used by one thread at a time, and may take its time: it is never called where others wait for it.
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
