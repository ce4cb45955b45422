//! A forge looked at: what is there, and whether it could be written. Nothing is made, not even for a moment.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::LocalForge;
use crate::adapters::git;
use crate::case::{EntryKind, EntryState, Timestamp};

/// What a look at the folder of a forge shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// There is none yet, and one can be made.
    Absent,
    There {
        pulls: usize,
        issues: usize,
        /// Of both.
        open: usize,
    },
}

impl LocalForge {
    /// Looks at the forge of a folder. An error says what stands in the way of publishing there.
    pub fn look(dir: &Path, now: Timestamp) -> Result<Look> {
        let bare = dir.join("repo.git");
        let is_absent = bare.symlink_metadata().is_err()
            && dir.join(".git").symlink_metadata().is_err()
            && git::open_bare(dir)?.is_none();
        if is_absent {
            // The nearest folder that is there is the one that has to be written.
            let there = dir.ancestors().find(|folder| folder.exists());
            let there = there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            writable(there)?;
            return Ok(Look::Absent);
        }
        let forge = Self::open(dir, None, now)?;
        let repo = if bare.exists() { bare } else { dir.to_owned() };
        let folders = [dir.to_owned(), repo.join("objects"), repo.join("refs/heads"), repo]
            .into_iter()
            .chain(["pulls", "issues", ".kubecure.lock"].map(|name| dir.join(name)));
        for folder in folders.filter(|folder: &PathBuf| folder.exists()) {
            writable(&folder)?;
        }
        let entries = forge.entries()?;
        let count = |kind| entries.iter().filter(|(_, entry)| entry.kind == kind).count();
        let open = entries.iter().filter(|(_, entry)| entry.state == EntryState::Open).count();
        Ok(Look::There { pulls: count(EntryKind::PullRequest), issues: count(EntryKind::Issue), open })
    }
}

/// Whether the system would let this process write there.
fn writable(path: &Path) -> Result<()> {
    if !may_write(path) {
        bail!(
            "{} cannot be written\nHint: give it to the user that runs kubecure, or name another folder",
            path.display()
        );
    }
    Ok(())
}

#[cfg(unix)]
fn may_write(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn may_write(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| !meta.permissions().readonly())
}
