//! A commit of ours in, what it says of itself out: its trailers are the memory of a server without an API.

use anyhow::Result;
use git2::{Commit, Oid};

use super::Repo;
use super::write::{SEARCHED, fixes, is_ours};
use crate::case::Timestamp;
use crate::submit::CASE_TRAILER;

/// So many commits of a branch are looked at for one of ours.
const MAX_ABOVE: usize = 100;

/// What a commit of ours says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    pub fingerprint: String,
    /// Empty where the commit is from before it was said.
    pub failure: String,
    /// Each as [`ObjectRef`](crate::case::ObjectRef)'s `Display`: "Deployment shop/web".
    pub workloads: Vec<String>,
    /// When it was made.
    pub at: Timestamp,
}

impl Marks {
    /// `None` for a commit without our trailer.
    fn of(commit: &Commit<'_>) -> Option<Self> {
        let message = String::from_utf8_lossy(commit.message_bytes());
        let fingerprint = fixes(&message).next()?.to_owned();
        let cases = message.lines().filter_map(|line| line.trim().strip_prefix(CASE_TRAILER)?.strip_prefix(':'));
        let (mut failure, mut workloads) = (String::new(), Vec::new());
        for case in cases {
            // oom-killed/Deployment/shop/web
            let Some((of, workload)) = case.trim().split_once('/') else { continue };
            let Some((kind, path)) = workload.split_once('/') else { continue };
            of.clone_into(&mut failure);
            workloads.push(format!("{kind} {path}"));
        }
        let at = Timestamp::from_second(commit.author().when().seconds()).unwrap_or_default();
        Some(Self { fingerprint, failure, workloads, at })
    }
}

impl Repo {
    /// The marks of the newest commit of ours on a branch; `None`: it has none.
    pub fn marks_on(&self, tip: Oid) -> Result<Option<Marks>> {
        let mut walk = self.inner.revwalk()?;
        walk.set_sorting(git2::Sort::TOPOLOGICAL)?;
        walk.push(tip)?;
        if let Some(base) = self.tip(&self.base_branch()?)? {
            walk.hide(base)?;
        }
        for id in walk.take(MAX_ABOVE) {
            let commit = self.inner.find_commit(id?)?;
            if is_ours(&commit) {
                return Ok(Marks::of(&commit));
            }
        }
        Ok(None)
    }

    /// The marks of every fix that the base branch has, newest first.
    ///
    /// By trailer, whoever committed it: a squash merge keeps the lines, not the commit.
    pub fn landed_marks(&self) -> Result<Vec<Marks>> {
        let Some(tip) = self.tip(&self.base_branch()?)? else { return Ok(Vec::new()) };
        let mut walk = self.inner.revwalk()?;
        walk.push(tip)?;
        let mut found = Vec::new();
        for id in walk.take(SEARCHED) {
            found.extend(Marks::of(&self.inner.find_commit(id?)?));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trailers_of_a_commit_say_what_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let repo = git2::Repository::init_bare(folder.path()).unwrap();
        let tree = repo.find_tree(repo.treebuilder(None).unwrap().write().unwrap()).unwrap();
        let marks = |message: &str| {
            let who = git2::Signature::new("a", "a@b", &git2::Time::new(1_700_000_000, 0)).unwrap();
            let id = repo.commit(None, &who, &who, message, &tree, &[]).unwrap();
            Marks::of(&repo.find_commit(id).unwrap())
        };
        assert_eq!(marks("fix\n\nbody\n"), None);
        let found = marks(
            "fix (#3)\n\n* fix\n\nKubeCure-Fix: 0123456789abcdef\n\
             KubeCure-Case: oom-killed/Deployment/shop/web\nKubeCure-Case: oom-killed/Node/n1\nKubeCure-Case: broken\n",
        );
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let workloads = ["Deployment shop/web", "Node n1"].map(ToOwned::to_owned).to_vec();
        let failure = "oom-killed".to_owned();
        assert_eq!(found, Some(Marks { fingerprint: "0123456789abcdef".to_owned(), failure, workloads, at }));
        assert_eq!(marks("x\n\nKubeCure-Fix: abc\n").unwrap().failure, "");
    }
}
