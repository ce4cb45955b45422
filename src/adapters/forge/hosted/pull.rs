//! The life of a pull request on a forge: looked for, opened, brought up to date, left alone.

use std::time::Duration;

use anyhow::{Context, Result};
use git2::Oid;

use super::{
    Commit, Committed, Edit, HostedForge, Look, NewPull, Page, exists, foreign, memory, opened, unchanged, updated,
};
use crate::adapters::forge::api::ApiTrouble;
use crate::adapters::forge::{hands_off, names, shares};
use crate::adapters::git::remote::{Push, Trouble};
use crate::adapters::git::{Author, NewCommit, Prepared, Repo};
use crate::case::{EntryKind, EntryState, HistoryEntry, PullRequest, Receipt};

/// How often it is tried against others who push the same branch.
const RACES: u32 = 5;
/// How often is looked for the pull request of somebody who has just pushed, and the pause between.
const LOOKS: (u32, Duration) = (6, Duration::from_millis(500));
/// A branch without a pull request that is older than this is nobody's work in progress.
const FRESH_BRANCH: i64 = 60;
/// The comment that says that a branch is left to its people has this in it, so that it is said once.
const HANDS_OFF: &str = "<!-- kubecure hands-off -->";

/// What one attempt came to.
enum Attempt {
    Done(Receipt),
    /// Somebody else moved the branch: look again.
    Again(Trouble),
}

/// Where the branch is now.
enum Branch {
    Pushed,
    /// It held the change already, since so many seconds.
    Held(i64),
}

impl HostedForge {
    pub(super) fn pull_request(&self, request: &PullRequest) -> Result<Receipt> {
        let mut races = 0;
        loop {
            match self.attempt(request)? {
                Attempt::Done(receipt) => return Ok(receipt),
                Attempt::Again(trouble) if races >= RACES => return Err(trouble.into()),
                Attempt::Again(_) => {
                    races += 1;
                    std::thread::sleep(LOOKS.1 / 5 * races);
                }
            }
        }
    }

    fn attempt(&self, request: &PullRequest) -> Result<Attempt> {
        let mut mirror = self.mirror(Duration::ZERO)?;
        let look = self.look(&mut mirror)?;
        let repo = mirror.repo()?;
        let ours = ours(&look, request);
        if let Some(receipt) = self.left_alone(&look, ours, &repo, request)? {
            return Ok(Attempt::Done(receipt));
        }
        if ours.is_none() {
            // Before the push: what follows it is one request.
            self.api().make_labels(&request.labels, &self.fence)?;
        }
        let change = NewCommit { branch: &request.branch, files: &request.files, message: &request.commit_message };
        let base = repo.commit_id(None)?;
        let branch = match repo.prepare(&change, base, &Author::kubecure(self.now))? {
            Prepared::Unchanged(tip) => Branch::Held(self.age(&repo, tip)?),
            Prepared::Commit { id, seen } => {
                self.may_write()?;
                let push = Push { branch: &request.branch, commit: id, seen };
                let pushed = match self.made_there(request, base, seen) {
                    Some(made) => made?,
                    None => mirror.push(&repo, &push).map(drop),
                };
                match pushed {
                    Ok(()) => Branch::Pushed,
                    Err(moved @ Trouble::Moved { .. }) => return Ok(Attempt::Again(moved)),
                    Err(trouble) => {
                        return Err(trouble).with_context(|| format!("cannot push to {}", self.fetched.name()));
                    }
                }
            }
        };
        drop(mirror);
        let receipt = match (ours, branch) {
            (Some((page, _)), branch) => self.refresh(page, request, matches!(branch, Branch::Pushed))?,
            (None, Branch::Held(age)) if age < FRESH_BRANCH => match self.somebody_opens(request, &look.base)? {
                Some(page) => unchanged(&page),
                None => self.open_pull(request, &look)?,
            },
            (None, _) => self.open_pull(request, &look)?,
        };
        Ok(Attempt::Done(receipt))
    }

    /// The commit as the forge itself makes it, where it does.
    fn made_there(
        &self,
        request: &PullRequest,
        base: Oid,
        seen: Option<Oid>,
    ) -> Option<Result<Result<(), Trouble>, ApiTrouble>> {
        let files: Vec<(&str, &str)> =
            request.files.iter().map(|file| (file.path.as_str(), file.after.as_str())).collect();
        let (base, seen) = (base.to_string(), seen.map(|seen| seen.to_string()));
        let commit = Commit {
            branch: &request.branch,
            base: &base,
            seen: seen.as_deref(),
            message: &request.commit_message,
            files: &files,
        };
        Some(self.api().commit(&commit)?.map(|made| match made {
            Committed::Is(_) => Ok(()),
            Committed::Moved => Err(Trouble::Moved { branch: request.branch.clone() }),
        }))
    }

    /// Why nothing is written, if nothing is to be.
    fn left_alone(
        &self,
        look: &Look,
        ours: Option<&(Page, HistoryEntry)>,
        repo: &Repo,
        request: &PullRequest,
    ) -> Result<Option<Receipt>> {
        if let Some((page, entry)) = ours {
            let why = match hands_off(entry) {
                None if entry.branch.as_ref() != Some(&request.branch) => {
                    Some(format!("#{} is open from another branch or to another one: hands off", entry.number))
                }
                why => why,
            };
            if entry.state == EntryState::Open && entry.foreign_commit.is_some() {
                self.say_hands_off(page)?;
            }
            return Ok(why.map(|why| exists(entry, why)));
        }
        let other = look.pulls().find(|(_, entry)| {
            entry.state == EntryState::Open
                && entry.fingerprint != request.fingerprint
                && shares(entry, &request.workloads)
        });
        if let Some((_, entry)) = other {
            let about = entry.workloads.first().cloned().unwrap_or_default();
            return Ok(Some(exists(entry, format!("#{} for {about} is open; one at a time", entry.number))));
        }
        if look.landed.iter().any(|marks| marks.fingerprint == request.fingerprint.0) {
            let why = "this change is on the base branch already; if the failure is back, a person should look";
            return Ok(Some(self.branch_exists(request, why.to_owned())));
        }
        // One whose label and hidden line a person took away is known by its branch.
        if let Some(page) = self.api().pulls_of(&request.branch, &look.base)?.into_iter().max_by_key(|page| page.number)
            && !memory::read(&page.body).is_some_and(|memory| memory.is_answered)
        {
            let why = match page.state {
                EntryState::Closed => format!("#{} was closed by a person; not offered again", page.number),
                EntryState::Merged => {
                    format!("#{} was merged; if the failure is back, a person should look", page.number)
                }
                EntryState::Open => format!("#{} is open from this branch, and not ours: hands off", page.number),
            };
            return Ok(Some(Receipt::Exists { kind: page.kind, number: page.number, link: page.link, why }));
        }
        let theirs = foreign(repo, &request.branch)?;
        Ok(theirs.map(|commit| self.branch_exists(request, format!("the branch has a commit, {commit}: hands off"))))
    }

    fn branch_exists(&self, request: &PullRequest, why: String) -> Receipt {
        let link = format!("{} of {}", request.branch, self.fetched.name());
        Receipt::Exists { kind: EntryKind::Branch, number: 0, link, why }
    }

    /// Says once that a branch is its people's now.
    fn say_hands_off(&self, page: &Page) -> Result<()> {
        let comments = self.api().comments(page)?;
        if comments.iter().any(|comment| comment.contains(HANDS_OFF)) {
            return Ok(());
        }
        self.may_write()?;
        let text = format!(
            "Somebody else has committed to this branch, so KubeCure leaves it alone from now on: it is yours.\n{HANDS_OFF}"
        );
        Ok(self.api().comment(page, &text)?)
    }

    /// Seconds since a commit was made.
    fn age(&self, repo: &Repo, tip: Oid) -> Result<i64> {
        let marks = repo.marks_on(tip)?;
        Ok(marks.map_or(i64::MAX, |marks| self.now.as_second().saturating_sub(marks.at.as_second())))
    }

    /// Another controller may have pushed a moment ago and be about to open it.
    fn somebody_opens(&self, request: &PullRequest, base: &str) -> Result<Option<Page>> {
        for _ in 0..LOOKS.0 {
            if let Some(page) = self.open_one(request, base)? {
                return Ok(Some(page));
            }
            std::thread::sleep(LOOKS.1);
        }
        Ok(None)
    }

    fn open_one(&self, request: &PullRequest, base: &str) -> Result<Option<Page>, ApiTrouble> {
        let mut open = self.api().open_pulls(base)?;
        open.retain(|page| page.branch.as_ref() == Some(&request.branch));
        Ok(open.into_iter().min_by_key(|page| page.number))
    }

    fn open_pull(&self, request: &PullRequest, look: &Look) -> Result<Receipt> {
        let new = NewPull {
            branch: &request.branch,
            base: &look.base,
            title: &request.title,
            body: &request.body,
            draft: request.draft,
            labels: &request.labels,
        };
        self.may_write()?;
        let page = match self.api().open_pull(&new) {
            Ok(page) => page,
            Err(ApiTrouble::Exists { said }) => match self.open_one(request, &look.base)? {
                Some(page) => return Ok(unchanged(&page)),
                None => return Err(ApiTrouble::Exists { said }).context("cannot open the pull request"),
            },
            Err(trouble) if trouble.is_unclear() => match self.somebody_opens(request, &look.base)? {
                Some(page) => page,
                None => return Err(trouble).context("cannot open the pull request"),
            },
            Err(trouble) => return Err(trouble).context("cannot open the pull request"),
        };
        if let Some(first) = self.doubled(&page, request, &look.base)? {
            return Ok(unchanged(&first));
        }
        self.ask_reviewers(&page, request);
        self.answer_issues(&page, request, look)?;
        Ok(opened(&page))
    }

    /// Of two that were opened for one branch at the same time the first stays.
    fn doubled(&self, page: &Page, request: &PullRequest, base: &str) -> Result<Option<Page>> {
        if !self.api().may_double() {
            return Ok(None);
        }
        let Some(first) = self.open_one(request, base)?.filter(|first| first.number < page.number) else {
            return Ok(None);
        };
        self.answer(page, &format!("#{} is the same, and was first.", first.number))?;
        Ok(Some(first))
    }

    /// A name that the forge does not know is no reason to have no pull request.
    fn ask_reviewers(&self, page: &Page, request: &PullRequest) {
        if request.reviewers.is_empty() {
            return;
        }
        let asked = self.may_write().and_then(|()| Ok(self.api().ask_reviewers(page, &request.reviewers)?));
        if let Err(error) = asked {
            tracing::warn!(number = page.number, "reviewers could not be asked: {}", told(&error));
        }
    }

    /// Closes the issue that was opened while less was known: the pull request is the answer to it.
    fn answer_issues(&self, page: &Page, request: &PullRequest, look: &Look) -> Result<()> {
        let theirs = |entry: &HistoryEntry| {
            entry.state == EntryState::Open
                && entry.failure == request.failure.0
                && entry.workloads == names(&request.workloads)
        };
        for (issue, _) in look.issues().filter(|(_, entry)| theirs(entry)) {
            self.answer(issue, &format!("More is known now: {} proposes a change.", page.link))?;
        }
        Ok(())
    }

    fn refresh(&self, page: &Page, request: &PullRequest, pushed: bool) -> Result<Receipt> {
        let body = memory::renewed(&page.body, &request.body);
        // A title that a person improved stays, unless the change is another one now.
        let title = Some(request.title.as_str()).filter(|title| pushed && *title != page.title);
        if body.is_some() || title.is_some() {
            self.may_write()?;
            self.api().edit(page, &Edit { title, body: body.as_deref(), close: false })?;
        }
        Ok(if pushed || body.is_some() { updated(page) } else { unchanged(page) })
    }
}

/// Of several with one fingerprint an open one counts; otherwise what a person did last.
fn ours<'l>(look: &'l Look, request: &PullRequest) -> Option<&'l (Page, HistoryEntry)> {
    let same = || look.pulls().filter(|(_, entry)| entry.fingerprint == request.fingerprint);
    let open = same().find(|(_, entry)| entry.state == EntryState::Open);
    open.or_else(|| same().max_by_key(|(_, entry)| entry.number))
}

fn told(error: &anyhow::Error) -> String {
    crate::report::plain::inline(&format!("{error:#}")).into_owned()
}
