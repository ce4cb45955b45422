//! `branch`: any Git server. Branches are pushed, and a person opens the pull requests.
//!
//! The memory is what the server has: its branches `kubecure/*`, and the trailers of their commits and of the base
//! branch's. Without an API there are no issues, and a branch that a person deleted is remembered only as long as the
//! clone is. To say no for good, leave the branch and put a commit on it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use git2::Oid;

use super::{Fence, Forge, hands_off, shares};
use crate::adapters::git::mirror::Mirror;
use crate::adapters::git::remote::Push;
use crate::adapters::git::{Author, Marks, NewCommit, Prepared, Repo};
use crate::adapters::ground::Fetched;
use crate::case::{
    EntryKind, EntryState, Fingerprint, History, HistoryEntry, PullRequest, Receipt, Request, Timestamp,
};

/// What was fetched within this is fresh enough to count by. Before a push it is always fetched.
const FRESH: Duration = Duration::from_secs(5);

/// A repository on a server, and nothing more.
pub struct BranchForge {
    fetched: Arc<Fetched>,
    now: Timestamp,
    fence: Fence,
}

impl BranchForge {
    pub fn new(fetched: Arc<Fetched>, now: Timestamp) -> Self {
        Self { fetched, now, fence: super::open() }
    }

    /// Every branch of ours, those that are gone, and what was merged.
    fn entries(&self, mirror: &mut Mirror) -> Result<Vec<HistoryEntry>> {
        let repo = mirror.repo()?;
        let landed = repo.landed_marks()?;
        let mut entries = Vec::new();
        for (branch, tip) in repo.own_branches()? {
            if let Some(entry) = self.entry(&repo, &branch, tip)? {
                entries.push(entry);
            }
        }
        for (branch, marks) in mirror.gone() {
            entries.push(self.entry_of(Some(branch.clone()), marks, EntryState::Closed, None));
        }
        // A fix that was merged is merged, whether its branch is still there or not.
        for entry in &mut entries {
            if landed.iter().any(|marks| marks.fingerprint == entry.fingerprint.0) {
                entry.state = EntryState::Merged;
            }
        }
        for marks in &landed {
            if !entries.iter().any(|entry| entry.fingerprint.0 == marks.fingerprint) {
                entries.push(self.entry_of(None, marks, EntryState::Merged, None));
            }
        }
        Ok(entries)
    }

    /// `None` for a branch that has no commit of ours: somebody else's, by our name.
    fn entry(&self, repo: &Repo, branch: &str, tip: Oid) -> Result<Option<HistoryEntry>> {
        let Some(marks) = repo.marks_on(tip)? else { return Ok(None) };
        let theirs = repo.commits_on(branch)?.into_iter().find(|commit| !commit.ours);
        let foreign = theirs.map(|commit| format!("{} by {}", &commit.id[..8], commit.by));
        Ok(Some(self.entry_of(Some(branch.to_owned()), &marks, EntryState::Open, foreign)))
    }

    fn entry_of(
        &self,
        branch: Option<String>,
        marks: &Marks,
        state: EntryState,
        foreign_commit: Option<String>,
    ) -> HistoryEntry {
        HistoryEntry {
            kind: EntryKind::Branch,
            state,
            number: 0,
            fingerprint: Fingerprint(marks.fingerprint.clone()),
            failure: marks.failure.clone(),
            workloads: marks.workloads.clone(),
            link: branch.as_deref().map_or_else(|| self.fetched.name().to_owned(), |branch| self.link(branch)),
            branch,
            opened: Some(marks.at),
            foreign_commit,
        }
    }

    /// How a person finds a branch on a server that has printed no link.
    fn link(&self, branch: &str) -> String {
        format!("{branch} of {}", self.fetched.name())
    }

    fn pull_request(&self, request: &PullRequest) -> Result<Receipt> {
        let name = self.fetched.name();
        let mut mirror = self.fetched.fresh(Duration::ZERO).with_context(|| format!("cannot look at {name}"))?;
        let entries = self.entries(&mut mirror)?;
        let ours = entries.iter().find(|entry| entry.fingerprint == request.fingerprint);
        if let Some((entry, why)) = ours.and_then(|entry| Some((entry, hands_off(entry)?))) {
            return Ok(exists(entry, why));
        }
        let other = entries.iter().find(|entry| {
            entry.state == EntryState::Open
                && entry.fingerprint != request.fingerprint
                && shares(entry, &request.workloads)
        });
        if let (None, Some(entry)) = (ours, other) {
            return Ok(exists(entry, format!("{} is there for the same workload; one at a time", entry.called())));
        }
        let repo = mirror.repo()?;
        let change = NewCommit { branch: &request.branch, files: &request.files, message: &request.commit_message };
        let (commit, seen) = match repo.prepare(&change, repo.commit_id(None)?, &Author::kubecure(self.now))? {
            Prepared::Commit { id, seen } => (id, seen),
            Prepared::Unchanged(_) => {
                let why = "the branch is there already, and nothing has changed".to_owned();
                let (kind, number, link) = (EntryKind::Branch, 0, self.link(&request.branch));
                return Ok(Receipt::Exists { kind, number, link, why });
            }
        };
        let push = Push { branch: &request.branch, commit, seen };
        (self.fence)()?;
        let link = mirror.push(&repo, &push).with_context(|| format!("cannot push to {name}"))?;
        let link = link.map_or_else(|| self.link(&request.branch), |link| format!("{}: {link}", request.branch));
        let (kind, number) = (EntryKind::Branch, 0);
        Ok(match seen {
            None => Receipt::Opened { kind, number, link },
            Some(_) => Receipt::Updated { kind, number, link },
        })
    }
}

impl Forge for BranchForge {
    fn history(&self) -> Result<History> {
        let name = self.fetched.name();
        let mut mirror = self.fetched.fresh(FRESH).with_context(|| format!("cannot look at {name}"))?;
        Ok(History { entries: self.entries(&mut mirror)? })
    }

    fn publish(&self, request: &Request) -> Result<Receipt> {
        match request {
            Request::PullRequest(request) => self.pull_request(request),
            Request::Issue(issue) => Ok(Receipt::Nothing {
                why: format!("a Git server alone has no issues; this would be one: {}", issue.title),
            }),
            Request::Nothing(declined) => Ok(Receipt::Nothing { why: declined.to_string() }),
        }
    }

    fn fence(&mut self, fence: Fence) {
        self.fence = fence;
    }

    fn name(&self) -> &str {
        self.fetched.name()
    }
}

fn exists(entry: &HistoryEntry, why: String) -> Receipt {
    Receipt::Exists { kind: entry.kind, number: entry.number, link: entry.link.clone(), why }
}
