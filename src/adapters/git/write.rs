//! Edited files in, a commit on a branch of our own out.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use git2::build::TreeUpdateBuilder;
use git2::{Commit, ErrorCode, FileMode, Oid, Signature, Time, Tree};

use super::Repo;
use crate::adapters::folder::is_plain;
use crate::case::{EditedFile, Timestamp};
use crate::submit::FIX_TRAILER;

/// The committer of every commit that KubeCure makes. With the trailer, the mark of our own.
pub const EMAIL: &str = "bot@kubecure.io";
/// All our branches begin with this.
pub(in crate::adapters) const BRANCHES: &str = "kubecure/";
/// So many commits of the base branch are searched for our trailer.
pub(super) const SEARCHED: usize = 20_000;

/// Who commits, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub name: String,
    pub email: String,
    pub at: Timestamp,
}

impl Author {
    /// KubeCure itself.
    pub fn kubecure(at: Timestamp) -> Self {
        Self { name: "KubeCure".to_owned(), email: EMAIL.to_owned(), at }
    }

    pub(super) fn signature(&self) -> Result<Signature<'static>> {
        Signature::new(&self.name, &self.email, &Time::new(self.at.as_second(), 0))
            .context("the author of a commit needs a name")
    }
}

/// What is to be committed.
#[derive(Clone, Copy, Debug)]
pub struct NewCommit<'a> {
    /// Begins with `kubecure/`.
    pub branch: &'a str,
    pub files: &'a [EditedFile],
    pub message: &'a str,
}

/// What became of a branch; each with its last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landed {
    Created(Oid),
    Updated(Oid),
    /// It held this change already.
    Unchanged(Oid),
}

impl Landed {
    /// The last commit of the branch.
    pub fn tip(self) -> Oid {
        match self {
            Self::Created(id) | Self::Updated(id) | Self::Unchanged(id) => id,
        }
    }
}

/// A commit before its branch has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// The branch holds this change already.
    Unchanged(Oid),
    /// To be put on the branch, if that is still where it was seen; `None`: it was not there.
    Commit { id: Oid, seen: Option<Oid> },
}

/// A commit that is on a branch and not on the base branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchCommit {
    pub id: String,
    /// Name of its author; of its committer, where a person rewrote a commit of ours.
    pub by: String,
    /// Whether KubeCure made it.
    pub ours: bool,
}

impl Repo {
    /// Commits edited files on a branch of our own, on top of a base commit.
    ///
    /// Refuses when a file at the base is not what was edited, when a path leaves the repository or leads through a
    /// symlink, when the branch is not one of ours by name, and when a commit on it is not ours by content.
    pub fn commit_on_branch(&self, change: &NewCommit<'_>, base: Oid, author: &Author) -> Result<Landed> {
        let (id, seen) = match self.prepare(change, base, author)? {
            Prepared::Unchanged(tip) => return Ok(Landed::Unchanged(tip)),
            Prepared::Commit { id, seen } => (id, seen),
        };
        self.move_branch(change.branch, seen, id)?;
        Ok(if seen.is_some() { Landed::Updated(id) } else { Landed::Created(id) })
    }

    /// The same up to where the branch would move: the commit is there, and no branch has it.
    pub fn prepare(&self, change: &NewCommit<'_>, base: Oid, author: &Author) -> Result<Prepared> {
        self.check_branch_name(change.branch)?;
        let base = self.inner.find_commit(base).context("the base commit is not in the repository")?;
        let tree = self.edited_tree(&base.tree()?, change.files)?;
        if tree == base.tree_id() {
            bail!("the edit changes nothing in {} file(s) at {}; nothing was committed", change.files.len(), base.id());
        }
        let tip = self.tip(change.branch)?;
        if let Some(tip) = tip {
            if let Some(theirs) = self.commits_on(change.branch)?.into_iter().find(|commit| !commit.ours) {
                bail!(
                    "branch {} has a commit by {} ({}), so it is not touched\nHint: merge or delete the branch",
                    change.branch,
                    theirs.by,
                    &theirs.id[..8]
                );
            }
            if self.holds(&self.inner.find_commit(tip)?, change)? {
                return Ok(Prepared::Unchanged(tip));
            }
        }
        let author = author.signature()?;
        let tree = self.inner.find_tree(tree)?;
        let id = self
            .inner
            .commit(None, &author, &author, change.message, &tree, &[&base])
            .context("cannot write the commit")?;
        Ok(Prepared::Commit { id, seen: tip })
    }

    /// Moves a branch from where it was seen; fails when it has moved meanwhile.
    pub(super) fn move_branch(&self, branch: &str, seen: Option<Oid>, to: Oid) -> Result<()> {
        let name = format!("refs/heads/{branch}");
        let moved = match seen {
            Some(seen) => self.inner.reference_matching(&name, to, true, seen, "kubecure"),
            None => self.inner.reference(&name, to, false, "kubecure"),
        };
        match moved {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Exists) => {
                bail!(
                    "branch {branch} was moved by somebody else at the same time; nothing was written\nHint: run again"
                )
            }
            Err(error) => bail!("cannot write branch {branch}: {}", error.message()),
        }
    }

    fn check_branch_name(&self, branch: &str) -> Result<()> {
        let plain = branch.strip_prefix(BRANCHES).is_some_and(is_plain);
        if !plain || !git2::Reference::is_valid_name(&format!("refs/heads/{branch}")) {
            bail!("{branch:?} is not a branch of KubeCure; a name that begins with {BRANCHES} was expected");
        }
        if self.base_branch().is_ok_and(|base| base == branch) {
            bail!(
                "{branch} is the base branch; KubeCure never writes to it\nHint: point HEAD of the repository at main"
            );
        }
        Ok(())
    }

    /// The base's tree with the edits in it.
    fn edited_tree(&self, base: &Tree<'_>, files: &[EditedFile]) -> Result<Oid> {
        let mut update = TreeUpdateBuilder::new();
        for file in files {
            let (id, mode) = file_at(base, &file.path)?;
            let blob = self.inner.find_blob(id).with_context(|| format!("cannot read {}", file.path))?;
            if blob.content() != file.before.as_bytes() {
                bail!(
                    "{} at the base commit is not the file that was read, so it is not edited\n\
                     Hint: commit or drop local changes, then run again",
                    file.path
                );
            }
            update.upsert(file.path.as_str(), self.inner.blob(file.after.as_bytes())?, mode);
        }
        update.create_updated(&self.inner, base).context("cannot write the tree")
    }

    /// Whether a commit makes this change already: the same edit of the same files, the same subject and trailers.
    ///
    /// Its base may be older and the prose of its message different: neither is worth a new commit and another run
    /// of everybody's CI.
    fn holds(&self, commit: &Commit<'_>, change: &NewCommit<'_>) -> Result<bool> {
        let same_words = commit.message().is_ok_and(|message| essence(message) == essence(change.message));
        if !same_words || commit.parent_count() != 1 {
            return Ok(false);
        }
        let on_its_base = self.edited_tree(&commit.parent(0)?.tree()?, change.files);
        Ok(on_its_base.is_ok_and(|tree| tree == commit.tree_id()))
    }

    /// The commits of a branch that the base branch does not have, newest first.
    pub fn commits_on(&self, branch: &str) -> Result<Vec<BranchCommit>> {
        let Some(tip) = self.tip(branch)? else { return Ok(Vec::new()) };
        let mut walk = self.inner.revwalk()?;
        walk.set_sorting(git2::Sort::TOPOLOGICAL)?;
        walk.push(tip)?;
        if let Some(base) = self.tip(&self.base_branch()?)? {
            walk.hide(base)?;
        }
        let mut found = Vec::new();
        for id in walk.take(1000) {
            let commit = self.inner.find_commit(id?)?;
            let ours = is_ours(&commit);
            // Who amends a commit of ours stays behind our name: the committer is who was there last.
            let who = if commit.author().email_bytes() == EMAIL.as_bytes() && !ours {
                commit.committer()
            } else {
                commit.author()
            };
            let by = String::from_utf8_lossy(who.name_bytes()).to_string();
            found.push(BranchCommit { id: commit.id().to_string(), by, ours });
            // In a shallow clone the base branch may end above the commit that ours stands on. A commit of ours stands
            // on the base branch itself, so what is below one is none of the branch.
            if ours && self.inner.is_shallow() {
                break;
            }
        }
        Ok(found)
    }

    /// Fingerprints of our fixes that the base branch has, each with its commit.
    ///
    /// Found by trailer, on a line of its own anywhere in the message: a squash merge keeps the line, not the commit.
    pub fn landed(&self) -> Result<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        let Some(tip) = self.tip(&self.base_branch()?)? else { return Ok(found) };
        let mut walk = self.inner.revwalk()?;
        walk.push(tip)?;
        for id in walk.take(SEARCHED) {
            let commit = self.inner.find_commit(id?)?;
            for fingerprint in fixes(&String::from_utf8_lossy(commit.message_bytes())) {
                found.entry(fingerprint.to_owned()).or_insert_with(|| commit.id().to_string());
            }
        }
        Ok(found)
    }
}

/// The blob of a plain file and its mode; every step to it is a folder, none a symlink.
fn file_at(tree: &Tree<'_>, path: &str) -> Result<(Oid, FileMode)> {
    if !is_plain(path) {
        bail!("{path:?} is not a path that KubeCure edits; one from the root, in plain names, was expected");
    }
    let parts: Vec<&str> = path.split('/').collect();
    for (i, _) in parts.iter().enumerate() {
        let at = parts[..=i].join("/");
        let entry = tree
            .get_path(Path::new(&at))
            .map_err(|_| anyhow!("{at} is not in the base commit, so it is not edited"))?;
        let last = i + 1 == parts.len();
        match (last, entry.filemode()) {
            (false, mode) if mode == i32::from(FileMode::Tree) => {}
            (true, mode) if mode == i32::from(FileMode::BlobExecutable) => {
                return Ok((entry.id(), FileMode::BlobExecutable));
            }
            (true, mode) if mode == i32::from(FileMode::Blob) || mode == i32::from(FileMode::BlobGroupWritable) => {
                return Ok((entry.id(), FileMode::Blob));
            }
            (_, mode) if mode == i32::from(FileMode::Link) => bail!("{at} is a symlink, so {path} is not edited"),
            _ => bail!("{at} is not a file of this repository, so it is not edited"),
        }
    }
    bail!("the path of a file is empty")
}

/// A commit that GitHub has made for an App: whoever else has it make one is the author by an address of their own.
fn is_of_an_app(commit: &Commit<'_>) -> bool {
    commit.committer().email_bytes() == b"noreply@github.com"
        && commit.author().email_bytes().ends_with(b"[bot]@users.noreply.github.com")
}

pub(super) fn is_ours(commit: &Commit<'_>) -> bool {
    (commit.committer().email_bytes() == EMAIL.as_bytes() || is_of_an_app(commit))
        && fixes(&String::from_utf8_lossy(commit.message_bytes())).next().is_some()
}

pub(super) fn fixes(message: &str) -> impl Iterator<Item = &str> {
    message.lines().filter_map(|line| line.trim().strip_prefix(FIX_TRAILER)?.strip_prefix(':').map(str::trim))
}

/// Subject and trailers of a message.
fn essence(message: &str) -> (&str, Vec<&str>) {
    let lines: Vec<&str> = message.trim_end().lines().collect();
    let trailers = lines.iter().rposition(|line| line.is_empty()).map_or(&[][..], |at| &lines[at + 1..]);
    (lines.first().copied().unwrap_or_default(), trailers.to_vec())
}
