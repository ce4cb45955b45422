//! The base branch in, what the controller stands on out: manifests and policy at one commit, and how fresh they are.

mod local;
mod remote;
mod status;

use std::sync::Arc;

use anyhow::{Result, anyhow};

pub use self::local::LocalBase;
pub use self::remote::{Fetched, Plan, RemoteBase};
pub use self::status::{GroundError, GroundStatus};
use super::folder::{self, RawFiles};
use super::forge::Forge;
use super::git::Repo;
use crate::locate;
use crate::review::policy::{Policies, PolicyFile};
use crate::settings::Ground;

/// The base branch of a repository, and the forge that its pull requests go to.
pub trait Base: Send + Sync {
    /// The base branch as it was read last. Never waits for a network.
    fn ground(&self) -> Result<Arc<Ground>>;

    /// The forge, for one incident.
    fn forge(&self) -> Result<Box<dyn Forge>>;

    /// How fresh the ground is.
    fn status(&self) -> GroundStatus;
}

/// Reads the manifests and the policy of a commit. Instead of a policy that is invalid the last good one serves, which is
/// kept in `good`.
fn read(repo: &Repo, name: &str, commit: &str, good: &mut Option<Policies>) -> Result<Ground> {
    let files = repo.manifests(Some(commit), "")?;
    let (policies, invalid) = match (policies(&files), good.as_ref()) {
        (Ok(policies), _) => (policies, None),
        (Err(why), Some(good)) => (good.clone(), Some(format!("{why:#}"))),
        (Err(why), None) => return Err(why),
    };
    if invalid.is_none() {
        *good = Some(policies.clone());
    }
    tracing::info!(commit, files = files.files.len(), skipped = files.skipped.len(), "read the repository");
    let sources = locate::index(name, files.commit, files.files, files.skipped);
    Ok(Ground { sources: Arc::new(sources), policies, invalid })
}

/// The policy of a repository. A broken one is an error: what it would forbid is not known.
pub fn policies(files: &RawFiles) -> Result<Policies> {
    let own = files.files.iter().filter(|(path, _)| folder::is_policy(path));
    let own: Vec<PolicyFile<'_>> = own.map(|(path, text)| PolicyFile { path, text }).collect();
    Policies::read(&own).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let hint = problems.iter().find_map(|p| p.hint.clone()).map_or(String::new(), |hint| format!("; {hint}"));
        anyhow!(
            "the policy of the repository is invalid, so nothing is allowed\n  {}\n\
             Hint: kubecure policy check shows each with its line{hint}",
            all.join("\n  ")
        )
    })
}
