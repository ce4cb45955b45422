//! A request in, a pull request or issue on a forge out.
//!
//! The seam: GitHub, GitLab and the others are each one file beside `local.rs`.

pub mod local;

use anyhow::Result;

use crate::case::{History, Receipt, Request};

/// Where pull requests and issues live. The forge itself is the only memory: nothing is kept beside it.
pub trait Forge {
    /// Our own pull requests and issues, as they are now.
    fn history(&self) -> Result<History>;

    /// Looks first, then writes: opens, brings up to date, or leaves alone and says why.
    ///
    /// Called twice with the same request it opens nothing twice and rewrites nothing.
    fn publish(&self, request: &Request) -> Result<Receipt>;

    /// What to call it: a URL or path as the user gave it, without credentials.
    fn name(&self) -> &str;
}
