//! A request in, a pull request or issue on a forge with an API out: one life cycle for all of them.
//!
//! What differs from forge to forge stands behind [`Api`], one file each. The branch goes over Git, where it moves only
//! from where it was seen; a pull request is looked for before it is opened, and again when an answer did not come. So two
//! controllers open one, and one that was killed anywhere goes on where it was.

mod issue;
mod memory;
mod pull;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use self::memory::Memory;
use super::api::{ApiTrouble, Manner};
use super::{Fence, Forge};
use crate::adapters::git::mirror::Mirror;
use crate::adapters::git::{Marks, Repo};
use crate::adapters::ground::Fetched;
use crate::case::{EntryKind, EntryState, Fingerprint, History, HistoryEntry, Receipt, Request, Timestamp};

/// What was fetched within this is fresh enough to count by. Before a push it is always fetched.
const FRESH: Duration = Duration::from_secs(5);
/// The label that every pull request and issue of ours has.
pub(super) const LABEL: &str = "kubecure";

/// What a forge can be asked and told. Each call is one request or a few; none decides anything.
pub(super) trait Api: Send + Sync {
    /// Open pull requests from branches of ours in the repository itself to the base branch.
    fn open_pulls(&self, base: &str) -> Result<Vec<Page>, ApiTrouble>;

    /// Everything with our label, whatever its state, newest first as far as is looked.
    fn labelled(&self) -> Result<Vec<Page>, ApiTrouble>;

    /// The pull requests that there are or were from a branch of the repository itself to the base branch.
    fn pulls_of(&self, branch: &str, base: &str) -> Result<Vec<Page>, ApiTrouble>;

    /// Makes the labels that are missing. A write for each.
    fn make_labels(&self, labels: &[String], fence: &Fence) -> Result<()>;

    fn open_pull(&self, new: &NewPull<'_>) -> Result<Page, ApiTrouble>;

    fn open_issue(&self, new: &NewIssue<'_>) -> Result<Page, ApiTrouble>;

    fn edit(&self, page: &Page, edit: &Edit<'_>) -> Result<(), ApiTrouble>;

    fn comments(&self, page: &Page) -> Result<Vec<String>, ApiTrouble>;

    fn comment(&self, page: &Page, text: &str) -> Result<(), ApiTrouble>;

    fn ask_reviewers(&self, page: &Page, reviewers: &[String]) -> Result<(), ApiTrouble>;

    /// Whether two who open at the same time may get two pull requests for one branch.
    fn may_double(&self) -> bool;

    /// A commit that the forge makes itself; `None` where Git is pushed.
    fn commit(&self, _: &Commit<'_>) -> Option<Result<Committed, ApiTrouble>> {
        None
    }

    /// What the token is allowed, without writing.
    fn look(&self) -> Result<Rights, ApiTrouble>;

    fn manner(&self) -> Manner;
}

/// A pull request or issue as the forge has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page {
    pub kind: EntryKind,
    pub number: u64,
    pub title: String,
    pub body: String,
    pub state: EntryState,
    pub draft: bool,
    /// Of a pull request whose branch is in the repository itself.
    pub branch: Option<String>,
    pub opened: Option<Timestamp>,
    pub link: String,
}

/// A pull request to be opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewPull<'a> {
    pub branch: &'a str,
    pub base: &'a str,
    pub title: &'a str,
    pub body: &'a str,
    pub draft: bool,
    pub labels: &'a [String],
}

/// An issue to be opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewIssue<'a> {
    pub title: &'a str,
    pub body: &'a str,
    pub labels: &'a [String],
}

/// A commit that the forge is to make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commit<'a> {
    pub branch: &'a str,
    /// The commit that it stands on.
    pub base: &'a str,
    /// Where the branch was seen; `None`: it was not there.
    pub seen: Option<&'a str>,
    pub message: &'a str,
    /// Path and new text of each file.
    pub files: &'a [(&'a str, &'a str)],
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    Is(String),
    /// The branch is not where it was seen.
    Moved,
}

/// What is to be changed of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Edit<'a> {
    pub title: Option<&'a str>,
    pub body: Option<&'a str>,
    pub close: bool,
}

/// What a token is allowed on a forge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Whose token it is, if that is told.
    pub login: Option<String>,
    /// The forge and its version, if it tells.
    pub version: Option<String>,
    /// What is needed and missing, a sentence each.
    pub missing: Vec<String>,
    /// What does without.
    pub doubts: Vec<String>,
}

/// A forge, shared by all who work an incident at the same time.
pub struct Hosted {
    api: Box<dyn Api>,
    name: String,
    /// Looking and writing are one step in this process.
    writing: Mutex<()>,
}

impl Hosted {
    pub(super) fn new(api: Box<dyn Api>, name: String) -> Self {
        Self { api, name, writing: Mutex::default() }
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the token is allowed. Writes nothing.
    pub fn look(&self) -> Result<Rights, ApiTrouble> {
        self.api.look()
    }

    fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A forge with an API, for one incident.
pub struct HostedForge {
    shared: Arc<Hosted>,
    fetched: Arc<Fetched>,
    now: Timestamp,
    fence: Fence,
}

/// What is there: ours, each with what it means.
struct Look {
    base: String,
    entries: Vec<(Page, HistoryEntry)>,
    landed: Vec<Marks>,
}

impl HostedForge {
    pub fn new(shared: Arc<Hosted>, fetched: Arc<Fetched>, now: Timestamp) -> Self {
        Self { shared, fetched, now, fence: super::open() }
    }

    fn api(&self) -> &dyn Api {
        &*self.shared.api
    }

    /// Right before a write.
    fn may_write(&self) -> Result<()> {
        (self.fence)()
    }

    fn mirror(&self, age: Duration) -> Result<MutexGuard<'_, Mirror>> {
        self.fetched.fresh(age).with_context(|| format!("cannot look at {}", self.fetched.name()))
    }

    fn look(&self, mirror: &mut Mirror) -> Result<Look> {
        let repo = mirror.repo()?;
        let base = repo.base_branch()?;
        let landed = repo.landed_marks()?;
        let open = self.api().open_pulls(&base)?;
        let mut pages: BTreeMap<(u8, u64), Page> = BTreeMap::new();
        for page in open {
            pages.insert(key(&page), page);
        }
        // What was closed meanwhile is closed; a list by label knows no branches.
        for page in self.api().labelled()? {
            match pages.get_mut(&key(&page)) {
                Some(known) => known.state = page.state,
                None => drop(pages.insert(key(&page), page)),
            }
        }
        let mut entries = Vec::new();
        for page in pages.into_values() {
            if let Some(entry) = entry(&repo, &page, &landed)? {
                entries.push((page, entry));
            }
        }
        Ok(Look { base, entries, landed })
    }

    /// Closes what we have opened ourselves, with a sentence: no word of a person, and may come again.
    fn answer(&self, page: &Page, why: &str) -> Result<()> {
        let body = memory::answered(&page.body, why);
        self.may_write()?;
        self.api().comment(page, why)?;
        self.may_write()?;
        self.api().edit(page, &Edit { body: Some(&body), close: true, ..Edit::default() })?;
        Ok(())
    }
}

impl Look {
    fn pulls(&self) -> impl Iterator<Item = &(Page, HistoryEntry)> {
        self.entries.iter().filter(|(_, entry)| entry.kind == EntryKind::PullRequest)
    }

    fn issues(&self) -> impl Iterator<Item = &(Page, HistoryEntry)> {
        self.entries.iter().filter(|(_, entry)| entry.kind == EntryKind::Issue)
    }
}

impl Forge for HostedForge {
    fn history(&self) -> Result<History> {
        let look = self.look(&mut *self.mirror(FRESH)?)?;
        let mut entries: Vec<HistoryEntry> = look.entries.into_iter().map(|(_, entry)| entry).collect();
        // A fix that is on the base branch has landed, whether its pull request is still there or not.
        for marks in &look.landed {
            if !entries.iter().any(|entry| entry.fingerprint.0 == marks.fingerprint) {
                entries.push(landed(marks, self.fetched.name()));
            }
        }
        Ok(History { entries })
    }

    fn publish(&self, request: &Request) -> Result<Receipt> {
        let _one = self.shared.one_at_a_time();
        match request {
            Request::PullRequest(request) => self.pull_request(request),
            Request::Issue(request) => self.issue(request),
            Request::Nothing(declined) => Ok(Receipt::Nothing { why: declined.to_string() }),
        }
    }

    fn fence(&mut self, fence: Fence) {
        self.fence = fence;
    }

    fn name(&self) -> &str {
        self.shared.name()
    }
}

/// A time as forges write it.
pub(super) fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// Pull requests and issues may count apart.
fn key(page: &Page) -> (u8, u64) {
    (u8::from(page.kind == EntryKind::Issue), page.number)
}

/// What a page means; `None` where it is not ours, or says no more than we did ourselves.
fn entry(repo: &Repo, page: &Page, landed: &[Marks]) -> Result<Option<HistoryEntry>> {
    let tip = page.branch.as_deref().map(|branch| repo.tip(branch)).transpose()?.flatten();
    let memory = match (memory::read(&page.body), tip) {
        (Some(memory), _) => memory,
        // The hidden line is gone; the trailers of the branch say the same.
        (None, Some(tip)) => match repo.marks_on(tip)? {
            Some(marks) => Memory::of(&marks),
            None => return Ok(None),
        },
        (None, None) => return Ok(None),
    };
    if memory.is_answered && page.state == EntryState::Closed {
        return Ok(None);
    }
    let is_pull = page.kind == EntryKind::PullRequest;
    let has_landed = is_pull && landed.iter().any(|marks| marks.fingerprint == memory.fingerprint);
    let state = if has_landed { EntryState::Merged } else { page.state };
    let foreign_commit = match (&page.branch, state) {
        (Some(branch), EntryState::Open) => foreign(repo, branch)?,
        _ => None,
    };
    Ok(Some(HistoryEntry {
        kind: page.kind,
        state,
        number: page.number,
        fingerprint: Fingerprint(memory.fingerprint),
        failure: memory.failure,
        workloads: memory.workloads,
        branch: page.branch.clone(),
        opened: page.opened,
        foreign_commit,
        link: page.link.clone(),
    }))
}

/// A commit on a branch that is not ours, if there is one.
fn foreign(repo: &Repo, branch: &str) -> Result<Option<String>> {
    let theirs = repo.commits_on(branch)?.into_iter().find(|commit| !commit.ours);
    Ok(theirs.map(|commit| format!("{} by {}", &commit.id[..8], commit.by)))
}

/// A fix whose pull request nobody can see any more.
fn landed(marks: &Marks, name: &str) -> HistoryEntry {
    HistoryEntry {
        kind: EntryKind::Branch,
        state: EntryState::Merged,
        number: 0,
        fingerprint: Fingerprint(marks.fingerprint.clone()),
        failure: marks.failure.clone(),
        workloads: marks.workloads.clone(),
        branch: None,
        opened: Some(marks.at),
        foreign_commit: None,
        link: name.to_owned(),
    }
}

fn exists(entry: &HistoryEntry, why: String) -> Receipt {
    Receipt::Exists { kind: entry.kind, number: entry.number, link: entry.link.clone(), why }
}

fn unchanged(page: &Page) -> Receipt {
    let why = "it is open already, and nothing has changed".to_owned();
    Receipt::Exists { kind: page.kind, number: page.number, link: page.link.clone(), why }
}

fn opened(page: &Page) -> Receipt {
    Receipt::Opened { kind: page.kind, number: page.number, link: page.link.clone() }
}

fn updated(page: &Page) -> Receipt {
    Receipt::Updated { kind: page.kind, number: page.number, link: page.link.clone() }
}
