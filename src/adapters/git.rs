//! A repository: its manifests at one commit, and commits on branches of our own.
//!
//! A commit is made from the base commit's tree and a blob in the object database: no work tree is touched, no hook
//! runs, and no file system path comes from what is committed.

mod marks;
pub mod mirror;
pub mod remote;
mod seed;
mod write;

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use git2::{ErrorCode, FileMode, ObjectType, Oid, Repository, RepositoryOpenFlags, Tree, TreeEntry};

use super::folder::{self, RawFiles};
use crate::case::Gap;
use crate::locate::kustomize;

pub use marks::Marks;
pub use seed::{Origin, seed};
pub(super) use write::BRANCHES;
pub use write::{Author, BranchCommit, EMAIL, Landed, NewCommit, Prepared};

/// A repository that was found on this machine.
pub struct Repo {
    inner: Repository,
    /// The folder that was asked for, from the top of the work tree; empty at the top and in a bare repository.
    prefix: String,
    /// As the user named it, for messages.
    shown: String,
}

/// Opens the repository that a folder belongs to: a work tree, a folder in one, or a bare repository.
pub fn open(path: &Path) -> Result<Repo> {
    let shown = path.display();
    find(path)?.ok_or_else(|| {
        anyhow!(
            "{shown} is not in a Git repository; a work tree or a bare repository was expected\n\
             Hint: give a folder of one, or read the files as they lie there, without a commit"
        )
    })
}

/// As [`open`]; `None` when the folder belongs to no repository.
pub fn find(path: &Path) -> Result<Option<Repo>> {
    let shown = path.display().to_string();
    let inner = match Repository::open_ext(path, RepositoryOpenFlags::empty(), &[] as &[&Path]) {
        Ok(inner) => inner,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(explain(&error, &shown)),
    };
    let prefix = prefix_in(&inner, path);
    Ok(Some(Repo { inner, prefix, shown }))
}

/// Opens a bare repository at exactly this folder; `None` when there is none.
pub(super) fn open_bare(path: &Path) -> Result<Option<Repo>> {
    let shown = path.display().to_string();
    match Repository::open_bare(path) {
        Ok(inner) => Ok(Some(Repo { inner, prefix: String::new(), shown })),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(explain(&error, &shown)),
    }
}

/// Whether a folder is a bare repository itself.
pub fn is_bare(path: &Path) -> bool {
    Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, &[] as &[&Path]).is_ok_and(|repo| repo.is_bare())
}

/// Whether a folder is part of a work tree whose policy lies above it.
pub fn has_policy_above(path: &Path) -> bool {
    let Ok(repo) = open(path) else { return false };
    let above = repo.inner.workdir().map(|top| top.join(folder::POLICY_FOLDER));
    !repo.prefix.is_empty() && above.is_some_and(|policy| policy.is_dir())
}

fn explain(error: &git2::Error, shown: &str) -> anyhow::Error {
    match error.code() {
        ErrorCode::Owner => anyhow!(
            "{shown} belongs to another user, so Git does not trust it\n\
             Hint: git config --global --add safe.directory '{shown}'"
        ),
        _ => anyhow!("cannot open the repository {shown}: {}", error.message()),
    }
}

fn prefix_in(repo: &Repository, path: &Path) -> String {
    let (Some(top), Ok(path)) = (repo.workdir(), path.canonicalize()) else { return String::new() };
    let Ok(top) = top.canonicalize() else { return String::new() };
    let Ok(under) = path.strip_prefix(top) else { return String::new() };
    let parts: Vec<_> = under.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

impl Repo {
    /// The folder that was asked for, from the top of the work tree.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it has no work tree.
    pub fn is_bare(&self) -> bool {
        self.inner.is_bare()
    }

    /// The branch that pull requests go to: where HEAD points, or the usual names.
    pub fn base_branch(&self) -> Result<String> {
        // A branch of our own is never the base, even where somebody left HEAD on it.
        let exists = |name: &str| {
            !name.starts_with(write::BRANCHES) && self.inner.find_reference(&format!("refs/heads/{name}")).is_ok()
        };
        if let Ok(head) = self.inner.find_reference("HEAD")
            && let Ok(Some(target)) = head.symbolic_target()
            && let Some(name) = target.strip_prefix("refs/heads/")
            && exists(name)
        {
            return Ok(name.to_owned());
        }
        ["main", "master"].into_iter().find(|name| exists(name)).map(ToOwned::to_owned).ok_or_else(|| {
            anyhow!(
                "{} has no base branch; HEAD, main or master was expected\nHint: push a first commit to main",
                self.shown
            )
        })
    }

    /// The commit that a revision means; without one, that of HEAD or the base branch.
    pub fn commit_id(&self, rev: Option<&str>) -> Result<Oid> {
        if let Some(rev) = rev {
            let object = self.inner.revparse_single(rev).map_err(|_| {
                anyhow!(
                    "{} has no revision {rev:?}; a commit, tag or branch was expected\nHint: git log --oneline --all",
                    self.shown
                )
            })?;
            return match object.peel_to_commit() {
                Ok(commit) => Ok(commit.id()),
                Err(_) => bail!(
                    "{rev:?} of {} is no commit; a commit, tag or branch was expected\nHint: git log --oneline --all",
                    self.shown
                ),
            };
        }
        let on_ours = |head: &git2::Reference<'_>| {
            head.shorthand().is_ok_and(|name| self.inner.is_bare() && name.starts_with(write::BRANCHES))
        };
        if let Ok(head) = self.inner.head()
            && !on_ours(&head)
        {
            return Ok(head.peel_to_commit().context("HEAD is not a commit")?.id());
        }
        let base = self.base_branch()?;
        self.tip(&base)?.ok_or_else(|| anyhow!("branch {base} is not a commit"))
    }

    /// The last commit of a branch, if there is one.
    pub fn tip(&self, branch: &str) -> Result<Option<Oid>> {
        match self.inner.find_reference(&format!("refs/heads/{branch}")) {
            Ok(reference) => {
                Ok(Some(reference.peel_to_commit().with_context(|| format!("branch {branch} is not a commit"))?.id()))
            }
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
            Err(error) => bail!("cannot read branch {branch}: {}", error.message()),
        }
    }

    /// All manifests of a commit under a folder, and its policy, by their path from the root.
    ///
    /// Without a revision: of HEAD, or of the base branch. With an empty prefix: of the whole tree.
    pub fn manifests(&self, rev: Option<&str>, prefix: &str) -> Result<RawFiles> {
        let commit = self.inner.find_commit(self.commit_id(rev)?)?;
        let tree = commit.tree().context("the commit has no tree")?;
        let mut walk = Walk { repo: &self.inner, raw: RawFiles::default() };
        walk.raw.commit = Some(commit.id().to_string());
        let prefix = prefix.trim_matches('/');
        if prefix.is_empty() {
            walk.tree(&tree, "", 0)?;
        } else {
            walk.tree(&self.folder(&tree, prefix)?, prefix, prefix.split('/').count())?;
            if !folder::is_policy(&format!("{prefix}/"))
                && let Ok(policy) = self.folder(&tree, folder::POLICY_FOLDER)
            {
                walk.tree(&policy, folder::POLICY_FOLDER, 1)?;
            }
        }
        for path in kustomize::attachments(&walk.raw.files) {
            let entry = tree.get_path(Path::new(&path)).ok().filter(|entry| entry.kind() == Some(ObjectType::Blob));
            match entry {
                Some(entry) if entry.filemode() != i32::from(FileMode::Link) => walk.file(&entry, path)?,
                _ => {}
            }
        }
        walk.raw.skipped.sort();
        Ok(walk.raw)
    }

    fn folder(&self, tree: &Tree<'_>, path: &str) -> Result<Tree<'_>> {
        let entry = tree.get_path(Path::new(path)).ok().filter(|entry| entry.kind() == Some(ObjectType::Tree));
        let entry = entry.ok_or_else(|| {
            anyhow!("the commit has no folder {path:?}; a path from the root was expected\nHint: git ls-tree -d -r --name-only HEAD")
        })?;
        self.inner.find_tree(entry.id()).with_context(|| format!("cannot read the folder {path:?}"))
    }
}

/// A walk through the trees of a commit.
struct Walk<'r> {
    repo: &'r Repository,
    raw: RawFiles,
}

impl Walk<'_> {
    fn skip(&mut self, what: &str, why: impl Into<String>) {
        self.raw.skipped.push(Gap { what: what.to_owned(), why: why.into() });
    }

    fn tree(&mut self, tree: &Tree<'_>, prefix: &str, depth: usize) -> Result<()> {
        if depth > folder::MAX_DEPTH {
            self.skip(prefix, format!("not entered: more than {} folders deep", folder::MAX_DEPTH));
            return Ok(());
        }
        for entry in tree {
            let lossy = String::from_utf8_lossy(entry.name_bytes()).to_string();
            let path = if prefix.is_empty() { lossy.clone() } else { format!("{prefix}/{lossy}") };
            if std::str::from_utf8(entry.name_bytes()).is_err() {
                self.skip(&path, "its name is not UTF-8");
                continue;
            }
            match entry.filemode() {
                mode if mode == i32::from(FileMode::Commit) => self.skip(&path, "a submodule; not entered"),
                mode if mode == i32::from(FileMode::Link) => self.link(&entry, &path)?,
                mode if mode == i32::from(FileMode::Tree) => {
                    if let Some(why) = folder::not_entered(&lossy) {
                        self.skip(&path, why);
                        continue;
                    }
                    let below = self.repo.find_tree(entry.id()).with_context(|| format!("cannot read {path}"))?;
                    self.tree(&below, &path, depth + 1)?;
                }
                _ if folder::is_manifest(&path) => self.file(&entry, path)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn link(&mut self, entry: &TreeEntry<'_>, path: &str) -> Result<()> {
        let blob = self.repo.find_blob(entry.id()).with_context(|| format!("cannot read {path}"))?;
        let target: String = String::from_utf8_lossy(blob.content()).chars().take(200).collect();
        self.skip(path, folder::link_reason(path, &target));
        Ok(())
    }

    fn file(&mut self, entry: &TreeEntry<'_>, path: String) -> Result<()> {
        if self.raw.files.len() >= folder::MAX_FILES {
            bail!("more than {} manifests in the commit\nHint: give a folder of the repository", folder::MAX_FILES);
        }
        // The header first: a huge blob is not even inflated.
        let (size, _) = self.repo.odb()?.read_header(entry.id()).with_context(|| format!("cannot read {path}"))?;
        if size as u64 > folder::MAX_FILE {
            self.skip(&path, folder::too_large(size as u64));
            return Ok(());
        }
        let blob = self.repo.find_blob(entry.id()).with_context(|| format!("cannot read {path}"))?;
        match folder::as_text(blob.content().to_vec()) {
            Ok(text) => {
                self.raw.files.insert(path, text);
            }
            Err(why) => self.skip(&path, why),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
